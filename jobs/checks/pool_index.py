"""Whether one index over a pool's vectors is likely to fit the driver and a broadcast."""

import os

from instructmining.errors import UserError
from instructmining.models.lists import ResolvedModel
from instructmining.models.shape import shape_of
from instructmining.settings.sections import Knn
from jobs.checks.driver_memory import driver_memory
from jobs.checks.resources import Conf, spark_bytes
from udfs.neighbors.choice import Driver, choose

_MIB = 2**20
_BYTES_PER_RECORD = 1000  # a guess, for an index that does not exist yet


def driver_of(conf: Conf) -> Driver:
    """What the driver has for an index: bytes beside the heap of its JVM, and its cores."""
    room = max(0, driver_memory() - spark_bytes(conf.get("spark.driver.memory", "1g")))
    return Driver(room, os.cpu_count() or 1)


def index_note(bytes_read: int, knn: Knn, embed: ResolvedModel, driver: Driver) -> list[str]:
    """A note where the neighbours' index is likely to be too large to broadcast, or to be held.

    Args:
        bytes_read: of the input.
        knn: settings.
        embed: the encoder.
        driver: of `driver_of`.
    """
    rows = bytes_read // _BYTES_PER_RECORD
    width = shape_of(embed.base_folder or embed.folder).hidden
    try:
        choice = choose(rows, width, driver, knn)
    except UserError as error:  # by a guess nothing is refused
        return [f"by the size of the input, {error}"]
    if choice.way == "cells":
        return [
            f"the neighbours of about {rows:,} rows are joined by cells, without an index, as "
            f"{choice.reason}; the share of right distances is stored in pool_knn.method"
        ]
    if rows * 4 * width <= knn.broadcast_up_to_mb * _MIB:
        return []
    return [
        f"the neighbours' index may be over knn.broadcast_up_to_mb={knn.broadcast_up_to_mb}: with "
        "--files FOLDER, seen by all nodes, it is written once instead of sent to each"
    ]
