"""Writers that come into each other's way: who was second waits a moment and writes again."""

import random
import time
from collections.abc import Callable
from typing import Any

from pyspark.sql.utils import is_remote

from instructmining.errors import UserError

ATTEMPTS = 5
# In delta-spark's Python these are siblings, so each is named: catching one base misses the rest.
_CONFLICTS = (
    "ConcurrentAppendException",
    "ConcurrentDeleteDeleteException",
    "ConcurrentDeleteReadException",
    "ConcurrentTransactionException",
    "ConcurrentWriteException",
    "MetadataChangedException",
    "ProtocolChangedException",
)


class NoTableError(UserError):
    """Waited for like a conflict: where another run makes the table, it is there in a moment."""


def with_retries(write: Callable[[], Any]) -> None:
    """Write, and again while others are in the way; the error of the last attempt is raised."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            write()
            return
        except Exception as error:
            if not _is_conflict(error) or attempt == ATTEMPTS:
                raise
            time.sleep(attempt * random.uniform(0.2, 1.0))  # noqa: S311 - jitter, not a secret


def _is_conflict(error: Exception) -> bool:
    """By class; Spark Connect has one class for all and names the other in the message."""
    if isinstance(error, NoTableError) or type(error).__name__ in _CONFLICTS:
        return True
    return is_remote() and any(name in str(error) for name in _CONFLICTS)
