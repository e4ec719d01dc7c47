"""What the remaining finetunes will take: said when the pace is known, and again if it changes."""

import time
from collections.abc import Callable

from instructmining.progress import duration

CALIBRATION = 4  # runs that the first estimate rests on, after a wave that loads the model
_OFF = 0.2  # share of the time left by which an estimate may be wrong before it is said again


class TimeLeft:
    """The estimates of one call of `run_finetunes`.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._first: tuple[float, float] | None = None  # seconds that were estimated, and when
        self._end = 0.0

    def look(self, runs: int, seconds: float, gpu_hours: str = "") -> None:
        """Between two waves: print what is left, unless what was said still holds.

        Args:
            runs: that are left.
            seconds: that they take by the pace of all runs so far.
            gpu_hours: words to be added.
        """
        now = self._clock()
        if self._first is not None and abs(now + seconds - self._end) <= _OFF * seconds:
            return
        again = "" if self._first is None else "now "
        self._first = self._first or (seconds, now)
        self._end = now + seconds
        print(
            f"finetune: {runs} more runs, {again}about {duration(seconds)}{gpu_hours}", flush=True
        )

    def compared(self) -> tuple[float, float] | None:
        """The first estimate, and what it took until now; None where there was none."""
        if self._first is None:
            return None
        return self._first[0], self._clock() - self._first[1]
