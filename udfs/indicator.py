"""The only door between Spark and the scorers: stages as pandas functions, indicators as UDFs.

A stage runs as one `mapInArrow`, in Python workers of its own, whose tasks each take the device
Spark gave them, load one model once per worker, and measure windows of rows gathered across Arrow
batches, so that sorting by length pays. The same scorers are public as pandas UDFs (`register`),
marked non-deterministic: Spark would otherwise be free to evaluate a model twice per row.
"""

import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql.pandas.functions import pandas_udf

from instructmining.models.lists import ModelList, ResolvedModel
from instructmining.settings.endpoints import Endpoint
from instructmining.settings.sections import Measure
from udfs.indicators import kind_of, resolve
from udfs.on_spark.arrow import vector_lists, windows
from udfs.on_spark.audit import Stopwatch
from udfs.on_spark.audit import window as audited
from udfs.on_spark.placement import arrived, in_model_workers, ship
from udfs.running.device import choose_device, limit_threads, resolve_dtype
from udfs.running.measurement import (
    FAILED,
    NOT_ASKED,
    Conversation,
    Measurement,
    TwoSteps,
)
from udfs.running.prefetch import prepared_ahead
from udfs.running.scorers import load_scorer


class Spending(NamedTuple):
    """What the tasks of one Spark job may ask of servers, all of them together."""

    endpoint: Endpoint
    tasks: int

    def of_task(self, task: int) -> Endpoint:
        """The share of the task with this number."""
        return self.endpoint.share(task % self.tasks, self.tasks)


WINDOW_ROWS = 4096  # rows sorted by length together: see docs/performance.md, Padding
MEASURED = (
    "example_id STRING, bucket INT, values MAP<STRING, DOUBLE>, tokens BIGINT, "
    "truncated_tokens BIGINT, status STRING, reason STRING"
)
EMBEDDED = MEASURED.replace("values MAP<STRING, DOUBLE>", "vector ARRAY<FLOAT>")


def with_measurements(
    examples: DataFrame,
    model: ResolvedModel,
    measure: Measure,
    profile: Any = None,
    audit: Any = None,
    spending: Spending | None = None,
) -> DataFrame:
    """What one stage measures on `examples(example_id, bucket, messages)`: see MEASURED, EMBEDDED.

    Args:
        examples: rows to measure; the caller decides partitions and order.
        model: resolved on the driver, its folder reachable from the executors (see `ship`).
        measure: dtype, device and token budget.
        profile: resource profile of the stage's tasks, or None.
        audit: an accumulator that hears of every window, see `udfs.on_spark.audit`.
        spending: what may be asked of a server, where one holds the model. A row that this leaves
            out is not in the result.
    """
    embeds = kind_of(model.spec).vectors

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        watch = Stopwatch()
        scorer = _scorer(model, measure, spending)
        loading = watch.read()[0]
        for window, measured, spent in measured_windows(scorer, windows(batches, WINDOW_ROWS)):
            if audit is not None:
                audit.add([audited(scorer, window.num_rows, spent, loading, measured.work)])
            loading = 0.0
            measured_rows = _as_arrow(window, measured, embeds)
            asked = [reason != NOT_ASKED for reason in measured.reasons]
            yield measured_rows if all(asked) else measured_rows.filter(pa.array(asked))

    rows = examples.select("example_id", "bucket", "messages")
    return in_model_workers(rows, run, EMBEDDED if embeds else MEASURED, profile)


def measured_windows(
    scorer: Any, rows: Iterator[pa.Table], ahead: bool | None = None
) -> Iterator[tuple[pa.Table, Measurement, tuple[float, float]]]:
    """Every window, what the scorer measured on it, and what a `Stopwatch` says of that.

    Args:
        scorer: of `load_scorer`.
        rows: windows with a column `messages`.
        ahead: prepare the next one meanwhile; None: where the device is a GPU.
    """
    if ahead is None:
        ahead = str(getattr(scorer, "device", "cpu")).startswith("cuda")
    if not (ahead and isinstance(scorer, TwoSteps)):
        for window in rows:
            watch = Stopwatch()
            measured = scorer.measure(window["messages"].to_pylist())
            yield window, measured, watch.read()
        return

    def prepare(window: pa.Table) -> tuple[pa.Table, Any]:
        return window, scorer.prepare(window["messages"].to_pylist())

    for window, ready in prepared_ahead(rows, prepare):
        watch = Stopwatch()  # what was prepared meanwhile took no time of the device
        measured = scorer.compute(ready)
        yield window, measured, watch.read()


