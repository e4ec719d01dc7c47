"""The same records from every container, with positions that do not depend on splits."""

import bz2
import gzip
import json
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from instructmining.containers import array_elements
from instructmining.errors import UserError
from instructmining.ingest import with_standard_form
from instructmining.reading import find_inputs, read_records
from instructmining.settings import Read

RECORDS = [
    {"instruction": "Greet.", "input": "", "output": 'Hello, "you"\nthere'},
    {"instruction": "Count.", "input": "1, 2", "output": "3, 4"},
    {"instruction": "Grüße", "input": "", "output": "日本語 🌞 \\n ok"},
]


def write(folder: Path, name: str, spark: SparkSession) -> Path:
    path = folder / name
    lines = "\n".join(json.dumps(record, ensure_ascii=False) for record in RECORDS) + "\n"
    if name.endswith(".parquet"):
        spark.createDataFrame(RECORDS).coalesce(1).write.parquet(str(path))
    elif name == "delta":
        spark.createDataFrame(RECORDS).write.format("delta").save(str(path))
    elif name.endswith(".csv"):
        rows = [RECORDS[0].keys(), *(record.values() for record in RECORDS)]
        quoted = [",".join('"' + value.replace('"', '""') + '"' for value in row) for row in rows]
        path.write_text("\n".join(quoted) + "\n", encoding="utf-8")
    elif name.endswith(".json"):
        path.write_text(json.dumps(RECORDS, indent=2, ensure_ascii=False), encoding="utf-8")
    elif name.endswith(".gz"):
        path.write_bytes(gzip.compress(lines.encode()))
    elif name.endswith(".bz2"):
        path.write_bytes(bz2.compress(lines.encode()))
    else:
        path.write_text(lines, encoding="utf-8")
    return path


def standard(spark: SparkSession, *names: str, **options: object) -> list:
    inputs, _ = find_inputs(spark, names)
    rows = with_standard_form(read_records(spark, inputs), Read(**options))
    return rows.orderBy("source", "position").collect()


@pytest.mark.parametrize(
    "name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.bz2", "a.json", "a.csv", "a.parquet", "delta"]
)
def test_every_container_gives_the_same_examples(
    spark: SparkSession, tmp_path: Path, name: str
) -> None:
    expected = {row.example_id for row in standard(spark, str(write(tmp_path, "b.jsonl", spark)))}
    rows = standard(spark, str(write(tmp_path, name, spark)))
    assert {row.example_id for row in rows} == expected
    assert {row.reason for row in rows} == {None}
    assert len(rows) == 3


def test_the_raw_record_is_the_exact_slice_of_the_file(spark: SparkSession, tmp_path: Path) -> None:
    path = write(tmp_path, "a.json", spark)
    text = path.read_text(encoding="utf-8")
    rows = standard(spark, str(path))
    assert [row.position for row in rows] == [1, 2, 3]
    assert all(row.raw in text and json.loads(row.raw) == record
               for row, record in zip(rows, RECORDS, strict=True))  # fmt: skip


def test_line_numbers_do_not_depend_on_how_a_file_is_split(
    spark: SparkSession, tmp_path: Path
) -> None:
    path = tmp_path / "many.jsonl"
    lines = [json.dumps({"instruction": f"q{i}", "output": "a" * (i % 50) + "."}) if i % 7 else ""
             for i in range(3000)]  # fmt: skip
    path.write_text("\n".join(lines), encoding="utf-8")
    positions = []
    for size in ("128m", "7k"):
        spark.conf.set("spark.sql.files.maxPartitionBytes", size)
        inputs, _ = find_inputs(spark, (str(path),))
        rows = read_records(spark, inputs)
        positions.append({row.position: bytes(row.raw).decode() for row in rows.collect()})
    spark.conf.unset("spark.sql.files.maxPartitionBytes")
    assert positions[0] == positions[1]
    assert positions[0] == {number: line for number, line in enumerate(lines, start=1) if line}


def test_a_folder_may_mix_formats_and_names_what_it_leaves_out(
    spark: SparkSession, tmp_path: Path
) -> None:
    for name in ("a.jsonl", "b.json", "c.csv"):
        write(tmp_path, name, spark)
    (tmp_path / "README.md").write_text("not data")
    (tmp_path / "_temporary.jsonl").write_text("{}")
    inputs, left_out = find_inputs(spark, (str(tmp_path),))
    assert {each.container for each in inputs} == {"lines", "array", "csv"}
    assert [Path(path).name for path in left_out] == ["README.md"]


def test_rows_of_a_delta_table_keep_their_position_when_its_files_are_rewritten(
    spark: SparkSession, tmp_path: Path
) -> None:
    path = tmp_path / "delta"
    repeated = [*RECORDS, RECORDS[0], RECORDS[0]]
    spark.createDataFrame(repeated).repartition(3).write.format("delta").save(str(path))
    before = {(row.position, row.example_id) for row in standard(spark, str(path))}
    spark.sql(f"OPTIMIZE delta.`{path}`")
    after = {(row.position, row.example_id) for row in standard(spark, str(path))}
    assert before == after
    assert len(before) == 5


def test_unusable_records_have_a_reason_and_the_others_are_kept(
    spark: SparkSession, tmp_path: Path
) -> None:
    path = tmp_path / "bad.jsonl"
    good = json.dumps(RECORDS[0]).encode()
    lines = [good, b"{not json", b'{"instruction": "q"}', b'{"instruction":"q","output":"\xff"}',
             b'{"instruction": "q", "output": " "}', b"[" * 100_000]  # fmt: skip
    path.write_bytes(b"\n".join(lines))
    reasons = {row.position: row.reason for row in standard(spark, str(path))}
    assert reasons == {1: None, 2: "malformed_json", 3: "missing_field", 4: "not_utf8",
                       5: "blank_response", 6: "nested_too_deep"}  # fmt: skip


def test_own_key_and_columns_are_carried(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"instruction": "q", "output": "a", "key": 7, "tag": ["x"]}))
    (row,) = standard(spark, str(path), id="key", keep=("tag", "absent"))
    assert row.source_key == "7"
    assert row.kept == {"tag": '["x"]', "absent": None}


@pytest.mark.parametrize(
    ("name", "message"),
    [("absent.jsonl", "there is no such file"), ("notes.md", "is of no known kind")],
)
def test_an_input_that_cannot_be_read_is_named(
    spark: SparkSession, tmp_path: Path, name: str, message: str
) -> None:
    (tmp_path / "notes.md").write_text("# notes")
    with pytest.raises(UserError, match=message):
        find_inputs(spark, (str(tmp_path / name),))


def test_one_malformed_element_of_an_array_costs_one_record() -> None:
    text = '[\n {"a": 1},\n {"a": tru },\n {"a": "]"},\n {"a": [1, {"b": 2}]}\n]'
    found = list(array_elements(text))
    assert [found[0], *found[2:]] == ['{"a": 1}', '{"a": "]"}', '{"a": [1, {"b": 2}]}']
    assert "tru" in found[1]
