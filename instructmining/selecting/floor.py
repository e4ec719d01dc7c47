"""What no selection takes: rows of poor quality, text that is not an answer, other languages.

`with_floor` marks every row with the first reason for which it falls below; `eligible` leaves the
marked rows out, and those that `select.where` and the range of the rule leave out.
"""

from collections.abc import Mapping, Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from instructmining.selecting.conditions import condition
from instructmining.settings.learning import Floor, Select
from instructmining.store.distributions import quoted

REASON = "floor_reason"
_LONG_ENOUGH = 40  # characters: the entropy of a shorter text is low by nature
LANGUAGES = ("prompt_language", "response_language")


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


def below_floor(rows: DataFrame, select: Select) -> dict[str, int]:
    """Number of rows below the floor by their first reason, the most frequent first."""
    if select.floor == "off" or REASON not in rows.columns:
        return {}
    counts = rows.where(F.col(REASON).isNotNull()).groupBy(REASON).count()
    return {row[REASON]: row["count"] for row in counts.orderBy(F.desc("count"), REASON).collect()}


def left_out(rows: DataFrame, select: Select, reasons: Mapping[str, int]) -> list[str]:
    """Sentences on what is left out, with counts.

    Args:
        rows: of the pool.
        select: what is asked for.
        reasons: of `below_floor`.
    """
    said = []
    if reasons:
        total = sum(reasons.values())
        share = 100 * total / max(1, rows.count())
        listed = ", ".join(f"{reason} {count:,}" for reason, count in reasons.items())
        said.append(
            f"the floor leaves out {total:,} examples ({share:.1f} %): {listed} "
            "(--floor off takes them)"
        )
    rest = select.model_copy(update={"out_of_range": True, "where": None})
    above = eligible(rows, rest)
    if select.where is not None:
        misses = above.where(~F.coalesce(condition(rows, select.where), F.lit(False))).count()
        said.append(f"{misses:,} examples are left out: they do not meet --where {select.where}")
    if leaves_out_of_range(rows, select):
        outside = above.where("out_of_range").count()
        said += [
            f"{outside:,} examples are left out: an indicator is outside the range that the rule "
            "was fitted on (--out-of-range takes them)"
        ] * (outside > 0)
    return said


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
