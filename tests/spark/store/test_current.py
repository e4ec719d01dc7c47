"""Reports, views and queries show what sources hold today, not what they once held."""

from pathlib import Path

from pyspark.sql import SparkSession

from instructmining.report.scored import _records
from instructmining.store.current import current_occurrences
from instructmining.store.queries import read_queries
from instructmining.store.schemas import TABLES
from instructmining.store.tables import Store
from instructmining.store.views import create_views
from jobs.stored.erase import _sources

QUERIES = str(Path(__file__).parents[3] / "docs" / "queries.sql")
IDS = [f"{number:032x}" for number in range(3)]
ROWS = [("a.jsonl", 1, IDS[0]), ("a.jsonl", 2, IDS[1]), ("b.jsonl", 1, IDS[1])]
GONE = [("a.jsonl", 1, IDS[0]), ("a.jsonl", 2, IDS[1])]


def filled(spark: SparkSession, target: str) -> Store:
    """A store of three occurrences; two of them stand in an edited source no more."""
    store = Store.open(spark, target)
    for table, rows in (("occurrences", ROWS), ("stale_occurrences", GONE)):
        columns = ", ".join(f"`{c.name}` {c.type}" for c in TABLES[table].columns)
        known = ["pool", "source", "position", "example_id", "run_id"]
        frame = spark.createDataFrame([("p", *row, "run") for row in rows], known)
        empty = spark.createDataFrame([], columns)
        whole = empty.unionByName(frame, allowMissingColumns=True)
        store.append(whole, table, f"run/{table}", {"run_id": "run"})
    return store


def test_what_a_source_holds_no_more_is_in_no_count_view_or_list(
    spark: SparkSession, store_path: str
) -> None:
    store = filled(spark, store_path)
    assert current_occurrences(store, None).count() == 1
    assert _records(store, "p") == (("b.jsonl", 1),)
    assert _sources(store, IDS) == ["b.jsonl record 1"]
    for statement in read_queries(QUERIES, store_path, "p", "rule")["current_occurrences"]:
        spark.sql(statement)
    assert spark.table("occurrences").count() == 1
    spark.sql("DROP VIEW occurrences")


def test_views_of_a_schema_show_what_sources_hold_today(spark: SparkSession) -> None:
    spark.sql("CREATE SCHEMA IF NOT EXISTS edited")
    try:
        store = filled(spark, "edited")
        empty = ", ".join(f"`{c.name}` {c.type}" for c in TABLES["quarantine"].columns)
        store.append(spark.createDataFrame([], empty), "quarantine", "q", {"run_id": "run"})
        create_views(store)
        rows = spark.table("edited.records").collect()
        assert [(row.source, row.outcome) for row in rows] == [("b.jsonl", "example")]
    finally:
        spark.sql("DROP SCHEMA edited CASCADE")
