"""Which rule and which evaluation a report takes: those that were written last."""

from datetime import datetime

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from instructmining.errors import UserError
from instructmining.report.evaluations import last_evaluation
from instructmining.report.scored import open_scores
from instructmining.settings.sections import Tracking
from instructmining.store.tables import Store

EARLY, LATE = datetime(2026, 1, 1), datetime(2026, 2, 1)


def write(store: Store, table: str, rows: list[dict]) -> None:
    """Rows with a time of their own, as they stand in the table some months later."""
    store.create(table)
    schema = store.read(table).schema
    values = [tuple(row.get(name) for name in schema.names) for row in rows]
    # Through Delta: the store itself sets the time of writing.
    frame = store.spark.createDataFrame(values, schema)
    frame.write.format("delta").mode("append").save(store.location(table))


def score(rule: str, at: datetime | None, pool: str = "mine") -> dict:
    key = {"pool": pool, "example_id": "0" * 32, "rule_name": rule, "rule_version": "1"}
    return {**key, "inputs_version": "v", "run_id": f"run of {rule}", "written_at": at}


@pytest.mark.parametrize(
    ("rows", "newest"),
    [
        ([score("a", LATE), score("z", EARLY), score("y", LATE, "another")], "a"),
        ([score("a", EARLY), score("z", None)], "a"),
        ([score("a", None), score("z", None)], "z"),
    ],
)
def test_the_rule_of_the_last_scores_is_taken(
    spark: SparkSession, store_path: str, rows: list[dict], newest: str
) -> None:
    store = Store.open(spark, store_path)
    write(store, "scores", rows)
    place = {"pool": "mine", "source": "s.jsonl", "position": 1, "example_id": "0" * 32}
    occurrence = {**place, "bucket": 0, "line_number": 1, "layout": "alpaca", "run_id": "r"}
    write(store, "occurrences", [occurrence])
    assert open_scores(store, "mine", "auto", Tracking(uri="none")).rule_name == newest
    with pytest.raises(UserError, match=r"no scores \(scored pools: .*mine"):
        open_scores(store, "yours", "auto", Tracking(uri="none"))


def test_the_evaluation_that_was_written_last_is_taken(
    spark: SparkSession, store_path: str
) -> None:
    store = Store.open(spark, store_path)
    assert last_evaluation(store, "mine") is None
    pair = {"pool": "mine", "evaluation": "set", "arm": "selected", "rival": "random"}
    runs = [("z", EARLY), ("a", LATE), ("y", None)]
    write(
        store,
        "comparisons",
        [pair | {"verdict": f"of {run}", "run_id": run, "written_at": at} for run, at in runs],
    )
    found = last_evaluation(store, "mine")
    assert found is not None
    assert (found.run_id, found.verdicts) == ("a", ("of a",))


def test_a_store_writes_the_time(spark: SparkSession, store_path: str) -> None:
    store = Store.open(spark, store_path)
    before = datetime.now()
    rows = store.read("scores").drop("written_at")
    row = score("a", None)
    one = spark.createDataFrame([tuple(row.get(name) for name in rows.columns)], rows.schema)
    store.replace(one, "scores", {"pool": "mine"}, {})
    store.append(one, "scores", {})
    times = store.read("scores").agg(F.min("written_at"), F.max("written_at")).first()
    assert before <= times[0] < times[1] <= datetime.now()
