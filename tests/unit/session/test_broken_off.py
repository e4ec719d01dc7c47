"""What ends a run from outside is one sentence; everything else passes through as it is."""

import errno

import pytest

from instructmining.settings.loading import load_settings
from instructmining.spark.broken_off import broken_off


@pytest.fixture
def settings(tmp_path):
    return load_settings(
        options={
            "store": f"{tmp_path}/new/store",
            "files": "/Volumes/a/b",
            "tracking": {"uri": "https://server"},
        }
    )


def caused(error: Exception, by: Exception) -> Exception:
    error.__cause__ = by
    return error


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "over the quota"),
        RuntimeError("Job aborted … Caused by: java.io.IOException: No space left on device"),
        RuntimeError("(sqlite3.OperationalError) database or disk is full"),
        caused(RuntimeError("cannot write"), OSError(errno.ENOSPC, "No space left on device")),
    ],
)
def test_a_full_disk_is_named_by_the_option_that_leads_there(error, settings, monkeypatch):
    left = {True: 5 << 20, False: 9 << 30}
    monkeypatch.setattr(
        "instructmining.spark.broken_off.shutil.disk_usage",
        lambda path: type("Usage", (), {"free": left["pytest" in str(path)]}),
    )
    told = str(broken_off(error, settings, True))
    assert told.startswith(f"no space is left on a disk: --store {settings.store} has 5.0 MiB")
    assert told.endswith(
        "make room there; what was committed stays: run the same command again to go on"
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Job aborted: Python worker exited unexpectedly (crashed)", "a Python worker ended"),
        ("Task 0 failed 4 times: ExecutorLostFailure (executor 3 exited", "executors of this run"),
        ("Job 3 cancelled because SparkContext was shut down", "executors of this run"),
    ],
)
def test_killed_processes_are_told(text, told, settings):
    sentence = str(broken_off(RuntimeError(text), settings, True))
    assert sentence.startswith(told)
    assert sentence.endswith("run the same command again to go on")


def test_a_jvm_that_does_not_answer_is_the_cause_whatever_was_raised(settings):
    assert "the JVM" in str(broken_off(ConnectionRefusedError(), settings, False))


def test_other_errors_are_left_alone(settings):
    assert broken_off(ValueError("a bug"), settings, True) is None
