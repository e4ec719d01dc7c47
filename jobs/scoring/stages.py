"""Run the model stages: only what is missing, chunk by chunk, each committed as it finishes."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from instructmining.errors import UserError, cause
from instructmining.models.lists import ResolvedModel
from instructmining.progress import StageProgress
from instructmining.reading.table_rows import SPARK_ERRORS
from instructmining.settings.endpoints import Endpoint
from instructmining.settings.sections import Knn, Measure
from instructmining.store.planning import (
    pending,
    plan,
    pool_version,
    rows_by_bucket,
    rows_in,
)
from instructmining.store.tables import Store
from jobs.checks.pool_index import driver_of
from jobs.scoring.knn_reference import measure_new, moved, reference_of, stored_versions
from jobs.stored.vectors import gathered, of_encoder, width_of, with_vectors
from udfs.indicator import Spending, with_measurements
from udfs.indicators import kind_of
from udfs.neighbors.cells import neighbors_by_cells
from udfs.neighbors.choice import Driver, choose
from udfs.neighbors.pool import neighbors_of_pool
from udfs.on_spark.audit import Window, open_audit, words
from udfs.on_spark.placement import chunk_rows, gpu_profile, has_gpus, model_slots, ship
from udfs.running.compiling import worth_compiling

_SERVED_ROWS = 512  # of a task between two commits: calls that are paid for are soon stored


@dataclass(frozen=True)
class StageResult:
    """What one stage did."""

    stage: str
    rows: int  # measured in this run
    failed: int  # of these
    truncated: int  # of these, rows that were cut
    seconds: float
    note: str = ""
    windows: tuple[Window, ...] = ()  # what the tasks said
    waiting: int = 0  # rows that a cap of calls left to the next run

    def words(self) -> str:
        """What it did, for the summary."""
        if self.note:
            return f"{self.rows:,} rows, {self.note}" if self.rows else self.note
        if not self.rows and not self.waiting:
            return "0 rows measured, nothing was missing"
        parts = [f"{self.rows:,} rows measured, {self.rows / max(self.seconds, 1e-9):,.0f} rows/s"]
        if self.waiting:
            parts += [
                f"{self.waiting:,} wait for the next run: endpoint.max_calls or "
                "endpoint.max_tokens is reached"
            ]
        parts += [f"{self.failed:,} failed"] if self.failed else []
        parts += [f"{self.truncated:,} cut to the model's window"] if self.truncated else []
        spent = words(self.windows)
        return ", ".join([*parts, spent] if spent else parts)


@dataclass(frozen=True)
class Pool:
    """The pool a run works on."""

    name: str
    members: DataFrame  # example_id, copies
    examples: DataFrame  # the rows of `examples` in it
    check: Callable[[], None] = lambda: None  # raises where its members have changed meanwhile
    size: int = 0  # number of members

    @cached_property
    def buckets(self) -> dict[int, int]:
        """Number of examples in each bucket; one query, whatever the number of stages."""
        return rows_by_bucket(self.examples)


def table_of(model: ResolvedModel) -> str:
    """Where a model's measurements are stored."""
    return "embeddings" if kind_of(model.spec).vectors else "stage_values"


def run_model_stage(
    store: Store,
    stage: str,
    model: ResolvedModel,
    pool: Pool,
    measure: Measure,
    endpoint: Endpoint,
    run_id: str,
    is_new: bool = False,
    admit: Callable[[], None] = lambda: None,
) -> StageResult:
    """Measure what the pool's examples lack for this model.

    Args:
        store: where the tables are.
        stage: of the model, a name for people.
        model: measures.
        pool: whose examples.
        measure: how to measure.
        endpoint: what servers may be asked.
        run_id: marks the rows.
        is_new: whether the store is known to have no measurement of these examples by this model.
        admit: is called once something is to be measured; may raise.

    Returns:
        What was done, all that was missing as `rows`; `measured_counts` knows how many of them were
        measured, failed or were cut.
    """
    started = time.monotonic()
    table = table_of(model)
    todo = pool.examples
    if not is_new:
        todo = pending(store, todo, table, model.fingerprint, measure.retry_failed)
    missing = pool.buckets if is_new else rows_by_bucket(todo)
    slots = model_slots(store.spark, measure)
    rows_of_task = chunk_rows(store.spark, measure)
    if model.spec.served is not None and measure.chunk_rows is None:
        rows_of_task = _SERVED_ROWS
    chunks = plan(pool.buckets, missing, rows_of_task * slots)
    if not chunks:
        return StageResult(stage, 0, 0, 0, time.monotonic() - started)
    total = sum(chunk.rows for chunk in chunks)
    if measure.compile is None:
        worth = has_gpus(store.spark, measure) and worth_compiling(model.spec.kind, total, slots)
        measure = measure.model_copy(update={"compile": worth})
    admit()
    store.create(table)
    shipped = ship(store.spark, model)
    profile = gpu_profile(store.spark, measure)
    audit = open_audit(store.spark)
    about = {"run_id": run_id, "stage": stage, "fingerprint": model.fingerprint}
    with StageProgress(stage, total) as progress:
        for chunk in chunks:
            rows = todo.where(F.col("bucket").between(chunk.low, chunk.high - 1))
            # A fixed assignment and order: a chunk that is repeated on as many slots gives the
            # same numbers.
            rows = rows.repartition(slots, "example_id").sortWithinPartitions("example_id")
            left = left_of(endpoint, audit.value)
            if model.spec.served is not None and left.is_spent:
                break
            measured = with_measurements(
                rows, shipped, measure, profile, audit, Spending(left, slots)
            ).select(
                "*",
                F.lit(stage).alias("stage"),
                F.lit(model.fingerprint).alias("fingerprint"),
                F.lit(run_id).alias("run_id"),
            )
            with one_sentence(stage):
                store.append(measured, table, about)
            progress.advance(chunk.rows)
    seconds = time.monotonic() - started
    return StageResult(stage, total, 0, 0, seconds, windows=tuple(audit.value))


