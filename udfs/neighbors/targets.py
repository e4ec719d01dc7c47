"""The rows of a pool that are most like each of some targets: cosines by NumPy, order by Spark.

The targets travel to every task, each of which keeps, per target, the rows of its part that may be
among the nearest of all. No row of the pool comes to the driver but those.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from udfs.on_spark.arrow import vectors

_DIGITS = 9  # of a cosine: what is beyond depends on how rows are grouped
_LEAST = 1e-3  # share of the mean variance below which a direction is not stretched further
Batches = Iterator[pa.RecordBatch]


@dataclass(frozen=True)
class Space:
    """Where cosines are taken: vectors less a mean, times a matrix; None: as they are.

    Attributes:
        mean: float64[d].
        matrix: float64[d, d].
    """

    mean: NDArray[np.float64] | None = None
    matrix: NDArray[np.float64] | None = None

    def unit(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """float64[n, d] of unit length."""
        moved = rows.astype(np.float64)
        if self.mean is not None and self.matrix is not None:
            moved = (moved - self.mean) @ self.matrix
        lengths = np.linalg.norm(moved, axis=1, keepdims=True)
        return np.asarray(moved / np.maximum(lengths, 1e-12))


def whitened(rows: DataFrame) -> Space:
    """The space in which a pool's vectors have no direction that all share, and equal variances.

    Args:
        rows: `vector ARRAY<FLOAT>`, at least one.
    """
    parts = rows.select("vector").mapInArrow(_moments, "n BIGINT, sums BINARY, products BINARY")
    count = 0
    total = products = np.zeros(1)
    for part in parts.toLocalIterator():
        count += part.n
        total = total + np.frombuffer(part.sums)
        products = products + np.frombuffer(part.products)
    mean = total / count
    covariance = products.reshape(mean.size, mean.size) / count - np.outer(mean, mean)
    variances, directions = np.linalg.eigh(covariance)
    variances = np.maximum(variances, _LEAST * max(variances.mean(), 1e-12))
    return Space(mean, directions / np.sqrt(variances) @ directions.T)


def with_similarity(
    rows: DataFrame, targets: NDArray[np.float32], space: Space = Space()
) -> DataFrame:
    """The largest cosine of every row to a target.

    Args:
        rows: `example_id STRING, vector ARRAY<FLOAT>`.
        targets: float32[t, d].
        space: see `Space`.

    Returns:
        `example_id STRING, target_similarity DOUBLE`, −1 … 1, higher: more like a target.
    """
    wanted = space.unit(targets)

    def run(batches: Batches) -> Batches:
        for ids, cosines in _cosines(batches, wanted, space):
            columns = {"example_id": ids, "target_similarity": cosines.max(axis=0)}
            yield pa.RecordBatch.from_pydict(columns)

    selected = rows.select("example_id", "vector")
    return selected.mapInArrow(run, "example_id STRING, target_similarity DOUBLE")


def nearest_to_each(
    rows: DataFrame, targets: NDArray[np.float32], count: int, space: Space = Space()
) -> DataFrame:
    """The rows with the largest cosines to each target, ties by their ids.

    Args:
        rows: `example_id STRING, vector ARRAY<FLOAT>`.
        targets: float32[t, d].
        count: rows of each target at most.
        space: see `Space`.

    Returns:
        `target INT, example_id STRING, similarity DOUBLE, place INT` (from 1), t × count rows or
        fewer.
    """
    nearest = rows.select("example_id", "vector").mapInArrow(
        _nearest(space.unit(targets), count, space),
        "target INT, example_id STRING, similarity DOUBLE",
    )
    order = Window.partitionBy("target").orderBy(F.desc("similarity"), "example_id")
    return nearest.withColumn("place", F.row_number().over(order)).where(F.col("place") <= count)


def _nearest(
    targets: NDArray[np.float64], count: int, space: Space
) -> Callable[[Batches], Batches]:
    """One task: what of its part may be among the `count` nearest of a target, ties included."""

    def run(batches: Batches) -> Batches:
        best = [(np.empty(0), np.empty(0, object)) for _ in targets]
        for ids, cosines in _cosines(batches, targets, space):
            names = np.asarray(ids.to_pylist(), object)
            for target, row in enumerate(cosines):
                values, known = best[target]
                best[target] = _largest(
                    np.concatenate([values, row]), np.concatenate([known, names]), count
                )
        for target, (values, names) in enumerate(best):
            columns = {
                "target": pa.array([target] * len(values), pa.int32()),
                "example_id": pa.array(names, pa.string()),
                "similarity": values,
            }
            yield pa.RecordBatch.from_pydict(columns)

    return run


def _largest(
    values: NDArray[np.float64], names: NDArray[np.object_], count: int
) -> tuple[NDArray[np.float64], NDArray[np.object_]]:
    if len(values) <= count:
        return values, names
    least = np.partition(values, -count)[-count]
    mine = values >= least
    return values[mine], names[mine]


def _cosines(
    batches: Batches, targets: NDArray[np.float64], space: Space
) -> Iterator[tuple[pa.Array, NDArray[np.float64]]]:
    """Ids and cosines float64[t, rows] of every batch that has rows."""
    for batch in batches:
        if batch.num_rows:
            rows = space.unit(vectors(batch["vector"]))
            yield batch["example_id"], np.round(targets @ rows.T, _DIGITS)


def _moments(batches: Batches) -> Batches:
    """One row for each batch: how many vectors, their sum and the sum of their products."""
    for batch in batches:
        if batch.num_rows:
            rows = vectors(batch["vector"]).astype(np.float64)
            columns = {
                "n": pa.array([len(rows)], pa.int64()),
                "sums": pa.array([rows.sum(axis=0).tobytes()], pa.binary()),
                "products": pa.array([(rows.T @ rows).tobytes()], pa.binary()),
            }
            yield pa.RecordBatch.from_pydict(columns)
