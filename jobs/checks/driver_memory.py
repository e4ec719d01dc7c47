"""Vectors that have to be on the driver are compared with its memory before they are held there."""

from pathlib import Path

from instructmining.errors import UserError
from udfs.on_spark.placement import machine_memory

_GIB = 2**30
_FLOAT = 4
_CONTAINER = Path("/sys/fs/cgroup/memory.max")  # the limit of a container, or the word `max`


def refuse_too_many(rows: int, width: int, reason: str, remedy: str) -> None:
    """Refuse vectors that the driver cannot hold.

    Args:
        rows: number of vectors.
        width: numbers of each, float32.
        reason: what they are for.
        remedy: which settings to change.

    Raises:
        UserError: they need more than the machine or the container of the driver has.
    """
    needed = rows * width * _FLOAT
    memory = driver_memory()
    if needed > memory:
        raise UserError(
            f"{reason}: {rows:,} vectors of {width} numbers need {needed / _GIB:.1f} GiB on the "
            f"driver, which has {memory / _GIB:.1f} GiB; {remedy}"
        )


def driver_memory() -> int:
    """Bytes of the machine, or of the container where that has a lower limit."""
    try:
        limit = _CONTAINER.read_text(encoding="ascii").strip()
    except OSError:
        return machine_memory()
    return min(machine_memory(), int(limit)) if limit.isdigit() else machine_memory()
