"""Rows added to several tables at once, each where its table lacks it.

Few rows are sent to the keys that a table has, and only what meets them goes on: the keys are read,
but neither sorted nor shuffled, however many there are. Many rows meet the keys in a shuffle.
"""

from collections.abc import Mapping, Sequence
from functools import partial, reduce
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from instructmining.store.tables import Store

FEW = 100_000  # rows whose keys every task can hold, some 20 MB


def insert_missing(
    store: Store,
    rows_by_table: Mapping[str, tuple[DataFrame, Sequence[str]]],
    transaction: str,
    about: Mapping[str, Any],
    are_few: bool = False,
) -> dict[str, int]:
    """Add the rows whose keys a table does not have; what all tables lack is counted in one query.

    Args:
        store: where the tables are.
        rows_by_table: by table the rows, each key once, and the names of the key's columns.
        transaction: unique per call.
        about: goes into the commits' metadata as JSON.
        are_few: whether no table is given more than `FEW` rows.

    Returns:
        By table, how many rows were added.
    """
    versions = {table: store.version(table) for table in rows_by_table}
    missing = {
        table: partial(_lacking, store, table, rows, list(keys), are_few)
        for table, (rows, keys) in rows_by_table.items()
    }
    counts = _rows_of({table: lacking() for table, lacking in missing.items()})
    return {
        table: store.insert(
            lacking,
            table,
            f"{transaction}/{table}",
            about,
            seen=(versions[table], counts[table]),
        )
        for table, lacking in missing.items()
    }


def _rows_of(frames: Mapping[str, DataFrame]) -> dict[str, int]:
    counted = (
        frame.agg(F.count("*").alias("rows")).withColumn("name", F.lit(name))
        for name, frame in frames.items()
    )
    united = reduce(DataFrame.unionByName, counted)
    return {row["name"]: row["rows"] for row in united.collect()}


def _lacking(
    store: Store, table: str, rows: DataFrame, keys: list[str], are_few: bool
) -> DataFrame:
    stored = store.read(table).select(*keys)
    if are_few:
        stored = stored.join(F.broadcast(rows.select(*keys)), keys, "left_semi")
    return rows.join(stored, keys, "left_anti")
