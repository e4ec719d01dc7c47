"""The data contract on disk: constraints, comments, appends, readable by others."""

import json
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from instructmining.errors import UserError
from instructmining.store import conflicts
from instructmining.store.schemas import TABLES
from instructmining.store.tables import Store


def measured(spark: SparkSession, identifier: str, value: float | None = 1.0):
    values = {} if value is None else {"mtld": value}
    row = (identifier, 1, "mtld", "f" * 32, values, 5, 0, "ok", None, "run")
    return spark.createDataFrame([row], TABLES["stage_values"].given.ddl)


def test_chunks_of_one_run_may_be_committed_out_of_order(
    spark: SparkSession, store_path: str
) -> None:
    store = Store.open(spark, store_path)
    store.append(measured(spark, "b"), "stage_values", {"run_id": "run"})
    store.append(measured(spark, "a"), "stage_values", {"run_id": "run"})
    assert {row.example_id for row in store.read("stage_values").collect()} == {"a", "b"}


def test_an_append_leaves_nothing_that_every_later_reader_carries(
    spark: SparkSession, store_path: str
) -> None:
    store = Store.open(spark, store_path)
    for name in "ab":
        store.append(measured(spark, name), "stage_values", {"run_id": name})
    log = Path(store.location("stage_values"), "_delta_log").glob("*.json")
    actions = [key for commit in log for line in commit.open() for key in json.loads(line)]
    assert actions.count("add") == 2
    assert "txn" not in actions