def indicator_column(
    model: ResolvedModel, indicator: str, prompt: Column, response: Column, measure: Measure
) -> Column:
    """One indicator of single-turn text as a DOUBLE column (a pandas UDF)."""
    return indicator_udf(model, indicator, measure)(prompt, response)


def indicator_udf(model: ResolvedModel, indicator: str, measure: Measure) -> Any:
    """The pandas UDF `(prompt STRING, response STRING) -> DOUBLE`; null where not measurable."""

    def run(batches: Iterator[tuple[pd.Series, pd.Series]]) -> Iterator[pd.Series]:
        scorer = _scorer(model, measure)
        for prompts, responses in batches:
            values = scorer.measure(_conversations(prompts, responses)).values[indicator]
            yield pd.Series(values).where(~np.isnan(values), None).astype("Float64")

    run.__annotations__ = {
        "batches": Iterator[tuple[pd.Series, pd.Series]],
        "return": Iterator[pd.Series],
    }
    return pandas_udf(run, "double").asNondeterministic()  # type: ignore[call-overload]


def register(
    spark: SparkSession, models: ModelList, measure: Measure | None = None, prefix: str = "im_"
) -> list[str]:
    """Register every indicator of a model list for SQL: `im_reward(prompt, response)` and so on.

    Returns:
        The names of the SQL functions.
    """
    names = []
    for spec in models.stages.values():
        if kind_of(spec).vectors:
            continue
        model = ship(spark, resolve(spec))
        for indicator in spec.indicators:
            udf = indicator_udf(model, indicator, measure or Measure())
            spark.udf.register(prefix + indicator, udf)
            names.append(prefix + indicator)
    return names


def task_place(measure: Measure) -> tuple[str, str]:
    """Device and dtype of this task, by the resources that Spark gave it; limits its threads."""
    task = TaskContext.get()
    gpus = task.resources().get("gpu") if task else None
    device = choose_device(
        measure.device,
        addresses=gpus.addresses if gpus else None,
        partition_id=task.partitionId() if task else 0,
        visible=os.environ.get("CUDA_VISIBLE_DEVICES"),
    )
    limit_threads(task.cpus() if task else 1)
    return device, resolve_dtype(measure.dtype, device)


def _scorer(model: ResolvedModel, measure: Measure, spending: Spending | None = None) -> Any:
    """The task's scorer on the task's device; the model stays loaded in this worker process."""
    task = TaskContext.get()
    share = spending.of_task(task.partitionId() if task else 0) if spending else None
    # Kinds without weights need neither a device nor torch.
    device, dtype = task_place(measure) if model.folder else ("cpu", "float32")
    return load_scorer(arrived(model), device, dtype, measure.token_budget, measure, share)


def _as_arrow(window: pa.Table, measured: Measurement, embeds: bool) -> pa.RecordBatch:
    reasons = measured.reasons
    failed = [reason is not None and reason.startswith(FAILED) for reason in reasons]
    columns = {
        "example_id": window["example_id"].combine_chunks(),
        "bucket": window["bucket"].combine_chunks(),
        "vector" if embeds else "values": _vectors(measured) if embeds else _maps(measured),
        "tokens": pa.array(measured.tokens, pa.int64()),
        "truncated_tokens": pa.array(measured.truncated_tokens, pa.int64()),
        "status": pa.array(["failed" if has_failed else "ok" for has_failed in failed]),
        "reason": pa.array(reasons, pa.string()),
    }
    return pa.RecordBatch.from_pydict(columns)


def _maps(measured: Measurement) -> pa.Array:
    names = list(measured.values)
    table = np.column_stack([measured.values[name] for name in names])
    finite = np.isfinite(table)
    rows = [
        [(name, value) for name, value, ok in zip(names, row, good, strict=True) if ok]
        for row, good in zip(table.tolist(), finite.tolist(), strict=True)
    ]
    return pa.array(rows, pa.map_(pa.string(), pa.float64()))


def _vectors(measured: Measurement) -> pa.Array:
    vectors = measured.vectors
    assert vectors is not None  # noqa: S101 - sentence encoders always return them
    absent = pa.array(~np.isfinite(vectors).all(axis=1))
    lists = vector_lists(vectors)
    return pa.compute.if_else(absent, pa.scalar(None, lists.type), lists)


def _conversations(prompts: pd.Series, responses: pd.Series) -> Sequence[Conversation]:
    return [
        [
            {"role": "user", "content": prompt or ""},
            {"role": "assistant", "content": response or ""},
        ]
        for prompt, response in zip(prompts, responses, strict=True)
    ]
