"""The same records from every container, with positions that do not depend on splits."""

import bz2
import gzip
import json
import re
import subprocess
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from instructmining.errors import UserError
from instructmining.layouts.standard_form import with_standard_form
from instructmining.reading import files, folders
from instructmining.reading import inputs as reading
from instructmining.reading.inputs import find_inputs, read_records
from instructmining.settings.sections import Read

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
    elif name.endswith(".zst"):
        path.write_bytes(zstandard.compress(lines.encode()))
    elif name.endswith(".bz2"):
        path.write_bytes(bz2.compress(lines.encode()))
    else:
        path.write_text(lines, encoding="utf-8")
    return path


def standard(spark: SparkSession, *names: str, **options: object) -> list:
    inputs, _ = find_inputs(spark, names)
    read = Read(**options)
    rows = with_standard_form(read_records(spark, inputs, read.csv_escape), read)
    return rows.orderBy("source", "position").collect()


@pytest.mark.parametrize(
    "name",
    [
        "a.jsonl",
        "a.jsonl.gz",
        "a.jsonl.bz2",
        "a.jsonl.zst",
        "a.json",
        "a.csv",
        "a.parquet",
        "delta",
    ],
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
    assert all(
        row.raw in text and json.loads(row.raw) == record
        for row, record in zip(rows, RECORDS, strict=True)
    )


def test_line_numbers_do_not_depend_on_how_a_file_is_split(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "many.jsonl"
    lines = [
        json.dumps({"instruction": f"q{i}", "output": "a" * (i % 50) + "."}) if i % 7 else ""
        for i in range(3000)
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    expected = {number: line for number, line in enumerate(lines, start=1) if line}
    inputs, _ = find_inputs(spark, (str(path),))
    for size in (None, "128m", "7k"):  # by Python in one piece, by Spark in one and in many
        if size:
            monkeypatch.setattr(files, "SPLIT_FROM", 0)
            spark.conf.set("spark.sql.files.maxPartitionBytes", size)
        rows = read_records(spark, inputs).collect()
        spark.conf.unset("spark.sql.files.maxPartitionBytes")
        assert {row.position: bytes(row.raw).decode() for row in rows} == expected


def test_line_numbers_stand_when_executors_join_between_the_passes(
    spark: SparkSession, tmp_path: Path
) -> None:
    path = tmp_path / "many.jsonl"
    path.write_text("".join(f'"{i}"\n' for i in range(1, 20_001)), encoding="utf-8")
    cores = "spark.sql.leafNodeDefaultParallelism"
    settings = {cores: "2", "spark.sql.files.openCostInBytes": "1"}  # as many splits as cores
    try:
        for key, value in settings.items():
            spark.conf.set(key, value)
        rows = files.read_lines(spark, [str(path)])
        spark.conf.set(cores, "7")
        found = rows.collect()
    finally:
        for key in settings:
            spark.conf.unset(key)
    assert [(row.source, row.raw) for row in sorted(found, key=lambda row: row.position)] == [
        (str(path), f'"{i}"'.encode()) for i in range(1, 20_001)
    ]


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
    lines = [
        good,
        b"{not json",
        b'{"instruction": "q"}',
        b'{"instruction":"q","output":"\xff"}',
        b'{"instruction": "q", "output": " "}',
        b"[" * 100_000,
    ]
    path.write_bytes(b"\n".join(lines))
    reasons = {row.position: row.reason for row in standard(spark, str(path))}
    assert reasons == {
        1: None,
        2: "malformed_json",
        3: "missing_field",
        4: "not_utf8",
        5: "blank_response",
        6: "nested_too_deep",
    }


def test_own_key_and_columns_are_carried(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"instruction": "q", "output": "a", "key": 7, "tag": ["x"]}))
    (row,) = standard(spark, str(path), id="key", keep=("tag", "absent"))
    assert row.source_key == "7"
    assert row.kept == {"tag": '["x"]', "absent": None}


@pytest.mark.parametrize(
    ("name", "message"),
    [("absent.jsonl", "there is no such file"), ("notes.md", "is not of a known kind")],
)
def test_an_input_that_cannot_be_read_is_named(
    spark: SparkSession, tmp_path: Path, name: str, message: str
) -> None:
    (tmp_path / "notes.md").write_text("# notes")
    with pytest.raises(UserError, match=message):
        find_inputs(spark, (str(tmp_path / name),))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("table:nowhere.rows", "nowhere"),
        ("table:not a name", "PARSE_SYNTAX_ERROR"),
        ("s3x://bucket/a.jsonl", "s3x"),
    ],
)
def test_a_place_that_spark_cannot_reach_is_the_users_mistake(
    spark: SparkSession, name: str, why: str
) -> None:
    with pytest.raises(UserError, match=f"--input {name}: it cannot be read .*{why}") as caught:
        find_inputs(spark, (name,))
    assert len(str(caught.value).splitlines()) == 1


