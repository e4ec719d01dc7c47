"""`maintain` after thousands of small commits: `python -m bench.speed.commits --commits 10000`.

A store gets as many commits as a schedule makes in months: each appends the measurements of a few
examples to `stage_values` and `embeddings` and replaces the scores of their pool. The product makes
the first of them, the last ten, and every 500th, which writes a checkpoint; the others are copies
of its commits (`bench.harness.delta_history`). Prints, per table, what there is and what two
queries and a commit cost: at the first commits, at all, after `maintain`, and after a second one
that finds the replaced files older than the retention. Readers and writers begin as a new program
does, without what Delta remembers of the table. Exits 1 where rows are lost or a clustered table is
left with as many files as before.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from pyspark.sql import functions as F
from rich.console import Console
from rich.table import Table

from bench.harness.made_commits import COMMITTED, LAST, VALUES, commit, expected, lengthen
from bench.harness.scored import cpu_seconds
from bench.speed.memory import peak_memory
from instructmining.settings.loading import load_settings
from instructmining.spark.session import get_session
from instructmining.store.schemas import TABLES
from instructmining.store.tables import Store
from jobs.stored.maintain import maintain, unchecked_retention

_FIRST = 30  # commits that the product makes before there are copies
_HEADINGS = (
    *("version", "files", "stored", "log files", "checkpoint, kB"),
    *("two queries", "first commit", "a commit", "with checkpoint"),
)
_WIDE = 150  # characters


class Took(NamedTuple):
    """What something took, by the clock and of all processors."""

    wall: float
    cpu: float

    def __str__(self) -> str:
        return f"{self.wall:.1f} / {self.cpu:.1f}"


class State(NamedTuple):
    """One table at one time.

    Attributes:
        version: the newest.
        files: of it.
        stored: Parquet files in the folder, those of older versions too.
        logged: files in the folder of the log, Hadoop's sums too.
        checkpoint: bytes of the largest in the log.
        rows: by the log, and of one value as many as a query reads.
        queries: what both took.
        commits: what each of some further commits took; the first begins as the queries do, without
            what Delta remembers of the table.
    """

    version: int
    files: int
    stored: int
    logged: int
    checkpoint: int
    rows: tuple[int, int]
    queries: Took
    commits: list[Took]

    def cells(self) -> list[str]:
        """As the printed table shows it."""
        counts = (self.version, self.files, self.stored, self.logged, self.checkpoint // 1000)
        first, *others = self.commits
        others.sort(key=lambda took: took.cpu)
        times = (self.queries, first, others[len(others) // 2], others[-1])
        return [*(f"{count:,}" for count in counts), *map(str, times)]


def main(argv: Sequence[str] | None = None) -> None:
    """Commit, look, maintain, look again."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--commits", type=int, default=300, help="to each table; 50 at least")
    parser.add_argument("--days", type=float, default=0.0, help="that they are spread over")
    parser.add_argument("--log-hours", type=int, help="as of `maintain`")
    parser.add_argument("--tables", default=",".join(COMMITTED), help="only these")
    chosen = parser.parse_args(argv)
    if chosen.commits < _FIRST + 2 * LAST:
        parser.error("--commits: 50 at least")
    spark, _ = get_session()
    good = True
    with TemporaryDirectory() as folder, peak_memory() as peak:
        store = Store.open(spark, str(Path(folder) / "store"))
        for table in chosen.tables.split(","):
            good &= through(store, table, chosen.commits, chosen.days, chosen.log_hours)
        heap = spark.conf.get("spark.driver.memory")
        print(f"largest process {peak():.2f} GiB; spark.driver.memory {heap}")
    spark.stop()
    sys.exit(0 if good else 1)


def through(
    store: Store, table: str, commits: int, days: float, log_hours: int | None = None
) -> bool:
    """Print one table's figures; whether its rows stayed and its files became few."""
    for number in range(_FIRST):
        commit(store, table, number)
    states = {"first commits": state(store, table, _FIRST)}
    took = timed(lambda: lengthen(store, table, _FIRST + LAST, commits, days))
    states[f"more in {took}"] = state(store, table, commits)
    hours = load_settings().maintain.retention_hours
    took = timed(lambda: maintain(store, table, hours, False, log_hours))
    states[f"maintain, {took}"] = state(store, table, commits + LAST)
    with ExitStack() as stack:
        unchecked_retention(store.spark, stack)
        took = timed(lambda: maintain(store, table, 0, False, log_hours))
    states[f"the next, {took}"] = state(store, table, commits + 2 * LAST)
    show(f"{table}: seconds by the clock / CPU seconds", states)
    made = (_FIRST, commits, commits + LAST, commits + 2 * LAST)
    rows = [found.rows for found in states.values()]
    right = [expected(table, number) for number in made]
    if rows != right:
        print(f"{table} has {rows} rows instead of {right}")
    _, before, *maintained = (found.files for found in states.values())
    return rows == right and all(files < before or files == 1 for files in maintained)


def show(title: str, states: Mapping[str, State]) -> None:
    """One line for each time."""
    page = Table("after", title=title)
    for heading in _HEADINGS:
        page.add_column(heading, justify="right")
    for when, found in states.items():
        page.add_row(when, *found.cells())
    Console(width=_WIDE).print(page)


def state(store: Store, table: str, made: int) -> State:
    """What is there after `made` commits, what two queries take, and some commits more."""
    forget(store)
    rows: list[int] = []
    queries = timed(lambda: rows.extend(counts(store, table)))
    detail: Any = store.spark.sql(f"DESCRIBE DETAIL {store.sql_name(table)}").first()
    folder = Path(store.location(table))
    log = list(os.scandir(folder / "_delta_log"))
    version = store.version(table)
    forget(store)
    return State(
        version=version,
        files=int(detail.numFiles),
        stored=sum(file.name.endswith(".parquet") for file in os.scandir(folder)),
        logged=len(log),
        checkpoint=max(
            file.stat().st_size for file in log if file.name.endswith(".checkpoint.parquet")
        ),
        rows=(rows[0], rows[1]),
        queries=queries,
        commits=[timed(partial(commit, store, table, made + n)) for n in range(LAST)],
    )


def counts(store: Store, table: str) -> tuple[int, int]:
    """Rows by the statistics of the log, and those of one value, which are read."""
    column = TABLES[table].cluster_by[0]
    one = store.read(table).where(F.col(column) == VALUES[column])
    read: Any = one.agg(F.count("example_id"), F.max("example_id")).first()
    return store.read(table).count(), read[0]


def forget(store: Store) -> None:
    """Let Delta remember no table, as in a program that has just begun."""
    jvm: Any = store.spark._jvm
    jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()


def timed(work: Callable[[], Any]) -> Took:
    """Do it."""
    busy, started = cpu_seconds(), time.monotonic()
    work()
    return Took(time.monotonic() - started, cpu_seconds() - busy)


if __name__ == "__main__":
    main()
