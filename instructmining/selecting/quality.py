"""The quality of an example: the lowest percentile that it has in any of the quality indicators.

An example is as good as its worst side. Percentiles are of the pool, so that indicators of
different scales can be compared; nothing is fitted.
"""

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

HEADS = ("reward", "naturalness", "coherence", "understandability")  # higher is better in all
_STEPS = 100  # cut points, between which percentiles are interpolated
_SAMPLE = 100_000  # rows, by the hash of their ids, that the cut points are taken of


def with_quality(rows: DataFrame) -> DataFrame:
    """The rows with `quality`, 0 (worst) to 100; higher is better.

    Args:
        rows: `example_id`, and those of `HEADS` that were measured.

    Returns:
        `quality` is null where one of the indicators is that the pool has, and in all rows where
        it has none. It does not depend on how the rows are partitioned.
    """
    cuts = _cut_points(rows, [name for name in HEADS if name in rows.columns])
    percentiles = [_percentile(F.col(name), points) for name, points in cuts.items()]
    if not percentiles:
        return rows.withColumn("quality", F.lit(None).cast("double"))
    known = F.lit(True)
    for name in cuts:
        known &= F.col(name).isNotNull() & ~F.isnan(name)
    lowest = F.least(*percentiles) if len(percentiles) > 1 else percentiles[0]
    return rows.withColumn("quality", F.when(known, lowest))


def _cut_points(rows: DataFrame, names: Sequence[str]) -> dict[str, list[float]]:
    """Quantiles 0 to 1 of each indicator that has a value at all."""
    if not names:
        return {}
    shares = F.array(*(F.lit(i / _STEPS) for i in range(_STEPS + 1)))
    sample = rows.orderBy(F.xxhash64("example_id"), "example_id").limit(_SAMPLE)
    numbers = [F.when(~F.isnan(name), F.col(name)).alias(name) for name in names]
    quantiles = [F.percentile(name, shares).alias(name) for name in names]
    row = sample.select(*numbers).agg(*quantiles).first()
    assert row is not None  # noqa: S101 - an aggregate without grouping has one row
    return {name: list(row[name]) for name in names if row[name]}


def _percentile(value: Column, cuts: Sequence[float]) -> Column:
    """Percent of the pool below a value, interpolated between the cut points."""
    points = F.array(*(F.lit(float(cut)) for cut in cuts))
    below = F.size(F.filter(points, lambda point: point < value))
    low, high = F.get(points, below - 1), F.get(points, below)
    share = (below - 1 + (value - low) / (high - low)) / _STEPS
    return 100 * F.when(below == 0, 0.0).when(below == len(cuts), 1.0).otherwise(share)
