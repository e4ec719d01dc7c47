"""Finetunes of which each is spread over several tasks: a barrier stage per run."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

import pyarrow as pa
from pyspark.sql import SparkSession

from instructmining.errors import UserError, cause
from instructmining.models.lists import ResolvedModel
from instructmining.reading.table_rows import SPARK_ERRORS
from instructmining.settings.learning import Finetune
from instructmining.settings.sections import Measure
from jobs.checks.resources import Conf, gpu_share, is_local
from udfs.finetuning.task import SCHEMA, as_arrow
from udfs.on_spark.placement import in_model_workers, model_slots
from udfs.running.measurement import Conversation

Given = tuple[dict[str, Any], Sequence[Conversation]]  # what a row says of a run; its examples

_TOO_FEW_SLOTS = "SPARK-24819"


def refuse_what_cannot_be_spread(spark: SparkSession, finetune: Finetune, measure: Measure) -> None:
    """Refuse settings under which the tasks of one run cannot all start together.

    Raises:
        UserError: names the setting to change.
    """
    if finetune.gpus_per_run > 1:
        conf = dict(spark.conf.getAll)
        check_spread(conf, measure, finetune.gpus_per_run, model_slots(spark, measure))


def check_spread(conf: Conf, measure: Measure, processes: int, slots: int) -> None:
    """The same of plain values.

    Args:
        conf: Spark's settings.
        measure: device and the tasks' share of a GPU.
        processes: of one run.
        slots: tasks of a model stage at a time, on a local machine.
    """
    asked = f"finetune.gpus_per_run={processes}"
    if conf.get("spark.dynamicAllocation.enabled", "false").lower() == "true":
        raise UserError(
            f"{asked} starts the processes of a run together, which Spark refuses "
            "where executors come and go: set spark.dynamicAllocation.enabled=false, "
            "and a fixed number of executors"
        )
    if is_local(conf) and slots < processes:
        raise UserError(
            f"{asked}, but this machine runs {slots} tasks of a model at a time: set "
            "it lower, or SPARK_MASTER=local[N] to at least as many"
        )
    share = gpu_share(conf, measure)
    if share and share != 1:
        raise UserError(
            f"{asked} needs one whole GPU per process, but a task of a model stage "
            f"gets {share:g}: set measure.gpu_amount=1, and "
            "spark.task.resource.gpu.amount to 1 or less"
        )


def runs_at_once(conf: Conf, processes: int, slots: int) -> int:
    """How many runs are at work at a time.

    A local machine gives its tasks no GPU of their own: two runs that are spread would take the
    same.
    """
    if processes > 1 and is_local(conf):
        return 1
    return max(1, slots // processes)


def sharded_rows(
    spark: SparkSession,
    runs: Sequence[Given],
    model: ResolvedModel,
    measure: Measure,
    recipe: Finetune,
    sets: Any,
    at_once: int,
    profile: Any,
) -> Iterator[pa.Table]:
    """The row of every run, as a table of one, as it finishes; some at a time.

    Args:
        spark: the session.
        runs: what to finetune.
        model: shipped.
        measure: device, dtype, token budget.
        recipe: of the finetunes.
        sets: broadcast of the evaluation sets' conversations by name.
        at_once: runs at a time.
        profile: resource profile of the tasks, or None.

    Raises:
        UserError: the cluster has fewer slots than a run has processes.
    """
    with ThreadPoolExecutor(at_once) as pool:
        waiting = [
            pool.submit(_sharded, spark, run, model, measure, recipe, sets, profile) for run in runs
        ]
        try:
            for done in as_completed(waiting):
                yield done.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _sharded(
    spark: SparkSession,
    run: Given,
    model: ResolvedModel,
    measure: Measure,
    recipe: Finetune,
    sets: Any,
    profile: Any,
) -> pa.Table:
    """One run as one stage; what ends the stage is the run's reason."""
    about, rows = run
    inputs = spark.sparkContext.broadcast(rows)

    def work(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from udfs.finetuning.barrier import finetune_together

        for _ in batches:
            row = finetune_together(model, measure, recipe, inputs.value, sets.value, about["seed"])
            if row is not None:
                yield as_arrow(about | row)

    processes = recipe.gpus_per_run
    tasks = spark.range(0, processes, 1, processes)
    try:
        return in_model_workers(tasks, work, SCHEMA, profile, barrier=True).toArrow()
    except SPARK_ERRORS as error:
        if _TOO_FEW_SLOTS in str(error):
            raise UserError(
                f"finetune.gpus_per_run={processes}, but the cluster has fewer slots "
                "for tasks of a model stage: set it lower, or give the job more executors"
            ) from None
        failed = {
            "device": f"{processes} processes",
            "status": "failed",
            "reason": cause(error)[:500],
        }
        return pa.Table.from_batches([as_arrow(about | failed)])
    finally:
        inputs.destroy()
