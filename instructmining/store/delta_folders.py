"""Delta tables in folders: what Delta knows of a path without a query."""

from typing import Any

from py4j.protocol import Py4JError
from pyspark.sql import SparkSession
from pyspark.sql.utils import is_remote

_ABSENT = (
    "PATH_NOT_FOUND",
    "DELTA_MISSING_DELTA_TABLE",
    "DELTA_PATH_DOES_NOT_EXIST",
    "DELTA_TABLE_NOT_FOUND",
)


def newest_version(spark: SparkSession, path: str) -> int | None:
    """By Delta's own listing of the log, without a query; None where a session cannot ask it."""
    if is_remote():
        return None
    try:
        log = _log(spark, path)
        defaults = [getattr(log, f"update$default${i}")() for i in (1, 2, 3)]
        return int(log.update(*defaults).version())
    except (Py4JError, TypeError):  # a Delta that is built otherwise, as a platform's
        return None


def notes_since(spark: SparkSession, path: str, version: int) -> list[str] | None:
    """`userMetadata` of the commits from a version on, without a query; None as above."""
    if is_remote():
        return None
    try:
        log = _log(spark, path)
        defaults = [getattr(log, f"getChanges$default${i}")() for i in (2, 3)]
        commits = log.getChanges(version, *defaults)
        notes = []
        while commits.hasNext():
            notes += _note(commits.next()._2())
        return notes
    except (Py4JError, TypeError):
        return None


def is_delta(spark: SparkSession, path: str) -> bool:
    """Whether the folder is a Delta table."""
    if is_remote():  # Delta's own question needs a server with its Connect plugin
        return can_load(spark, path)
    from delta.tables import DeltaTable

    return bool(DeltaTable.isDeltaTable(spark, path))


def can_load(spark: SparkSession, path: str) -> bool:
    """Whether the folder can be read; looks again, where Delta remembers what it last saw."""
    try:
        _ = spark.read.format("delta").load(path).schema
    except Exception as error:
        if any(name in str(error) for name in _ABSENT):
            return False
        raise
    return True


def _log(spark: SparkSession, path: str) -> Any:
    delta: Any = spark._jvm.org.apache.spark.sql.delta  # type: ignore[union-attr]
    return delta.DeltaLog.forTable(spark._jsparkSession, path)


def _note(actions: Any) -> list[str]:
    """What the commit of these actions says of itself, if anything."""
    iterator = actions.iterator()
    while iterator.hasNext():  # the first action, as a rule
        action = iterator.next()
        if action.getClass().getSimpleName() == "CommitInfo":
            note = action.userMetadata()
            return [note.get()] if note.isDefined() else []
    return []
