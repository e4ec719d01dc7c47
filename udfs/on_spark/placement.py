"""Where model stages run on the cluster, in which Python workers, and how weights get there."""

import atexit
import hashlib
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Lock
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from instructmining.models.lists import ResolvedModel
from instructmining.settings.sections import Measure
from udfs.running.device import cuda_count

_ARCHIVE = "archive:"
_CHUNK_ROWS = {"cpu": 4096, "cuda": 65_536}
WORKER = "INSTRUCTMINING_WORKER"  # a variable that only workers with a model have
_WORKER_BYTES = 3 * 1024**3  # a worker with a small model, a window of rows, libraries
_planning = Lock()


def ship(spark: SparkSession, model: ResolvedModel) -> ResolvedModel:
    """The model with a folder that its executors can read.

    In local mode that is the driver's own folder. On a cluster the folder is sent once as an
    archive that every node unpacks into a real folder; it never travels inside a closure.
    """
    if _is_local(spark) or not model.folder:
        return model
    shipped = {"folder": _send(spark, model.folder)}
    if model.base_folder:
        shipped["base_folder"] = _send(spark, model.base_folder)
    return model.model_copy(update=shipped)


def in_model_workers(
    rows: DataFrame,
    work: Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]],
    schema: str,
    profile: Any = None,
    barrier: bool = False,
) -> DataFrame:
    """`rows.mapInArrow` for work with a model, in Python workers that no other work uses.

    Spark gives a task the worker that has been idle longest among those of equal environment. Table
    work may take several workers per task; were they shared, a stage would go round all of them,
    and each would load the model, on the same GPU.
    """
    environment = rows.sparkSession.sparkContext.environment
    with _planning:  # the variables are copied while the plan is made
        environment[WORKER] = "model"
        try:
            return rows.mapInArrow(work, schema, barrier=barrier, profile=profile)
        finally:
            del environment[WORKER]


def model_slots(spark: SparkSession, measure: Measure) -> int:
    """How many tasks of a model stage run at a time.

    On a machine with GPUs but without Spark's GPU scheduling, one per GPU; else one per core, on
    one machine no more than its memory has room for (a cluster's scheduler holds back tasks that
    have no GPU yet, and its operator sizes the executors).
    """
    cores = max(1, int(spark.sparkContext.defaultParallelism))
    if not _is_local(spark):
        return cores
    devices = cuda_count() if measure.device != "cpu" else 0
    return devices or max(1, min(cores, machine_memory() // _WORKER_BYTES))


def chunk_rows(spark: SparkSession, measure: Measure) -> int:
    """Rows of one task between two commits.

    On a CPU one window of them takes a minute or more. A GPU measures one in seconds: a task has to
    hold several, so that one is prepared while another is computed and commits stay rare.
    """
    return measure.chunk_rows or _CHUNK_ROWS["cuda" if has_gpus(spark, measure) else "cpu"]


def has_gpus(spark: SparkSession, measure: Measure) -> bool:
    """Whether the tasks of a model stage get GPUs, as far as the settings say."""
    if measure.device == "cpu":
        return False
    if _is_local(spark):
        return cuda_count() > 0
    return _conf(spark, "spark.executor.resource.gpu.amount") is not None


def gpu_profile(spark: SparkSession, measure: Measure) -> Any:
    """A task-only resource profile asking for a share of a GPU, or None where it may not be used.

    Local masters refuse profiles; where the operator set `spark.task.resource.gpu.amount`, that
    stands; without executors that own GPUs a profile would end the Spark context.
    """
    executor, task = (
        _conf(spark, f"spark.{who}.resource.gpu.amount") for who in ("executor", "task")
    )
    amount = measure.gpu_amount
    if not amount or measure.device == "cpu" or executor is None or _is_local(spark):
        return None
    if task is not None and float(task) >= amount:
        return None
    from pyspark.resource import ResourceProfileBuilder, TaskResourceRequests

    cpus = int(_conf(spark, "spark.task.cpus") or 1)
    requests = TaskResourceRequests().cpus(cpus).resource("gpu", amount)
    return ResourceProfileBuilder().require(requests).build


def machine_memory() -> int:
    """Bytes of this machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _send(spark: SparkSession, folder: str) -> str:
    name = f"{Path(folder).name}-{hashlib.sha256(folder.encode()).hexdigest()[:8]}"
    sent = (spark.sparkContext.applicationId, name)
    if sent not in _SENT:
        archive = packed(Path(folder), outgoing() / f"{name}.zip")
        spark.sparkContext.addArchive(f"{archive}#{name}")
        _SENT.add(sent)
    return _ARCHIVE + name


def packed(folder: Path, archive: Path) -> Path:
    """The archive, now with all that is in the folder, as it is: weights hardly compress."""
    with zipfile.ZipFile(archive, "w", strict_timestamps=False) as target:
        for place in sorted(folder.rglob("*")):
            target.write(place, place.relative_to(folder))
    return archive


def outgoing() -> Path:
    """A folder for what Spark hands to the executors, until this process ends."""
    folder = Path(tempfile.mkdtemp(prefix="instructmining-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


_SENT: set[tuple[str, str]] = set()  # by Spark application: a new one starts with nothing


def arrived(model: ResolvedModel) -> ResolvedModel:
    """The model with its folders on this executor: as they stand, or where they were unpacked."""
    folders = {"folder": model.folder, "base_folder": model.base_folder}
    return model.model_copy(update={k: _unpacked(v) for k, v in folders.items() if v})


def _unpacked(folder: str) -> str:
    if not folder.startswith(_ARCHIVE):
        return folder
    from pyspark import SparkFiles

    return str(SparkFiles.get(folder.removeprefix(_ARCHIVE)))


def _is_local(spark: SparkSession) -> bool:
    master = _conf(spark, "spark.master") or ""
    return master == "local" or master.startswith("local[")


def _conf(spark: SparkSession, key: str) -> str | None:
    try:
        value: str | None = spark.conf.get(key, None)
        return value
    except Exception:  # Spark Connect may not show static settings: then there is no opinion
        return None
