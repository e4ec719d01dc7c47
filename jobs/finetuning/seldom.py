"""A question that costs time: asked first when it may be, then no oftener than it is worth."""

import time
from collections.abc import Callable

_SHARE = 0.1  # of the time between two answers, that the question may take


class Seldom:
    """Whether more finetunes help: the search over all indicators takes as long as some runs do.

    Args:
        ask: the question; a reason, or None where there is none.
        clock: seconds.
    """

    def __init__(self, ask: Callable[[], str | None], clock: Callable[[], float] = time.monotonic):
        self._ask, self._clock = ask, clock
        self._next = clock()

    def __call__(self) -> str | None:
        """The answer; None, too, where the question is not asked again yet."""
        began = self._clock()
        if began < self._next:
            return None
        answer = self._ask()
        took = self._clock() - began
        self._next = began + took / _SHARE
        return answer
