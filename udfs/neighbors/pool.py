"""knn_i on Spark: the pool is broadcast once, the queries are spread over the tasks."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import faiss
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark import SparkFiles, TaskContext
from pyspark.sql import DataFrame, SparkSession

from instructmining.errors import UserError
from instructmining.settings.sections import Knn, Measure
from udfs.neighbors.knn import Search, build_index, neighbor_distances, recall
from udfs.on_spark.arrow import distance_lists
from udfs.on_spark.placement import gpu_profile, in_model_workers, model_slots, outgoing

_MIB = 1024 * 1024
_FOUND = "example_id STRING, distances ARRAY<DOUBLE>"
_ROWS_PER_TASK = 1024  # at least: below that a task spends its time on receiving the pool


def neighbors_of_pool(
    spark: SparkSession,
    ids: Sequence[str],
    vectors: NDArray[np.float32],
    copies: NDArray[np.int64] | None,
    knn: Knn,
    version: str,
    files: str | None = None,
) -> tuple[DataFrame, str]:
    """Distances of every example to its neighbours, searched on the executors.

    For an exact search the vectors themselves are broadcast, beyond it a graph that is built here;
    above `knn.broadcast_up_to_mb` either is a file (in `files`, or sent to every node) that a
    node's workers map into memory together. Only row numbers travel to the tasks, and how they are
    spread changes no distance.

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
    exact = len(ids) <= knn.exact_limit
    on_gpu = exact and knn.device == "cuda"
    if exact:
        method = "exact"
        carrier = _carry_pool(spark, vectors, knn.broadcast_up_to_mb, version, files)
    else:
        graph = build_index(vectors, exact, knn.probes)
        share, sampled = recall(graph, vectors, knn.neighbors)
        method = f"hnsw, effort {knn.probes}, recall {share:.4f} (n={sampled})"
        carrier = _carry_graph(spark, graph, knn.broadcast_up_to_mb, version, files)
    names = spark.sparkContext.broadcast(pa.array(ids))
    search = Search(knn.neighbors, knn.candidates, copies)

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        limit_search_threads()
        index = _arrived(carrier, version, _gpu_of_task() if on_gpu else "cpu")
        for batch in batches:
            rows = batch["id"].to_numpy()
            yield pa.RecordBatch.from_pydict(
                {
                    "example_id": names.value.take(pa.array(rows)),
                    "distances": distance_lists(neighbor_distances(index, rows, search)),
                }
            )

    gpus = Measure(device="cuda")
    slots = model_slots(spark, gpus) if on_gpu else int(spark.sparkContext.defaultParallelism)
    rows = spark.range(0, len(ids), 1, max(1, min(slots, len(ids) // _ROWS_PER_TASK)))
    if on_gpu:
        return in_model_workers(rows, run, _FOUND, gpu_profile(spark, gpus)), method
    return rows.mapInArrow(run, _FOUND), method


def _gpu_of_task() -> str:
    from udfs.indicator import task_place

    return task_place(Measure(device="cuda"))[0]


def limit_search_threads() -> None:
    """Let FAISS use the cores of this task and no more."""
    task = TaskContext.get()
    faiss.omp_set_num_threads(task.cpus() if task else 1)


def _carry_pool(
    spark: SparkSession,
    vectors: NDArray[np.float32],
    limit_mb: int,
    version: str,
    files: str | None,
) -> Any:
    if vectors.nbytes <= limit_mb * _MIB:
        return spark.sparkContext.broadcast(vectors)
    return _sent(spark, f"{version}.npy", files, lambda path: np.save(path, vectors))


def _carry_graph(
    spark: SparkSession, graph: Any, limit_mb: int, version: str, files: str | None
) -> Any:
    if graph.ntotal * graph.d * 4 <= limit_mb * _MIB:
        return spark.sparkContext.broadcast(faiss.serialize_index(graph))
    return _sent(spark, f"{version}.faiss", files, lambda path: faiss.write_index(graph, path))


def _sent(spark: SparkSession, name: str, files: str | None, write: Callable[[str], None]) -> str:
    """The path of a shared file, or the name of a file sent to every node."""
    folder = Path(files) / "index" if files else outgoing()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    part = folder / f".{uuid4().hex}.{name}"
    try:  # by its name it is there as a whole: another run may be reading it
        write(str(part))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    if files:
        return str(path)
    spark.sparkContext.addFile(str(path))
    return name


_INDEX: dict[tuple[str, str], Any] = {}  # the last index of this worker process


def _arrived(carrier: Any, version: str, device: str) -> Any:
    key = version, device
    if key not in _INDEX:
        _INDEX.clear()
        _INDEX[key] = _opened(carrier, device)
    return _INDEX[key]


def _opened(carrier: Any, device: str) -> Any:
    if isinstance(carrier, str):
        path = carrier if Path(carrier).is_absolute() else SparkFiles.get(carrier)
        try:
            return _mapped(path, device)
        except (OSError, ValueError, RuntimeError) as error:  # FAISS: RuntimeError
            raise UserError(
                f"the neighbours' index {path} is lost or damaged ({error}): run the "
                "same command again, which writes it again"
            ) from None
    index = carrier.value
    if index.dtype == np.uint8:
        return faiss.deserialize_index(index)
    return build_index(index, exact=True, device=device)


def _mapped(path: str, device: str) -> Any:
    if path.endswith(".faiss"):
        return faiss.read_index(path, faiss.IO_FLAG_MMAP_IFC)
    return build_index(np.load(path, mmap_mode="r"), exact=True, device=device)
