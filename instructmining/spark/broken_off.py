"""What ends a run from outside — a full disk, a killed process — told in one sentence."""

import errno
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from instructmining.errors import BrokenOffError
from instructmining.settings.sections import Settings

_REMEDY = "what was committed stays: run the same command again to go on"
_FULL = ("No space left on device", "database or disk is full", "Disk quota exceeded")
_FULL_CODES = (errno.ENOSPC, errno.EDQUOT)
_EXECUTORS = (
    "ExecutorLostFailure",
    "Executor heartbeat timed out",
    "SparkContext was shut down",
    "SparkContext has been shutdown",
)
_WORKER = ("Python worker exited unexpectedly", "Python worker failed to connect back")
_HEAP = "java.lang.OutOfMemoryError"
_OF_AN_EXECUTOR = re.compile(r"executor \d+\)")  # a lost task; a local one is `executor driver`
_CAUSES = 10  # of an error, at most


def broken_off(
    error: BaseException,
    places: Mapping[str, str | None],
    jvm_answers: bool,
    more_memory: str,
    is_local: bool = False,
) -> BrokenOffError | None:
    """The sentence for an error that neither the settings nor the data are to blame for.

    Args:
        error: what a program raised.
        places: that it writes to, of `places_written`.
        jvm_answers: whether the driver's JVM is there.
        more_memory: how a user gives that JVM more memory.
        is_local: whether tasks run in that JVM too. Out of memory, it may still answer while it
            ends Spark's application.

    Returns:
        None where the error is of another kind.
    """
    sentence = _sentence(error, places, jvm_answers, more_memory, is_local)
    return BrokenOffError(f"{sentence}; {_REMEDY}") if sentence else None


def places_written(settings: Settings) -> dict[str, str | None]:
    """What a run writes to, by the words a user knows it by."""
    return {
        "--store": settings.store,
        "--files": settings.files,
        "--to": settings.export.to,
        "--tracking-uri": settings.tracking.uri.partition("sqlite:///")[2],
    }


def _sentence(
    error: BaseException,
    places: Mapping[str, str | None],
    jvm_answers: bool,
    more_memory: str,
    is_local: bool,
) -> str | None:
    causes = list(_causes(error))
    text = "\n".join(map(_words, causes))
    if any(getattr(one, "errno", None) in _FULL_CODES for one in causes) or _has(text, _FULL):
        return _full(places)
    if not jvm_answers or (is_local and _HEAP not in text and _has(text, _EXECUTORS)):
        return (
            "the JVM of Spark's driver ended during this run (killed, or out of memory: "
            f"{more_memory})"
        )
    if _HEAP in text:
        if _OF_AN_EXECUTOR.search(text):
            return (
                "an executor's JVM was out of memory: raise spark.executor.memory where the session"
                " is started"
            )
        return f"the JVM of Spark's driver was out of memory: {more_memory}"
    if _has(text, _EXECUTORS):
        return (
            "executors of this run ended again and again, or its application was ended "
            "(killed, or out of memory: see the cluster's log)"
        )
    if _has(text, _WORKER):
        return (
            "a Python worker ended while it measured (killed, or out of memory: give it fewer "
            "tasks at a time, or a lower measure.token_budget)"
        )
    return None


def _full(places: Mapping[str, str | None]) -> str:
    """Which disk it is, as far as can be seen from here: the one with the least left."""
    left = {}
    for option, path in _folders(places):
        with suppress(OSError):  # a place that cannot be asked is not named
            left[option] = shutil.disk_usage(_existing(path)).free
    name = min(left, key=lambda place: left[place])
    return (
        f"no space is left on a disk: {name} has {left[name] / 2**20:,.1f} MiB (on a cluster "
        "it may be an executor's, see spark.local.dir); make room there"
    )


def _folders(places: Mapping[str, str | None]) -> Iterator[tuple[str, Path]]:
    """The local ones among the places, and the folder of temporary files."""
    for option, place in places.items():
        if place and ":" not in place and ("/" in place or "." not in place):  # no URI, no schema
            yield f"{option} {place}", Path(place).expanduser().absolute()
    yield f"the folder of temporary files {tempfile.gettempdir()}", Path(tempfile.gettempdir())


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _words(error: BaseException) -> str:
    """What it says, with the JVM's own report; py4j asks a JVM for it that may have ended."""
    try:
        return f"{error}\n{getattr(error, '_stackTrace', '')}"
    except Exception:
        return type(error).__name__


def _has(text: str, signs: tuple[str, ...]) -> bool:
    return any(sign in text for sign in signs)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(_CAUSES):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__
