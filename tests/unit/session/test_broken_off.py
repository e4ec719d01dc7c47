"""What ends a run from outside is one sentence; everything else passes through as it is."""

import errno

import pytest

from instructmining.errors import BrokenOffError
from instructmining.settings.loading import load_settings
from instructmining.spark.broken_off import broken_off, places_written
from instructmining.spark.session import with_session

MORE = "raise spark.driver.memory, now 3g: --set spark.driver.memory=6g"


@pytest.fixture
def places(tmp_path):
    return places_written(
        load_settings(
            options={
                "store": f"{tmp_path}/new/store",
                "files": "/Volumes/a/b",
                "tracking": {"uri": "https://server"},
            }
        )
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
def test_a_full_disk_is_named_by_the_option_that_leads_there(error, places, monkeypatch):
    left = {True: 5 << 20, False: 9 << 30}
    monkeypatch.setattr(
        "instructmining.spark.broken_off.shutil.disk_usage",
        lambda path: type("Usage", (), {"free": left["pytest" in str(path)]}),
    )
    told = str(broken_off(error, places, True, MORE))
    assert told.startswith(f"no space is left on a disk: --store {places['--store']} has 5.0 MiB")
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
def test_killed_processes_are_told(text, told, places):
    sentence = str(broken_off(RuntimeError(text), places, True, MORE))
    assert sentence.startswith(told)
    assert sentence.endswith("run the same command again to go on")


def test_a_jvm_that_does_not_answer_is_the_cause_whatever_was_raised(places):
    sentence = str(broken_off(ConnectionRefusedError(), places, False, MORE))
    assert sentence == (
        f"the JVM of Spark's driver ended during this run (killed, or out of memory: {MORE}); "
        "what was committed stays: run the same command again to go on"
    )


@pytest.mark.parametrize(
    "text",
    [
        "Job 3 cancelled because SparkContext was shut down",
        "Task 0 failed 1 times: ExecutorLostFailure (executor driver exited",
    ],
)
def test_a_local_application_that_ends_had_too_little_memory_or_was_killed(text, places):
    """A local JVM out of memory ends the application first, and answers until it is gone."""
    sentence = str(broken_off(RuntimeError(text), places, True, MORE, is_local=True))
    assert sentence.startswith(
        f"the JVM of Spark's driver ended during this run (killed, or out of memory: {MORE});"
    )


LOST = "Job aborted due to stage failure: Task 0 in stage 1.0 failed 1 times, most recent failure: "


@pytest.mark.parametrize(
    ("text", "start"),
    [
        (
            "An error occurred while calling o5.collectToPython.\n: java.lang.OutOfMemoryError: "
            "Java heap space",
            f"the JVM of Spark's driver was out of memory: {MORE};",
        ),
        (
            f"{LOST}Lost task 0.0 in stage 1.0 (TID 1) (127.0.0.1 executor driver): "
            "java.lang.OutOfMemoryError: GC overhead limit exceeded",
            f"the JVM of Spark's driver was out of memory: {MORE};",
        ),
        (
            f"{LOST}Lost task 0.3 in stage 1.0 (TID 1) (10.0.0.7 executor 12): "
            "java.lang.OutOfMemoryError: Java heap space",
            "an executor's JVM was out of memory: raise spark.executor.memory",
        ),
    ],
)
def test_memory_is_named_by_the_setting_of_the_jvm_that_had_too_little(text, start, places):
    assert str(broken_off(RuntimeError(text), places, True, MORE)).startswith(start)


@pytest.mark.parametrize(
    ("environment", "given", "remedy"),
    [
        ({}, [], "now 3g: --set spark.driver.memory=6g"),
        ({}, ["spark.driver.memory=700m"], "now 700m: --set spark.driver.memory=1400m"),
        ({}, ["spark.driver.memory=much"], "now much: --set spark.driver.memory=6g"),
        ({"SPARK_MASTER": "spark://host:7077"}, [], "driver.memory: --set spark.driver.memory=6g"),
        ({"PYSPARK_GATEWAY_PORT": "1"}, [], "spark.driver.memory: spark-submit --driver-memory 6g"),
        ({"DATABRICKS_RUNTIME_VERSION": "18.0"}, [], "take a driver with more memory"),
    ],
)
def test_the_way_to_more_memory_is_that_of_who_started_the_session(
    environment, given, remedy, monkeypatch
):
    def work(*_):
        raise RuntimeError(": java.lang.OutOfMemoryError: Java heap space")

    monkeypatch.delenv("SPARK_MASTER", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("instructmining.spark.session.get_session", lambda *_: (None, False))
    with pytest.raises(BrokenOffError, match=f"was out of memory: .*{remedy};"):
        with_session(work, load_settings(sets=given))


class Ending:
    """A session whose JVM answers for the last time before it is to be stopped."""

    def __init__(self) -> None:
        self.sparkContext = self._jvm = self.java = self.lang = self.System = self
        self.answers = 2

    def nanoTime(self) -> int:
        self.answers -= 1
        if self.answers < 0:
            raise ConnectionRefusedError
        return 1

    def stop(self) -> None:
        raise ConnectionRefusedError


def test_a_jvm_that_ends_while_it_is_stopped_hides_no_message(monkeypatch):
    def work(*_):
        raise RuntimeError("SparkContext was shut down")

    monkeypatch.delenv("SPARK_MASTER", raising=False)
    monkeypatch.setattr("instructmining.spark.session.get_session", lambda *_: (Ending(), True))
    with pytest.raises(BrokenOffError, match=r"ended during this run .*spark\.driver\.memory"):
        with_session(work, load_settings())


def test_other_errors_are_left_alone(places):
    assert broken_off(ValueError("a bug"), places, True, MORE) is None
