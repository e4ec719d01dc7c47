"""Erased examples among the records that could not be used: quarantine keeps their text."""

from collections.abc import Iterator, Sequence

import pyarrow as pa
from pyspark.sql import Row

from instructmining.erasing.traces import HOLDS, MAY_HOLD, Trace, verdict_of_record
from instructmining.store.definition_sql import sql_text
from instructmining.store.tables import Store

_SHOWN = 3  # records that are named
_AT_ONCE = 2000  # hashes in one statement
_SEEN = pa.schema(
    [
        ("source", pa.string()),
        ("position", pa.int64()),
        ("content_hash", pa.string()),
        ("verdict", pa.string()),
    ]
)


def erase_quarantined(store: Store, traces: Sequence[Trace]) -> tuple[int, list[str]]:
    """Delete the records that hold an erased example.

    Returns:
        How many were deleted, and a line that names those that may hold one.
    """
    rows = _seen(store, traces) if traces else []
    holding = [row for row in rows if row.verdict == HOLDS]
    for condition in _conditions(holding):
        store.delete_where("quarantine", condition)
    left = [row for row in rows if row.verdict == MAY_HOLD]
    return len(holding), [_named(store, left)] if left else []


def _seen(store: Store, traces: Sequence[Trace]) -> list[Row]:
    """Source, position, content hash and verdict of the records in which an example is seen."""

    def look(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            verdicts = [verdict_of_record(raw or "", traces) for raw in batch["raw"].to_pylist()]
            seen = batch.select(["source", "position", "content_hash"])
            seen = seen.append_column("verdict", pa.array(verdicts, pa.string()))
            yield seen.filter(pa.array([bool(verdict) for verdict in verdicts])).cast(_SEEN)

    records = store.read("quarantine").select("source", "position", "content_hash", "raw")
    schema = "source STRING, position BIGINT, content_hash STRING, verdict STRING"
    return records.mapInArrow(look, schema).orderBy("source", "position").collect()


def _named(store: Store, rows: Sequence[Row]) -> str:
    names = ", ".join(f"{row.source} record {row.position}" for row in rows[:_SHOWN])
    more = " …" if len(rows) > _SHOWN else ""
    table = store.sql_name("quarantine")
    statements = " ".join(
        f"DELETE FROM {table} WHERE {condition};"  # noqa: S608 - quoted
        for condition in _conditions(rows)
    )
    return (
        f"  NOT erased: {len(rows):,} record{'s' * (len(rows) > 1)} of quarantine may hold it "
        f"({names}{more}); if so: {statements}"
    )


def _conditions(rows: Sequence[Row]) -> Iterator[str]:
    hashes = list(dict.fromkeys(row.content_hash for row in rows))
    for start in range(0, len(hashes), _AT_ONCE):
        part = ", ".join(map(sql_text, hashes[start : start + _AT_ONCE]))
        yield f"`content_hash` IN ({part})"
