"""What no selection takes: rows of poor quality, text that is not an answer, other languages.

`with_floor` marks every row with the first reason for which it falls below; `eligible` leaves the
marked rows out, and those that `select.where` and the range of the rule leave out.
"""

from collections.abc import Mapping, Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from instructmining.features.names import LANGUAGES
from instructmining.selecting.conditions import condition
from instructmining.settings.learning import Floor, Select
from instructmining.store.distributions import quoted

REASON = "floor_reason"
_LONG_ENOUGH = 40  # characters: the entropy of a shorter text is low by nature


def with_floor(rows: DataFrame, floor: Floor, reads: Sequence[str]) -> DataFrame:
    """The rows with `floor_reason`: why a row is left out, null where it is not.

    Args:
        rows: with the features of `features.columns`, `LANGUAGES`, `quality`,
            `response_characters`, and indicators.
        floor: thresholds.
        reads: languages that are chosen; empty: all.
    """
    reasons = [F.when(fails, F.lit(reason)) for reason, fails in _rules(rows, floor, reads)]
    return rows.withColumn(REASON, F.coalesce(*reasons, F.lit(None).cast("string")))


def eligible(rows: DataFrame, select: Select) -> DataFrame:
    """The rows that may be chosen.

    Raises:
        UserError: `select.where` is not a condition over columns of the rows.
    """
    if select.floor == "on" and REASON in rows.columns:
        rows = rows.where(F.col(REASON).isNull())
    if select.where is not None:
        rows = rows.where(condition(rows, select.where))
    if leaves_out_of_range(rows, select):
        rows = rows.where(~F.coalesce("out_of_range", F.lit(False)))
    return rows


def leaves_out_of_range(rows: DataFrame, select: Select) -> bool:
    """Whether rows outside of what the rule was fitted on are left out: only its order needs it."""
    wanted = select.strategy == "rule" and not select.out_of_range
    return wanted and "out_of_range" in rows.columns


def left_out(rows: DataFrame, select: Select) -> tuple[dict[str, int], list[str]]:
    """What is left out of the rows of a pool, with counts; one query.

    Args:
        rows: as `with_floor` marks them, or unmarked.
        select: what is asked for.

    Returns:
        Number of rows below the floor by their first reason, the most frequent first; and sentences
        on all that is left out.
    """
    has_floor = select.floor == "on" and REASON in rows.columns
    drops_outside = leaves_out_of_range(rows, select)
    if not (has_floor or drops_outside or select.where is not None):
        return {}, []
    meets = F.lit(True) if select.where is None else condition(rows, select.where)
    outside = F.col("out_of_range") if drops_outside else F.lit(False)
    counted = rows.groupBy((F.col(REASON) if has_floor else F.lit(None)).alias("reason")).agg(
        F.count("*").alias("rows"),
        F.count_if(~F.coalesce(meets, F.lit(False))).alias("misses"),
        F.count_if(outside).alias("outside"),
    )
    groups = {row.reason: row for row in counted.collect()}
    total = sum(row["rows"] for row in groups.values())
    above = groups.pop(None, None)
    ordered = sorted(groups.values(), key=lambda row: (-row["rows"], row.reason))
    reasons = {row.reason: row["rows"] for row in ordered}
    said = [_below(reasons, total)] if reasons else []
    if select.where is not None:
        misses = above.misses if above else 0
        said.append(f"{misses:,} examples are left out: they do not meet --where {select.where}")
    if above and above.outside:
        said.append(
            f"{above.outside:,} examples are left out: an indicator is outside the range that the "
            "rule was fitted on (--out-of-range takes them)"
        )
    return reasons, said


def _below(reasons: Mapping[str, int], rows: int) -> str:
    below = sum(reasons.values())
    listed = ", ".join(f"{reason} {count:,}" for reason, count in reasons.items())
    return (
        f"the floor leaves out {below:,} examples ({100 * below / rows:.1f} %): {listed} "
        "(--floor off takes them)"
    )


def _rules(rows: DataFrame, floor: Floor, reads: Sequence[str]) -> list[tuple[str, Column]]:
    """Reasons with their conditions, the plainest first; null conditions do not hold."""
    text: list[tuple[str, Column]] = [
        ("empty response", F.col("response_characters") == 0),
        ("placeholder", (F.col("placeholder") == 1) & F.lit(not floor.placeholders)),
        ("echo of the prompt", F.col("echo") >= floor.echo),
        ("markup", F.col("markup_share") > floor.markup_share),
        ("encoded data or a token too long", F.col("longest_token") > floor.longest_token),
        (
            "few different characters",
            (F.col("character_entropy") < floor.lowest_entropy)
            & (F.col("response_characters") >= _LONG_ENOUGH),
        ),
        ("repetition", F.col("repetition") > floor.repetition),
    ]
    languages = [
        ("in a language that the models do not read", ~F.col(name).isin(list(reads)))
        for name in LANGUAGES
    ] * bool(reads)
    indicators = [
        (f"{name} below {lowest:g}", quoted(name) < lowest)
        for name, lowest in floor.lowest.items()
        if name in rows.columns
    ]
    worst = F.col("quality") < floor.quality_percentile
    percentile = f"quality below percentile {floor.quality_percentile:g}"
    return [*text, *languages, *indicators, (percentile, worst)]
