"""Commits of made-up rows: by the product, and by copies of what it made, up to any number."""

from pathlib import Path

from pyspark.sql import functions as F

from bench.harness.delta_history import History
from instructmining.store.schemas import TABLES
from instructmining.store.tables import Store

COMMITTED = ("stage_values", "embeddings", "scores")  # tables
VALUES = {"fingerprint": "made-up", "pool": "pool 3"}  # one of each column to cluster by
LAST = 10  # commits that are the product's: of ten versions Delta makes a checkpoint of one
_ROWS = 20  # of one commit
_POOLS = 10
_WIDTH = 384
_EVERY = 500  # versions from one checkpoint to the next among the copies, a multiple of ten


def commit(store: Store, table: str, number: int) -> None:
    """A few rows of their own, or the pool's scores again."""
    replaces = table == "scores"
    first = 0 if replaces else number * _ROWS
    key = F.md5(F.col("id").cast("string"))
    values = {
        "example_id": key,
        "bucket": F.conv(F.substring(key, 1, 3), 16, 10).cast("int"),
        "fingerprint": F.lit(VALUES["fingerprint"]),
        "pool": F.lit(f"pool {number % _POOLS}"),
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
        where = {
            "pool": f"pool {number % _POOLS}",
            **dict(zip(names, ("paper-v1", "1"), strict=True)),
        }
        store.replace(rows, table, where, {})
    else:
        store.append(rows, table, {"run_id": f"run {number}"})


def lengthen(store: Store, table: str, made: int, commits: int, days: float) -> None:
    """Bring a table of `made` commits to `commits`; those that are not copied are the product's."""
    history = History(Path(store.location(table)), commits, days)
    while made < commits - LAST:
        # The version of a commit is its number from one on: the table was created by another.
        stop = min(made - made % _EVERY + _EVERY - 1, commits - LAST)
        history.copy(stop - made)
        commit(store, table, stop)
        made = stop + 1
    for number in range(made, commits):
        commit(store, table, number)


def expected(table: str, made: int) -> tuple[int, int]:
    """Rows after that many commits, and those of the value that `state` asks for."""
    if table == "scores":
        return min(made, _POOLS) * _ROWS, _ROWS
    return made * _ROWS, made * _ROWS
