"""Rows are added where their table lacks them, whether few of them are sent to all tasks or not."""

from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession

from instructmining.store.current import of_sources
from instructmining.store.missing_rows import insert_missing
from instructmining.store.tables import Store

KEY = ["source", "position", "content_hash"]


def rows(spark: SparkSession, names: str) -> DataFrame:
    lines = [(name, 1, name * 2, None, "why", None, "run") for name in names]
    ddl = (
        "source STRING, position BIGINT, content_hash STRING, raw STRING, reason STRING, "
        "detail STRING, run_id STRING"
    )
    return spark.createDataFrame(lines, ddl)


@pytest.mark.parametrize("are_few", [True, False])
def test_only_what_a_table_lacks_is_added(
    spark: SparkSession, tmp_path: Path, are_few: bool
) -> None:
    store = Store.open(spark, str(tmp_path / "store"))
    added = []
    for run, names in enumerate(("abc", "bcd", "abcd")):
        given = {"quarantine": (rows(spark, names), KEY)}
        added.append(insert_missing(store, given, f"run {run}", {}, are_few)["quarantine"])
    assert added == [3, 1, 0]
    stored = store.read("quarantine").orderBy("source").collect()
    assert "".join(row.source for row in stored) == "abcd"


def test_sources_are_found_whether_they_are_named_or_joined(spark: SparkSession) -> None:
    given = rows(spark, "abc")
    many = ["b", *map(str, range(200))]
    for sources in (["b"], many, []):
        found = [row.source for row in of_sources(given, sources).collect()]
        assert found == (["b"] if sources else [])
