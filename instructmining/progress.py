"""Progress of long work: a bar on a terminal, a line per commit in a log."""

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

_LINE_SECONDS = 5.0  # a log needs no more than this


class StageProgress:
    """Rows done, rows per second and the time that remains, on standard error."""

    def __init__(self, stage: str, rows: int, unit: str = "rows") -> None:
        """Nothing is shown before the first `advance`."""
        self._stage, self._rows, self._done, self._unit = stage, rows, 0, unit
        self._started = self._printed = time.monotonic()
        self._bar: Progress | None = None
        self._task = TaskID(0)

    def __enter__(self) -> Self:
        if sys.stderr.isatty() and self._rows:
            self._bar = Progress(
                TextColumn("{task.description:<12}"),
                BarColumn(),
                TextColumn("{task.completed:,.0f} of {task.total:,.0f} " + self._unit),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task(self._stage, total=self._rows, rate="")
        return self

    def advance(self, rows: int) -> None:
        """Count rows as committed."""
        self._done += rows
        now = time.monotonic()
        rate = self._done / max(now - self._started, 1e-9)
        if self._bar:
            self._bar.update(self._task, advance=rows, rate=self._speed(rate))
        elif now - self._printed >= _LINE_SECONDS or self._done >= self._rows:
            self._printed = now
            left = max(0, self._rows - self._done) / max(rate, 1e-9)
            print(
                f"{self._stage:<12} {self._done:>12,} of {self._rows:,} {self._unit}  "
                f"{self._speed(rate)}  {duration(left)} left",
                file=sys.stderr,
                flush=True,
            )

    def _speed(self, rate: float) -> str:
        """`120 rows/s`, `3.2 runs/min`."""
        if rate < 1:
            return f"{60 * rate:.1f} {self._unit}/min"
        return f"{rate:,.0f} {self._unit}/s"

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar:
            self._bar.stop()


def duration(seconds: float) -> str:
    """`45 s`, `3 min 20 s` or `2 h 05 min`."""
    whole = round(seconds)
    if whole < 120:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
