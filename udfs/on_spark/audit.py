"""What the tasks of a model stage say they did: where, how fast, with what padding and retries."""

import os
import socket
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from pyspark import AccumulatorParam, TaskContext
from pyspark.sql import SparkSession

from udfs.running.measurement import Work


class Window(NamedTuple):
    """One window of rows that one task measured."""

    stage_id: int  # Spark's: one for each chunk
    partition: int
    attempt: int
    host: str
    process: int
    device: str  # that of the model: "cuda:0", or "cpu"
    addresses: str  # of the GPUs that Spark gave the task
    rows: int
    seconds: float  # inside the scorer, by the clock
    cpu: float  # the same by the processor: what a busy machine does not stretch
    loading: float  # seconds until the model was there; 0 where the process had it already
    work: Work


class _Windows(AccumulatorParam[list[Window]]):
    """A list that tasks add to."""

    def zero(self, value: list[Window]) -> list[Window]:
        """The list before any task has added to it."""
        return []

    def addInPlace(self, value1: list[Window], value2: list[Window]) -> list[Window]:  # noqa: N802
        """The windows of both lists, in the first."""
        value1 += value2
        return value1


def open_audit(spark: SparkSession) -> Any:
    """An accumulator that tasks add windows to; a task that dies and is run again counts once."""
    return spark.sparkContext.accumulator([], _Windows())


class Stopwatch:
    """Seconds of this process since it was made, by the clock and by the processor."""

    def __init__(self) -> None:
        self._started = time.monotonic(), time.process_time()

    def read(self) -> tuple[float, float]:
        """Seconds by the clock, and by the processor."""
        return time.monotonic() - self._started[0], time.process_time() - self._started[1]


def window(
    scorer: Any, rows: int, spent: tuple[float, float], loading: float, work: Work
) -> Window:
    """What this task says of a window; `spent` is that of a `Stopwatch`."""
    task = TaskContext.get()
    device = str(getattr(scorer, "device", "cpu"))
    stage, partition, attempt = (
        (task.stageId(), task.partitionId(), task.attemptNumber()) if task else (0, 0, 0)
    )
    return Window(
        stage,
        partition,
        attempt,
        socket.gethostname(),
        os.getpid(),
        device,
        _addresses(task),
        rows,
        round(spent[0], 3),
        round(spent[1], 3),
        round(loading, 3),
        work,
    )


def _addresses(task: TaskContext | None) -> str:
    gpus = task.resources().get("gpu") if task else None
    return ",".join(gpus.addresses) if gpus else ""


def total(windows: Sequence[Window]) -> Work:
    """The work of all tasks together."""
    return Work(*(sum(part) for part in zip(*(window.work for window in windows), strict=True)))


def imbalance(windows: Sequence[Window]) -> float | None:
    """Tokens of the largest task over the mean of its chunk's; the mean over chunks, by tokens.

    1 is a chunk whose tasks end together, were all devices alike. None: no tokens were counted.
    """
    chunks: dict[int, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for window in windows:
        chunks[window.stage_id][window.partition] += window.work.wanted
    everything = sum(sum(tasks.values()) for tasks in chunks.values())
    slowest = sum(max(tasks.values()) * len(tasks) for tasks in chunks.values())
    return slowest / everything if everything else None


def words(windows: Sequence[Window]) -> str:
    """Padding, devices and retries, for the summary; nothing for stages without tokens."""
    done = total(windows) if windows else Work()
    parts = [f"{100 * (done.computed / done.wanted - 1):.1f} % padding"] if done.wanted else []
    devices = {
        (window.host, window.addresses or window.device)
        for window in windows
        if window.addresses or window.device != "cpu"
    }
    parts += [f"{len(devices)} GPU{'s' if len(devices) > 1 else ''}"] if devices else []
    parts += [f"{done.asked:,} calls, {done.billed:,} tokens"] if done.asked else []
    parts += [f"{done.retries:,} calls repeated"] if done.retries else []
    return ", ".join(parts)


def record(windows: Sequence[Window]) -> list[dict[str, Any]]:
    """The windows as rows of a table."""
    rows = [{**window._asdict(), **window.work._asdict()} for window in windows]
    return [{name: value for name, value in row.items() if name != "work"} for row in rows]
