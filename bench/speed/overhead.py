"""What a run costs beside its models: `python -m bench.speed.overhead [--master MASTER]`.

The sample that ships is scored, scored again, selected from and reported on, each by the command
line in a process of its own; then a user's mistake, and `--help`. Beside them a *bare program* with
the same settings of Spark and the JVM: start a session, write 1,000 rows to Delta, read them, stop;
it runs first and last, and its mean is what the others are compared with. Counts are those of
Spark's event log. A machine at work stretches seconds, CPU seconds less: read them as multiples of
the bare program. `--queries select` prints that command's queries one by one, each with our line
that asked for it.

`--master standalone` starts Spark's own cluster manager on this machine, with two workers of one
core and one pretended GPU each, and hands it the commands by `spark-submit` with
`conf/spark/gpu.conf`. CPU seconds are of its daemons and executors as well.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from bench.harness.arms import Suite, machine
from bench.harness.event_log import (
    Query,
    SparkWork,
    event_log_settings,
    read_event_log,
    read_queries,
)
from bench.harness.programs import Program
from bench.harness.rows import SAMPLE
from bench.harness.runners import STANDALONE, Runner, runner

CLUSTERS = ("local-cluster[2,1,1024]", STANDALONE)
BARE = ("bare program", "bare program, again")
# CPU seconds in multiples of the bare program's, and tasks on a small cluster.
WANTED = {
    "score, first": 3.0,
    "score, nothing new": 1.3,
    "select": 1.5,
    "report": 1.5,
    "a mistake": 0.3,
}
TASKS = 600
PRICE = 2.0  # CPU seconds of a first score on a small cluster, of the same on one machine


@dataclass(frozen=True)
class Measured:
    """One command."""

    program: Program
    work: SparkWork
    commits: int  # of Delta
    queries: list[Query]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--master", default="local[2]", help="Spark's, or standalone")
    parser.add_argument("--only", help="the first so many commands", type=int)
    parser.add_argument("--set", action="append", default=[], dest="sets", metavar="A.B=VALUE")
    parser.add_argument("--queries", metavar="COMMAND", help="print this command's queries")
    chosen = parser.parse_args()
    console = Console(width=150)
    console.print("; ".join(f"{name} {value}" for name, value in machine().items()))
    measured = measure(chosen.master, chosen.only, chosen.sets, chosen.queries)
    console.print(table(measured, chosen.master))
    if chosen.queries:
        console.print(table_of_queries(measured[chosen.queries].queries))


def suite(repeats: int) -> Suite:
    """Multiples of the bare program on one machine; tasks and price on small clusters."""
    local = measure("local[2]")
    clusters = {master: measure(master, only=2) for master in CLUSTERS}
    console = Console(width=150)
    console.print(
        table(local, "local[2]"), *(table(each, master) for master, each in clusters.items())
    )
    bare = _bare(local)
    multiples = {f"{name}: CPU s / bare": local[name].program.cpu / bare for name in WANTED}
    help_seconds = {"--help: CPU s": local["--help"].program.cpu}
    tasks, price = {}, {}
    for master, measured in clusters.items():
        first = measured["score, first"]
        tasks[f"score, first: tasks, {master}"] = float(first.work.tasks)
        price[f"score, first: CPU s, {master} / local"] = (
            first.program.cpu / local["score, first"].program.cpu
        )
    bounds = dict(zip(multiples, WANTED.values(), strict=True))
    return Suite(
        name="overhead",
        about="the sample that ships, embedded models",
        figures=multiples | help_seconds | tasks | price,
        at_most=bounds
        | dict.fromkeys(help_seconds, 1.0)
        | dict.fromkeys(tasks, TASKS)
        | dict.fromkeys(price, PRICE),
        repeats=1,
    )


def measure(
    master: str, only: int | None = None, sets: Sequence[str] = (), traced: str | None = None
) -> dict[str, Measured]:
    """Every command, or the first `only`, one after another on a store of their own.

    Args:
        master: Spark's, or `standalone`.
        only: how many; all, where None.
        sets: settings such as `spark.sql.codegen.wholeStage=true`, to compare with ours.
        traced: the last command to run, whose queries are called by our lines that asked for them.
    """
    settings = dict(setting.split("=", 1) for setting in sets)
    measured: dict[str, Measured] = {}
    with TemporaryDirectory() as folder, runner(master) as run:
        for name, each in list(commands(Path(folder)))[:only]:
            is_traced = name == traced
            command = ["-m", "bench.harness.call_sites", *each[1:]] if is_traced else each
            measured[name] = _measured(name, command, folder, run, settings)
            _tell(name, measured[name])
            if is_traced:
                break
    return measured


def _tell(name: str, measured: Measured) -> None:
    """One line as soon as a command has ended, so that a run that breaks off has said something."""
    program, work = measured.program, measured.work
    said = f"{program.wall:.1f} s, {program.cpu:.1f} CPU s, {work.queries} queries"
    print(f"{name}: {said}, {work.jobs} jobs, {work.tasks} tasks", file=sys.stderr, flush=True)


def commands(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Name and arguments of Python."""
    shared = ["--store", str(folder / "store"), "--tracking-uri", f"sqlite:///{folder}/mlflow.db"]
    cli = ["-m", "jobs.cli"]
    score = [*cli, "score", "--input", str(SAMPLE), "--keep", "quality,topic,language", *shared]
    select = [*cli, "select", "--top", "50", *shared]
    there = folder / "there.jsonl"
    there.touch()
    yield BARE[0], ["-m", "bench.harness.bare_program", str(folder / "bare")]
    yield "score, first", score
    yield "score, nothing new", score
    yield "select", [*select, "--to", str(folder / "chosen.jsonl")]
    yield "report", [*cli, "report", "--to", str(folder / "page.html"), *shared]
    yield "a mistake", [*select, "--to", str(there)]
    yield "--help", [*cli, "--help"]
    yield BARE[1], ["-m", "bench.harness.bare_program", str(folder / "bare_again")]


