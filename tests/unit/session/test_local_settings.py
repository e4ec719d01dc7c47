"""Which runs are little enough that a session compiles no queries for them, and what it gets."""

import pytest

from instructmining.spark.local_settings import (
    FEW_TASKS,
    JAVA_OPTIONS,
    LITTLE,
    LITTLE_DATA,
    LITTLE_ON_CLUSTER,
    SHORT_LIVED,
    is_little,
    settings_for,
    submitted_settings,
)


def sparse(path, size):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(size)
    return path


def test_files_folders_and_a_store_count_together(tmp_path):
    file = sparse(tmp_path / "rows.jsonl", LITTLE // 2)
    folder = sparse(tmp_path / "folder" / "below" / "rows.jsonl", LITTLE // 2).parents[1]
    store = tmp_path / "store"
    assert is_little([], str(store))  # nothing is read, nothing is there
    assert is_little([str(file)], str(store))
    assert is_little([str(file), str(folder)], str(store))
    sparse(store / "scores" / "part.parquet", 1)
    assert not is_little([str(file), str(folder)], str(store))
    sparse(store / "scores" / "part.parquet", LITTLE + 1)
    assert not is_little([], str(store))


@pytest.mark.parametrize("place", ["s3a://bucket/rows", "table:main.rows", "*.jsonl", "absent"])
def test_what_cannot_be_seen_here_may_be_large(place, tmp_path):
    assert not is_little([place], str(tmp_path / "store"))


def test_a_link_into_nowhere_has_no_size(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "link").symlink_to(tmp_path / "gone")
    assert is_little([], str(tmp_path / "store"))


@pytest.mark.parametrize("store", ["s3a://bucket/store", "dbfs:/store", "main.instruct"])
def test_a_store_that_is_not_a_folder_of_this_machine_may_be_large(store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = sparse(tmp_path / "rows.jsonl", 1)
    assert not is_little([str(rows)], store)
    assert not is_little([], store)
    assert is_little([], f"./{store.split(':')[0]}")  # a folder, there or not


def test_a_store_of_one_word_is_a_folder_unless_there_is_a_catalog(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert is_little([], "out")
    assert not is_little([], "out", has_catalog=True)  # it may be the name of a schema
    (tmp_path / "out").mkdir()
    assert is_little([], "out", has_catalog=True)


CLUSTERS = ("local-cluster[2,1,1024]", "spark://host:7077", "yarn")


@pytest.mark.parametrize("little_data", [True, False])
def test_queries_go_without_compiling_where_there_are_few_rows_only(little_data):
    for master in ("local", "local[2]", "local[*]", "local[2,4]"):
        assert (LITTLE_DATA.items() <= settings_for(master, little_data).items()) == little_data
    for given in [
        submitted_settings(little_data),
        *(settings_for(m, little_data) for m in CLUSTERS),
    ]:
        assert (LITTLE_ON_CLUSTER.items() <= given.items()) == little_data
        assert (LITTLE_DATA.items() <= given.items()) == little_data
        assert ("spark.executor.extraJavaOptions" in given) == little_data


def test_a_driver_compiles_with_c1_alone_wherever_we_start_it():
    options = "spark.driver.extraJavaOptions"
    assert settings_for("local[*]", False)[options] == JAVA_OPTIONS
    assert settings_for("spark://host:7077", False)[options] == SHORT_LIVED
    assert options not in submitted_settings(True)  # it has started


def test_a_log_of_delta_is_read_by_few_tasks_everywhere():
    partitions = "spark.databricks.delta.snapshotPartitions"
    assert settings_for("local[*]", False)[partitions] == "1"
    for master in CLUSTERS:
        assert FEW_TASKS.items() <= settings_for(master, False).items()
        assert settings_for(master, True)[partitions] == "1"
    assert submitted_settings(False) == FEW_TASKS
    assert FEW_TASKS[partitions] == "2"
