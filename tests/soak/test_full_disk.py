"""A store on a disk that is full, every time: one sentence, nothing lost, and it goes on."""

import os
import subprocess

import pytest
from killing import one_sentence
from snapshots import Snapshot, check, taken

from bench.harness.comparison import compare_stores
from bench.harness.rows import write_real_rows

pytestmark = pytest.mark.soak

ROWS = 40
FULL_AT = (160, 420)  # KiB: while the data are read in, and while they are measured
ENOUGH = 64 << 10


@pytest.fixture
def disk(tmp_path):
    """An empty folder that is a disk of its own, and what changes its size (KiB)."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small tmpfs")
    folder = tmp_path / "disk"
    folder.mkdir()

    def resize(size: int, *options: str) -> None:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", ",".join([f"size={size}k", *options]), "tmpfs", folder],
            check=True,
            capture_output=True,
        )

    try:
        resize(FULL_AT[0])
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no tmpfs can be mounted here: {error.stderr.decode().strip()}")
    try:
        yield folder, lambda size: resize(size, "remount")
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_under_the_store(disk, tmp_path, program, record_property):
    folder, resize = disk
    write_real_rows(tmp_path / "rows.jsonl", ROWS, longest=600)
    score = program(tmp_path / "rows.jsonl", tmp_path / "score.log", 2, "words")
    store = folder / "store"
    before = Snapshot()
    rows = []
    for size in FULL_AT:
        resize(size)
        assert score.start(store).wait() != 0
        told = one_sentence(score.said())
        assert told.startswith(f"no space is left on a disk: --store {store} has 0.")
        after = taken(store)
        check(before, after, [ROWS])
        before = after
        rows.append(len(after.get("stage_values", ())))
    assert rows[0] == 0 < rows[1] < ROWS
    resize(ENOUGH)
    assert score.finish(store) == ROWS - rows[1]
    check(before, taken(store), [ROWS])
    score.finish(tmp_path / "undisturbed")
    assert [each for each in compare_stores(tmp_path / "undisturbed", store) if not each.ok] == []
    said = told.partition(" (")[0].replace(str(folder), "…")
    record_property(
        "seen",
        f"ended {len(rows)} times: {said}; with room it measured the other "
        f"{ROWS - rows[1]} of {ROWS} rows: equal cell by cell",
    )


def test_a_full_disk_under_sparks_temporary_files(disk, tmp_path, program, record_property):
    folder, _ = disk
    write_real_rows(tmp_path / "rows.jsonl", ROWS, longest=600)
    (tmp_path / "log").mkdir()
    score = program(
        tmp_path / "rows.jsonl",
        tmp_path / "log" / "score.log",
        2,
        "words",
        TMPDIR=str(folder),
        SPARK_LOCAL_DIRS=str(folder),
    )
    assert score.start(tmp_path / "store").wait() != 0
    told = one_sentence(score.said())
    assert told.startswith(f"no space is left on a disk: the folder of temporary files {folder}")
    check(Snapshot(), taken(tmp_path / "store"), [ROWS])
    record_property("seen", told.partition(" (")[0].replace(str(folder), "…"))
