"""Stored vectors brought to the driver: `python -m bench.speed.gather --rows 1000000`.

A store with embeddings, committed range by range as a run does, is read twice: part by part as
`jobs.stored.vectors` does, and with the same parts cut out above the join, which reads and shuffles
every vector for each part. Prints CPU seconds of all processes, wall seconds, the rows that Spark
read and the MiB that it shuffled, and the peak of the driver. Exits 1 where the two differ, or
where ours shuffles more than each vector once.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from rich.console import Console
from rich.table import Table

from bench.harness.scored import cpu_seconds
from bench.speed.knn import made_vectors
from bench.speed.memory import peak_of_driver
from instructmining.identity import BUCKETS
from instructmining.spark.session import get_session
from instructmining.store.planning import members
from instructmining.store.schemas import TABLES
from instructmining.store.tables import Store
from jobs.stored.vectors import gathered, of_encoder, width_of, with_vectors
from udfs.on_spark.arrow import vector_lists, vectors

_COMMITTED = 20_000  # rows of one commit
_PART_ROWS = 100_000  # of the arm that cuts above the join

Answer = tuple[list[str], np.ndarray]


class Moved(NamedTuple):
    """What Spark did since it started."""

    read: int  # rows
    shuffled_rows: int
    shuffled: int  # bytes


def main() -> None:
    """Write a store, read it in both ways, print, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--folder", help="where the store is written; default: a temporary one")
    chosen = parser.parse_args()
    table = Table(title=f"{chosen.rows:,} x {chosen.width} vectors to the driver")
    for name in ("arm", "CPU s", "wall s", "rows read", "MiB shuffled", "driver, peak GiB"):
        table.add_column(name, justify="left" if name == "arm" else "right")
    spark, _ = get_session()
    with TemporaryDirectory(dir=chosen.folder) as folder:
        pool, embedded = written(spark, chosen.rows, chosen.width, Path(folder))
        answer, moved = timed(table, "ours", spark, lambda: ours(pool, embedded, chosen.rows))
        other, _ = timed(
            table, "cut above the join", spark, lambda: cut_above(pool, embedded, chosen.rows)
        )
    Console(width=120).print(table)
    if answer[0] != other[0] or not np.array_equal(answer[1], other[1]):
        sys.exit("the two arms give different vectors")
    if moved.shuffled > 1.5 * answer[1].nbytes:  # beside each vector its id, and Spark's headers
        sys.exit(f"{moved.shuffled:,} bytes shuffled for {answer[1].nbytes:,} bytes of vectors")


def ours(pool: DataFrame, embedded: DataFrame, rows: int) -> Answer:
    """As a run gathers them."""
    ids, matrix, _ = gathered(pool, embedded, rows, width_of(embedded))
    return ids, matrix


def cut_above(pool: DataFrame, embedded: DataFrame, rows: int) -> Answer:
    """Every part is a condition on the joined rows."""
    joined = with_vectors(pool, embedded)
    parts = -(-rows // _PART_ROWS)
    ids: list[str] = []
    found = []
    for part in range(parts):
        of_part = joined.where(F.floor(F.col("bucket") * parts / BUCKETS) == part)
        table = of_part.select("example_id", "vector").toArrow().sort_by("example_id")
        ids += table["example_id"].to_pylist()
        found.append(vectors(table["vector"]))
    return ids, np.concatenate(found)


def timed(
    table: Table, name: str, spark: SparkSession, arm: Callable[[], Answer]
) -> tuple[Answer, Moved]:
    """Run one arm and add its row to the table."""
    before = moved_so_far(spark)
    busy = cpu_seconds()
    started = time.monotonic()
    with peak_of_driver() as peak:
        answer = arm()
    wall = time.monotonic() - started
    busy = cpu_seconds() - busy
    after = moved_so_far(spark)
    moved = Moved(*(now - then for now, then in zip(after, before, strict=True)))
    table.add_row(
        name,
        f"{busy:.1f}",
        f"{wall:.1f}",
        f"{moved.read:,}",
        f"{moved.shuffled / 2**20:,.0f}",
        f"{peak():.2f}",
    )
    return answer, moved


def moved_so_far(spark: SparkSession) -> Moved:
    """Over all stages of the session that Spark still knows."""
    context: Any = spark.sparkContext._jsc.sc()
    context.listenerBus().waitUntilEmpty()  # until Spark has counted what the last stage did
    nothing = spark.sparkContext._gateway.new_array(spark._jvm.double, 0)  # type: ignore[union-attr]
    tasks = spark._jvm.java.util.ArrayList()  # type: ignore[union-attr]
    stages = context.statusStore().stageList(None, False, False, nothing, tasks)
    all_stages = [stages.apply(i) for i in range(stages.size())]
    return Moved(
        sum(stage.inputRecords() for stage in all_stages),
        sum(stage.shuffleWriteRecords() for stage in all_stages),
        sum(stage.shuffleWriteBytes() for stage in all_stages),
    )


def written(
    spark: SparkSession, rows: int, width: int, folder: Path, per_commit: int = _COMMITTED
) -> tuple[DataFrame, DataFrame]:
    """A store with a pool of that many examples, and a vector of each; its members and vectors."""
    draw = np.random.default_rng(0)
    ids = np.sort([draw.bytes(16).hex() for _ in range(rows)])
    file = folder / "vectors.parquet"
    columns = {"example_id": ids, "vector": vector_lists(made_vectors(rows, width))}
    pq.write_table(pa.table(columns), file, row_group_size=per_commit)
    read = spark.read.parquet(str(file)).selectExpr(
        "*",
        "INT(conv(substring(example_id, 1, 3), 16, 10)) AS bucket",
        "'bench' AS fingerprint",
        "'bench' AS pool",
        "'bench' AS source",
        "1L AS position",
        "'ok' AS status",
        "'bench' AS run_id",
    )
    store = Store.open(spark, str(folder / "store"))
    _append(store, read, "occurrences")
    commits = -(-rows // per_commit)
    for commit in range(commits):
        low, high = (BUCKETS * each // commits for each in (commit, commit + 1))
        part = read.where(F.col("bucket").between(low, high - 1))
        _append(store, part, "embeddings")
    return members(store, "bench"), of_encoder(store, F.col("fingerprint") == "bench")


def _append(store: Store, rows: DataFrame, table: str) -> None:
    """The columns that both have; the table's others are null."""
    names = [name for name in TABLES[table].names if name in rows.columns]
    nothing = store.spark.createDataFrame([], TABLES[table].ddl)
    whole = nothing.unionByName(rows.select(names), allowMissingColumns=True)
    store.append(whole, table, {})


if __name__ == "__main__":
    main()
