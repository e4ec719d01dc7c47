"""What a schedule pays for reading: `python -m bench.speed.incremental --rows 1000000`.

A folder of JSON lines is read into a pool; then again as it is, with a hundredth of new rows in a
file of their own, and with one file edited in place. Prints wall and CPU seconds of all processes,
as a share of the first reading too, and exits 1 where a run reads more or adds less than it should.
The session is started before; models, neighbours and the rule are not part of it.
"""

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench.formats import run_command
from bench.harness.scored import cpu_seconds
from bench.speed.large import record
from instructmining.spark.session import get_session

_WORDS = 60  # of a response
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
    """Read four times and print a line for each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--files", type=int, default=100)
    chosen = parser.parse_args(argv)
    each = chosen.rows // chosen.files
    part = max(1, chosen.rows // 100)
    spark, _ = get_session()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "in"
        store = Path(place) / "store"
        folder.mkdir()
        for number in range(chosen.files):
            write(folder, f"{number:05}", number * each, each)
        runs = {"first": read(folder, store), "unchanged": read(folder, store)}
        write(folder, "later", chosen.rows, part)
        runs[f"{part:,} new rows"] = read(folder, store)
        write(folder, "00000", 2 * chosen.rows, each)
        runs["one file edited"] = read(folder, store)
    spark.stop()
    print(f"{chosen.rows:,} rows in {chosen.files:,} files")
    for name, run in runs.items():
        shares = (run.wall / runs["first"].wall, run.cpu / runs["first"].cpu)
        print(
            f"{name:<18} {run.wall:7.1f} s {run.cpu:7.1f} CPU s "
            f"({shares[0]:.3f} and {shares[1]:.3f} of the first), "
            f"{run.unchanged:,} sources not read, {run.new:,} new examples"
        )
    wanted = [(0, chosen.rows), (chosen.files, 0), (chosen.files, part), (chosen.files, each)]
    sys.exit(0 if [(run.unchanged, run.new) for run in runs.values()] == wanted else 1)


if __name__ == "__main__":
    main()
