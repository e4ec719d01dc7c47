"""knn_i of a pool that no single node can hold: cells of like vectors, one join, one merge.

A k-means of a sample parts the space. Every row lies in its nearest cell and asks in its `visits`
nearest cells; a task holds one cell and the rows that ask there, and searches it as `exact`
does. The lists of one row are then merged by native Spark. With as many visits as cells the answer
is that of one index over the pool; with fewer, the share of right distances is measured on a
sample against the whole pool and goes into the method's words.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from instructmining.settings.sections import Knn
from udfs.neighbors.exact import ExactIndex
from udfs.neighbors.knn import Search, asked_distances
from udfs.neighbors.pool import limit_search_threads
from udfs.on_spark.arrow import distance_lists, vectors, windows

_TRAINED_ON = 64  # sampled rows per cell
_TRAINED_ON_AT_MOST = 500_000  # which the driver holds
_ASKING_PER_GROUP = 100_000  # rows that ask in one task; where more come, the cell is copied
_WINDOW = 8_192  # rows of the whole pool that the sample is compared with at a time
_RECALL_SAMPLE = 1000
_SAME = 1e-3  # relative: a distance this close is right
_SEED = 0
_RECALL_SEED = 1  # other rows than those that made the cells, which lie better for their own

_ASKED = "cell INT, slice INT, in_pool BOOLEAN, example_id STRING, vector ARRAY<FLOAT>, copies LONG"
_FOUND = "example_id STRING, distances ARRAY<DOUBLE>"

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Cells:
    """Where the cells are, and how many tasks share the rows that ask in each."""

    centroids: Vectors  # float32[cells, d]
    slices: NDArray[np.int64]  # int64[cells]
    visits: int


def neighbors_by_cells(rows: DataFrame, knn: Knn) -> tuple[DataFrame, str]:
    """Distances of every row to its neighbours in the pool; nothing is gathered but samples.

    Args:
        rows: `example_id STRING, vector ARRAY<FLOAT>, copies BIGINT`, vectors of unit length.
        knn: settings; `cell_rows` and `visits` are its price and its recall.

    Returns:
        `example_id STRING, distances ARRAY<DOUBLE>` (1 … k, shorter where the pool has fewer
        neighbours), and the method in words.
    """
    chosen = rows.select("example_id", "vector", F.col("copies").cast("long"))
    count = chosen.count()
    cells = _cells(chosen, count, knn)
    groups = chosen.mapInArrow(_asking(cells), _ASKED).groupBy("cell", "slice")
    search = Search(knn.neighbors, knn.candidates)
    merged = _merged(groups.applyInArrow(_within(search, knn.count_copies), _FOUND), knn.neighbors)
    merged = merged.localCheckpoint()  # it is read three times: one search is enough
    right, sampled = _recall(chosen, count, merged, search, knn.count_copies)
    merged = _completed(chosen, merged, search, knn.count_copies)
    method = (
        f"cells, {len(cells.centroids)} of about {knn.cell_rows} rows, {cells.visits} visits,"
        f" {right:.4f} of the distances right (n={sampled})"
    )
    return merged, method


def _cells(rows: DataFrame, count: int, knn: Knn) -> Cells:
    sample = _sampled(rows, rows_to_train(count, knn), count, _SEED)
    return trained(vectors(sample["vector"]), count, knn)


def rows_to_train(count: int, knn: Knn) -> int:
    """How many rows of `count` the cells are made from."""
    return min(_number_of_cells(count, knn) * _TRAINED_ON, _TRAINED_ON_AT_MOST)


def _number_of_cells(count: int, knn: Knn) -> int:
    return max(1, -(-count // knn.cell_rows))


def trained(sampled: Vectors, count: int, knn: Knn) -> Cells:
    """The cells of a pool of `count` rows, made from a sample of it, float32[n, d]."""
    wanted = min(_number_of_cells(count, knn), len(sampled))
    means = faiss.Kmeans(
        sampled.shape[1], wanted, niter=10, seed=_SEED, spherical=True, min_points_per_centroid=1
    )
    means.train(sampled)
    visits = min(knn.visits, wanted)
    labels = nearest_cells(sampled, means.centroids, visits)
    share = np.bincount(labels.ravel(), minlength=wanted) / len(sampled)
    slices = np.maximum(1, np.ceil(share * count / _ASKING_PER_GROUP)).astype(np.int64)
    return Cells(means.centroids, slices, visits)


def _asking(cells: Cells) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Each row once where it lies (in every slice), and once wherever it asks."""

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        limit_search_threads()
        for batch in batches:
            if not batch.num_rows:
                continue
            near = nearest_cells(vectors(batch["vector"]), cells.centroids, cells.visits)
            rows = np.arange(batch.num_rows)
            turns = cells.slices[near[:, 0]]
            lying = np.repeat(rows, turns)
            slices = np.arange(len(lying)) - np.repeat(np.cumsum(turns) - turns, turns)
            yield _placed(batch, lying, near[lying, 0], slices, in_pool=True)
            asking = np.repeat(rows, near.shape[1])
            yield _placed(
                batch, asking, near.ravel(), asking % cells.slices[near.ravel()], in_pool=False
            )

    return run


