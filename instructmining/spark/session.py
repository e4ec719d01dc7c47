"""The Spark session: the runtime's own where there is one, else a fast local one with Delta."""

import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from py4j.protocol import Py4JNetworkError
from pyspark import SparkConf, SparkContext
from pyspark.sql import SparkSession
from pyspark.sql.utils import is_remote

from instructmining.errors import FailedRowsError, UserError
from instructmining.settings.sections import Settings
from instructmining.spark.broken_off import broken_off, places_written
from instructmining.spark.class_archive import with_class_archive
from instructmining.spark.delta_jars import delta_jars
from instructmining.spark.local_settings import (
    LOCAL,
    is_little,
    is_one_jvm,
    settings_for,
    submitted_settings,
)
from instructmining.spark.process_log import log_path, open_log

Given = TypeVar("Given", bound=Settings)
Result = TypeVar("Result")

_DELTA = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}
# What Spark says where no master of a cluster took the application.
_STOPPED = ("stopped SparkContext", "SparkContext was shut down", "SparkContext is stopped")
_KILLED = "Application has been killed. Reason:"  # and on the output of its JVM
# Ours on every session that has no opinion of its own: they change no result.
_RUNTIME = {
    "spark.sql.execution.arrow.maxBytesPerBatch": str(32 * 1024 * 1024),
    "spark.sql.session.timeZone": "UTC",
}


def with_session(work: Callable[[SparkSession, Given], Result], settings: Given) -> Result:
    """Do the work on the active session, or on a local one that is stopped again.

    Raises:
        BrokenOffError: what came from outside, as one sentence; its cause is the error itself.
    """
    spark, ours = None, False
    try:
        little_data = is_little(settings.input, settings.store, has_catalog=not _is_local())
        spark, ours = get_session(spark_conf(settings.spark), little_data)
        if ours:
            _hush(spark)
        return work(spark, settings)
    except (UserError, FailedRowsError):
        raise
    except Exception as error:
        lost = isinstance(error, ConnectionError | Py4JNetworkError)  # while it was starting
        answers = _answers(spark) if spark is not None else not lost
        places = places_written(settings)
        memory = _more_memory(settings.spark.get("driver.memory"))
        sentence = broken_off(error, places, answers, memory, _is_local())
        if sentence is None:
            raise
        raise sentence from error
    finally:
        if spark is not None and ours and _answers(spark):
            _stop(spark)


def get_session(
    extra: Mapping[str, str] | None = None, little_data: bool = False
) -> tuple[SparkSession, bool]:
    """The active Spark session, or a new one.

    Under `spark-submit` or on Databricks the session (or its master) is given, and nothing of the
    operator's is overridden. Otherwise a local session is built for `SPARK_MASTER` or `local[*]`.

    Args:
        extra: Spark's settings for a session that is built here; of another they are named as
            not used.
        little_data: whether the session is for few rows: then one that starts here compiles no
            queries.

    Returns:
        The session, and whether this call created it (only then may the caller stop it).

    Raises:
        UserError: the cluster's master did not answer.
    """
    active = SparkSession.getActiveSession()
    if active is not None:
        _name_unused(extra)
        return active, False
    if "DATABRICKS_RUNTIME_VERSION" in os.environ:
        # The session is the platform's, whichever thread asks, and has Delta.
        _name_unused(extra)
        return SparkSession.builder.getOrCreate(), False
    if _is_submitted():
        _name_unused(extra)
        settings = {**_DELTA, **_where_silent(submitted_settings(little_data))}
        return _started(_with(SparkSession.builder, settings)), True
    # Spark's workers take `python3` from the PATH unless told: often not this environment.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    return _local_session(extra or {}, little_data), True


def spark_conf(named: Mapping[str, str | None]) -> dict[str, str]:
    """Spark's own settings among ours (`spark`), as Spark names them."""
    return {f"spark.{name}": value for name, value in named.items() if value is not None}


def _is_submitted() -> bool:
    return "PYSPARK_GATEWAY_PORT" in os.environ  # `spark-submit` has started the JVM


def _name_unused(extra: Mapping[str, str] | None) -> None:
    if extra:
        names = ", ".join(extra)
        print(
            f"instructmining: {names} not used: this session is started elsewhere; set it there "
            "(spark-submit --conf, the cluster's configuration)",
            file=sys.stderr,
        )