def test_two_writers_at_once_both_succeed(spark: SparkSession, store_path: str) -> None:
    store = Store.open(spark, store_path)
    store.create("stage_values")
    writers = [
        threading.Thread(target=store.append, args=(measured(spark, name), "stage_values", {}))
        for name in "abcd"
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert store.read("stage_values").count() == 4


@pytest.mark.parametrize(("rival", "added"), [("a", 0), ("b", 1)])
def test_of_two_that_miss_the_same_rows_one_looks_again(
    spark: SparkSession, store_path: str, rival: str, added: int
) -> None:
    store = Store.open(spark, store_path)

    def lacking(identifier: str):
        stored = store.read("stage_values").select("example_id")
        return measured(spark, identifier).join(stored, "example_id", "left_anti")

    looked = []

    def missing():
        found = lacking("a")
        if not looked:  # another writer commits between our look and our commit
            assert store.insert(lambda: lacking(rival), "stage_values", "rival", {}) == 1
        looked.append(1)
        return found

    assert store.insert(missing, "stage_values", "mine", {}) == added
    assert len(looked) == 2
    ids = [row.example_id for row in store.read("stage_values").collect()]
    assert sorted(ids) == sorted({"a", rival})
    version = store.version("stage_values")
    assert store.insert(lambda: lacking("a"), "stage_values", "mine again", {}) == 0
    assert store.version("stage_values") == version


def test_a_replacement_that_is_tried_again_checks_again(
    spark: SparkSession, store_path: str
) -> None:
    store = Store.open(spark, store_path)
    store.append(measured(spark, "a"), "stage_values", {})

    def refuse() -> None:
        raise UserError("changed meanwhile")

    with pytest.raises(UserError, match="changed meanwhile"):
        store.replace(measured(spark, "b"), "stage_values", {"stage": "s"}, {}, refuse)
    assert [row.example_id for row in store.read("stage_values").collect()] == ["a"]


def test_a_replacement_leaves_other_rules_and_pools_alone(
    spark: SparkSession, store_path: str
) -> None:
    store = Store.open(spark, store_path)

    def scores(pool: str, rule: str, value: float):
        wanted = ", ".join(f"`{c.name}` {c.type}" for c in TABLES["scores"].columns)
        empty = spark.createDataFrame([], wanted)
        row = {
            "pool": pool,
            "example_id": "a",
            "rule_name": rule,
            "rule_version": "1",
            "predicted_log_loss": value,
            "run_id": "run",
        }
        types = {field.name: field.dataType.simpleString() for field in empty.schema}
        line = ", ".join(f"{name} {types[name]}" for name in row)
        return empty.unionByName(
            spark.createDataFrame([tuple(row.values())], line), allowMissingColumns=True
        )

    written = [("p", "v1", 1.0), ("p", "v2", 2.0), ("q", "v1", 3.0), ("p", "v1", 4.0)]
    for pool, rule, value in written:
        where = {"pool": pool, "rule_name": rule, "rule_version": "1"}
        store.replace(scores(pool, rule, value), "scores", where, {})
    found = {(r.pool, r.rule_name): r.predicted_log_loss for r in store.read("scores").collect()}
    assert found == {("p", "v1"): 4.0, ("p", "v2"): 2.0, ("q", "v1"): 3.0}


@pytest.mark.parametrize("broken", [{"status": "'maybe'"}, {"example_id": "CAST(NULL AS STRING)"}])
def test_the_table_refuses_rows_outside_the_contract(
    spark: SparkSession, store_path: str, broken: dict
) -> None:
    store = Store.open(spark, store_path)
    rows = measured(spark, "a").withColumns({k: F.expr(v) for k, v in broken.items()})
    with pytest.raises(Exception, match=r"(?i)constraint|not null"):
        store.append(rows, "stage_values", {})


def test_a_table_that_a_killed_run_left_without_its_constraints_gets_them(
    spark: SparkSession, store_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as killed:  # between the creation and what follows it
        killed.setattr(Store, "_constrain", lambda *_: None)
        Store.open(spark, store_path).create("stage_values")
    store = Store.open(spark, store_path)
    wrong = measured(spark, "a").withColumn("status", F.lit("fine"))
    with pytest.raises(Exception, match=r"(?i)constraint"):
        store.append(wrong, "stage_values", {})
    before = store.version("stage_values")
    Store.open(spark, store_path).create("stage_values")
    assert store.version("stage_values") == before  # a table that is whole is left as it is


def test_a_folder_that_another_run_is_making_into_a_table_is_waited_for(
    spark: SparkSession, store_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.open(spark, store_path)
    made = []
    waits = []
    begun = Path(store.location("stage_values")) / "_delta_log"
    begun.mkdir(parents=True)

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if made:  # the other run comes to its end
            shutil.copytree(made[0], begun.parent, dirs_exist_ok=True)

    monkeypatch.setattr(conflicts, "time", SimpleNamespace(sleep=sleep))
    with pytest.raises(UserError, match=r"/stage_values holds something, but no table: look"):
        store.create("stage_values")
    assert len(waits) == 4
    other = Store.open(spark, f"{store_path}-other")
    other.create("stage_values")
    made.append(other.location("stage_values"))
    store.create("stage_values")
    assert len(waits) == 5
    assert store.exists("stage_values")


def test_every_column_has_a_comment_and_the_commit_says_who_wrote_it(
    spark: SparkSession, store_path: str
) -> None:
    store = Store.open(spark, store_path)
    store.append(measured(spark, "a"), "stage_values", {"run_id": "run-7"})
    described = spark.sql(f"DESCRIBE TABLE {store.sql_name('stage_values')}").collect()
    comments = {
        row.col_name: row.comment
        for row in described
        if row.col_name in TABLES["stage_values"].names
    }
    assert set(comments) == set(TABLES["stage_values"].names)
    assert all(comments.values())
    history = spark.sql(f"DESCRIBE HISTORY {store.sql_name('stage_values')}").first()
    assert '"run_id": "run-7"' in history.userMetadata


def test_duckdb_and_delta_rs_read_what_we_write(spark: SparkSession, store_path: str) -> None:
    store = Store.open(spark, store_path)
    store.append(measured(spark, "a", 7.5), "stage_values", {})
    table = DeltaTable(store.location("stage_values"))
    rows = table.to_pyarrow_table() if hasattr(table, "to_pyarrow_table") else None
    assert rows is not None
    found = duckdb.sql("SELECT example_id, values['mtld'] AS mtld FROM rows").fetchall()
    assert found[0][0] == "a"
    assert "7.5" in str(found[0][1])


def test_a_store_of_an_older_version_gets_the_new_columns_when_it_is_appended_to(
    spark: SparkSession, store_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = TABLES["examples"]
    columns = tuple(column for column in now.columns if column.name != "structure")
    row = (1, [{"role": "user", "content": "q"}], "q", "a", "alpaca", "{}", "run")
    before = replace(now, columns=columns)
    with monkeypatch.context() as patched:
        patched.setitem(TABLES, "examples", before)
        store = Store.open(spark, store_path)
        store.append(spark.createDataFrame([("old", *row)], before.ddl), "examples", {})
        assert "structure" not in store.read("examples").columns
    store = Store.open(spark, store_path)
    assert [each.structure for each in store.read("examples").collect()] == [None]
    new = spark.createDataFrame([("new", *row)], before.ddl)
    new = new.withColumn("structure", F.lit('{"tools": [1]}'))
    assert store.insert(lambda: new, "examples", "u", {}) == 1
    found = {each.example_id: each.structure for each in store.read("examples").collect()}
    assert found == {"old": None, "new": '{"tools": [1]}'}
    rows = DeltaTable(store.location("examples")).to_pyarrow_table()
    assert rows is not None
    read = duckdb.sql("SELECT example_id, structure FROM rows ORDER BY example_id").fetchall()
    assert read == [("new", '{"tools": [1]}'), ("old", None)]


def test_a_schema_that_does_not_exist_is_named(spark: SparkSession) -> None:
    with pytest.raises(UserError, match="CREATE SCHEMA"):
        Store.open(spark, "no_catalog.no_schema")


def test_a_word_that_is_no_name_in_sql_is_a_folder(spark: SparkSession) -> None:
    assert Store.open(spark, "my-out").is_folder
    with pytest.raises(UserError, match=r"CREATE SCHEMA out-2\.1, or name a folder"):
        Store.open(spark, "out-2.1")


def test_tables_of_a_schema_work_like_those_of_a_folder(
    spark: SparkSession, tmp_path_factory
) -> None:
    where = tmp_path_factory.mktemp("warehouse")
    spark.sql(f"CREATE SCHEMA IF NOT EXISTS mined LOCATION '{where}'")
    store = Store.open(spark, "mined")
    assert not store.is_folder
    store.append(measured(spark, "a"), "stage_values", {})
    assert store.read("stage_values").count() == 1
    assert spark.sql(f"SELECT count(*) FROM {store.sql_name('stage_values')}").first()[0] == 1
    version = store.version("stage_values")
    assert store.insert(lambda: measured(spark, "b"), "stage_values", "u", {}) == 1
    assert store.read("stage_values").count() == 2
    assert store.read("stage_values", version).count() == 1
    assert store.read("stage_values", -1).count() == 0
    spark.sql("DROP SCHEMA mined CASCADE")