def _measured(
    name: str, arguments: Sequence[str], folder: str, run: Runner, settings: Mapping[str, str]
) -> Measured:
    log = Path(folder) / "events" / name
    log.mkdir(parents=True)
    before = _commits(folder)
    program = run(arguments, {} if name == "--help" else {**settings, **event_log_settings(log)})
    wanted = 2 if name == "a mistake" else 0
    if program.code != wanted:
        sys.exit(f"{name} ended with {program.code}:\n{program.output}")
    commits = _commits(folder) - before
    return Measured(program, read_event_log(log), commits, read_queries(log))


def _bare(measured: dict[str, Measured]) -> float:
    """CPU seconds of the bare program: the mean of before and after, as far as it has run."""
    return fmean(measured[name].program.cpu for name in BARE if name in measured)


def _commits(folder: str) -> int:
    return sum(1 for _ in Path(folder).glob("*/**/_delta_log/*.json"))


def table(measured: dict[str, Measured], master: str) -> Table:
    """A row per command."""
    shown = Table(title=f"the sample, {master}", title_justify="left")
    names = ("seconds", "CPU s", "of bare", "jobs", "queries", "stages", "tasks", "commits")
    for name in ("", *names, "shuffled kB", "to driver kB", "workers", "imports, s"):
        shown.add_column(name, justify="left" if name in ("", "imports, s") else "right")
    bare = _bare(measured)
    for name, each in measured.items():
        work = each.work
        counts = (work.jobs, work.queries, work.stages, work.tasks, each.commits)
        sizes = (work.shuffled / 1e3, work.to_driver / 1e3)
        shown.add_row(
            name,
            f"{each.program.wall:.1f}",
            f"{each.program.cpu:.1f}",
            f"{each.program.cpu / bare:.2f}",
            *(f"{count:,}" for count in counts),
            *(f"{size:,.0f}" for size in sizes),
            str(each.program.workers),
            ", ".join(f"{name} {took:.1f}" for name, took in each.program.imports.items()),
        )
    return shown


def table_of_queries(queries: Sequence[Query]) -> Table:
    """A row per query."""
    shown = Table(title="queries", title_justify="left")
    for name in ("since, s", "seconds", "jobs", "tasks", "Python", "asked by"):
        shown.add_column(name, justify="left" if name == "asked by" else "right")
    for each in queries:
        python = "yes" if each.has_python else ""
        times = (f"{each.since:.1f}", f"{each.seconds:.2f}")
        shown.add_row(*times, str(each.jobs), str(each.tasks), python, each.asked)
    return shown


if __name__ == "__main__":
    main()
