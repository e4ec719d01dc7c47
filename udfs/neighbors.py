"""knn_i on Spark: the index is built once and broadcast, the queries are spread over the tasks."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark import SparkFiles, TaskContext
from pyspark.sql import DataFrame, SparkSession

from instructmining.settings import Knn
from udfs.knn import Search, build_index, neighbor_distances, recall


def neighbors_of_pool(
    spark: SparkSession, ids: Sequence[str], vectors: NDArray[np.float32],
    copies: NDArray[np.int64] | None, knn: Knn, version: str, files: str | None = None,
) -> tuple[DataFrame, str]:  # fmt: skip
    """Distances of every example to its neighbours, searched on the executors.

    The index is built here and broadcast; above `knn.broadcast_up_to_mb` it is a file (in `files`,
    or sent to every node) that a node's workers map into memory together. Only row numbers travel
    to the tasks.

    Args:
        spark: the session.
        ids: n example ids, in the order of the vectors.
        vectors: float32[n, d], unit length.
        copies: int64[n] where exact copies count as neighbours at distance 0.
        knn: settings.
        version: names the index in the workers' cache.
        files: a folder that all nodes see, for a large index.

    Returns:
        `example_id STRING, distances ARRAY<DOUBLE>` (1 … k, shorter where the pool has fewer
        neighbours), and the method in words.
    """
    exact = len(ids) <= knn.exact_up_to
    index = build_index(vectors, exact, knn.probes)
    method = "exact"
    if not exact:
        share, sampled = recall(index, vectors, knn.neighbors)
        method = f"ivf, {index.nprobe} of {index.nlist} cells, recall {share:.4f} (n={sampled})"
    carrier = _carry(spark, index, knn.broadcast_up_to_mb, version, files)
    names = spark.sparkContext.broadcast(pa.array(ids))
    search = Search(knn.neighbors, knn.candidates, copies)

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        task = TaskContext.get()
        faiss_index = _arrived(carrier, version, task.cpus() if task else 1)
        for batch in batches:
            rows = batch["id"].to_numpy()
            found = neighbor_distances(faiss_index, rows, search)
            lists = [[d for d in row if d == d] for row in found.tolist()]
            yield pa.RecordBatch.from_pydict({
                "example_id": names.value.take(pa.array(rows)),
                "distances": pa.array(lists, pa.list_(pa.float64())),
            })  # fmt: skip

    slots = int(spark.sparkContext.defaultParallelism)
    rows = spark.range(0, len(ids), 1, slots)
    return rows.mapInArrow(run, "example_id STRING, distances ARRAY<DOUBLE>"), method


def _carry(spark: SparkSession, index: Any, limit_mb: int, version: str, files: str | None) -> Any:
    """A broadcast variable, the path of a shared file, or the name of a file sent to every node."""
    if index.ntotal * index.d * 4 <= limit_mb * 1024 * 1024:
        return spark.sparkContext.broadcast(faiss.serialize_index(index).tobytes())
    folder = Path(files) / "index" if files else Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{version}.faiss"
    faiss.write_index(index, str(path))
    if files:
        return str(path)
    spark.sparkContext.addFile(str(path))
    return path.name


_INDEX: dict[str, Any] = {}  # the last index of this worker process


def _arrived(carrier: Any, version: str, threads: int) -> Any:
    faiss.omp_set_num_threads(threads)
    if version not in _INDEX:
        _INDEX.clear()
        if isinstance(carrier, str):
            path = carrier if Path(carrier).is_absolute() else SparkFiles.get(carrier)
            _INDEX[version] = faiss.read_index(path, faiss.IO_FLAG_MMAP_IFC)
        else:
            _INDEX[version] = faiss.deserialize_index(np.frombuffer(carrier.value, np.uint8))
    return _INDEX[version]