def _placed(
    batch: pa.RecordBatch,
    rows: NDArray[Any],
    cells: NDArray[Any],
    slices: NDArray[Any],
    in_pool: bool,
) -> pa.RecordBatch:
    taken = batch.take(pa.array(rows))
    return pa.RecordBatch.from_pydict(
        {
            "cell": pa.array(cells.astype(np.int32)),
            "slice": pa.array(slices.astype(np.int32)),
            "in_pool": pa.array(np.full(len(rows), in_pool)),
            **{name: taken[name] for name in ("example_id", "vector", "copies")},
        }
    )


def _within(search: Search, count_copies: bool) -> Callable[[pa.Table], pa.Table]:
    """Search one cell for all that ask there."""

    def run(group: pa.Table) -> pa.Table:
        limit_search_threads()
        in_pool = group["in_pool"].combine_chunks()
        pool = group.filter(in_pool)
        asked = group.filter(pa.compute.invert(in_pool))
        if not pool.num_rows or not asked.num_rows:  # of a slice nobody may ask
            nothing = distance_lists(np.empty((asked.num_rows, 0)))
            return pa.table({"example_id": asked["example_id"], "distances": nothing})
        return _distances(pool, asked, search, count_copies)

    return run


def _distances(pool: pa.Table, asked: pa.Table, search: Search, count_copies: bool) -> pa.Table:
    """Of each row that asks to its neighbours among the pool's."""
    own = pa.compute.index_in(asked["example_id"], pool["example_id"].combine_chunks())
    own = own.combine_chunks().fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    copies = pool["copies"].to_numpy() if count_copies else None
    distances = asked_distances(
        ExactIndex(vectors(pool["vector"])),
        vectors(asked["vector"]),
        own,
        replace(search, copies=copies),
    )
    return pa.table({"example_id": asked["example_id"], "distances": distance_lists(distances)})


def _merged(parts: DataFrame, neighbors: int) -> DataFrame:
    """The shortest distances of a row over all cells; no neighbour lies in two of them."""
    together = F.array_sort(F.flatten(F.collect_list("distances")))
    return parts.groupBy("example_id").agg(F.slice(together, 1, neighbors).alias("distances"))


def _recall(
    rows: DataFrame, count: int, merged: DataFrame, search: Search, count_copies: bool
) -> tuple[float, int]:
    """Share of sampled rows whose last distance is that of the whole pool, and their number."""
    true = _in_whole_pool(
        rows, _sampled(rows, _RECALL_SAMPLE, count, _RECALL_SEED), search, count_copies
    )
    pairs = true.withColumnRenamed("distances", "true").join(merged, "example_id")
    last, here = F.array_max("true"), F.array_max("distances")  # null of an empty list
    near = F.abs(last - here) <= _SAME * F.greatest(last, F.lit(_SAME))
    right = (F.size("true") == F.size("distances")) & F.coalesce(near, F.lit(True))
    row = pairs.agg(F.avg(right.cast("double")).alias("share"), F.count("*").alias("n")).first()
    assert row is not None  # noqa: S101 - an aggregate without grouping has one row
    return float(row.share), int(row.n)


def _completed(rows: DataFrame, merged: DataFrame, search: Search, count_copies: bool) -> DataFrame:
    """Rows whose cells hold too few neighbours ask the whole pool; at most k per cell do."""
    short = merged.where(F.size("distances") < search.neighbors).select("example_id")
    asked = rows.join(short, "example_id").select(rows.columns).toArrow()
    if not asked.num_rows:
        return merged
    whole = _in_whole_pool(rows, asked, search, count_copies)
    return merged.where(F.size("distances") >= search.neighbors).unionByName(whole)


def _in_whole_pool(
    rows: DataFrame, asked: pa.Table, search: Search, count_copies: bool
) -> DataFrame:
    """Few rows, sent to every task, against all rows."""

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        limit_search_threads()
        for pool in windows(batches, _WINDOW):
            yield from _distances(pool, asked, search, count_copies).to_batches()

    return _merged(rows.mapInArrow(run, _FOUND), search.neighbors)


def _sampled(rows: DataFrame, wanted: int, count: int, seed: int) -> pa.Table:
    """The rows with the smallest hashes of their ids: the same ones wherever they are stored.

    Of `count` rows only those are ordered whose hashes are low enough to be among them: an order
    with a limit sends as many rows of every task to one.
    """
    place = F.xxhash64("example_id", F.lit(seed))
    share = min(1.0, (1.1 * wanted + 1_000) / count)
    low = rows.where(place <= min(int(-(2**63) + share * 2**64), 2**63 - 1))
    return low.orderBy(place, "example_id").limit(wanted).toArrow()


def nearest_cells(rows: Vectors, centroids: Vectors, wanted: int) -> NDArray[np.int64]:
    """The `wanted` nearest of each row, int64[n, wanted], the nearest first."""
    nearest: NDArray[np.int64] = faiss.knn(rows, centroids, wanted)[1]
    return nearest
