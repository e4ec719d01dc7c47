"""knn_i of new rows against a reference that stays as it is: old rows keep their distances.

The new rows travel to the tasks, each of which passes its part of the reference once; the exact
nearest of all parts are then merged by native Spark. So the cost is that of the new rows alone,
and no node holds the reference.
"""

from collections.abc import Callable, Iterator

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

_WINDOW = 8_192  # rows of the reference searched at a time
_ASKED_AT_ONCE = 20_000  # new rows that travel with one pass

_FOUND = "example_id STRING, distances ARRAY<DOUBLE>"


def neighbors_in_reference(reference: DataFrame, rows: pa.Table, knn: Knn) -> DataFrame:
    """Exact distances of rows to their neighbours in a reference that they are not part of.

    Args:
        reference: `vector ARRAY<FLOAT>` of unit length.
        rows: `example_id`, `vector` (float32 lists), at least one.
        knn: how many neighbours.

    Returns:
        `example_id STRING, distances ARRAY<DOUBLE>`: 1 … k, shorter where the reference has fewer.
    """
    search = Search(knn.neighbors, knn.candidates)
    asked = rows.select(["example_id", "vector"]).sort_by("example_id")
    parts = [
        reference.select("vector").mapInArrow(_within(part.combine_chunks(), search), _FOUND)
        for part in (
            asked.slice(start, _ASKED_AT_ONCE) for start in range(0, len(asked), _ASKED_AT_ONCE)
        )
    ]
    united = parts[0]
    for part in parts[1:]:
        united = united.unionByName(part)
    together = F.array_sort(F.flatten(F.collect_list("distances")))
    nearest = F.slice(together, 1, knn.neighbors).alias("distances")
    return united.groupBy("example_id").agg(nearest)


def _within(
    asked: pa.Table, search: Search
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """One task: the nearest of its part of the reference to every asked row."""

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        limit_search_threads()
        distances = _nearest(vectors(asked["vector"]), windows(batches, _WINDOW), search)
        yield pa.RecordBatch.from_pydict(
            {
                "example_id": asked["example_id"].combine_chunks(),
                "distances": distance_lists(distances),
            }
        )

    return run


def _nearest(
    queries: NDArray[np.float32], parts: Iterator[pa.Table], search: Search
) -> NDArray[np.float64]:
    nobody = np.full(len(queries), -1)  # a new row is none of the reference's
    best = np.full((len(queries), search.neighbors), np.nan)
    for part in parts:
        distances = asked_distances(ExactIndex(vectors(part["vector"])), queries, nobody, search)
        best = np.sort(np.hstack([best, distances]), axis=1)[:, : search.neighbors]  # NaN come last
    return best
