"""The largest process of a run: this one, its JVM or a Python worker."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator

import psutil

_EVERY = 0.25  # seconds

Bytes = Callable[[psutil.Process], int]


@contextlib.contextmanager
def peak_memory() -> Iterator[Callable[[], float]]:
    """Watch this process and its descendants; the function gives the largest so far, in GiB."""
    with _watched(lambda process: process.memory_info().rss) as peak:
        yield lambda: peak() / 2**30


@contextlib.contextmanager
def peak_of_driver() -> Iterator[Callable[[], float]]:
    """Watch this Python process alone, without its JVM; the largest so far, in GiB."""
    with _watched(lambda each: each.memory_info().rss if each.pid == os.getpid() else 0) as peak:
        yield lambda: peak() / 2**30


@contextlib.contextmanager
def peak_of_workers() -> Iterator[Callable[[], float]]:
    """Watch the Python workers of this process's JVM; the largest so far, in MiB.

    Counted are the pages that a worker has for itself: libraries that it shares with its sisters
    are there once, however many workers there are.
    """

    def private(process: psutil.Process) -> int:
        worker = "pyspark" in " ".join(process.cmdline())
        return int(process.memory_full_info().uss) if worker else 0

    with _watched(private) as peak:
        yield lambda: peak() / 2**20


@contextlib.contextmanager
def _watched(size: Bytes) -> Iterator[Callable[[], int]]:
    peak = [0]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(_EVERY):
            for process in family():
                with contextlib.suppress(psutil.Error):
                    peak[0] = max(peak[0], size(process))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield lambda: peak[0]
    finally:
        done.set()
        thread.join()


def family() -> list[psutil.Process]:
    """This process and all that came of it."""
    me = psutil.Process()
    return [me, *me.children(recursive=True)]
