"""What lies in a folder: which files are read, once each, and what is refused by name."""

import json
import os
import threading
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from instructmining.errors import UserError
from instructmining.reading import folders
from instructmining.reading.folders import File, Input, blob_of, current_files, inputs_of

ROWS = [{"instruction": "Grüße", "output": "日本"}, {"instruction": "q", "output": "a"}]
LINES = "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS)


def inputs(root: Path) -> list[Input]:
    """Local files are looked at without Spark."""
    files = [File(f"file:{path}", path.stat().st_size) for path in sorted(root.rglob("*.*"))]
    paths = [file for file in files if Path(file.path.removeprefix("file:")).is_file()]
    return inputs_of(None, f"file:{root}", paths)


def by_name(root: Path) -> dict[str, str]:
    return {Path(each.path).name: each.container for each in inputs(root)}


def hub_cache(folder: Path, copied: bool) -> Path:
    """A download cache with two revisions; its links are links, or were copied as text."""
    cache = folder / "hub" / "datasets--acme--qa"
    for name in ("blobs", "refs", "snapshots/old1", "snapshots/new2/data"):
        (cache / name).mkdir(parents=True)
    (cache / "refs/main").write_text("new2\n")
    for name in ("0a1b", "2c3d"):
        (cache / "blobs" / name).write_text(LINES)
    for link, blob in (
        ("old1/train.jsonl", "../../blobs/0a1b"),
        ("new2/train.jsonl", "../../blobs/0a1b"),
        ("new2/data/test.jsonl", "../../../blobs/2c3d"),
    ):
        path = cache / "snapshots" / link
        path.write_text(blob) if copied else path.symlink_to(blob)
    return cache


def all_files(root: Path) -> list[File]:
    return [File(f"file:{p}", p.stat().st_size) for p in sorted(root.rglob("*")) if p.is_file()]


@pytest.mark.parametrize("copied", [False, True])
def test_a_download_cache_is_read_once_in_its_current_revision(tmp_path, copied) -> None:
    cache = hub_cache(tmp_path, copied)
    found = inputs_of(None, f"file:{tmp_path}", all_files(tmp_path))
    read = sorted(
        (os.path.realpath(each.path.removeprefix("file:")), each.bytes)
        for each in found
        if each.container == "lines"
    )
    size = len(LINES.encode())
    assert read == [(str(cache / f"blobs/{name}"), size) for name in ("0a1b", "2c3d")]
    left_out = [each.path for each in found if each.container == "unknown"]
    assert left_out == [f"file:{cache}/snapshots/old1/train.jsonl"]


def test_without_the_name_of_a_revision_all_are_read(tmp_path) -> None:
    cache = hub_cache(tmp_path, copied=False)
    for text in (None, "gone"):
        (cache / "refs/main").unlink(missing_ok=True) if text is None else (
            cache / "refs/main"
        ).write_text(text)
        to_read, others = current_files(all_files(tmp_path))
        assert [Path(file.path).parent.name for file in to_read] == ["data", "new2", "old1"]
        assert others == []


def test_a_folder_called_blobs_elsewhere_is_a_folder(tmp_path) -> None:
    for name in ("blobs/a.jsonl", "snapshots/1/a.jsonl", "datasets--x/blobs/b.jsonl"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(LINES)
    files = all_files(tmp_path)
    assert current_files(files) == (files, [])
    assert blob_of(files[0].path, b"../../blobs/0a1b") is None


def test_descriptions_beside_a_saved_data_set_are_left_out(tmp_path) -> None:
    for part in ("train", "test"):
        folder = tmp_path / part
        folder.mkdir()
        (folder / "state.json").write_text(json.dumps({"_data_files": []}, indent=2))
        (folder / "dataset_info.json").write_text(json.dumps({"features": {}}, indent=2))
        table = pa.Table.from_pylist(ROWS)
        with pa.ipc.new_stream(folder / f"{part}.arrow", table.schema) as writer:
            writer.write_table(table)
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    assert by_name(tmp_path) == {
        "dataset_dict.json": "unknown",
        "dataset_info.json": "unknown",
        "state.json": "unknown",
        "test.arrow": "arrow",
        "train.arrow": "arrow",
    }


@pytest.mark.parametrize(
    "metadata",
    [
        "v2.metadata.json",
        "00001-9c12d441-03fe-4693-9a96-a0705ddf69c1.metadata.json",
        "00001-9c12d441-03fe-4693-9a96-a0705ddf69c1.gz.metadata.json",
    ],
)
def test_an_iceberg_table_is_refused_by_name(tmp_path, metadata) -> None:
    table = tmp_path / "lake" / "Fragen qa"
    for name in ("metadata", "data"):
        (table / name).mkdir(parents=True)
    (tmp_path / "a.jsonl").write_text(LINES)
    (table / "metadata" / metadata).write_text("{}")
    pq.write_table(pa.Table.from_pylist(ROWS), table / "data/a.parquet")
    for root in (table, tmp_path):
        with pytest.raises(UserError, match=rf"{table} is an Iceberg table: .*--input table:CAT"):
            inputs(root)


def test_a_file_called_metadata_is_not_a_table(tmp_path) -> None:
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata" / "my.metadata.json").write_text(LINES)
    assert by_name(tmp_path) == {"my.metadata.json": "lines"}


def test_each_file_is_asked_for_once_and_many_at_once(tmp_path, monkeypatch) -> None:
    count = 600
    (tmp_path / "table" / "_delta_log").mkdir(parents=True)
    for number in range(count):
        folder = tmp_path / f"language={number % 3}"
        folder.mkdir(exist_ok=True)
        (folder / f"{number}.jsonl").write_text(LINES)
    for name in ("table/1.parquet", "table/2.parquet", "language=0/1.parquet"):
        pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / name)
    asked: dict[str, list[str]] = {"head": [], "is_delta": []}
    under_way = [0, 0]  # now, and the most
    lock = threading.Lock()

    def counted(name):
        request = getattr(folders, name)

        def call(spark, path):
            with lock:
                asked[name].append(path)
                under_way[0] += 1
                under_way[1] = max(under_way)
            time.sleep(0.002)  # an object store takes ten times as long
            try:
                return request(spark, path)
            finally:
                with lock:
                    under_way[0] -= 1

        return call

    for name in asked:
        monkeypatch.setattr(folders, name, counted(name))
    found = inputs(tmp_path)
    assert [each.container for each in found].count("lines") == count
    assert [Path(each.path).name for each in found if each.container == "delta"] == ["table"]
    assert len(asked["head"]) == len(set(asked["head"])) == count + 1
    assert sorted(Path(path).name for path in asked["is_delta"]) == ["language=0", "table"]
    assert under_way[1] > 4
