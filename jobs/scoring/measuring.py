"""Run the stages of a score run one after the other, and say what each did."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, partial
from typing import TypeVar

from instructmining.models.lists import IMPORTED, ResolvedModel
from instructmining.scoring.summary import Summary
from instructmining.settings.endpoints import Endpoint
from instructmining.settings.sections import Measure, Settings
from instructmining.store.planning import MeasuredCount
from instructmining.store.tables import Store
from instructmining.tracking.mlflow_runs import Run
from jobs.cascading.sampled import sampled
from jobs.importing.numbers import import_kept
from jobs.scoring.provenance import admit
from jobs.scoring.stages import Pool, StageResult, after, run_model_stage

T = TypeVar("T")


def measure(
    store: Store,
    pool: Pool,
    resolved: dict[str, ResolvedModel],
    chosen: list[str],
    counts: Mapping[str, MeasuredCount],
    settings: Settings,
    tracked: Run,
    summary: Summary,
) -> list[StageResult]:
    """Run the model stages one after the other."""
    results: list[StageResult] = []
    waiting = {
        stage: resolved[stage]
        for stage in chosen
        if resolved[stage].spec.kind != IMPORTED
        and not is_complete(counts.get(resolved[stage].fingerprint), pool, settings.measure)
    }

    @cache
    def admit_all() -> None:  # in the first stage that measures, for all that will
        admit(store, waiting, settings.measure, tracked.id)

    for stage in chosen:
        model = resolved[stage]
        if is_complete(counts.get(model.fingerprint), pool, settings.measure):
            results.append(StageResult(stage, 0, 0, 0, 0.0))
            summary.seconds[stage] = 0.0
            continue
        is_new = model.fingerprint not in counts
        rest = after(settings.endpoint, results)
        part = sampled(pool, stage, settings.cascade)
        work = partial(
            one_stage, store, stage, model, part, settings.measure, rest, tracked, is_new, admit_all
        )
        result = timed(summary, stage, work)
        results.append(result)
        summary.measured_rows += result.rows
    return results


def is_complete(count: MeasuredCount | None, pool: Pool, measure: Measure) -> bool:
    """Whether a model has measured the whole pool, so that its stage has nothing to look for."""
    if count is None or count.rows != pool.size:
        return False
    return not (measure.retry_failed and count.failed)


def with_counts(
    result: StageResult,
    resolved: Mapping[str, ResolvedModel],
    counts: Mapping[str, MeasuredCount],
) -> StageResult:
    """The result with the rows that were measured, failed, were cut or have to wait."""
    model = resolved[result.stage]
    if model.spec.kind == IMPORTED or not result.rows:
        return result
    count = counts.get(model.fingerprint, MeasuredCount(0, 0))
    return replace(
        result,
        rows=count.newly_measured,
        failed=count.newly_failed,
        truncated=count.newly_truncated,
        waiting=result.rows - count.newly_measured,
    )


def one_stage(
    store: Store,
    stage: str,
    model: ResolvedModel,
    pool: Pool,
    measure: Measure,
    endpoint: Endpoint,
    tracked: Run,
    is_new: bool,
    admit_all: Callable[[], None],
) -> StageResult:
    """Measure, or take the numbers that the data hold already."""
    if model.spec.kind == IMPORTED:
        return import_kept(store, stage, model, pool, tracked.id)
    return run_model_stage(
        store, stage, model, pool, measure, endpoint, tracked.id, is_new, admit_all
    )


def timed(summary: Summary, stage: str, work: Callable[[], T]) -> T:
    """Do the work and note its seconds in the summary."""
    started = time.monotonic()
    try:
        return work()
    finally:
        summary.seconds[stage] = time.monotonic() - started
