"""The table of subsets: equal ids are one subset, in the order of whoever came first."""

from pathlib import Path

from pyspark.sql import SparkSession

from instructmining.selecting.subset_table import Members, store_subsets
from instructmining.store.tables import Store


def test_a_subset_is_written_once_with_its_ranks(spark: SparkSession, tmp_path: Path) -> None:
    store = Store.open(spark, str(tmp_path / "store"))
    first = Members("s", "{}", ("b", "a", "ß"))
    again = Members("s", '{"top": 3}', ("a", "b", "ß"))
    assert store_subsets(store, [first, first, Members("none", "{}", ())], "one") == 3
    version = store.version("subsets")
    assert store_subsets(store, [again], "two") == 0
    assert store.version("subsets") == version
    assert store_subsets(store, [again, Members("t", "{}", ("a",))], "three") == 1
    rows = store.read("subsets").orderBy("subset", "rank").collect()
    assert [(row.subset, row["rank"], row.example_id, row.run_id) for row in rows] == [
        ("s", 1, "b", "one"),
        ("s", 2, "a", "one"),
        ("s", 3, "ß", "one"),
        ("t", 1, "a", "three"),
    ]
    assert store_subsets(store, [], "four") == 0
