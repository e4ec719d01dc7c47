"""All steps without a model, on large pools: `python -m bench.speed.million --rows 1000000`.

    python -m bench.speed.million --rows 10000 40000 200000 --only neighbours,rule

Rows are made up and read from a folder of Parquet and from one of JSON lines. Once all are scored,
a hundredth of new rows comes, whose neighbours are measured against the pool as it was; what all of
it costs is told as a share of the first time. The numbers of the models are made up too
(`bench.harness.made_numbers`). Every step is a command of its own with a driver of 3 GB: its CPU
seconds and wall seconds, the largest resident size of the Python driver, of the JVM (in which a
local master has its tasks) and of a Python worker, and the bytes that the tasks sent to the driver,
by Spark's event log. With several sizes the power of the rows that CPU seconds grow with, also
beside what is paid once, and that of the bytes at the driver; `--printed FILE` tells these of what
was printed before.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from bench.harness.arms import machine
from bench.harness.event_log import SparkWork, event_log_settings, read_event_log
from bench.harness.programs import Program, run_program
from bench.harness.texts import records
from bench.speed.cost import loglog_slope, power_beside_fixed

FILES = 200
_WORDS = 60  # of a response
_CHOSEN = 500  # rows of a selection, whatever the pool: the candidates are 20 times as many
# Spark may bring up to 10 MB of each join to the driver where that is quicker: what is looked for
# here is what must go there.
_SETTINGS = (
    "spark.driver.memory=3g",
    "canary.rows=0",
    "spark.sql.autoBroadcastJoinThreshold=-1",
    "spark.sql.adaptive.autoBroadcastJoinThreshold=-1",
)
_MODELS = "reward,perplexity,embed,mtld"
_FIRST = "read Parquet"
_FILLING = (_FIRST, "made numbers", "read 1 % new", "made numbers of new")
# What a schedule pays for a hundredth of new rows, beside what the first run paid.
_AGAIN = {
    "reading and rule": (("read 1 % new", "rule with new"), (_FIRST, "rule")),
    "neighbours": (("neighbours of new",), ("neighbours",)),
}

_LINE = re.compile(
    r"^ *(?P<rows>[\d,]+)  (?P<name>\S.*?) +(?P<cpu>[\d.]+) CPU s .* (?P<to_driver>[\d.]+) MB to",
    re.MULTILINE,
)

File = Callable[[Path, int, int], None]  # path without suffix, first row, rows


class Cost(NamedTuple):
    """What grows, as a printed line has it."""

    rows: int
    name: str
    cpu: float
    to_driver: float  # MB


class Step(NamedTuple):
    """One command."""

    rows: int
    name: str
    program: Program
    work: SparkWork


def main(argv: Sequence[str] | None = None) -> None:
    """Run every size, print a line per step, then the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 40_000])
    parser.add_argument("--printed", help="a file with lines of earlier calls; nothing is run")
    parser.add_argument("--folder", help="where all of it is written; default: a temporary one")
    parser.add_argument("--master", default="local[2]")
    parser.add_argument("--only", help="steps by name, separated by commas; the store's come first")
    parser.add_argument("--set", action="append", default=[], dest="sets", metavar="A.B=VALUE")
    chosen = parser.parse_args(argv)
    console = Console(width=140)
    if chosen.printed:
        console.print(powers(costs_in(Path(chosen.printed).read_text(encoding="utf-8"))))
        return
    console.print("; ".join(f"{name} {value}" for name, value in machine().items()))
    only = set(chosen.only.split(",")) if chosen.only else set()
    found: list[Step] = []
    lines: list[str] = []
    for rows in chosen.rows:
        with TemporaryDirectory(dir=chosen.folder) as folder:
            for step in run(rows, Path(folder), chosen.master, chosen.sets, only):
                found.append(step)
                lines.append(line(step))
                print(lines[-1], flush=True)
        print(again(rows, found), flush=True)
    if len(chosen.rows) > 1:
        console.print(powers(costs_in("\n".join(lines))))


def run(
    rows: int, folder: Path, master: str, sets: Sequence[str], only: set[str]
) -> Iterator[Step]:
    """The steps over that many rows, one after another; those that fill the store always run."""
    for name, command in steps(rows, folder):
        if only and name not in only and name not in _FILLING:
            continue
        log = folder / "events" / name.replace(" ", "_").replace("%", "")
        log.mkdir(parents=True)
        given = [*_SETTINGS, *sets, *(f"{k}={v}" for k, v in event_log_settings(log).items())]
        options = [part for setting in given for part in ("--set", setting)]
        program = run_program([*command, *options], {"SPARK_MASTER": master})
        if program.code:
            sys.exit(f"{name} of {rows:,} rows ended with {program.code}:\n{program.output}")
        yield Step(rows, name, program, read_event_log(log))


