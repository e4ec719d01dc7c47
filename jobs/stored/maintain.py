"""Keep the tables quick and small: OPTIMIZE what is clustered, VACUUM what time travel gives up."""

import shlex
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from pyspark.sql import SparkSession

from instructmining.errors import UserError
from instructmining.settings.sections import Settings
from instructmining.store.current import retire, stale_occurrences
from instructmining.store.schemas import TABLES
from instructmining.store.tables import Store

_MIB = 2**20
_LOG_RETENTION = "delta.logRetentionDuration"
_SHOWN = 1000  # files that a dry run of VACUUM lists at most


@dataclass(frozen=True)
class Kept:
    """One table before and after; a dry run says what would be removed."""

    table: str
    files: tuple[int, int]  # of the current version
    bytes: tuple[int, int]
    removed: int | None  # files of older versions; None: VACUUM does not say


def run(spark: SparkSession, settings: Settings) -> list[Kept]:
    """Optimize and vacuum every table of the store, print files and bytes, and return them.

    Raises:
        UserError: there is no table in the store.
    """
    store = Store.open(spark, settings.store)
    options = settings.maintain
    tables = [table for table in TABLES if store.exists(table)]
    if not tables:
        raise UserError(
            f"--store {settings.store} holds no table of ours: name the one that "
            "`instructmining score` wrote"
        )
    if options.retire:
        retire_stale(store, options.pool, settings.dry_run)
    hours = options.retention_hours
    reports = [
        maintain(store, table, hours, settings.dry_run, options.log_hours) for table in tables
    ]
    print(text(reports, hours, settings.dry_run))
    if options.log_hours is not None and not settings.dry_run:
        print(
            f"commits stay in the logs for {options.log_hours} h: Delta drops older ones when it "
            "writes its next checkpoint"
        )
    return reports


def retire_stale(store: Store, pool: str | None, dry_run: bool) -> None:
    """List the occurrences that no source holds any more, and drop them."""
    stale = stale_occurrences(store, pool)
    of_pool = "" if pool is None else f" of pool {pool}"
    if not stale:
        print(f"nothing to retire{of_pool}: every occurrence stands in its source\n")
        return
    count = sum(row.occurrences for row in stale)
    print(f"{count:,} occurrences{of_pool} stand in no source any more")
    for row in stale:
        print(f"  {row.occurrences:>10,}  pool {row.pool}  {row.source}")
    if dry_run:
        return
    retire(store, pool)
    print("dropped; texts and measurements stay, and nothing is measured twice if they come back")
    for name in dict.fromkeys(row.pool for row in stale):
        again = ["instructmining", "score", "--store", store.target, "--pool", name]
        print(f"for distances and percentiles without them: {shlex.join(again)} --stages knn,rule")
    print()


def maintain(
    store: Store, table: str, retention_hours: int, dry_run: bool, log_hours: int | None = None
) -> Kept:
    """Optimize and vacuum one table, or say what that would do."""
    files, size = _size(store, table)
    if not dry_run and log_hours is not None:
        keep_log(store, table, log_hours)
    if not dry_run and TABLES[table].cluster_by:
        store.spark.sql(f"OPTIMIZE {store.sql_name(table)}")
    removed = vacuum(store, table, retention_hours, dry_run)
    after = _size(store, table)
    return Kept(table, (files, after[0]), (size, after[1]), removed)


def keep_log(store: Store, table: str, hours: int) -> None:
    """Set how long commits stay in the table's log, where it says otherwise.

    Delta drops older ones with a checkpoint, by whole days.
    """
    wanted = f"interval {hours} hours"
    if (_detail(store, table).properties or {}).get(_LOG_RETENTION) == wanted:
        return
    to = f"SET TBLPROPERTIES ('{_LOG_RETENTION}' = '{wanted}')"
    store.spark.sql(f"ALTER TABLE {store.sql_name(table)} {to}")


def vacuum(store: Store, table: str, hours: int, dry_run: bool = False) -> int | None:
    """Remove the files that only versions older than `hours` need; how many, where Delta says so.

    Delta refuses less than the table's retention (168 hours unless set otherwise), because a run
    or a reader of now may still need such files: see `unchecked_retention`.
    """
    statement = f"{vacuum_sql(store, table, hours)}{' DRY RUN' if dry_run else ''}"
    if dry_run:
        return store.spark.sql(statement).count()
    store.spark.sql(statement)
    history = store.spark.sql(f"DESCRIBE HISTORY {store.sql_name(table)} LIMIT 2")
    ended = history.where("operation = 'VACUUM END'").select("operationMetrics").first()
    return int(ended.operationMetrics["numDeletedFiles"]) if ended else None


def vacuum_sql(store: Store, table: str, hours: int) -> str:
    """The statement, for a person to paste."""
    return f"VACUUM {store.sql_name(table)} RETAIN {hours} HOURS"


def unchecked_retention(spark: SparkSession, stack: ExitStack) -> None:
    """Let VACUUM remove what is younger than the table's retention, until the stack closes."""
    key = "spark.databricks.delta.retentionDurationCheck.enabled"
    before = spark.conf.get(key, "true") or "true"
    spark.conf.set(key, "false")
    stack.callback(spark.conf.set, key, before)


def text(reports: Sequence[Kept], hours: int, dry_run: bool) -> str:
    """What is printed."""
    would = "would be removed" if dry_run else "removed"
    lines = [f"{'table':<16} {'files':>15} {'MiB':>19}   files older than {hours} h {would}"]
    for report in reports:
        files = f"{report.files[0]:,} → {report.files[1]:,}"
        size = f"{report.bytes[0] / _MIB:,.2f} → {report.bytes[1] / _MIB:,.2f}"
        count = "not told" if report.removed is None else f"{report.removed:,}"
        more = " or more" if dry_run and (report.removed or 0) >= _SHOWN else ""
        lines.append(f"{report.table:<16} {files:>15} {size:>19}   {count}{more}")
    if dry_run:
        lines.append("dry run: nothing was changed")
    return "\n".join(lines)


def _size(store: Store, table: str) -> tuple[int, int]:
    row = _detail(store, table)
    return int(row.numFiles), int(row.sizeInBytes)


def _detail(store: Store, table: str) -> Any:
    row = store.spark.sql(f"DESCRIBE DETAIL {store.sql_name(table)}").first()
    assert row is not None  # noqa: S101 - the table exists
    return row
