"""What the remaining finetunes will take: said when the pace is known, and again if it changes."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from instructmining.progress import duration

CALIBRATION = 4  # runs that the first estimate rests on, after a wave that loads the model
_OFF = 0.2  # share of the time left by which an estimate may be wrong before it is said again


@dataclass(frozen=True)
class Compared:
    """What was estimated, and what it took.

    Attributes:
        said: seconds from the first estimate to the end, as each estimate had it, the first first.
        took: seconds from the first estimate to the end.
    """

    said: tuple[float, ...]
    took: float

    @property
    def ratio(self) -> float:
        """What it took, of the first estimate."""
        return self.took / self.said[0]

    def words(self) -> str:
        """In a line."""
        now = [f", then {duration(seconds)}" for seconds in self.said[1:]]
        return (
            f"estimated {duration(self.said[0])} after calibration{''.join(now)}, took "
            f"{duration(self.took)} ({self.ratio:.2f} of the first)"
        )


def together(parts: Sequence[Compared]) -> Compared:
    """Several calls one after another; a part that was not estimated again keeps its last word."""
    said = zip_longest(*(part.said for part in parts))
    sums = tuple(
        sum(part.said[-1] if one is None else one for part, one in zip(parts, each, strict=True))
        for each in said
    )
    return Compared(sums, sum(part.took for part in parts))


class TimeLeft:
    """The estimates of one call of `run_finetunes`.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._began = 0.0  # when the first estimate was said
        self._said: list[float] = []  # of `Compared`

    def look(self, runs: int, seconds: float, gpu_hours: str = "") -> None:
        """Between two waves: print what is left, unless what was said still holds.

        Args:
            runs: that are left.
            seconds: that they take by the pace of the runs so far.
            gpu_hours: words to be added.
        """
        now = self._clock()
        self._began = self._began if self._said else now
        end = now - self._began + seconds
        if self._said and abs(end - self._said[-1]) <= _OFF * seconds:
            return
        again = "now " if self._said else ""
        self._said.append(end)
        print(
            f"finetune: {runs} more runs, {again}about {duration(seconds)}{gpu_hours}", flush=True
        )

    def compared(self) -> Compared | None:
        """The estimates beside what it took until now; None where there was none."""
        if not self._said:
            return None
        return Compared(tuple(self._said), self._clock() - self._began)
