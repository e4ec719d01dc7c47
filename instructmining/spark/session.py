"""The Spark session: the runtime's own where there is one, else a fast local one with Delta."""

import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

from py4j.protocol import Py4JNetworkError
from pyspark.sql import SparkSession
from pyspark.sql.utils import is_remote

from instructmining.errors import FailedRowsError, UserError
from instructmining.packaged import conf_folder
from instructmining.settings.sections import Settings
from instructmining.spark.broken_off import broken_off

Given = TypeVar("Given", bound=Settings)
Result = TypeVar("Result")

_DELTA = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}
# Worth 2-4x on a laptop (small tables, two cores); never set where an operator sets the cluster.
_LOCAL = {
    "spark.databricks.delta.snapshotPartitions": "1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.memory": "3g",
    "spark.log.level": "ERROR",
    "spark.sql.catalogImplementation": "in-memory",
    "spark.sql.shuffle.partitions": "4",
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "2",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}
# Ours on every session that has no opinion of its own: they change no result.
_RUNTIME = {
    "spark.sql.execution.arrow.maxBytesPerBatch": str(32 * 1024 * 1024),
    "spark.sql.session.timeZone": "UTC",
}


def with_session(work: Callable[[SparkSession, Given], Result], given: Given) -> Result:
    """Do the work on the active session, or on a local one that is stopped again.

    Raises:
        BrokenOffError: what came from outside, as one sentence; its cause is the error itself.
    """
    spark, ours = None, False
    try:
        spark, ours = get_session()
        if ours:
            _hush(spark)
        return work(spark, given)
    except (UserError, FailedRowsError):
        raise
    except Exception as error:
        lost = isinstance(error, ConnectionError | Py4JNetworkError)  # while it was starting
        told = broken_off(error, given, _answers(spark) if spark is not None else not lost)
        if told is None:
            raise
        raise told from error
    finally:
        if spark is not None and ours and _answers(spark):
            spark.stop()


def get_session(extra: Mapping[str, str] | None = None) -> tuple[SparkSession, bool]:
    """The active Spark session, or a new one.

    Under `spark-submit` or on Databricks the session (or its master) is given, and nothing of the
    operator's is overridden. Otherwise a local session is built for `SPARK_MASTER` or `local[*]`.

    Returns:
        The session, and whether this call created it (only then may the caller stop it).
    """
    active = SparkSession.getActiveSession()
    if active is not None:
        return active, False
    if "DATABRICKS_RUNTIME_VERSION" in os.environ:
        # The session is the platform's, whichever thread asks, and has Delta.
        return SparkSession.builder.getOrCreate(), False
    if "PYSPARK_GATEWAY_PORT" in os.environ:  # spark-submit
        builder = SparkSession.builder
        for key, value in _DELTA.items():
            builder = builder.config(key, value)
        return builder.getOrCreate(), True
    # Spark's workers take `python3` from the PATH unless told: often not this environment.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    return _local_session(extra or {}), True


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


def _local_session(extra: Mapping[str, str]) -> SparkSession:
    master = os.environ.get("SPARK_MASTER", "local[*]")
    local = _LOCAL if master.startswith("local") else {}
    settings = {**_DELTA, **_RUNTIME, **local, **delta_jars(), **extra}
    builder: Any = SparkSession.builder.appName("instructmining").master(master)
    for key, value in settings.items():
        builder = builder.config(key, value)
    with _jvm_output_to_log():
        session: SparkSession = builder.getOrCreate()
    return session


def delta_jars() -> dict[str, str]:
    """Spark settings that put Delta's jars on the class path.

    The first session on a machine fetches them into a cache of our own; later ones name the files
    and need no network. `INSTRUCTMINING_JARS` names a folder of jars for machines without one.
    """
    given = os.environ.get("INSTRUCTMINING_JARS")
    folder = Path(given) if given else jar_cache() / "jars"
    # Ivy also fetches what Spark itself has (Hadoop, Parquet, logging): only Delta's own are named.
    found = [
        jar
        for group in ("io.delta_*", "io.unitycatalog_*", "delta-*", "unitycatalog-*")
        for jar in folder.glob(f"{group}.jar")
    ]
    jars = sorted(map(str, found))
    if jars:
        return {"spark.jars": ",".join(jars)}
    if given:
        raise UserError(f"INSTRUCTMINING_JARS={given} holds no .jar; put delta-spark's jars there")
    return {
        "spark.jars.packages": _delta_package(),
        "spark.jars.ivy": str(jar_cache()),
        "spark.jars.ivySettings": str(conf_folder() / "ivysettings.xml"),
    }


def jar_cache() -> Path:
    """Where the jars of this pair of Spark and Delta are kept."""
    try:
        pair = f"spark-{version('pyspark')}-delta-{version('delta-spark')}"
    except PackageNotFoundError as error:
        raise UserError(
            f"{error.name} is not installed: pip install 'instructmining[local]'"
        ) from None
    root = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    return root / "instructmining" / pair


def _delta_package() -> str:
    from delta import configure_spark_with_delta_pip

    builder = configure_spark_with_delta_pip(SparkSession.Builder())
    return str(builder._options["spark.jars.packages"])


def jvm_log() -> Path:
    """Where a local session's JVM and Python workers write what nobody needs on a good day."""
    return Path(tempfile.gettempdir()) / f"instructmining-spark-{os.getuid()}.log"


@contextmanager
def _jvm_output_to_log() -> Iterator[None]:
    """The JVM inherits this process's streams when it starts: hand it a file instead."""
    kept = [os.dup(1), os.dup(2)]
    log = os.open(jvm_log(), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    try:
        yield
    finally:
        for number, stream in enumerate(kept, start=1):
            os.dup2(stream, number)
            os.close(stream)
        os.close(log)
