"""`maintain` after many small commits: `python -m bench.speed.commits --commits 300`.

A store gets as many commits as a schedule makes in months: each appends the measurements of a few
examples to `stage_values` and `embeddings` and replaces the scores of their pool. Prints, per
table, files of the current version, seconds to count its rows and to ask for one fingerprint or
pool, before and after `maintain`, and the seconds that `maintain` took. Exits 1 where rows are lost
or a clustered table is left with as many files as before.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from pyspark.sql import functions as F

from bench.harness.scored import cpu_seconds
from instructmining.settings.loading import load_settings
from instructmining.spark.session import get_session
from instructmining.store.schemas import TABLES
from instructmining.store.tables import Store
from jobs.stored.maintain import maintain

_ROWS = 20  # of one commit
_WIDTH = 384
_TABLES = ("stage_values", "embeddings", "scores")


class State(NamedTuple):
    """One table at one time."""

    files: int
    rows: int
    seconds: float  # to count all rows and then those of one value that it is clustered by


def main(argv: Sequence[str] | None = None) -> None:
    """Commit, look, maintain, look again."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--commits", type=int, default=300, help="to each of the tables")
    chosen = parser.parse_args(argv)
    spark, _ = get_session()
    hours = load_settings().maintain.retention_hours
    good = True
    with TemporaryDirectory() as folder:
        store = Store.open(spark, str(Path(folder) / "store"))
        for table in _TABLES:
            busy, started = cpu_seconds(), time.monotonic()
            for number in range(chosen.commits):
                commit(store, table, number)
            written = (time.monotonic() - started, cpu_seconds() - busy)
            before = state(store, table)
            busy, started = cpu_seconds(), time.monotonic()
            maintain(store, table, hours, False)
            took = (time.monotonic() - started, cpu_seconds() - busy)
            after = state(store, table)
            print(
                f"{table:<13} {chosen.commits:,} commits in {written[0]:.0f} s, "
                f"{written[1]:.0f} CPU s; files {before.files:,} → {after.files:,}; two queries "
                f"{before.seconds:.1f} → {after.seconds:.1f} s; maintain {took[0]:.1f} s, "
                f"{took[1]:.1f} CPU s",
                flush=True,
            )
            compact = after.files < before.files or before.files == 1
            good &= before.rows == after.rows and compact
    spark.stop()
    sys.exit(0 if good else 1)


def commit(store: Store, table: str, number: int) -> None:
    """A few rows of their own, or the pool's scores again."""
    replaces = table == "scores"
    first = 0 if replaces else number * _ROWS
    key = F.md5(F.col("id").cast("string"))
    values = {
        "example_id": key,
        "bucket": F.conv(F.substring(key, 1, 3), 16, 10).cast("int"),
        "fingerprint": F.lit("made-up"),
        "pool": F.lit(f"pool {number % 10}"),
        "rule_name": F.lit("paper-v1"),
        "rule_version": F.lit("1"),
        "status": F.lit("ok"),
        "stage": F.lit("reward"),
        "run_id": F.lit(f"run {number}"),
        "values": F.create_map(F.lit("reward"), F.rand(number)),
        "vector": F.array_repeat(F.lit(_WIDTH**-0.5).cast("float"), _WIDTH),
        "predicted_log_loss": F.rand(number),
        "inputs_version": F.lit(str(number)),
    }
    numbers = store.spark.range(first, first + _ROWS, 1, 1)
    rows = numbers.select(
        *(
            values.get(column.name, F.lit(None)).cast(column.type).alias(column.name)
            for column in TABLES[table].columns
        )
    )
    if replaces:
        names = ("rule_name", "rule_version")
        where = {"pool": f"pool {number % 10}", **dict(zip(names, ("paper-v1", "1"), strict=True))}
        store.replace(rows, table, where, {})
    else:
        store.append(rows, table, {"run_id": f"run {number}"})


def state(store: Store, table: str) -> State:
    """Its files now, and what two questions take."""
    detail = store.spark.sql(f"DESCRIBE DETAIL {store.sql_name(table)}").first()
    assert detail is not None  # noqa: S101 - the table exists
    column = TABLES[table].cluster_by[0]
    value = "pool 3" if column == "pool" else "made-up"
    started = time.monotonic()
    rows = store.read(table).count()
    store.read(table).where(F.col(column) == value).agg(F.max("example_id")).collect()
    return State(int(detail.numFiles), rows, time.monotonic() - started)


if __name__ == "__main__":
    main()
