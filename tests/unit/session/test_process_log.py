"""One log for each process, which only its user reads and which no other file is taken for."""

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from instructmining.spark import process_log
from instructmining.spark.process_log import log_path, open_log, write_error

ENDED = 2**22 + 1  # above the largest number of a process on Linux


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    process_log._log_of.cache_clear()
    yield tmp_path
    process_log._log_of.cache_clear()


def log_of(process: int, folder: Path, age: float = 0, name: str = "x") -> Path:
    path = folder / f"instructmining-spark-{os.getuid()}-{process}-{name}.log"
    path.write_text("what Spark said")
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_two_processes_have_two_logs_that_only_the_user_reads(folder):
    code = "from instructmining.spark.process_log import log_path; print(log_path())"
    environment = {**os.environ, "TMPDIR": str(folder)}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    other = Path(run.stdout.strip())
    assert other.parent == log_path().parent == folder
    assert other != log_path() == log_path()
    for log in (other, log_path()):
        assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_what_is_written_stands_behind_what_the_jvm_wrote():
    jvm = open_log()
    os.write(jvm, b"first\n")
    try:
        raise ValueError("Ошибка 错误")
    except ValueError:
        assert write_error() == log_path()
    os.write(jvm, b"last\n")
    os.close(jvm)
    lines = log_path().read_text(encoding="utf-8").splitlines()
    assert (lines[0], lines[-2], lines[-1]) == ("first", "ValueError: Ошибка 错误", "last")


def test_a_log_that_became_a_link_or_went_is_neither_written_nor_named(folder):
    secret = folder / "another"
    secret.write_text("untouched")
    log = log_path()
    log.unlink()
    assert write_error() is None
    log.symlink_to(secret)
    assert write_error() is None
    assert secret.read_text() == "untouched"


def test_old_logs_of_ended_processes_go_and_nothing_else(folder):
    ended = [log_of(ENDED, folder, age, f"{age}") for age in range(15)]
    running = log_of(os.getppid(), folder, age=999)
    others = [folder / "instructmining-spark-1-2-x.log", folder / "instructmining-spark-notes.log"]
    for path in others:
        path.write_text("of another user, or of nobody")
    link = folder / f"instructmining-spark-{os.getuid()}-{ENDED}-link.log"
    link.symlink_to(others[0])
    log = log_path()
    left = set(folder.iterdir())
    assert left == {*ended[:9], running, *others, link, log}  # ten of this user, with the new one
