"""What a schedule pays for reading: `python -m bench.speed.incremental --rows 50000 200000`.

A folder of JSON lines is read into a pool; then again as it is, with a hundredth of new rows in a
file of their own, and with one file edited in place. Prints wall and CPU seconds of all processes,
as a share of the first reading too; with several sizes also what a reading costs however small the
pool is, and what it costs per row. Exits 1 where a run reads more or adds less than it should. The
session is started, and a small folder read, before; models, neighbours and the rule are not part
of it.
"""

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.formats import run_command
from bench.harness.scored import cpu_seconds
from bench.speed.large import record
from instructmining.spark.session import get_session

_WORDS = 60  # of a response
_WARM_UP = 1_000  # rows that are read before anything is measured: classes are loaded
_READ = re.compile(r"not read again: ([\d,]+) sources")
_NEW = re.compile(r"new in the store: ([\d,]+) examples")


class Reading(NamedTuple):
    """One run: what it took and what it said."""

    wall: float
    cpu: float
    unchanged: int  # sources that were not read again
    new: int  # examples


def write(folder: Path, name: str, first: int, rows: int) -> None:
    """A file of `rows` records that no other has, numbered from `first`."""
    lines = (record(number, _WORDS) for number in range(first, first + rows))
    (folder / f"{name}.jsonl").write_text("".join(lines))


def read(folder: Path, store: Path) -> Reading:
    """Read the folder into the store's pool.

    Raises:
        RuntimeError: the command failed.
    """
    cpu = cpu_seconds()
    began = time.monotonic()
    code, out, err = run_command([folder], store, ())
    wall = time.monotonic() - began
    if code:
        raise RuntimeError(err)
    return Reading(wall, cpu_seconds() - cpu, _number(_READ, out), _number(_NEW, out))


def _number(pattern: re.Pattern[str], text: str) -> int:
    found = pattern.search(text)
    return int(found[1].replace(",", "")) if found else 0


def main(argv: Sequence[str] | None = None) -> None:
    """Read four times at each size and print a line for each, then what grows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[50_000, 200_000])
    parser.add_argument("--files", type=int, default=100)
    chosen = parser.parse_args(argv)
    spark, _ = get_session()
    readings(_WARM_UP, 10)
    found = {}
    for rows in chosen.rows:
        print(f"{rows:,} rows in {chosen.files:,} files")
        found[rows] = readings(rows, chosen.files)
        for name, run in found[rows].items():
            print(line(name, run, found[rows]["first"]), flush=True)
    spark.stop()
    if len(found) > 1:
        print(growth(found))
    right = [as_wanted(rows, chosen.files, runs) for rows, runs in found.items()]
    sys.exit(0 if all(right) else 1)


def readings(rows: int, files: int) -> dict[str, Reading]:
    """The four readings of a folder that is made for them."""
    each = rows // files
    part = max(1, rows // 100)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "in"
        store = Path(place) / "store"
        folder.mkdir()
        for number in range(files):
            write(folder, f"{number:05}", number * each, each)
        runs = {"first": read(folder, store), "unchanged": read(folder, store)}
        write(folder, "later", rows, part)
        runs["new rows"] = read(folder, store)
        write(folder, "00000", 2 * rows, each)
        runs["one file edited"] = read(folder, store)
    return runs


def line(name: str, run: Reading, first: Reading) -> str:
    """What one reading took, and its share of the first."""
    return (
        f"{name:<18} {run.wall:7.1f} s {run.cpu:7.1f} CPU s "
        f"({run.wall / first.wall:.3f} and {run.cpu / first.cpu:.3f} of the first), "
        f"{run.unchanged:,} sources not read, {run.new:,} new examples"
    )


def growth(found: Mapping[int, Mapping[str, Reading]]) -> str:
    """Of each reading what is paid once, and what each 1,000 stored rows add to it."""
    sizes = list(found)
    slopes = {}
    lines = ["CPU s that are paid once, and that each 1,000 rows of the pool add"]
    for name in found[sizes[0]]:
        costs = [found[size][name].cpu for size in sizes]
        slope, once = np.polyfit(sizes, costs, 1)
        slopes[name] = slope
        share = slope / slopes["first"]
        lines.append(f"{name:<18} {once:7.1f} {1000 * slope:9.4f} ({share:.3f} of the first)")
    return "\n".join(lines)


def as_wanted(rows: int, files: int, runs: Mapping[str, Reading]) -> bool:
    """Whether each reading left alone, and added, what it should."""
    wanted = [(0, rows), (files, 0), (files, max(1, rows // 100)), (files, rows // files)]
    return [(run.unchanged, run.new) for run in runs.values()] == wanted


if __name__ == "__main__":
    main()
