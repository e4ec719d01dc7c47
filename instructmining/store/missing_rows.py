"""Rows added to several tables at once, each where its table lacks it."""

from collections.abc import Mapping, Sequence
from functools import partial, reduce
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from instructmining.store.tables import Store


def insert_missing(
    store: Store,
    rows_by_table: Mapping[str, tuple[DataFrame, Sequence[str]]],
    transaction: str,
    about: Mapping[str, Any],
) -> dict[str, int]:
    """Add the rows whose keys a table does not have; what all tables lack is counted in one query.

    Args:
        store: where the tables are.
        rows_by_table: by table the rows, each key once, and the names of the key's columns.
        transaction: unique per call.
        about: goes into the commits' metadata as JSON.

    Returns:
        By table, how many rows were added.
    """
    versions = {table: store.version(table) for table in rows_by_table}
    missing = {
        table: partial(_lacking, store, table, rows, keys)
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


def _lacking(store: Store, table: str, rows: DataFrame, keys: Sequence[str]) -> DataFrame:
    keys = list(keys)
    return rows.join(store.read(table).select(*keys), keys, "left_anti")