def _more_memory(heap: str | None) -> str:
    """How a user gives the driver's JVM more memory than it was set to have."""
    if "DATABRICKS_RUNTIME_VERSION" in os.environ:
        return "take a driver with more memory"
    if _is_submitted():
        return "raise spark.driver.memory: spark-submit --driver-memory 6g"
    usual = LOCAL["spark.driver.memory"] if _master().startswith("local") else ""
    heap = heap or usual
    size = re.fullmatch(r"(\d+)([a-zA-Z]*)", heap)
    more = f"{2 * int(size[1])}{size[2]}" if size else "6g"
    now = f", now {heap}" if heap else ""
    return f"raise spark.driver.memory{now}: --set spark.driver.memory={more}"


def _is_local() -> bool:
    """Whether a session that is built here has its tasks in the driver's JVM."""
    elsewhere = "DATABRICKS_RUNTIME_VERSION" in os.environ or _is_submitted()
    return not elsewhere and _master().startswith("local")


def _master() -> str:
    """Where a session of ours runs."""
    return os.environ.get("SPARK_MASTER") or "local[*]"


def _hush(spark: SparkSession) -> None:
    """Keep pyspark's own threads from printing stack traces when the JVM ends: one sentence will.

    Its server of accumulators prints that nobody answers, py4j logs the command that was under way.
    """
    server = getattr(spark.sparkContext, "_accumulatorServer", None)
    if server is not None:
        server.handle_error = lambda *_: None
    logging.getLogger().addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    return record.msg != "Exception while sending command."


def _answers(spark: SparkSession) -> bool:
    """Whether the JVM is there; of Spark Connect's server it is not asked."""
    if is_remote():
        return True
    try:
        return bool(spark.sparkContext._jvm.java.lang.System.nanoTime())  # type: ignore[union-attr]
    except Exception:
        return False


def _stop(spark: SparkSession) -> None:
    """Stop the session, if it is still there: a JVM out of memory may end meanwhile."""
    try:
        spark.stop()
    except Exception:
        if _answers(spark):
            raise


def _local_session(extra: Mapping[str, str], little_data: bool) -> SparkSession:
    master = _master()
    usual, delta = settings_for(master, little_data), delta_jars()
    settings = {**_DELTA, **_RUNTIME, **usual, **delta, **extra}
    if is_one_jvm(master):
        settings = with_class_archive(settings, delta)
    builder = _with(SparkSession.builder.appName("instructmining").master(master), settings)
    with _jvm_output_to_log():
        return _started(builder)


def _with(builder: Any, settings: Mapping[str, str]) -> Any:
    for key, value in settings.items():
        builder = builder.config(key, value)
    return builder


def _where_silent(settings: Mapping[str, str]) -> dict[str, str]:
    """Those of the settings that the operator says nothing of."""
    SparkContext._ensure_initialized()  # `SparkConf` is empty before there is a way to the JVM
    conf = SparkConf()
    return {key: value for key, value in settings.items() if not conf.contains(key)}


def _started(builder: Any) -> SparkSession:
    """Start the session.

    Raises:
        UserError: the cluster's master did not answer. Spark itself says only that a stopped
            context was used, and what happened before on the output of the JVM.
    """
    try:
        session: SparkSession = builder.getOrCreate()
    except Exception as error:
        if not any(sign in str(error) for sign in _STOPPED):
            raise
        raise UserError(_unreached()) from error
    return session


def _unreached() -> str:
    """The sentence for a master that did not answer; Spark's own words are on the JVM's output."""
    if _is_submitted():
        master = SparkConf().get("spark.master")
        remedy = "--master of spark-submit; what Spark says of it is on this output"
    else:
        master = _master()
        log = log_path()
        said = _KILLED in log.read_text(encoding="utf-8", errors="replace")
        remedy = "SPARK_MASTER" + (f"; what Spark says of it: {log}" if said else "")
    return f"Spark's master {master} did not answer: start it, or correct {remedy}"


@contextmanager
def _jvm_output_to_log() -> Iterator[None]:
    """The JVM inherits this process's streams when it starts: hand it a file instead."""
    streams = [os.dup(1), os.dup(2)]
    log = open_log()
    os.dup2(log, 1)
    os.dup2(log, 2)
    try:
        yield
    finally:
        for number, stream in enumerate(streams, start=1):
            os.dup2(stream, number)
            os.close(stream)
        os.close(log)
