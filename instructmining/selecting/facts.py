"""What can be said of a chosen subset beside its pool: counts, sources, means, truncation."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from instructmining.cascading.filled import MARK
from instructmining.finetunes.runs import ids_hash
from instructmining.scoring.scores import Measured, indicator_names
from instructmining.selecting.selection import score_column
from instructmining.settings.learning import Select
from instructmining.store.tables import Store

_SAMPLE = 100_000  # rows that a rank correlation is computed on
_REASONS = 3


@dataclass(frozen=True)
class Facts:
    """A subset and the pool it was drawn from.

    Attributes:
        subset: hash of its ids, whatever their order.
        size: examples in it.
        pool: examples in the pool.
        unscored: of these without a score, which can never be chosen.
        reasons: why, most frequent first, with their numbers.
        tokens: of prompts and responses of the subset.
        sources: by source `pool`, `selected`: examples.
        means: by indicator `pool`, `selected`, without nulls.
        truncated: by stage, chosen examples of which a model did not read everything.
        estimated: chosen examples with an indicator that a cascade predicted.
    """

    subset: str
    size: int
    pool: int
    unscored: int
    reasons: list[tuple[str, int]]
    tokens: int
    sources: pd.DataFrame
    means: pd.DataFrame
    truncated: dict[str, int]
    estimated: int = 0


def facts_of(
    store: Store,
    rows: DataFrame,
    picked: DataFrame,
    ids: Sequence[str],
    select: Select,
    measured: Measured | None = None,
) -> Facts:
    """Gather them in two passes over the pool's rows.

    Args:
        store: knows what was truncated.
        rows: as `instructmining.selecting.selection.candidates` gives them.
        picked: `example_id, rank` of the subset.
        ids: the same ids.
        select: whose strategy says which rows have a score.
        measured: which models may have cut an example; None: all that the store knows.
    """
    marked = rows.withColumn("score_of_row", score_column(select)).join(
        picked.select("example_id", "rank"), "example_id", "left"
    )
    names = [*indicator_names(rows.drop("source", "copies").columns), "predicted_log_loss"]
    mine = F.col("rank").isNotNull()
    sums = [
        F.sum(F.when(which, F.col(name))).alias(f"{label} {name}")
        for name in names
        for label, which in (("pool", F.lit(True)), ("selected", mine))
    ]
    counts = [
        F.count(F.when(which, F.col(name))).alias(f"n {label} {name}")
        for name in names
        for label, which in (("pool", F.lit(True)), ("selected", mine))
    ]
    by_source = (
        marked.groupBy("source")
        .agg(
            F.count("*").alias("pool"),
            F.count_if(mine).alias("selected"),
            F.count_if(F.col("score_of_row").isNull()).alias("unscored"),
            F.count_if(mine & F.col(MARK).isNotNull()).alias("estimated"),
            *sums,
            *counts,
        )
        .toPandas()
        .set_index("source")
        .sort_index()
    )
    total = by_source.sum()
    means = {
        label: {
            name: total[f"{label} {name}"] / (total[f"n {label} {name}"] or float("nan"))
            for name in names
        }
        for label in ("pool", "selected")
    }
    lengths = [total.get(f"selected {name}", 0) for name in ("input_length", "output_length")]
    return Facts(
        subset=ids_hash(ids),
        size=len(ids),
        pool=int(total["pool"]),
        unscored=int(total["unscored"]),
        reasons=_reasons(marked),
        tokens=int(sum(lengths)),
        sources=by_source[["pool", "selected"]],
        means=pd.DataFrame(means).dropna(how="all"),
        truncated=_truncated(store, picked, measured),
        estimated=int(total["estimated"]),
    )


@dataclass(frozen=True)
class Changes:
    """Two choices from one pool.

    Attributes:
        sources: by source `kept` (in both), `entered` (only the first has them), `left`.
        correlation: of the two predictions' ranks over the pool; NaN where either is constant.
        compared: rows it was computed on.
    """

    sources: pd.DataFrame
    correlation: float
    compared: int


def changes(rows: DataFrame, picked: DataFrame, others: DataFrame, rivals: DataFrame) -> Changes:
    """What one rule chooses that another does not.

    Args:
        rows: the pool under the first rule, as `candidates` gives it.
        picked: `example_id` chosen with it.
        others: the pool under the other rule.
        rivals: `example_id` chosen with that.
    """
    first = picked.select("example_id", F.lit(True).alias("first"))
    second = rivals.select("example_id", F.lit(True).alias("second"))
    both = first.join(second, "example_id", "full_outer").join(
        rows.select("example_id", "source"), "example_id"
    )
    a = F.col("first").isNotNull()
    b = F.col("second").isNotNull()
    counted = (
        both.groupBy("source")
        .agg(
            F.count_if(a & b).alias("kept"),
            F.count_if(a & ~b).alias("entered"),
            F.count_if(~a & b).alias("left"),
        )
        .toPandas()
        .set_index("source")
        .sort_index()
    )
    pairs = _predicted(rows, "a").join(_predicted(others, "b"), "example_id")
    sample = pairs.orderBy(F.xxhash64("example_id"), "example_id").limit(_SAMPLE).toPandas()
    correlation = sample["a"].rank().corr(sample["b"].rank())
    return Changes(counted, float(correlation), len(sample))


def _predicted(rows: DataFrame, name: str) -> DataFrame:
    prediction = F.col("predicted_log_loss").alias(name)
    return rows.where(F.col("predicted_log_loss").isNotNull()).select("example_id", prediction)


def _reasons(marked: DataFrame) -> list[tuple[str, int]]:
    known = F.coalesce("missing_reason", F.lit("not measured, or not scored since it was added"))
    missing = marked.where(F.col("predicted_log_loss").isNull() & F.col("score_of_row").isNull())
    counts = missing.groupBy(known.alias("reason")).count().orderBy(F.desc("count"), "reason")
    return [(row.reason, row["count"]) for row in counts.limit(_REASONS).collect()]


def _truncated(store: Store, picked: DataFrame, measured: Measured | None) -> dict[str, int]:
    """By stage; an example that one of several models cut counts once."""
    tables = {"stage_values": F.col("stage"), "embeddings": F.lit("embed")}
    rows = reduce(
        DataFrame.unionByName,
        (
            store.read(table)
            .where(F.col("truncated_tokens") > 0)
            .select("fingerprint", "example_id", stage.alias("stage"))
            for table, stage in tables.items()
        ),
    )
    if measured is not None:
        rows = rows.where(F.col("fingerprint").isin(list(measured.fingerprints.values())))
    cut = rows.join(picked, "example_id", "left_semi").groupBy("stage")
    counted = cut.agg(F.countDistinct("example_id").alias("rows")).collect()
    return {row.stage: row["rows"] for row in sorted(counted)}
