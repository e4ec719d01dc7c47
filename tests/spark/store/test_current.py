"""Reports, views and queries show what sources hold today, not what they once held."""

import json
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from instructmining.report.canary import canary_of
from instructmining.report.scored import _records, open_scores
from instructmining.rules.canary import Preference
from instructmining.settings.sections import Tracking
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
    known = ["source", "position", "example_id"]
    for table, rows in (("occurrences", ROWS), ("stale_occurrences", GONE)):
        add(store, table, known, rows)
    return store


def add(store: Store, table: str, known: list[str], rows: list[tuple[Any, ...]]) -> None:
    """Rows of the pool p, of which only these columns are known."""
    columns = ", ".join(f"`{c.name}` {c.type}" for c in TABLES[table].columns)
    spark = store.spark
    frame = spark.createDataFrame([("p", "run", *row) for row in rows], ["pool", "run_id", *known])
    whole = spark.createDataFrame([], columns).unionByName(frame, allowMissingColumns=True)
    store.append(whole, table, {"run_id": "run"})


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


def test_a_report_is_of_current_examples_and_of_the_pairs_that_their_models_measured(
    spark: SparkSession, store_path: str, tmp_path: Path
) -> None:
    store = filled(spark, store_path)
    rule = tmp_path / "wet.json"
    rule.write_text(json.dumps({"name": "wet", "intercept": 1.0, "coefficients": {"reward": -1.0}}))
    known = ["example_id", "rule_name", "rule_version", "reward", "predicted_log_loss"]
    stored = [
        (name, "wet", "1", reward, -reward) for name, reward in zip(IDS, (9.0, 2.0), strict=False)
    ]
    add(store, "scores", known, stored)
    known = ["models", "kind", "example_id", "held_out", "real", "spoiled"]
    pairs = [
        ("before", "spam", IDS[1], True, {"reward": 7.0}, {"reward": 8.0}),
        ("now", "spam", IDS[1], True, {"reward": 2.0}, {"reward": 1.0}),
    ]
    add(store, "canary", known, pairs)
    scored = open_scores(store, "p", str(rule), Tracking(uri="none"))
    assert [row.example_id for row in scored.rows.collect()] == [IDS[1]]
    assert canary_of(scored) == [Preference("spam", 1.0, 1)]


def test_views_of_a_schema_show_what_sources_hold_today(spark: SparkSession) -> None:
    spark.sql("CREATE SCHEMA IF NOT EXISTS edited")
    try:
        store = filled(spark, "edited")
        empty = ", ".join(f"`{c.name}` {c.type}" for c in TABLES["quarantine"].columns)
        store.append(spark.createDataFrame([], empty), "quarantine", {"run_id": "run"})
        create_views(store)
        rows = spark.table("edited.records").collect()
        assert [(row.source, row.outcome) for row in rows] == [("b.jsonl", "example")]
    finally:
        spark.sql("DROP SCHEMA edited CASCADE")
