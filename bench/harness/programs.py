"""A program and all that it starts: seconds, CPU seconds, memory, Python workers, imports."""

import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import psutil

_EVERY = 0.2  # seconds
_DAEMONS = frozenset(("pyspark.daemon", "udfs.on_spark.daemon"))  # workers are forked from them
_LONG = 0.3  # seconds of import that are worth a name
_IMPORT = re.compile(r"^import time:\s+(\d+) \|\s+\d+ \|\s+(\w+)", re.MULTILINE)
_IMPORT_LINE = re.compile(r"^import time:.*\n", re.MULTILINE)


@dataclass(frozen=True)
class Program:
    """What a program took.

    Attributes:
        code: of its exit.
        output: what it wrote.
        wall: seconds by the clock.
        cpu: CPU seconds of the program, its JVM and its Python workers, as last seen.
        workers: Python workers of Spark that were started and lived for a moment.
        imports: seconds of import by package, those of 0.3 s and more.
        peaks: the largest resident size, in bytes, of the `driver` (the program itself), of a
            `jvm` and of a `worker` of Spark.
    """

    code: int
    output: str
    wall: float
    cpu: float
    workers: int
    imports: dict[str, float]
    peaks: dict[str, int]


def run_program(arguments: Sequence[str], environment: Mapping[str, str]) -> Program:
    """Run Python with these arguments and watch it until it ends."""
    return watch([sys.executable, "-X", "importtime", *arguments], environment)


def watch(
    command: Sequence[str], environment: Mapping[str, str], daemons: Sequence[int] = ()
) -> Program:
    """Run a command and watch it until it ends.

    Args:
        command: with its arguments.
        environment: variables beside those of this process.
        daemons: ids of processes that work for it, with all that they start meanwhile: what they
            take from now on counts as the program's.
    """
    taken = {process.pid: _cpu(process) for process in _families(daemons)}
    started = time.monotonic()
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **environment},
    )
    seconds: dict[int, float] = {}
    workers: set[int] = set()
    peaks = {"driver": 0, "jvm": 0, "worker": 0}
    output = ""
    has_ended = False
    while not has_ended:
        has_ended = process.poll() is not None  # then what it wrote last is read once more
        _look(process.pid, daemons, seconds, workers, peaks)
        with suppress(subprocess.TimeoutExpired):
            output, _ = process.communicate(timeout=_EVERY)
            has_ended = True
    return Program(
        code=process.returncode,
        output=_IMPORT_LINE.sub("", output),
        wall=time.monotonic() - started,
        cpu=sum(seconds.values()) - sum(taken[pid] for pid in taken.keys() & seconds.keys()),
        workers=len(workers),
        imports=_imports(output),
        peaks=peaks,
    )


def _look(
    program: int,
    daemons: Sequence[int],
    seconds: dict[int, float],
    workers: set[int],
    peaks: dict[str, int],
) -> None:
    """Note CPU seconds and sizes of the program's family, and who of it is a worker of Spark."""
    for process in _families([program, *daemons]):
        with suppress(psutil.Error):
            seconds[process.pid] = _cpu(process)
            parent = process.parent()
            if parent is not None and not _DAEMONS.isdisjoint(parent.cmdline()):
                workers.add(process.pid)
            kind = "driver" if process.pid == program else "jvm"
            kind = "worker" if process.pid in workers else kind
            peaks[kind] = max(peaks[kind], process.memory_info().rss)


def _families(programs: Sequence[int]) -> list[psutil.Process]:
    """These processes and all that they started, as far as they are there."""
    family = []
    for program in programs:
        with suppress(psutil.Error):
            process = psutil.Process(program)
            family += [process, *process.children(recursive=True)]
    return family


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _imports(output: str) -> dict[str, float]:
    total: Counter[str] = Counter()
    for microseconds, package in _IMPORT.findall(output):
        total[package] += int(microseconds)
    return {name: us / 1e6 for name, us in total.most_common() if us >= _LONG * 1e6}
