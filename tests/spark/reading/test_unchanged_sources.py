"""What did not change is not read again, and everything else is, with the same sums as before."""

import json
import os
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from instructmining.reading.ingest import ingest
from instructmining.reading.inputs import find_inputs
from instructmining.reading.sources import Ingested
from instructmining.settings.loading import load_settings
from instructmining.store.planning import members
from instructmining.store.schemas import TABLES
from instructmining.store.tables import Store

Row = tuple[str, str | None]
GOOD: list[Row] = [("Why is the sea salt?", "Rivers carry it."), ("Wie tief?", "Elf km.")]
COPY: list[Row] = [GOOD[0], ("What is 3 + 4?", "7"), ("Empty?", None)]
LATER: list[Row] = [("海は青い？", "はい。")]


class Folder:
    """A folder of data, read again and again into one pool."""

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self.spark = spark
        self.data = folder / "data"
        self.data.mkdir()
        self.store = Store.open(spark, str(folder / "store"))
        self.runs = 0

    def write(self, name: str, rows: list[Row], changed: float = 1_700_000_000.25) -> None:
        records = [{"instruction": q, "output": a} for q, a in rows]
        path = self.data / name
        path.write_text("".join(json.dumps(each) + "\n" for each in records))
        os.utime(path, (changed, changed))

    def read(self, **options: object) -> Ingested:
        given = {"input": (str(self.data),), "store": self.store.target, **options}
        settings = load_settings(options=given)
        inputs, left_out = find_inputs(self.spark, settings.input)
        self.runs += 1
        done = ingest(self.store, settings, inputs, left_out, f"run {self.runs}")
        return done.of_pool(members(self.store, settings.pool).count())

    def versions(self) -> dict[str, int]:
        return {table: self.store.version(table) for table in TABLES}


def sums(done: Ingested) -> tuple[int, int, int, dict[str, int]]:
    return done.rows, done.examples, done.copies, done.quarantined


@pytest.fixture
def folder(spark: SparkSession, tmp_path: Path) -> Folder:
    made = Folder(spark, tmp_path)
    made.write("a.jsonl", GOOD)
    made.write("b.jsonl", COPY)
    spark.createDataFrame(
        [("Which table?", "This one.")], "prompt STRING, response STRING"
    ).write.format("delta").save(str(made.data / "table"))
    return made


def test_files_and_tables_that_did_not_change_are_not_read_again(folder: Folder) -> None:
    first = folder.read()
    assert sums(first) == (6, 4, 1, {"missing_field": 1})
    assert first.unchanged == 0
    before = folder.versions()
    again = folder.read()
    assert (again.unchanged, again.unchanged_rows, again.new_examples) == (3, 6, 0)
    assert sums(again) == sums(first)
    assert folder.versions() == before

    folder.write("c.jsonl", LATER)
    more = folder.read()
    assert (more.unchanged, more.new_examples) == (3, 1)
    assert sums(more) == (7, 5, 1, {"missing_field": 1})

    rows = folder.spark.createDataFrame([("And now?", "Two.")], "prompt STRING, response STRING")
    rows.write.format("delta").mode("append").save(str(folder.data / "table"))
    added = folder.read()
    assert (added.unchanged, added.new_examples) == (3, 1)
    assert sums(added) == (8, 6, 1, {"missing_field": 1})


def test_a_file_that_changed_in_place_is_read_again_and_its_old_rows_are_stale(
    folder: Folder,
) -> None:
    folder.read()
    edited = [(GOOD[0][0], "Rivers bring it."), GOOD[1]]  # as many bytes as before
    folder.write("a.jsonl", edited, changed=1_700_000_000.5)
    done = folder.read()
    assert (done.unchanged, done.new_examples) == (2, 1)
    assert sums(done) == (6, 5, 0, {"missing_field": 1})
    (folder.data / "b.jsonl").unlink()
    gone = folder.read()
    assert (gone.unchanged, sums(gone)) == (2, (3, 3, 0, {}))
    stale = folder.store.read("stale_occurrences").select("source").collect()
    assert sorted(Path(row.source).name for row in stale) == ["a.jsonl", "b.jsonl", "b.jsonl"]


def test_what_the_store_lost_and_other_options_and_a_wish_are_reasons_to_read(
    folder: Folder,
) -> None:
    first = folder.read()
    folder.store.delete_where("occurrences", "source LIKE '%/a.jsonl'")
    healed = folder.read()
    assert (healed.unchanged, healed.new_occurrences, sums(healed)) == (2, 2, sums(first))
    assert folder.read(read={"again": True}).unchanged == 0
    assert folder.read(read={"keep": ("topic",)}).unchanged == 0
    assert folder.read(pool="another").unchanged == 0
    assert folder.read(pool="another", replace_pool=True).unchanged == 0
    assert folder.store.read("occurrences").where("pool = 'another'").count() == 5


def test_a_file_that_could_not_be_read_to_its_end_is_tried_every_time(folder: Folder) -> None:
    (folder.data / "bad.jsonl").write_text("{not json\n")
    os.utime(folder.data / "bad.jsonl", (1_700_000_000.25, 1_700_000_000.25))
    options: dict[str, object] = {"read": {"skip_bad_files": True}}
    first = folder.read(**options)
    assert first.quarantined == {"missing_field": 1, "unreadable_file": 1}
    again = folder.read(**options)
    assert (again.unchanged, sums(again)) == (3, sums(first))
