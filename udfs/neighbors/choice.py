"""Which way the neighbours of a pool are searched, known from its size before a vector is read."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from instructmining.errors import UserError
from instructmining.progress import duration
from instructmining.settings.sections import Knn

_FLOAT = 4
_GIB = 2**30
_NAME = 130  # bytes of an id at the driver, in Python and in Arrow
_LINKS = 280  # bytes of a row's links in the graph: 64 of four bytes on its floor, some above
# CPU seconds to add a number of a vector to a graph: 53 for 50,000 × 384, as printed by
# `python -m bench.speed.cells --rows 50000 --cell-rows 2000 --asked 2000 --graph --no-join`.
_ADDED = 53 / (50_000 * 384)
_LONGEST = 3600.0  # seconds for which the executors may wait while the driver builds


class Driver(NamedTuple):
    """What the driver has for one index: bytes for its vectors, cores to build it."""

    room: int
    cores: int


@dataclass(frozen=True)
class Choice:
    """How, and why in words; all pairs are the rule, which needs none."""

    way: Literal["exact", "graph", "cells"]
    reason: str = ""


def choose(rows: int, width: int, driver: Driver, knn: Knn) -> Choice:
    """Cells above `knn.cells_beyond`, else one index: all pairs, above `knn.exact_limit` a graph.

    An index that the driver cannot hold is replaced by cells, unless all pairs were asked for; a
    graph that it would build for more than an hour too, unless `knn.cells_beyond` was set.

    Args:
        rows: vectors of the pool.
        width: numbers of each, float32.
        driver: what it has for them.
        knn: settings.

    Raises:
        UserError: all pairs were asked for, and the driver cannot hold the vectors.
    """
    exact = rows <= knn.exact_limit
    if knn.cells_beyond is not None and rows > knn.cells_beyond:
        return Choice("cells", f"the pool is above knn.cells_beyond={knn.cells_beyond:,}")
    needed = bytes_of_index(rows, width, exact)
    if needed > driver.room:
        return _without_index(rows, width, needed, driver.room, knn)
    if exact:
        return Choice("exact")
    seconds = rows * width * _ADDED / driver.cores
    if knn.cells_beyond is None and seconds > _LONGEST:
        cores = f"the driver's {driver.cores} cores"
        return Choice("cells", f"{cores} alone would build a graph in about {duration(seconds)}")
    return Choice("graph", f"the pool is above {knn.exact_limit:,} rows and the driver holds it")


def bytes_of_index(rows: int, width: int, exact: bool) -> int:
    """What one index needs at the driver: the vectors and ids; a graph has the vectors again."""
    vector = width * _FLOAT
    return rows * (vector + _NAME + (0 if exact else vector + _LINKS))


def _without_index(rows: int, width: int, needed: int, room: int, knn: Knn) -> Choice:
    short = (
        f"one index over {rows:,} vectors of {width} numbers needs {needed / _GIB:.1f} GiB on the "
        f"driver, which has {room / _GIB:.1f} GiB for it"
    )
    if knn.exact_up_to is not None and rows <= knn.exact_up_to:
        raise UserError(
            f"neighbours: {short}; set knn.exact_up_to below the rows of the pool, so that it is "
            "joined by cells, or take a driver with more memory"
        )
    return Choice("cells", short)