def test_a_table_is_read_by_its_name(spark: SparkSession, tmp_path: Path) -> None:
    folder = write(tmp_path, "delta", spark)
    spark.sql(f"CREATE TABLE reading_rows USING delta LOCATION '{folder}'")
    try:
        by_name = standard(spark, "table:reading_rows")
        by_path = standard(spark, str(folder))
    finally:
        spark.sql("DROP TABLE reading_rows")
    assert {row.example_id for row in by_name} == {row.example_id for row in by_path}
    assert {row.source for row in by_name} == {"reading_rows"}
    assert len(by_name) == len(RECORDS)


@pytest.mark.parametrize("name", ["what[1]*.jsonl", "two words ü 100%25.jsonl.gz", "{a,b}?.json"])
def test_a_name_is_taken_as_it_stands(spark: SparkSession, tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name, spark)
    write(tmp_path, "what1x.jsonl", spark)
    rows = standard(spark, str(path))
    assert {row.source for row in rows} == {str(path)}
    assert [row.reason for row in rows] == [None] * 3


@pytest.mark.parametrize("name", ["a[1] ü.jsonl", "100%41.jsonl", "a+b.jsonl"])
def test_spark_itself_reads_such_a_name_too(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(files, "SPLIT_FROM", 0)
    path = write(tmp_path, name, spark)
    rows = standard(spark, str(path))
    assert {row.source for row in rows} == {str(path)}
    assert len(rows) == 3


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_a_checksum_left_behind_by_an_older_version_does_not_hide_the_file(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(files, "SPLIT_FROM", 64)
    path = write(tmp_path, name, spark)
    if path.is_dir():
        (path,) = path.glob("*.parquet")
    (path.parent / f".{path.name}.crc").write_bytes(b"crc\0\0\0\x02\0abcd")
    assert len(standard(spark, str(path))) == 3


def test_hidden_files_are_left_out_and_folder_names_are_columns(
    spark: SparkSession, tmp_path: Path
) -> None:
    for folder in ("language=en/year=2023", "language=de", "_temporary/0", ".cache"):
        (tmp_path / folder).mkdir(parents=True)
        write(tmp_path / folder, "a.jsonl", spark)
    rows = standard(spark, str(tmp_path), keep=("language", "year"))
    assert {(row.kept["language"], row.kept["year"]) for row in rows} == {
        ("en", "2023"),
        ("de", None),
    }
    assert len(rows) == 6


def test_a_delta_table_inside_a_folder_is_read_by_its_log(
    spark: SparkSession, tmp_path: Path
) -> None:
    table = write(tmp_path, "delta", spark)
    spark.sql(f"DELETE FROM delta.`{table}` WHERE instruction = 'Count.'")  # the file stays
    write(tmp_path, "a.jsonl", spark)
    rows = standard(spark, str(tmp_path))
    assert [row.source for row in rows].count(str(table)) == 2
    assert len(rows) == 5


def test_delta_tables_that_a_glob_matches_are_read_by_their_logs(
    spark: SparkSession, tmp_path: Path
) -> None:
    table = write(tmp_path, "delta", spark)
    spark.sql(f"DELETE FROM delta.`{table}` WHERE instruction = 'Count.'")  # the file stays
    rows = standard(spark, str(tmp_path / "delta*"))
    assert [(row.source, row.prompt) for row in rows if row.prompt != "Grüße"] == [
        (str(table), "Greet.")
    ]
    assert len(rows) == 2


def test_what_two_names_lead_to_is_read_once(spark: SparkSession, tmp_path: Path) -> None:
    table = write(tmp_path, "delta", spark)
    lines = write(tmp_path, "a.jsonl", spark)
    (tmp_path / "other").mkdir()
    names = (str(tmp_path), str(table), f"file:{table}", f"{tmp_path}/other/../delta", str(lines))
    for order in (names, names[::-1]):
        rows = standard(spark, *order)
        assert {row.source for row in rows} == {str(table), str(lines)}
        assert len(rows) == 2 * len(RECORDS)


def test_rows_of_a_delta_table_keep_their_position_in_every_time_zone(
    spark: SparkSession, tmp_path: Path
) -> None:
    path = str(tmp_path / "timed")
    spark.sql(
        "SELECT 'Why?' prompt, 'So.' response, timestamp'2024-01-01 00:00:00' asked, "
        "CAST(NULL AS TIMESTAMP) edited"
    ).write.format("delta").save(path)
    as_before = F.to_json(F.struct("*"), {"ignoreNullFields": "false"})  # the session is in UTC
    rows = spark.read.format("delta").load(path)
    (expected,) = rows.select(F.xxhash64(as_before, F.lit(1))).first()
    (here,) = standard(spark, path)
    assert here.position == expected  # of stores there are
    assert json.loads(here.raw)["asked"] == "2024-01-01T00:00:00.000Z"
    spark.conf.set("spark.sql.session.timeZone", "Asia/Kolkata")
    try:
        (there,) = standard(spark, path)
    finally:
        spark.conf.set("spark.sql.session.timeZone", "UTC")
    assert (there.position, there.raw) == (here.position, here.raw)


def test_parquet_files_whose_types_drifted_are_all_read(
    spark: SparkSession, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    for number, score in enumerate([1, "high", {"a": 1.5}]):
        rows = pa.Table.from_pylist([RECORDS[number] | {"score": score}])
        pq.write_table(rows, folder / f"{number}.parquet")
    (folder / "bad.parquet").write_bytes(b"PAR1 and nothing else PAR1")
    rows = standard(spark, str(folder), keep=("score",))
    assert [row.kept["score"] for row in rows if row.reason is None] == ["1", "high", '{"a": 1.5}']
    assert [(Path(row.source).name, row.reason) for row in rows if row.reason] == [
        ("bad.parquet", "unreadable_file")
    ]


@pytest.fixture
def far(spark: SparkSession, tmp_path: Path) -> str:
    """The folder behind a file system that Python cannot open."""
    hadoop = spark._jsc.hadoopConfiguration()
    name = "far" + "".join(c for c in tmp_path.name if c.isalnum())  # Hadoop caches by name
    hadoop.set(f"fs.viewfs.mounttable.{name}.link./data", f"file:{tmp_path}")
    return f"viewfs://{name}/data"


@pytest.mark.parametrize("name", ["a.jsonl", "a b.jsonl.gz", "a.jsonl.zst", "a.json", "a.csv"])
def test_files_on_another_file_system(
    spark: SparkSession, tmp_path: Path, far: str, name: str
) -> None:
    expected = {row.example_id for row in standard(spark, str(write(tmp_path, name, spark)))}
    rows = standard(spark, f"{far}/{name}")
    assert {row.example_id for row in rows} == expected
    assert {row.source for row in rows} == {f"{far}/{name}"}
    assert [row.position for row in rows] == [1, 2, 3]


def test_an_array_that_is_too_large_is_refused_with_the_command_that_mends_it(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MAX_WHOLE", 100)
    path = write(tmp_path, "a.json", spark)
    with pytest.raises(UserError, match=r"cat .*a\.json \| jq -c '\.\[\]' > .*a\.jsonl"):
        find_inputs(spark, (str(path),))


def test_questions_and_answers_of_two_files_are_joined(spark: SparkSession, tmp_path: Path) -> None:
    questions = [{"question_id": i, "category": "x", "turns": [f"q{i}", "again"]} for i in (1, 2)]
    answers = [
        {"question_id": i, "model_id": "m", "choices": [{"index": 0, "turns": ["a", "b"]}]}
        for i in (2, 3)
    ]
    for name, rows in (("question.jsonl", questions), ("answer.jsonl", answers)):
        (tmp_path / name).write_text("\n".join(map(json.dumps, rows)))
    rows = standard(spark, str(tmp_path))
    assert sorted((row.reason or "", row.records) for row in rows) == [
        ("", 2),
        ("no_question", 1),
        ("no_response", 1),
    ]
    (joined,) = (row for row in rows if row.reason is None)
    assert [(m.role, m.content) for m in joined.messages] == [
        ("user", "q2"),
        ("assistant", "a"),
        ("user", "again"),
        ("assistant", "b"),
    ]


def test_a_question_that_two_models_answer_counts_as_one_record(
    spark: SparkSession, tmp_path: Path
) -> None:
    question = {"question_id": 1, "category": "x", "turns": ["日本?"]}
    (tmp_path / "question.jsonl").write_text(json.dumps(question))
    for model in "ab":
        answer = {"question_id": 1, "model_id": model, "choices": [{"index": 0, "turns": [model]}]}
        (tmp_path / f"{model}.jsonl").write_text(json.dumps(answer))
    rows = standard(spark, str(tmp_path))
    assert [(row.response, row.records) for row in rows] == [("a", 2), ("b", 1)]


@pytest.mark.parametrize(
    "count", [60, pytest.param(10_000, marks=pytest.mark.slow)]
)  # the larger one takes a minute
def test_the_driver_asks_once_for_each_file_and_for_many_at_once(
    spark: SparkSession, tmp_path: Path, far: str, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    for number in range(count):
        folder = tmp_path / f"language={number % 5}"
        folder.mkdir(exist_ok=True)
        record = {"instruction": f"Frage {number}?", "output": f"日本 {number}"}
        (folder / f"{number}.jsonl").write_text(json.dumps(record) + "\n")
        if number < 5:
            table = pa.Table.from_pylist([{"instruction": f"q{number}", "output": "a"}])
            pq.write_table(table, folder / f"{number}.parquet")
    requests = {"head": 0, "is_delta": 0}
    under_way = [0, 0]  # now, and the most
    lock = threading.Lock()

    def counted(name: str) -> Callable[..., object]:
        request = getattr(folders, name)

        def call(*arguments: object) -> object:
            with lock:
                requests[name] += 1
                under_way[0] += 1
                under_way[1] = max(under_way)
            try:
                return request(*arguments)
            finally:
                with lock:
                    under_way[0] -= 1

        return call

    for name in requests:
        monkeypatch.setattr(folders, name, counted(name))
    inputs, _ = find_inputs(spark, (far,))
    assert requests == {"head": count + 5, "is_delta": 5}
    assert under_way[1] > 4
    assert read_records(spark, inputs).count() == count + 5


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "utf-16.jsonl"])
def test_what_travels_through_spark_in_one_piece_is_refused_by_size(
    spark: SparkSession, tmp_path: Path, far: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(reading, "MAX_WHOLE", 100)
    path = write(tmp_path, name, spark)
    if name.startswith("utf-16"):
        path.write_bytes(path.read_text().encode("utf-16"))
    with pytest.raises(UserError, match=rf"{name}: such a file over 1 GiB .* or volume, or split"):
        find_inputs(spark, (f"{far}/{name}",))
    assert len(standard(spark, str(path))) == 3  # a path that Python opens is read as a stream
    find_inputs(spark, (f"{far}/{write(tmp_path, 'b.jsonl', spark).name}",))  # in splits


def test_bytes_and_nan_of_a_table_are_text_and_null(spark: SparkSession, tmp_path: Path) -> None:
    path = str(tmp_path / "table")
    spark.sql(
        "SELECT CAST('Why? 日本' AS BINARY) instruction, double('NaN') input, "
        "array(float('NaN'), float(1.5)) weights, named_struct('bytes', X'FFFE') picture, "
        "CAST(NULL AS BINARY) system, 'So.' output "
        "UNION ALL SELECT X'FF', 1.5, NULL, NULL, CAST('s' AS BINARY), 'A'"
    ).write.format("delta").save(path)
    rows = {row.response or row.reason: row for row in standard(spark, path)}
    assert rows["So."].prompt == "Why? 日本"
    raw = json.loads(rows["So."].raw)
    assert (raw["input"], raw["weights"], raw["system"]) == (None, [None, 1.5], None)
    assert "2 bytes that are not UTF-8" in raw["picture"]["bytes"]
    assert "1 bytes that are not UTF-8" in rows["wrong_type"].detail


def test_large_parquet_on_another_file_system_is_read_by_spark(
    spark: SparkSession, tmp_path: Path, far: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = pa.array([1, None], pa.timestamp("ns"))
    table = pa.table({"instruction": [b"q", b"r"], "at": times, "output": ["a", "う"]})
    pq.write_table(table, tmp_path / "a.parquet")
    expected = [(1, "q", "a"), (2, "r", "う")]
    for most in (1 << 20, 0):  # by Python, and by Spark
        monkeypatch.setattr(files, "_WHOLE_PACKED", most)
        rows = standard(spark, f"{far}/a.parquet")
        assert [(row.position, row.prompt, row.response) for row in rows] == expected


def test_a_large_parquet_file_is_read_by_several_tasks(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "SPLIT_FROM", 1000)
    rows = [{"prompt": f"Frage {i}?", "response": f"日本 {i}"} for i in range(100)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet", row_group_size=10)
    assert (tmp_path / "a.parquet").stat().st_size > 3000
    inputs, _ = find_inputs(spark, (str(tmp_path),))
    assert read_records(spark, inputs).rdd.getNumPartitions() > 1
    found = standard(spark, str(tmp_path))
    assert [(row.position, row.prompt) for row in found] == [
        (i + 1, f"Frage {i}?") for i in range(100)
    ]


def test_a_file_and_a_link_to_it_are_read_once(spark: SparkSession, tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", spark)
    (tmp_path / "b.jsonl").symlink_to(path)
    assert len(standard(spark, str(tmp_path))) == 3
    assert len(standard(spark, str(tmp_path / "b.jsonl"), str(path))) == 3


def test_a_saved_data_set_is_read_from_its_arrow_files(spark: SparkSession, tmp_path: Path) -> None:
    for split_name in ("train", "test"):
        folder = tmp_path / "saved" / split_name
        folder.mkdir(parents=True)
        (folder / "state.json").write_text(
            json.dumps({"_data_files": [{"filename": "data-0.arrow"}]}, indent=2)
        )
        (folder / "dataset_info.json").write_text(json.dumps({"features": {}}, indent=2))
        table = pa.Table.from_pylist([r | {"split": split_name} for r in RECORDS])
        with pa.ipc.new_stream(folder / "data-0.arrow", table.schema) as writer:
            writer.write_table(table)
    (tmp_path / "saved/dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    rows = standard(spark, str(tmp_path / "saved"), keep=("split",))
    assert sorted((row.kept["split"], row.position) for row in rows) == [
        (name, position) for name in ("test", "train") for position in (1, 2, 3)
    ]


def test_a_tar_inside_gz_is_refused_with_a_command_that_works(
    spark: SparkSession, tmp_path: Path
) -> None:
    write(tmp_path, "a.jsonl", spark)
    path = tmp_path / "data.jsonl.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(tmp_path / "a.jsonl", "inside.jsonl")
    with pytest.raises(UserError, match="is a tar archive: unpack it") as caught:
        find_inputs(spark, (str(path),))
    (command,) = re.findall("`(.+)`", str(caught.value))
    subprocess.run(command, shell=True, check=True, cwd=tmp_path)
    assert (tmp_path / "inside.jsonl").read_bytes() == (tmp_path / "a.jsonl").read_bytes()
    _, left_out = find_inputs(spark, (str(tmp_path),))
    assert left_out == [str(path)]


def test_csv_as_spark_writes_it_gives_back_the_texts(spark: SparkSession, tmp_path: Path) -> None:
    texts = [
        'She said "go".',
        'C:\\new\\"dir", and so on',
        '{"a": "b\\nc",\n "日本": []}',
        "a\\",
        '\\"',
    ]
    rows = [{"prompt": f"q{i}", "response": text} for i, text in enumerate(texts)]
    path = str(tmp_path / "written")
    spark.createDataFrame(rows).coalesce(1).write.option("header", True).csv(path)
    assert [(row.prompt, row.response) for row in standard(spark, path)] == [
        (row["prompt"], row["response"]) for row in rows
    ]
