"""Files that turn out to be damaged while they are read, and what is left in memory afterwards."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from instructmining.errors import UserError
from instructmining.reading import inputs as reading
from instructmining.reading.ingest import ingest, persisted
from instructmining.reading.inputs import find_inputs
from instructmining.reading.unread_fields import unread_lines
from instructmining.settings.loading import load_settings
from instructmining.settings.sections import Read
from instructmining.store.schemas import TABLES
from instructmining.store.tables import Store
from jobs.scoring import dry_run

ROWS = [{"prompt": f"Frage {i}: warum?", "response": f"因为 {i}."} for i in range(200)]


def damaged_parquet(folder: Path) -> Path:
    """A file of four row groups, of which the first cannot be read."""
    folder.mkdir()
    path = folder / "a b.parquet"
    pq.write_table(pa.Table.from_pylist(ROWS), path, row_group_size=50, compression="none")
    content = bytearray(path.read_bytes())
    content[4:64] = b"\xff" * 60
    path.write_bytes(content)
    return path


def kept_on_disk(spark: SparkSession) -> int:
    """How many frames of ours Spark keeps; Delta keeps its own of tables, in memory."""
    kept = spark.sparkContext._jsc.getPersistentRDDs().values()
    return sum(not rdd.getStorageLevel().useMemory() for rdd in kept)


def test_a_skipped_file_leaves_nothing_behind(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "good.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    (tmp_path / "bad.jsonl").write_text("{not json\n")
    settings = load_settings(
        options={
            "input": (str(tmp_path),),
            "store": str(tmp_path / "store"),
            "read": {"skip_bad_files": True},
        }
    )
    inputs, left_out = find_inputs(spark, settings.input)
    before = kept_on_disk(spark)
    done = ingest(Store.open(spark, settings.store), settings, inputs, left_out, "run")
    assert (done.examples, done.quarantined) == (200, {"unreadable_file": 1})
    assert kept_on_disk(spark) <= before


def test_a_file_of_nested_records_beside_a_good_one_says_how_to_take_them_out(
    spark: SparkSession, tmp_path: Path
) -> None:
    (tmp_path / "good.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    (tmp_path / "nested.json").write_text(json.dumps([{"qa list": ROWS[:3]}]))
    settings = load_settings(options={"input": (str(tmp_path),), "store": str(tmp_path / "s")})
    inputs, left_out = find_inputs(spark, settings.input)
    store = Store.open(spark, settings.store)
    assert ingest(store, settings, inputs, left_out, "run").quarantined == {"unknown_format": 1}
    (row,) = store.read("quarantine").collect()
    assert f"cat {tmp_path / 'nested.json'} | jq -c" in row.detail


def test_a_dry_run_keeps_of_a_damaged_file_what_a_run_keeps(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = damaged_parquet(tmp_path / "mit Leerzeichen %20 日本")
    (tmp_path / "list.yml").write_text("name: w\nmtld: {kind: mtld, indicators: [mtld]}\n")
    dry_run.run(
        spark,
        load_settings(
            options={
                "input": (str(path),),
                "store": str(tmp_path / "store"),
                "dry_run": True,
                "models": str(tmp_path / "list.yml"),
            }
        ),
    )
    said = capsys.readouterr().out
    assert "rows read 151 = to score 150 + copies 0 + to quarantine 1" in said


def test_damage_in_what_only_spark_can_read_is_one_sentence_with_the_remedy(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "splittable", lambda kind, path, length: True)
    path = damaged_parquet(tmp_path / "far")
    given, _ = find_inputs(spark, (str(path),))
    with pytest.raises(
        UserError, match=r"cannot read a file to its end.*copy it where the workers"
    ):
        persisted(spark, given, Read())


def test_messages_of_trees_in_rows_are_joined_over_files(
    spark: SparkSession, tmp_path: Path
) -> None:
    rows = [
        {"message_id": "a", "parent_id": None, "text": "Warum 雨?", "role": "prompter"},
        {"message_id": "b", "parent_id": "a", "text": "Clouds " * 2000, "role": "assistant"},
        {"message_id": "c", "parent_id": "x", "text": "To whom?", "role": "assistant"},
        {"message_id": "d", "parent_id": "a", "text": "No.", "role": "assistant"},
    ]
    rows = [{**row, "message_tree_id": "a", "rank": None} for row in rows]
    (tmp_path / "one.jsonl").write_text("\n".join(map(json.dumps, [*rows[1:3], ROWS[0]])))
    pq.write_table(pa.Table.from_pylist([rows[0], rows[3]]), tmp_path / "two.parquet")
    settings = load_settings(options={"input": (str(tmp_path),), "store": str(tmp_path / "s")})
    inputs, left_out = find_inputs(spark, settings.input)
    store = Store.open(spark, settings.store)
    done = ingest(store, settings, inputs, left_out, "run")
    assert (done.rows, done.records, done.examples, done.copies) == (4, 5, 3, 0)
    assert done.quarantined == {"no_question": 1}
    found = store.read("examples").where("format = 'oasst'").select("response").collect()
    assert {row.response for row in found} == {"Clouds " * 2000, "No."}
    [bad] = store.read("quarantine").collect()
    assert "'x' leads to no first message" in bad.detail


def test_fields_that_are_in_no_example_are_named_in_a_store_of_an_older_version_too(
    spark: SparkSession, tmp_path: Path
) -> None:
    rows = [
        {
            "instruction": "Warum?",
            "output": "Weil 因为.",
            "source": "web",
            "meta": {"tip": "Lies!"},
        },
        {"instruction": "Warum?", "output": "Weil 因为.", "source": None, "lang": "de"},
        {"instruction": "Why?", "output": "Because.", "meta": {"tip": "Read!"}},
        {"instruction": "Who?", "output": "He.", "source": " "},
    ]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, rows)))
    options = {"input": (str(tmp_path / "in.jsonl"),), "store": str(tmp_path / "s")}
    store = Store.open(spark, options["store"])
    older = [c for c in TABLES["occurrences"].columns if c.name != "unread"]
    ddl = ", ".join(f"`{column.name}` {column.type}" for column in older)
    place = store.location("occurrences")
    spark.createDataFrame([], ddl).write.format("delta").save(place)
    inputs, left_out = find_inputs(spark, options["input"])
    strict = load_settings(options={**options, "read": {"strict_fields": True, "keep": ("lang",)}})
    with pytest.raises(
        UserError, match=r"2 fields .* meta\.tip \(rows: 2\), as in .* 1: Lies!; sou"
    ):
        ingest(store, strict, inputs, left_out, "strict")
    assert store.read("occurrences").isEmpty()
    done = ingest(store, load_settings(options=options), inputs, left_out, "run")
    assert [(each.name, each.rows, each.position) for each in done.unread] == [
        ("meta.tip", 2, 1),
        ("lang", 1, 2),
        ("source", 1, 1),
    ]
    assert "meta.tip (rows: 2), as in" in "\n".join(unread_lines(done.unread))
    found = {row.position: row.unread for row in store.read("occurrences").collect()}
    assert found[2] == ["lang"]
    assert found[4] is None
    assert set(found[1]) == {"source", "meta.tip"}
