"""Which runs are little enough that a local session compiles no queries for them."""

import pytest

from instructmining.spark.local_settings import LITTLE, LITTLE_DATA, is_little, settings_for


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


@pytest.mark.parametrize("little_data", [True, False])
def test_queries_go_without_compiling_on_one_machine_with_few_rows_only(little_data):
    for master in ("local", "local[2]", "local[*]", "local[2,4]"):
        assert (LITTLE_DATA.items() <= settings_for(master, little_data).items()) == little_data
    for master in ("local-cluster[2,1,1024]", "spark://host:7077", "yarn"):
        assert not LITTLE_DATA.keys() & settings_for(master, little_data).keys()


def test_a_log_of_delta_is_read_by_few_tasks_everywhere():
    partitions = "spark.databricks.delta.snapshotPartitions"
    assert settings_for("local[*]", False)[partitions] == "1"
    assert settings_for("local-cluster[2,1,1024]", False)[partitions] == "2"
    assert settings_for("spark://host:7077", False).keys() == {
        partitions,
        "spark.sql.adaptive.coalescePartitions.parallelismFirst",
        "spark.sql.optimizer.canChangeCachedPlanOutputPartitioning",
    }
