"""The largest process of a run: this one, its JVM or a Python worker."""

import contextlib
import threading
from collections.abc import Callable, Iterator

import psutil

_EVERY = 0.25  # seconds


@contextlib.contextmanager
def peak_memory() -> Iterator[Callable[[], float]]:
    """Watch this process and its descendants; the function gives the largest so far, in GiB."""
    peak, done = [0], threading.Event()

    def watch() -> None:
        me = psutil.Process()
        while not done.wait(_EVERY):
            for process in (me, *me.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    peak[0] = max(peak[0], process.memory_info().rss)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield lambda: peak[0] / 2**30
    finally:
        done.set()
        thread.join()
