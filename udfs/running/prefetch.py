"""One window made ready on the host while the device computes another.

Rendering and tokenising release the interpreter for much of their time, and a GPU computes
without it, so a thread beside the one that computes hides them. On a CPU both want the same cores.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
Ready = TypeVar("Ready")


def prepared_ahead(items: Iterator[T], prepare: Callable[[T], Ready]) -> Iterator[Ready]:
    """`prepare` of every item, in order, each begun before the one in front of it is used.

    Items are taken by the caller's thread, so that they may come from Spark, and at most two
    are held. What `prepare` raises is raised here, in its turn. A caller that stops early waits
    for the one item that is being prepared and no longer.
    """
    with ThreadPoolExecutor(1, "prepare") as thread:
        waiting = None
        for item in items:
            coming = thread.submit(prepare, item)
            if waiting is not None:
                yield waiting.result()
            waiting = coming
        if waiting is not None:
            yield waiting.result()
