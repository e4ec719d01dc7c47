"""What the archive of classes gains: `python -m bench.speed.class_archive --repeats 3`.

The bare program, an unchanged `score` and `select` of the overhead suite, each with the archive
and without it in turn, every one a process of its own. CPU seconds are of Python, the JVM and the
workers together. The archive must be there: `python -m instructmining.spark.make_class_archive`.
"""

import argparse
import random
import statistics
import sys
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from bench.harness.arms import machine
from bench.harness.programs import Program, run_program
from bench.speed.overhead import commands
from instructmining.spark.class_archive import JARS, SWITCH, find_archive
from instructmining.spark.delta_jars import delta_jars

ARMS = {"with": "", "without": "off"}
_FIRST = "score, first"  # fills the store; not compared
_COMPARED = ("bare program", "score, nothing new", "select")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", type=int, default=len(_COMPARED), help="the first so many")
    chosen = parser.parse_args()
    if find_archive(delta_jars().get(JARS, "")) is None:
        sys.exit("no archive: python -m instructmining.spark.make_class_archive")
    console = Console(width=120)
    console.print("; ".join(f"{name} {value}" for name, value in machine().items()))
    console.print(table(measure(chosen.repeats, _COMPARED[: chosen.only])))


def measure(repeats: int, names: tuple[str, ...]) -> dict[tuple[str, str], list[Program]]:
    """Programs by command and arm, the arms of each repeat in a new order."""
    order = random.Random(0)  # noqa: S311 - of arms
    found: dict[tuple[str, str], list[Program]] = defaultdict(list)
    with TemporaryDirectory() as folder:
        for repeat in range(repeats):
            for name in names:
                if repeat == 0 and name == "score, nothing new":
                    _run(_FIRST, "with", Path(folder))
                for arm in order.sample(list(ARMS), len(ARMS)):
                    place = Path(folder) / f"{repeat}-{arm}" if name == "bare program" else folder
                    found[name, arm].append(_run(name, arm, Path(place)))
    return found


def _run(name: str, arm: str, folder: Path) -> Program:
    folder.mkdir(exist_ok=True)
    (folder / "chosen.jsonl").unlink(missing_ok=True)
    arguments = dict(commands(folder))[name]
    program = run_program(arguments, {"SPARK_MASTER": "local[2]", SWITCH: ARMS[arm]})
    if program.code:
        sys.exit(f"{name} ended with {program.code}:\n{program.output}")
    said = f"{name}, {arm}: {program.wall:.1f} s, {program.cpu:.1f} CPU s"
    print(said, file=sys.stderr, flush=True)
    return program


def table(found: dict[tuple[str, str], list[Program]]) -> Table:
    """A row per command: medians, and the ratio inside each repeat."""
    shown = Table(title="with the archive of classes and without it", title_justify="left")
    for column in ("", "CPU s with", "without", "ratio", "seconds with", "without", "ratio"):
        shown.add_column(column, justify="right" if column else "left")
    for name in dict.fromkeys(name for name, _ in found):
        runs = [found[name, arm] for arm in ARMS]
        cpu = _columns(*([run.cpu for run in arm] for arm in runs))
        wall = _columns(*([run.wall for run in arm] for arm in runs))
        shown.add_row(name, *cpu, *wall)
    return shown


def _columns(with_it: list[float], without: list[float]) -> tuple[str, str, str]:
    ratios = [one / other for one, other in zip(with_it, without, strict=True)]
    middle = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    return f"{statistics.median(with_it):.1f}", f"{statistics.median(without):.1f}", middle


if __name__ == "__main__":
    main()