def left_of(endpoint: Endpoint, windows: Iterable[Window]) -> Endpoint:
    """What the caps still allow after what the tasks spent."""
    done = [window.work for window in windows]
    return endpoint.after(sum(work.asked for work in done), sum(work.billed for work in done))


def after(endpoint: Endpoint, results: Iterable[StageResult]) -> Endpoint:
    """What the caps still allow after these stages."""
    return left_of(endpoint, [window for result in results for window in result.windows])


@contextmanager
def one_sentence(stage: str) -> Iterator[None]:
    """What an executor finds wrong with the user's settings is the user's to read, not Spark's.

    Raises:
        UserError: an executor raised it.
    """
    try:
        yield
    except SPARK_ERRORS as error:
        if f"{UserError.__module__}.{UserError.__name__}: " in str(error):
            raise UserError(f"stage {stage}: {cause(error)}") from None
        raise


def run_knn(
    store: Store,
    model: ResolvedModel,
    pool: Pool,
    knn: Knn,
    files: str | None,
    run_id: str,
    driver: Driver | None = None,
) -> StageResult:
    """Distances to the neighbours in the pool, again when its members or vectors changed.

    Args:
        store: where the tables are.
        model: the encoder.
        pool: whose members.
        knn: settings.
        files: a folder that all nodes see, for a large index.
        run_id: marks the rows.
        driver: what it has for one index; None: what its machine has.

    Raises:
        UserError: what the settings ask for cannot be done.
    """
    started = time.monotonic()
    embedded = of_encoder(store, F.col("fingerprint") == model.fingerprint)
    rows = with_vectors(pool.members, embedded)
    version = knn_version(rows, model, knn)
    stored = stored_versions(store, pool.name)
    if stored == {version}:
        return StageResult("knn", 0, 0, 0, time.monotonic() - started, "unchanged")
    reference = reference_of(stored, version) if knn.reference == "frozen" else None
    if reference:
        count, note = measure_new(store, pool.name, pool.members, embedded, reference, knn, run_id)
        return StageResult("knn", count, 0, 0, time.monotonic() - started, note)
    count = rows_in(version)
    if not count:
        return StageResult("knn", 0, 0, 0, time.monotonic() - started, "no embeddings yet")
    width = width_of(embedded)
    choice = choose(count, width, driver or driver_of(dict(store.spark.conf.getAll)), knn)
    if choice.way == "cells":
        distances, method = neighbors_by_cells(rows, knn)
    else:
        ids, matrix, copies = gathered(pool.members, embedded, count, width)
        distances, method = neighbors_of_pool(
            store.spark,
            ids,
            matrix,
            copies if knn.count_copies else None,
            knn,
            version,
            files,
        )
    method = f"{method}; {choice.reason}" if choice.reason else method
    table = distances.select(
        "example_id",
        "distances",
        F.lit(pool.name).alias("pool"),
        F.lit(version).alias("pool_version"),
        F.lit(method).alias("method"),
        F.lit(run_id).alias("run_id"),
    )
    about = {"run_id": run_id, "version": version}
    before = store.version("pool_knn")
    store.replace(table, "pool_knn", {"pool": pool.name}, about, pool.check)
    change = moved(store, pool.name, before, knn.neighbors) if stored else ""
    note = "; ".join(part for part in (method, change) if part)
    return StageResult("knn", count, 0, 0, time.monotonic() - started, note)


def knn_version(rows: DataFrame, model: ResolvedModel, knn: Knn) -> str:
    """What decides the distances: members (with copies if they count), encoder and search."""
    search = [
        knn.neighbors,
        knn.exact_limit,
        knn.probes,
        knn.candidates,
        int(knn.count_copies),
        "auto" if knn.cells_beyond is None else knn.cells_beyond,
        knn.cell_rows,
        knn.visits,
    ]
    parts = [pool_version(rows, knn.count_copies), model.fingerprint[:12], *search]
    return "-".join(map(str, parts))
