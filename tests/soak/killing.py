"""One process of a running program, chosen by chance and killed with SIGKILL."""

import random
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.harness.comparison import KEYS
from bench.kill_resume import Program, commits, kill, kill_family

Find = Callable[[], list[psutil.Process]]

_DAEMON, _EXECUTOR = "pyspark.daemon", "CoarseGrainedExecutorBackend"
_AGAIN = "what was committed stays: run the same command again to go on"
_LONGEST = 900  # seconds that a run may take on a busy machine


@dataclass(frozen=True)
class Kill:
    """What was killed when, and what became of the program."""

    victim: str
    moment: str
    ended: str


def jvms(root: int) -> list[psutil.Process]:
    """Java processes below one."""
    return [process for process, line, _ in _below(root) if line.split(" ")[0].endswith("java")]


def python_workers(root: int) -> list[psutil.Process]:
    """Spark's Python workers: what its Python daemon has forked."""
    return [
        process for process, line, parent in _below(root) if _DAEMON in line and _DAEMON in parent
    ]


def executors(root: int) -> list[psutil.Process]:
    """JVMs of executors below a worker of a standalone cluster."""
    return [process for process, line, _ in _below(root) if _EXECUTOR in line]


def kill_all_of(program: Program, store: Path, chance: random.Random, victim: str) -> Kill | None:
    """Start the program and kill it with all it started; None where it ended before."""
    process = program.start(store)
    moment = _wait(process, store, chance, (0, 10))
    if moment is None:
        ended_well(process, program)
        return None
    return Kill(victim, moment, f"{kill_family(process)} processes died")


def kill_while_it_runs(
    program: Program,
    store: Path,
    chance: random.Random,
    victim: str,
    find: Callable[[int], list[psutil.Process]],
    kills: int,
    look: Callable[[], None],
    below: int | None = None,
) -> list[Kill]:
    """Start the program and kill one process after another; after each `look` at the store.

    Args:
        program: what to run.
        store: where.
        chance: chooses moments and victims.
        victim: in words.
        find: gives the victims there are below a process.
        kills: at most this many, while it runs.
        look: called after each.
        below: the process that victims are below; None: the program.
    """
    process = program.start(store)
    root = below or process.pid
    moments = []
    while len(moments) < kills:
        # Of several a commit apart at least: Spark gives a task up when it has failed four times.
        passed = (0, 10) if kills == 1 else (1, 2)
        moment = _wait(process, store, chance, passed, lambda: find(root))
        found = find(root) if moment else []
        if moment is None or not found:
            break
        kill(chance.choice(found))
        moments.append(moment)
        look()
    ended = ended_well(process, program)
    return [Kill(victim, moment, ended) for moment in moments]


def ended_well(process: subprocess.Popen[bytes], program: Program) -> str:
    """Wait for the end: with 0, or with one clear sentence and no stack trace."""
    code = process.wait(timeout=_LONGEST)
    said = program.said()
    if code == 0:
        return "went on to its end"
    assert code == 1, f"{code}\n{said}"
    started = "Java gateway process exited" not in said  # killed before Python had reached it
    return one_sentence(said, _AGAIN if started else "JAVA_GATEWAY_EXITED")


def one_sentence(said: str, remedy: str = _AGAIN) -> str:
    """What a program that failed told its user."""
    assert "Traceback" not in said, said
    told = [line for line in said.splitlines() if line.startswith("instructmining: ")]
    assert len(told) == 1, said
    assert remedy in told[0], said
    return told[0].removeprefix("instructmining: ")


def _wait(
    process: subprocess.Popen[bytes],
    store: Path,
    chance: random.Random,
    passed: tuple[int, int],
    find: Find | None = None,
) -> str | None:
    """Let this many commits pass, a moment more, and a victim appear; None: it ended before."""
    tables = tuple(KEYS)
    before = commits(store, tuple(KEYS))
    wanted = chance.randint(*passed)
    # Without a commit to wait for: anywhere in the start of the program, too.
    delay = chance.uniform(0.0, 2.0 if wanted else 12.0)
    while commits(store, tables) - before < wanted:
        if process.poll() is not None:
            return None
        time.sleep(0.05)
    time.sleep(delay)
    while find is not None and not find():
        if process.poll() is not None:
            return None
        time.sleep(0.05)
    if process.poll() is not None:
        return None
    return f"{delay:.1f} s after commit {commits(store, tables) - before}"


def _below(root: int) -> list[tuple[psutil.Process, str, str]]:
    """The processes below one, each with its command line and its parent's."""
    found = []
    try:
        children = psutil.Process(root).children(recursive=True)
    except psutil.Error:
        return []
    for each in children:
        try:
            parent = each.parent()
            found.append(
                (each, " ".join(each.cmdline()), " ".join(parent.cmdline()) if parent else "")
            )
        except psutil.Error:  # it has ended meanwhile
            continue
    return found