def steps(rows: int, folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Name and arguments of Python; what a step reads is written just before it."""
    store = str(folder / "store")
    shared = ["--store", store, "--tracking-uri", "none"]
    score = ["-m", "jobs.cli", "score", *shared]
    select = ["-m", "jobs.cli", "select", *shared, "--rule", "paper-v1"]
    parquet, lines = folder / "parquet", folder / "lines"
    write(parquet, rows, _parquet_file)
    yield _FIRST, [*score, "--stages", "ingest", "--input", str(parquet)]
    write(lines, rows, _lines_file)
    other = ["--store", str(folder / "other"), "--tracking-uri", "none"]
    read_lines = ["-m", "jobs.cli", "score", *other, "--stages", "ingest", "--input", str(lines)]
    yield "read JSON lines", read_lines
    made = ["-m", "bench.harness.made_numbers", store]
    neighbors = [*score, "--stages", "embed,knn"]
    rule = [*score, "--stages", f"{_MODELS},rule", "--rule", "paper-v1"]
    yield "made numbers", made
    yield "neighbours", neighbors
    yield "rule", rule
    _parquet_file(parquet / "later", rows, max(1, rows // 100))
    yield "read 1 % new", [*score, "--stages", "ingest", "--input", str(parquet)]
    yield "made numbers of new", made
    yield "neighbours of new", [*neighbors, "--knn-reference", "frozen"]
    yield "rule with new", rule
    some = ["--quota", "00*=0.5", "--quota", "01*=0.5"]
    to = ["--to", str(folder / "chosen.jsonl"), "--overwrite"]
    yield "select by quotas", [*select, "--top", str(_CHOSEN), *some, *to]
    yield "select diversity", [*select, "--top", str(_CHOSEN), "--diversity", "cosine", *to]
    yield "report", ["-m", "jobs.cli", "report", *shared, "--to", str(folder / "page.html")]
    yield "maintain", ["-m", "jobs.cli", "maintain", "--store", store]


def write(folder: Path, rows: int, file: File) -> None:
    """The rows in `FILES` files."""
    folder.mkdir()
    each = rows // FILES
    for number in range(FILES):
        file(folder / f"{number:03}", number * each, each)


def _parquet_file(path: Path, first: int, rows: int) -> None:
    lines = list(records(first, first + rows, _WORDS))
    pq.write_table(pa.Table.from_pylist(lines), path.with_suffix(".parquet"))


def _lines_file(path: Path, first: int, rows: int) -> None:
    lines = (json.dumps(each) + "\n" for each in records(first, first + rows, _WORDS))
    path.with_suffix(".jsonl").write_text("".join(lines))


def line(step: Step) -> str:
    """What one step took."""
    peaks = {name: size / 2**30 for name, size in step.program.peaks.items()}
    work = step.work
    return (
        f"{step.rows:>9,}  {step.name:<18} {step.program.cpu:8.1f} CPU s {step.program.wall:8.1f} s"
        f"   driver {peaks['driver']:.2f}, JVM {peaks['jvm']:.2f}, worker {peaks['worker']:.2f} GiB"
        f"   {work.to_driver / 1e6:8.2f} MB to the driver, {work.shuffled / 1e6:9.1f} shuffled, "
        f"{work.jobs} jobs, {work.tasks:,} tasks"
    )


def again(rows: int, found: Sequence[Step]) -> str:
    """Cost of the new hundredth as a share of the first time, of the steps that were run."""
    cpu = {step.name: step.program.cpu for step in found if step.rows == rows}
    lines = []
    for name, (later, first) in _AGAIN.items():
        if cpu.keys() >= {*later, *first}:
            once, new = (sum(cpu[step] for step in steps) for steps in (first, later))
            lines.append(f"{rows:>9,}  {name}: {new:.1f} of {once:.1f} CPU s ({new / once:.3f})")
    return "\n".join(lines)


def costs_in(text: str) -> list[Cost]:
    """Of the lines that `line` made."""
    return [
        Cost(
            int(found["rows"].replace(",", "")),
            found["name"],
            float(found["cpu"]),
            float(found["to_driver"]),
        )
        for found in _LINE.finditer(text)
    ]


def powers(found: Sequence[Cost]) -> Table:
    """Per step, how CPU seconds and bytes at the driver grow with the rows."""
    table = Table(title="powers of the rows", title_justify="left")
    for name in ("step", "CPU seconds", "beside what is paid once", "MB to the driver"):
        table.add_column(name, justify="left" if name == "step" else "right")
    for name in dict.fromkeys(cost.name for cost in found):
        of_step = [cost for cost in found if cost.name == name]
        sizes = [cost.rows for cost in of_step]
        cpu = [cost.cpu for cost in of_step]
        if len(set(sizes)) < 2:
            continue
        table.add_row(
            name,
            f"{loglog_slope(sizes, cpu):.2f}",
            f"{power_beside_fixed(sizes, cpu):.2f}" if len(set(sizes)) > 2 else "",
            f"{loglog_slope(sizes, [cost.to_driver for cost in of_step]):.2f}",
        )
    return table


if __name__ == "__main__":
    main()
