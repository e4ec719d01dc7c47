"""Run finetunes on Spark: wave by wave, each its own job and its own commit, none done twice."""

import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame

from instructmining.finetunes.runs import PlannedRun, finished
from instructmining.progress import StageProgress, duration
from jobs.checks.resources import tasks_at_once
from jobs.finetuning.pace import WAVE_SECONDS, Pace
from jobs.finetuning.seldom import Seldom
from jobs.finetuning.setup import FinetuneSetup
from jobs.finetuning.sharded import Given, runs_at_once, sharded_rows
from jobs.finetuning.time_left import CALIBRATION, Compared, TimeLeft
from udfs.finetuning.task import SCHEMA, as_arrow, finetuned
from udfs.on_spark.placement import gpu_profile, in_model_workers, model_slots, ship
from udfs.running.measurement import Conversation

_ATTEMPTS = 2


@dataclass(frozen=True)
class Spent:
    """What the finetunes of one call took.

    Attributes:
        runs: finished in this call.
        found: finished before.
        failed: reason of each that failed in every attempt, by key.
        seconds: wall-clock.
        estimated: what the runs after the calibration were thought to take, and what they took.
        left: runs not begun for want of budget.
        saved: runs not begun since more would not help.
        why_saved: the reason, in words.
    """

    runs: int
    found: int
    failed: dict[str, str]
    seconds: float
    estimated: Compared | None
    left: int
    saved: int = 0
    why_saved: str = ""

    def words(self) -> Iterator[str]:
        """What was done and what it took, in lines."""
        yield (
            f"finetunes {self.runs} run, {self.found} found finished, {len(self.failed)} "
            f"failed, {self.left} left for want of budget, in "
            f"{duration(self.seconds)}"
        )
        if self.saved:
            yield f"{self.saved} finetunes saved: {self.why_saved}"
        if self.estimated:
            yield self.estimated.words()


def run_finetunes(
    setup: FinetuneSetup,
    plan: Sequence[PlannedRun],
    texts: Mapping[str, Conversation],
    run_id: str,
    purpose: str,
    enough: Callable[[], str | None] = lambda: None,
    budget: float | None = None,
    in_any_case: Collection[str] = (),
    clock: Callable[[], float] = time.monotonic,
) -> Spent:
    """Finetune what the table `finetuning_runs` does not have yet.

    Args:
        setup: what the runs share.
        plan: the runs wanted; the first ones calibrate the cost.
        texts: conversations by example id.
        run_id: marks the rows.
        purpose: `fit` or `evaluate`.
        enough: asked between waves once the pace is known; a reason saves the remaining runs.
        budget: minutes after which no wave may end. None: all runs are wanted.
        in_any_case: keys of runs that are not saved.
        clock: seconds.
    """
    store = setup.store
    started = clock()
    done = set(finished(store, [run.key for run in plan])["run_key"])
    todo = [run for run in plan if run.key not in done]
    waves = _Waves(setup, texts, run_id, purpose, clock)
    failed: dict[str, str] = {}
    said = TimeLeft(clock)
    stop = Seldom(enough, clock)
    left = 0
    saved = 0
    why = None
    with StageProgress("finetune", len(todo), "runs") as progress:
        for attempt in range(1, _ATTEMPTS + 1):
            waiting = list(todo)
            failed = {}
            while waiting:
                wave = waiting[: waves.pace.width()]
                if waves.too_late(wave, clock() - started, budget):
                    left = len(waiting)
                    break
                if why is None and waves.calibrated and (why := stop()):
                    wanted = [run for run in waiting if run.key in in_any_case]
                    saved, waiting = len(waiting) - len(wanted), wanted
                    continue
                broken = waves.run(wave)
                failed |= broken
                waiting = waiting[len(wave) :]
                # A run that failed is tried again, so that it counts only when it is over.
                again = len(broken) if attempt < _ATTEMPTS else 0
                progress.advance(len(wave) - again)
                if waves.pace.counted >= CALIBRATION and waiting:
                    said.look(len(waiting), waves.pace.estimate(waiting), waves.gpu_hours(waiting))
            todo = [run for run in todo if run.key in failed]
            if left:
                break
    seconds = clock() - started
    finished_now = len(plan) - len(done) - len(failed) - left - saved
    compared = None if left + saved else said.compared()
    return Spent(finished_now, len(done), failed, seconds, compared, left, saved, why or "")


