"""What `instructmining preview` says of files, without Spark."""

import gzip
import json
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from instructmining.errors import UserError
from instructmining.preview.facts import is_local, previews
from instructmining.preview.page import preview_page
from instructmining.settings.sections import Read
from jobs.cli import main

MATH = {"source": "olympiads", "problem": "12 / 4?", "solution": "12 / 4 = 3. So 3.", "answer": 3}
ROWS = [
    MATH,
    {
        "system_prompt": "Be brief.",
        "question": "Warum 雨?",
        "answer": "Wolken.",
        "context": "Wetter",
    },
    {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": " "}]},
    {"messages": json.dumps([{"role": "user", "content": "Q?"}, {"role": "gpt", "content": "A."}])},
]


def written(path: Path, rows: list) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def page(*names: Path, **options) -> str:
    return preview_page(*previews([str(name) for name in names], Read(**options)))


def test_a_preview_names_layout_fields_what_is_not_read_and_what_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", ROWS)
    assert page(path).splitlines() == [
        f"{path} · JSON lines · 4 rows · looked at 4",
        "  layout      pairs 2, messages 1",
        "  system      system_prompt",
        "  prompt      problem, question, context, messages[].content",
        "  response    solution, answer, messages[].content",
        "  not read    source (in 1), as in: olympiads",
        "  quarantined 1 blank_response: turn 2, of the assistant, is empty or blank",
        "  example 1",
        "    user      12 / 4?",
        "    assistant 12 / 4 = 3. So 3.",
        "  example 2",
        "    system    Be brief.",
        "    user      Warum 雨? Wetter",
        "    assistant Wolken.",
        "  example 3",
        "    user      Q?",
        "    assistant A.",
    ]


def test_options_of_reading_can_be_tried(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", [MATH])
    lines = page(path, keep=("source",), columns={"prompt": "source", "response": "answer"})
    assert "layout      columns 1" in lines
    assert "user      olympiads" in lines
    assert "response    answer" in lines  # a number
    assert "unknown_format" in page(path, format="messages")


def test_rows_of_a_large_file_are_estimated_and_of_parquet_counted(tmp_path: Path) -> None:
    rows = [{"prompt": f"Frage {i}", "response": "Antwort " * 20} for i in range(20_000)]
    plain = written(tmp_path / "a.jsonl", rows)
    packed = tmp_path / "b.jsonl.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes(), 1))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "c.parquet")
    found, _ = previews([str(tmp_path)], Read())
    assert [(Path(each.path).name, each.exact, each.sampled) for each in found] == [
        ("a.jsonl", False, 200),
        ("b.jsonl.gz", True, 200),
        ("c.parquet", True, 200),
    ]
    assert found[0].rows == pytest.approx(20_000, rel=0.05)
    assert [each.rows for each in found[1:]] == [20_000, 20_000]
    assert "about" in preview_page(found[:1], [])


def test_of_a_large_array_its_first_bytes_are_read_and_the_record_they_cut_is_left_out(
    tmp_path: Path,
) -> None:
    rows = [{"prompt": f"Frage {i}", "response": "Antwort " * 3000} for i in range(400)]
    whole = json.dumps(rows).encode()
    (tmp_path / "a.json").write_bytes(whole)
    (tmp_path / "b.json.gz").write_bytes(gzip.compress(whole, 0))
    found, _ = previews([str(tmp_path)], Read())
    for each in found:
        assert each.rows == pytest.approx(400, rel=0.1)
        assert (each.exact, dict(each.refused)) == (False, {})
        assert 30 < each.sampled < 60
    (tmp_path / "c.parquet").write_bytes(b"PAR1 and then nothing")
    found, _ = previews([str(tmp_path / "c.parquet")], Read())
    assert dict(found[0].refused) == {"unreadable_file": 1}


def test_cells_of_parquet_are_read_as_score_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    bytes_of_text = pa.array(["Warum 雨?".encode(), None], pa.binary())
    times = pa.array([1, 2], pa.timestamp("ns"))
    columns = {"instruction": bytes_of_text, "input": [float("nan")] * 2, "at": times}
    pq.write_table(pa.table({**columns, "output": ["Wolken.", "x"]}), path)
    lines = page(path)
    assert "user      Warum 雨?\n" in lines
    assert "quarantined 1 missing_field" in lines


def test_messages_of_trees_are_joined(tmp_path: Path) -> None:
    rows = [
        {"message_id": "a", "parent_id": None, "role": "prompter", "text": "Warum 雨?"},
        {"message_id": "b", "parent_id": "a", "role": "assistant", "text": "Wolken."},
    ]
    path = written(tmp_path / "m.jsonl", [{**row, "message_tree_id": "a"} for row in rows])
    assert "layout      oasst 1" in page(path)


def test_hidden_files_are_left_out_and_what_is_no_data_file_is_named(tmp_path: Path) -> None:
    written(tmp_path / "a.jsonl", [MATH])
    (tmp_path / "_temporary").mkdir()
    written(tmp_path / "_temporary" / "b.jsonl", [MATH])
    (tmp_path / "notes.docx").write_bytes(b"\x00")
    found, left_out = previews([str(tmp_path), str(tmp_path / "*.jsonl")], Read())
    assert [Path(each.path).name for each in found] == ["a.jsonl"]
    assert [path.name for path in left_out] == ["notes.docx"]
    for name in ("nothing.jsonl", "no*.jsonl"):
        with pytest.raises(UserError, match="no such file"):
            previews([str(tmp_path / name)], Read())


def test_what_lies_in_a_folder_is_what_score_would_read(tmp_path: Path) -> None:
    """A cache of the hub once, in its current revision; an Iceberg table and an archive refused."""
    cache = tmp_path / "hub" / "datasets--acme--qa"
    for folder in ("blobs", "refs", "snapshots/old1", "snapshots/new2"):
        (cache / folder).mkdir(parents=True)
    (cache / "refs/main").write_text("new2")
    for revision, blob in (("old1", "2c3d"), ("new2", "0a1b")):
        written(cache / "blobs" / blob, [MATH])
        (cache / "snapshots" / revision / "train.jsonl").symlink_to(f"../../blobs/{blob}")
    found, left_out = previews([str(cache), str(cache / "blobs/0a1b")], Read())
    assert [each.rows for each in found] == [1]
    assert [str(path) for path in left_out] == [f"{cache}/snapshots/old1/train.jsonl"]

    table = tmp_path / "table"
    (table / "metadata").mkdir(parents=True)
    written(table / "metadata" / "v1.metadata.json", [{"format-version": 2}])
    pq.write_table(pa.Table.from_pylist([MATH]), table / "rows.parquet")
    with pytest.raises(UserError, match=r"table is an Iceberg table: .*--input table:"):
        previews([str(tmp_path)], Read())

    with tarfile.open(tmp_path / "data.tar.gz", "w:gz") as archive:
        archive.add(cache / "blobs/0a1b")
    with pytest.raises(UserError, match=r"is a tar archive: unpack it with `tar -xf .*data\.tar"):
        previews([str(tmp_path / "data.tar.gz")], Read())

    (tmp_path / "lake" / "qa" / "_delta_log").mkdir(parents=True)
    assert is_local(str(cache))
    assert not is_local(str(tmp_path / "lake"))
    assert not is_local(str(tmp_path / "la*"))


def test_the_command_needs_no_spark_for_local_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("instructmining.spark.session.get_session", lambda: 1 / 0)
    path = written(tmp_path / "a.jsonl", [MATH])
    main(["preview", str(path), "--columns", "prompt=problem,response=solution", "--keep=source"])
    printed = capsys.readouterr().out
    assert "layout      columns 1" in printed
    assert "not read" not in printed
    assert not is_local("table:a.b.c")
    assert not is_local("s3a://bucket/a.jsonl")
    with pytest.raises(UserError, match="columns needs prompt"):
        main(["preview", str(path), "--columns", "turns=problem,response=solution"])
