"""A history of many commits: copies that Delta takes for its own, and what `maintain` leaves."""

from pathlib import Path

import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from bench.harness.delta_history import History
from bench.harness.made_commits import commit
from instructmining.store.tables import Store
from jobs.stored.maintain import maintain

ROWS = 20  # of one commit
HOURS = 168


@pytest.mark.parametrize(("table", "rows"), [("stage_values", 47 * ROWS), ("scores", 7 * ROWS)])
def test_copied_commits_are_versions_that_delta_continues_and_others_read(
    spark: SparkSession, store_path: str, table: str, rows: int
) -> None:
    store = Store.open(spark, store_path)
    for number in range(6):
        commit(store, table, number)
    History(Path(store.location(table)), 46).copy(40)
    commit(store, table, 46)
    assert store.version(table) == 47
    assert store.read(table).agg(F.count("example_id")).first()[0] == rows
    other = DeltaTable(store.location(table))
    assert (other.version(), other.to_pyarrow_table().num_rows) == (47, rows)
    files = len(other.file_uris())
    maintain(store, table, HOURS, dry_run=False)
    assert files == rows // ROWS
    assert len(DeltaTable(store.location(table)).file_uris()) == 1
    assert store.read(table).agg(F.count("example_id")).first()[0] == rows


def test_old_commits_leave_the_log_once_maintain_is_told_how_long_they_stay(
    spark: SparkSession, store_path: str
) -> None:
    store = Store.open(spark, store_path)
    for number in range(6):
        commit(store, "scores", number)
    log = Path(store.location("scores")) / "_delta_log"
    history = History(log.parent, 42, days=40)
    history.copy(23)
    commit(store, "scores", 29)  # version 30, with a checkpoint, 11 days old
    history.copy(12)
    maintain(store, "scores", HOURS, dry_run=False, log_hours=HOURS)
    before = store.version("scores")
    maintain(store, "scores", HOURS, dry_run=False, log_hours=HOURS)
    assert store.version("scores") - before <= 2  # of VACUUM: the property is set once
    assert (log / f"{0:020}.json").exists()
    for number in range(4):
        commit(store, "scores", number)  # to version 50, which has a checkpoint
    assert min(int(file.stem) for file in log.glob("*.json")) == 30
    assert store.read("scores").agg(F.count("example_id")).first()[0] == 7 * ROWS


def test_nothing_is_copied_where_no_commit_wrote_rows(spark: SparkSession, store_path: str) -> None:
    store = Store.open(spark, store_path)
    store.create("scores")
    with pytest.raises(ValueError, match="no commit that could be copied"):
        History(Path(store.location("scores")), 9).copy(1)
