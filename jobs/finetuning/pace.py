"""What finetunes take, by the tokens they read and the steps they make, from the latest ones."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from instructmining.finetunes.runs import PlannedRun
from instructmining.settings.learning import Finetune
from jobs.finetuning.time_left import CALIBRATION

WAVE_SECONDS = 60.0  # a wave of short runs lasts about this long: what a kill costs at most
_LATEST = 16  # runs that an estimate rests on: the machine may have become slower or faster
_ROUNDS = 20  # in which characters per token settle to three digits


@dataclass(frozen=True)
class Measured:
    """A run that is over.

    Attributes:
        run: which.
        seconds: of its training and evaluation; of one that failed, its share of the wave.
        read: tokens of the sequences trained on, all epochs; 0 where they are not known.
    """

    run: PlannedRun
    seconds: float
    read: int


class Pace:
    """Seconds of runs that are left, from those that are over.

    Args:
        recipe: epochs, rows of a step, where examples are cut.
        trained: characters of the examples by id.
        asked: characters of each evaluation prompt with its answer.
        slots: runs at a time.
    """

    def __init__(
        self, recipe: Finetune, trained: Mapping[str, int], asked: Sequence[int], slots: int
    ):
        self._recipe, self._trained, self._slots = recipe, trained, slots
        self._asked = np.array(asked)
        self._latest: deque[Measured] = deque(maxlen=_LATEST)
        self._busy: deque[tuple[float, float]] = deque(maxlen=_LATEST)
        self.counted = 0

    def learn(
        self,
        wave: Sequence[PlannedRun],
        rows: Sequence[Any],
        seconds: float,
        loads: bool = False,
    ) -> None:
        """Count a wave.

        Args:
            wave: its runs.
            rows: their rows of `finetuning_runs`; of some or all runs there may be none.
            seconds: of the wave, by the clock.
            loads: whether the wave loaded the model, which later ones find loaded: what it took
                beside its runs is not counted.
        """
        found = {row.run_key: row for row in rows if row.seconds is not None}
        slot_seconds = seconds * min(self._slots, len(wave))
        share = slot_seconds / len(wave)
        for run in wave:
            row = found.get(run.key)
            took, read = (share, 0) if row is None else (row.seconds, row.read_tokens or 0)
            self._latest.append(Measured(run, took, read))
            self._busy.append((took if loads else share, took))
        self.counted += len(wave)

    def width(self) -> int:
        """Runs of the next wave: as many as at a time, several times that where they are short.

        Not before the first estimate, or a wave may be all that is left.
        """
        if self.counted < CALIBRATION:
            return self._slots
        return self._slots * max(1, int(WAVE_SECONDS / self.per_run()))

    def per_run(self) -> float:
        """Slot-seconds of one of the latest runs, on average."""
        return float(np.mean([slot for slot, _ in self._busy]))

    def estimate(self, runs: Sequence[PlannedRun]) -> float:
        """Wall-clock seconds of runs that are spread over the slots; 0 before any is over."""
        if not self._latest:
            return 0.0
        longest = self._recipe.max_length * self._characters_per_token()
        slot, run = np.sum(self._busy, axis=0)
        seconds = self._work(runs, longest) @ self._prices(longest)
        return float(slot / run * seconds.sum() / self._slots)

    def _prices(self, longest: float) -> NDArray[np.float64]:
        """Seconds per character and per step, by the least relative errors, neither below zero.

        Runs that are all alike cannot tell the two apart: one measurement more says that steps
        cost nothing.
        """
        seconds = np.array([one.seconds for one in self._latest])
        work = self._work([one.run for one in self._latest], longest) / seconds[:, None]
        wanted = np.ones(len(work))
        doubt = [0.0, work[:, 1].mean()]
        prices = np.linalg.lstsq(np.vstack([work, doubt]), np.append(wanted, 0.0), rcond=None)[0]
        if prices.min() >= 0:
            return np.asarray(prices, float)
        one = work[:, int(prices.argmax())]
        return np.where(prices == prices.max(), one.sum() / (one @ one), 0.0)

    def _work(self, runs: Sequence[PlannedRun], longest: float) -> NDArray[np.float64]:
        """Characters read (a step back costs about two more readings) and steps, of each run."""
        epochs = self._recipe.epochs
        asked = np.minimum(self._asked, longest).sum()
        trained = [np.minimum(self._lengths(run), longest).sum() for run in runs]
        steps = [epochs * -(-len(run.ids) // self._recipe.batch_rows) for run in runs]
        return np.column_stack([asked + 3 * epochs * np.array(trained), steps])

    def _characters_per_token(self) -> float:
        """Of the latest runs as far as they were read; infinite where nothing was trained."""
        trained = [one for one in self._latest if one.read]
        if not trained:
            return np.inf
        lengths = np.concatenate([self._lengths(one.run) for one in trained])
        tokens = sum(one.read for one in trained) / self._recipe.epochs
        found = float(lengths.sum() / tokens)
        for _ in range(_ROUNDS):
            found = float(np.minimum(lengths, found * self._recipe.max_length).sum() / tokens)
        return found

    def _lengths(self, run: PlannedRun) -> NDArray[np.int64]:
        return np.array([self._trained[i] for i in run.ids], dtype=np.int64)
