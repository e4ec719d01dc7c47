"""All that can be known before a run is checked before it: a failure costs seconds, not hours.

Cheapest first: where the output goes, the columns that are named, the GPU settings, memory; and
where a run will be long, a few records through every model that has not worked here yet.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any
from uuid import uuid4

import pyarrow as pa
from py4j.protocol import Py4JJavaError
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.utils import is_remote

from instructmining.errors import UserError, cause
from instructmining.layouts.standard_form import standard_rows
from instructmining.models.lists import IMPORTED, ResolvedModel
from instructmining.reading.folders import Input
from instructmining.reading.table_rows import SPARK_ERRORS
from instructmining.settings.endpoints import Endpoint
from instructmining.settings.sections import Measure, Read, Settings
from instructmining.spark.frames import small_frame
from instructmining.spark.paths import absolute
from instructmining.store.schemas import MEASURABLE
from instructmining.store.tables import Store
from jobs.checks.fields import check_fields, first_records
from jobs.checks.pool_index import driver_of, index_note
from jobs.checks.resources import (
    Conf,
    check_gpus,
    check_memory,
    check_search,
    is_local,
    place_of,
)
from jobs.scoring.stages import table_of
from udfs.indicator import Spending, with_measurements
from udfs.on_spark.placement import gpu_profile, model_slots, ship
from udfs.running.measurement import FAILED

TRIAL_FROM = 64 << 20  # bytes of input from which loading every model once more is worth it
_TRIAL_ROWS = 8


def preflight(
    spark: SparkSession,
    store: Store,
    settings: Settings,
    inputs: Sequence[Input],
    resolved: dict[str, ResolvedModel],
    chosen: Sequence[str],
) -> list[str]:
    """Check what a run needs: notes for the summary.

    Args:
        spark: the session.
        store: where the tables go.
        settings: of the run.
        inputs: of `find_inputs`; empty where nothing is read.
        resolved: the models by stage.
        chosen: the model stages of the run.

    Raises:
        UserError: the run would fail, or be useless; names the remedy.
    """
    notes = check_settings(spark, store, settings, inputs, resolved, chosen)
    return notes + try_models(spark, store, settings, inputs, resolved, chosen)


def check_settings(
    spark: SparkSession,
    store: Store,
    settings: Settings,
    inputs: Sequence[Input],
    resolved: dict[str, ResolvedModel],
    chosen: Sequence[str],
) -> list[str]:
    """All of `preflight` that loads no model and leaves no trace."""
    conf: Conf = dict(spark.conf.getAll)
    check_output(store, settings.files, shared=not is_local(conf))
    notes = check_fields(spark, inputs, settings.read)
    models = {stage: resolved[stage] for stage in chosen if resolved[stage].folder}
    if models:
        notes += check_gpus(conf, settings.measure)
        place = place_of(conf, settings.measure, model_slots(spark, settings.measure))
        notes += check_memory(models, place, settings.measure.token_budget) if place else []
    if "knn" in settings.stages:
        check_search(conf, settings.knn, settings.measure)
    if "knn" in settings.stages and "embed" in resolved and not (settings.files or is_local(conf)):
        size = sum(data.bytes for data in inputs)
        notes += index_note(size, settings.knn, resolved["embed"], driver_of(conf))
    return notes


def check_output(store: Store, files: str | None, shared: bool) -> None:
    """The store and `--files` can be written; nothing of the attempt stays.

    Args:
        store: where the tables go.
        files: the folder `--files`, None where there is none.
        shared: other machines have to see the folders as well.
    """
    if is_remote():
        return  # Spark Connect has no file system to ask: the first write tells
    if store.is_folder:
        _check_folder(store.spark, "--store", store.target, absolute(store.target), shared)
    elif not store.exists("examples"):
        _check_schema(store)
    if files and ("://" in files or files.startswith("dbfs:")):
        raise UserError(
            f"--files {files}: name a folder as all nodes mount it (/Volumes/…, "
            "/mnt/…), not a URI: an index is mapped into memory"
        )
    if files:
        _check_folder(store.spark, "--files", files, f"file:{absolute(files)}", shared)


def _check_folder(spark: SparkSession, option: str, named: str, path: str, shared: bool) -> None:
    """Write a file into the folder through Hadoop, as Delta will, and take it away again."""
    hadoop: Any = spark._jvm.org.apache.hadoop.fs.Path  # type: ignore[union-attr]
    folder = hadoop(path)
    probe = hadoop(folder, f".preflight-{uuid4().hex}")
    try:
        files = folder.getFileSystem(spark._jsc.hadoopConfiguration())
        made = list(_absent(files, folder))
        try:
            files.create(probe).close()
            name = probe.toUri().getPath()
            if shared and files.getUri().getScheme() == "file" and not _seen(spark, name):
                raise UserError(
                    f"{option} {named}: this folder is not the same on all nodes; name "
                    "one that they share, or a URI such as s3a://…"
                )
        finally:
            for created in (probe, *made):
                with suppress(Py4JJavaError):  # another run may have put something there
                    files.delete(created, False)
    except Py4JJavaError as error:
        why = str(error.java_exception.getMessage()).partition("\n")[0]
        raise UserError(
            f"{option} {named}: it cannot be written ({why}); name a folder that can, or with a "
            "scheme that this Spark has a connector for"
        ) from None


def _absent(files: Any, folder: Any) -> Iterator[Any]:
    """The folder and its parents that do not exist yet, the deepest first."""
    while folder is not None and not files.exists(folder):
        yield folder
        folder = folder.getParent()


def _seen(spark: SparkSession, file: str) -> bool:
    """Whether the tasks see a file of the driver."""

    def look(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from pathlib import Path

        for _ in batches:
            yield pa.RecordBatch.from_pydict({"seen": [Path(file).is_file()]})

    tasks = int(spark.sparkContext.defaultParallelism)
    answers = spark.range(0, tasks, 1, tasks).mapInArrow(look, "seen BOOLEAN").collect()
    return all(row.seen for row in answers)


def _check_schema(store: Store) -> None:
    """A table can be created in the schema; only tried while the store is new."""
    name = store.sql_name(f"preflight_{uuid4().hex}")
    try:
        store.spark.sql(f"CREATE TABLE {name} (x INT) USING delta")
        store.spark.sql(f"DROP TABLE {name}")
    except SPARK_ERRORS as error:
        raise UserError(
            f"--store {store.target}: no table can be created there ({cause(error)}); ask "
            "for CREATE TABLE on the schema, or name another"
        ) from None


def try_models(
    spark: SparkSession,
    store: Store,
    settings: Settings,
    inputs: Sequence[Input],
    resolved: dict[str, ResolvedModel],
    chosen: Sequence[str],
) -> list[str]:
    """Measure the first usable records with every model, on the executors, as a run does.

    It loads each model once more, so it is done only where that pays: the input is larger than
    TRIAL_FROM or of unknown size (a table, or what the store holds already), and only for models
    that have given no number in this store yet; a run with nothing new loads none.

    Raises:
        UserError: a model cannot be loaded, or fails on every row; with the first reason.
    """
    known = sum(data.bytes for data in inputs)
    if inputs and known <= TRIAL_FROM and all(data.container != "delta" for data in inputs):
        return []
    loaded = [stage for stage in chosen if resolved[stage].spec.kind != IMPORTED]
    untried = [stage for stage in loaded if not _has_worked(store, resolved[stage])]
    rows = _usable(store, settings.read, inputs) if untried else []
    if not rows:
        return []  # reading says why no record can be used
    examples = small_frame(spark, rows, MEASURABLE).coalesce(1)
    for stage in untried:
        problem = _problem_of(spark, resolved[stage], examples, settings.measure, settings.endpoint)
        if problem is not None:
            raise UserError(
                f"stage {stage}: {problem} ({settings.models}), or leave the stage out with "
                "--stages"
            )
    return [f"tried {', '.join(untried)} on the first records before the run"]


def _has_worked(store: Store, model: ResolvedModel) -> bool:
    rows = store.read(table_of(model))
    rows = rows.where((F.col("fingerprint") == model.fingerprint) & (F.col("status") == "ok"))
    return not rows.isEmpty()


def _usable(store: Store, read: Read, inputs: Sequence[Input]) -> list[dict[str, Any]]:
    """`example_id, bucket, messages` of the first usable records."""
    names = ("example_id", "bucket", "messages")
    if not inputs:
        stored = store.read("examples").select(*names).limit(_TRIAL_ROWS).collect()
        return [row.asDict(recursive=True) for row in stored]
    records = (
        {"source": source, "position": 0, "raw": raw, "reason": None, "detail": None, "records": 1}
        for source, raw in first_records(store.spark, inputs)
    )
    options = read.model_dump()
    rows = (row for record in records for row in standard_rows(record, options))
    usable = ({name: row[name] for name in names} for row in rows if "reason" not in row)
    return list(islice(usable, _TRIAL_ROWS))


def _problem_of(
    spark: SparkSession,
    model: ResolvedModel,
    rows: DataFrame,
    measure: Measure,
    endpoint: Endpoint,
) -> str | None:
    """What is wrong with a model, and the remedy but for its place; None where it measures."""
    shipped = ship(spark, model)
    profile = gpu_profile(spark, measure)
    try:
        measured = with_measurements(
            rows, shipped, measure, profile, spending=Spending(endpoint, 1)
        ).select("status", "reason")
        reasons = [row.reason for row in measured.collect() if row.status == "failed"]
    except SPARK_ERRORS as error:
        return f"{cause(error)}; fix this on the executors or in the model list"
    if len(reasons) == rows.count():
        return (
            f"the model cannot measure any of the first {len(reasons)} records "
            f"({reasons[0].removeprefix(FAILED)}); correct the model list"
        )
    return None
