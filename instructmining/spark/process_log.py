"""One log for each process: what its JVM and Python workers write, and errors in full."""

import os
import re
import stat
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

_KEPT = 10  # logs of ended processes of this user; older ones are removed


def log_path() -> Path:
    """The log of this process, made at the first call."""
    return _log_of(os.getpid())


def open_log() -> int:
    """A descriptor that appends to this process's log; the caller closes it."""
    return os.open(log_path(), os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)


def write_error() -> Path | None:
    """Append the error at hand with its causes; the log, or None if it could not be written."""
    with suppress(OSError), os.fdopen(open_log(), "w", encoding="utf-8") as log:
        traceback.print_exc(file=log)  # the disk may be what is full
        return log_path()
    return None


@cache
def _log_of(process: int) -> Path:
    """A new file that only this user can read.

    Everyone may write to the folder of temporary files: `mkstemp` takes a name that nobody can
    guess, no file that is there, and follows no link.
    """
    for _, log in sorted(_ended(), reverse=True)[_KEPT - 1 :]:
        log.unlink(missing_ok=True)  # another process may have been faster
    handle, name = tempfile.mkstemp(prefix=f"{_start()}{process}-", suffix=".log")
    os.close(handle)
    return Path(name)


def _start() -> str:
    return f"instructmining-spark-{os.getuid()}-"


def _ended() -> Iterator[tuple[float, Path]]:
    """Logs of this user whose process is not there any more, with when they were last written."""
    for log in Path(tempfile.gettempdir()).glob(f"{_start()}*.log"):
        process = re.match(r"(\d+)-", log.name.removeprefix(_start()))
        with suppress(OSError):
            status = log.lstat()
            is_ours = stat.S_ISREG(status.st_mode) and status.st_uid == os.getuid()
            if process and is_ours and not _is_running(int(process[1])):
                yield status.st_mtime, log


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # another user's
    return True
