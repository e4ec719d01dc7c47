"""Distributions of numeric columns, binned and ranked by Spark: only counts reach the driver."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

BINS = 40
SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)
_ACCURACY = 1000  # of percentile_approx: ranks are right to 1 / accuracy


@dataclass(frozen=True)
class Spread:
    """How one column is distributed over a group of rows.

    Attributes:
        n: rows with a value.
        missing: rows without one.
        mean: None where no row has a value, as are the quantiles.
        sd: standard deviation, None below two values.
        quantiles: at `SHARES`, approximate, or empty.
    """

    n: int
    missing: int
    mean: float | None
    sd: float | None
    quantiles: tuple[float, ...]

    @property
    def median(self) -> float | None:
        """The middle one of the quantiles."""
        return self.quantiles[2] if self.quantiles else None


def spreads(
    rows: DataFrame, names: Sequence[str], group: str
) -> dict[str | None, dict[str, Spread]]:
    """By value of `group`, and under None over all rows, each column's spread; one pass.

    Args:
        rows: the columns, and `group`, which is never null.
        names: of columns of doubles; NaN does not occur in a stored table.
        group: of few values.
    """
    measures: list[Column] = [F.count("*").alias("rows")]
    for i, name in enumerate(names):
        value = quoted(name)
        quantiles = F.percentile_approx(value, list(SHARES), _ACCURACY)
        measures += [
            F.count(value).alias(f"n{i}"),
            F.avg(value).alias(f"mean{i}"),
            F.stddev(value).alias(f"sd{i}"),
            quantiles.alias(f"q{i}"),
        ]
    aggregates = rows.rollup(group).agg(*measures).collect()
    return {
        row[group]: {
            name: Spread(
                row[f"n{i}"],
                row["rows"] - row[f"n{i}"],
                row[f"mean{i}"],
                row[f"sd{i}"],
                tuple(row[f"q{i}"] or ()),
            )
            for i, name in enumerate(names)
        }
        for row in aggregates
    }


def histograms(
    rows: DataFrame, names: Sequence[str]
) -> dict[str, tuple[NDArray[np.float64], NDArray[np.int64], int]]:
    """Edges, counts and missing of every column that has a value at all.

    The bins reach from the 0.5th to the 99.5th percentile, so that one outlier does not flatten
    the picture; what lies outside falls into the first or last bin.
    """
    bounds = rows.approxQuantile([_identifier(name) for name in names], [0.005, 0.995], 0.001)
    # A constant column gets bins as narrow as doubles of its size can tell apart.
    edges = {
        name: np.linspace(low, max(high, low + 1e-9 * max(1.0, abs(low))), BINS + 1)
        for name, low_and_high in zip(names, bounds, strict=True)
        if low_and_high
        for low, high in [low_and_high]
    }
    if not edges:
        return {}
    columns = []
    for name, bins in edges.items():
        step = float(bins[1] - bins[0])
        place = F.floor((quoted(name) - float(bins[0])) / step)
        inside = F.greatest(F.lit(0), F.least(F.lit(BINS - 1), place)).cast("int")
        columns.append(F.when(quoted(name).isNotNull(), inside).alias(name))
    counted = rows.select(*columns).unpivot([], [quoted(name) for name in edges], "name", "bin")
    counts_of = {name: np.zeros(BINS, dtype=np.int64) for name in edges}
    missing = dict.fromkeys(edges, 0)
    for row in counted.groupBy("name", "bin").count().collect():
        if row.bin is None:
            missing[row.name] = row["count"]
        else:
            counts_of[row.name][row.bin] = row["count"]
    return {name: (edges[name], counts_of[name], missing[name]) for name in edges}


def rank_correlations(
    rows: DataFrame, names: Sequence[str], key: str, count: int, sample: int
) -> tuple[pd.DataFrame, int]:
    """Spearman's correlations of a sample of rows, and its size.

    Ranks and not values: perplexity and lengths have tails that would decide a Pearson coefficient
    alone. A pair counts the rows that have both values; fewer than 10 give no number.

    Args:
        rows: the columns and `key`.
        names: of the columns.
        key: decides by its hash who is in the sample, so that a repetition takes the same rows.
        count: of all rows.
        sample: about as many rows; all, where there are fewer.
    """
    share = min(1.0, sample / max(1, count))
    drawn = F.pmod(F.xxhash64(F.lit("correlations"), F.col(key)), F.lit(1_000_000))
    taken = rows.where(drawn < int(share * 1_000_000)) if share < 1 else rows
    frame = taken.select(*(quoted(name) for name in names)).toPandas()
    return frame.astype(float).corr(method="spearman", min_periods=10), len(frame)


def quoted(name: str) -> Column:
    """The column of this very name, whatever characters it is made of."""
    return F.col(_identifier(name))


def _identifier(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
