"""Erase examples from every table and index file; list what holds them outside the store.

What a version of a table held stays readable by time travel until VACUUM takes its files: the
command says when that is, or does it at once for a store in a folder.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from instructmining.erasing.traces import Trace
from instructmining.errors import UserError
from instructmining.settings.sections import Settings
from instructmining.settings.stored import Erase
from instructmining.store.current import current_occurrences
from instructmining.store.definition_sql import sql_text
from instructmining.store.schemas import TABLES
from instructmining.store.tables import Store
from jobs.stored.erase_elsewhere import Places, erase_elsewhere, look_elsewhere
from jobs.stored.erase_quarantine import erase_quarantined
from jobs.stored.maintain import unchecked_retention, vacuum, vacuum_sql

_ID = re.compile(r"[0-9a-f]{32}")
_IDS_AT_ONCE = 2000  # in one statement
_RETENTION = "delta.deletedFileRetentionDuration"
_HOURS = 168  # of Delta, where the table says nothing else
_LOG_DAYS = 30


def run(spark: SparkSession, settings: Settings) -> dict[str, int]:
    """Erase, print what was found where, and return the rows by table.

    Raises:
        UserError: an id is not an `example_id`, or no table has any of them;
            `--vacuum-now` on a schema; `--export` names nothing that exists.
    """
    store = Store.open(spark, settings.store)
    wanted = _wanted(settings.erase)
    if settings.erase.vacuum_now and not store.is_folder:
        raise UserError(
            "--vacuum-now is for a store in a folder: in a schema others may read older"
            " versions; run the printed VACUUM after the retention"
        )
    traces = _traces(store, wanted)
    sources = _sources(store, wanted)
    erased = _counts(store, wanted)
    if not erased:
        raise UserError(
            f"no table of {settings.store} has {', '.join(wanted[:3])}"
            f"{' …' if len(wanted) > 3 else ''}: see examples.example_id"
        )
    places = Places(settings.store, settings.files, settings.erase.exports, settings.tracking)
    seen_elsewhere = look_elsewhere(places, wanted, traces)
    elsewhere = erase_elsewhere(seen_elsewhere, settings.erase.delete_elsewhere)
    quarantined, doubtful = erase_quarantined(store, traces)
    # Without its row in `examples` nothing could be found by its texts: a run that was broken off
    # can be run again for as long as that is there.
    for table in sorted(erased, key="examples".__eq__):
        for condition in _conditions(table, wanted):
            store.delete_where(table, condition)
    erased |= {"quarantine": quarantined} if quarantined else {}
    lines = [f"  {table:<16} {count:,} rows" for table, count in erased.items()]
    lines += [*doubtful, *elsewhere]
    lines += [
        f"  still in your data: {source}; the next `score` of it brings it back"
        for source in sources
    ]
    lines += _vacuumed(store, list(erased)) if settings.erase.vacuum_now else _reach(store, erased)
    print("\n".join([f"erased {len(wanted):,} example{'s' * (len(wanted) > 1)}", *lines]))
    return erased


def _wanted(erase: Erase) -> list[str]:
    ids = list(erase.ids)
    file = erase.ids_file
    if file:
        try:
            ids += Path(file).read_text(encoding="utf-8").split()
        except OSError as error:
            raise UserError(f"--ids {file}: {error.strerror}") from None
    wrong = [identifier for identifier in ids if not _ID.fullmatch(identifier)]
    if wrong or not ids:
        what = f"{wrong[0]!r} is not an example_id" if wrong else "no example_id is given"
        raise UserError(f"{what}: name 32 hexadecimal digits, see the table examples")
    return list(dict.fromkeys(ids))


def _traces(store: Store, ids: Sequence[str]) -> list[Trace]:
    examples = store.read("examples").select("example_id", "messages.content")
    is_erased = F.col("example_id").isin(list(ids))
    shared = _shared(examples.where(is_erased), examples.where(~is_erased))
    return [
        Trace.of(row.example_id, [text or "" for text in row.content], shared)
        for row in examples.where(is_erased).collect()
    ]


def _shared(erased: DataFrame, others: DataFrame) -> set[str]:
    """Texts of the erased examples that other examples have as well."""
    texts = erased.select(F.explode("content").alias("text")).distinct()
    others = others.select(F.explode("content").alias("text"))
    both = others.join(F.broadcast(texts), "text", "left_semi").distinct()
    return {row.text for row in both.collect()}


def _sources(store: Store, ids: Sequence[str]) -> list[str]:
    """Where the examples stand in the user's data today."""
    rows = current_occurrences(store, None).where(F.col("example_id").isin(list(ids)))
    positions = rows.select("source", "position").distinct().orderBy("source", "position").collect()
    return [f"{row.source} record {row.position}" for row in positions]


def _counts(store: Store, ids: Sequence[str]) -> dict[str, int]:
    """Rows of these examples by table, of the tables that have any."""
    tables = [table for table in TABLES if "example_id" in TABLES[table].names]
    return {
        table: count
        for table in tables
        if (
            count := sum(
                store.read(table).where(condition).count() for condition in _conditions(table, ids)
            )
        )
    }


def _conditions(table: str, ids: Sequence[str]) -> Iterator[str]:
    for start in range(0, len(ids), _IDS_AT_ONCE):
        part = ", ".join(sql_text(identifier) for identifier in ids[start : start + _IDS_AT_ONCE])
        # A subset of `fit` also names spoiled copies, KIND:example_id.
        named = f"arrays_overlap(split(`example_id`, ':'), array({part}))"
        yield named if table == "subsets" else f"`example_id` IN ({part})"


def _reach(store: Store, erased: Any) -> list[str]:
    """When time travel stops reaching what was erased, and how."""
    now = datetime.now(UTC)
    lines = []
    for table in erased:
        detail = store.spark.sql(f"DESCRIBE DETAIL {store.sql_name(table)}").first()
        own = (detail.properties or {}).get(_RETENTION) if detail else None
        when = own or f"{now + timedelta(hours=_HOURS):%Y-%m-%d %H:%M} UTC"
        statement = f"VACUUM {store.sql_name(table)}" if own else vacuum_sql(store, table, _HOURS)
        lines.append(f"  {statement};  -- after {when}")
    return ["time travel reaches it until these have run:", *lines, _log_note(now)]


def _vacuumed(store: Store, tables: Sequence[str]) -> list[str]:
    with ExitStack() as stack:
        unchecked_retention(store.spark, stack)
        for table in tables:
            vacuum(store, table, 0)
    return [
        "vacuumed: time travel does not reach it, nor any older version of these tables",
        _log_note(datetime.now(UTC)),
    ]


def _log_note(now: datetime) -> str:
    return (
        "the tables' logs hold statistics with the first 32 characters of some texts until "
        f"Delta drops their files, after {now + timedelta(days=_LOG_DAYS):%Y-%m-%d} by default "
        "(delta.logRetentionDuration)"
    )