class _Waves:
    """Runs in groups; the cost of the next group is estimated from the groups before."""

    def __init__(
        self,
        setup: FinetuneSetup,
        texts: Mapping[str, Conversation],
        run_id: str,
        purpose: str,
        clock: Callable[[], float],
    ):
        spark = setup.store.spark
        self.store = setup.store
        self.task = setup.task
        self.texts = texts
        self.measure = setup.measure
        self.recipe = setup.recipe
        self.run_id = run_id
        self.purpose = purpose
        self.clock = clock
        self.processes = setup.recipe.gpus_per_run
        conf = dict(spark.conf.getAll)
        tasks = tasks_at_once(conf, self.measure, model_slots(spark, self.measure))
        self.slots = runs_at_once(conf, self.processes, tasks)
        self.profile = gpu_profile(spark, self.measure)
        self.model = ship(spark, setup.base)
        self.sets = spark.sparkContext.broadcast({s.name: s.conversations for s in setup.sets})
        trained = {i: _characters(conversation) for i, conversation in texts.items()}
        asked = [_characters(c) for evaluation in setup.sets for c in evaluation.conversations]
        self.pace = Pace(self.recipe, trained, asked, self.slots)
        self.waves = 0

    @property
    def calibrated(self) -> bool:
        """Whether the pace is known: a short first wave, which loads the model, does not count."""
        return self.pace.counted > 0

    def gpu_hours(self, runs: Sequence[PlannedRun]) -> str:
        """`, 1.5 GPU hours` where the tasks own GPUs."""
        hours = self.pace.estimate(runs) * self.slots * self.processes / 3600
        return f", {hours:.2g} GPU hours" if self.profile is not None else ""

    def too_late(self, wave: Sequence[PlannedRun], spent: float, minutes: float | None) -> bool:
        """Whether the wave would end after the budget."""
        if minutes is None:
            return False
        return spent + self.pace.estimate(wave) > 60 * minutes

    def run(self, wave: Sequence[PlannedRun]) -> dict[str, str]:
        """Run and commit one wave; the reasons of the runs that failed, by key."""
        started = self.clock()
        (self._spread if self.processes > 1 else self._packed)(wave)
        stored = self.store.read("finetuning_runs").where(f"run_id = '{self.run_id}'")
        keys = {run.key for run in wave}
        results = [
            row
            for row in stored.select(
                "run_key", "status", "reason", "seconds", "read_tokens"
            ).collect()
            if row.run_key in keys
        ]
        seconds = self.clock() - started
        self.waves += 1
        if self.waves > 1 or seconds > WAVE_SECONDS:
            self.pace.learn(wave, results, seconds, loads=self.waves == 1 and self.processes == 1)
        good = {row.run_key for row in results if row.status == "ok"}
        return {row.run_key: row.reason for row in results if row.run_key not in good}

    def _described(self, run: PlannedRun) -> dict[str, Any]:
        task = self.task
        return {
            "run_key": run.key,
            "purpose": self.purpose,
            "subset": run.subset,
            "seed": run.seed,
            "base": task.base,
            "base_fingerprint": task.fingerprint,
            "run_id": self.run_id,
            "recipe": task.recipe_json(),
            "evaluation": json.dumps(dict(task.evaluation)),
            "examples": len(run.ids),
            "indicators": list(run.indicators.items()),
            "mix": list(run.mix.items()),
        }

    def _packed(self, wave: Sequence[PlannedRun]) -> None:
        """Runs one after the other in each slot; the wave is one commit."""
        spark = self.store.spark
        inputs = spark.sparkContext.broadcast(self._given(wave))
        model = self.model
        measure = self.measure
        recipe = self.recipe
        sets = self.sets

        def work(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in batches:
                for number in batch["id"].to_pylist():
                    about, rows = inputs.value[number]
                    row = finetuned(model, measure, recipe, rows, sets.value, about["seed"])
                    yield as_arrow(about | row)

        # No more tasks than may run at a time: where Spark schedules no GPU, nothing else says so.
        tasks = spark.range(0, len(wave), 1, min(len(wave), self.slots))
        rows = in_model_workers(tasks, work, SCHEMA, self.profile)
        self._append(rows)

    def _spread(self, wave: Sequence[PlannedRun]) -> None:
        """Several tasks per run; every run is a commit."""
        rows = sharded_rows(
            self.store.spark,
            self._given(wave),
            self.model,
            self.measure,
            self.recipe,
            self.sets,
            self.slots,
            self.profile,
        )
        for row in rows:
            self._append(self.store.spark.createDataFrame(row))

    def _given(self, wave: Sequence[PlannedRun]) -> list[Given]:
        return [(self._described(run), [self.texts[i] for i in run.ids]) for run in wave]

    def _append(self, rows: DataFrame) -> None:
        self.store.append(rows, "finetuning_runs", {"run_id": self.run_id})


def _characters(conversation: Conversation) -> int:
    return sum(len(message["content"]) for message in conversation)
