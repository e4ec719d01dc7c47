"""What each source held when it was last read: one that did not change is not read again.

`docs/decisions/0059-what-did-not-change-is-not-read-again.md` says when a source counts as changed.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

import instructmining
from instructmining.reading.folders import Input
from instructmining.reading.inputs import local_folders
from instructmining.reading.table_rows import SPARK_ERRORS
from instructmining.reading.unread_fields import UnreadField
from instructmining.settings.sections import Read
from instructmining.spark.frames import small_frame
from instructmining.store.current import current_occurrences
from instructmining.store.tables import Store

_TABLE = "sources"
_HELD = (
    "source STRING, state STRING, rows BIGINT, records BIGINT, usable BIGINT, "
    "quarantined MAP<STRING, BIGINT>, media BIGINT, tools BIGINT"
)
_FORMATS = 1  # raise it when records are read otherwise than before
_UNKNOWN_REST = ("unreadable_file", "damaged_file")  # reasons that stand for unread records
# A file that changed just before may change again and keep its time: milliseconds until that time
# is past, on file systems that count in seconds and on others.
_SECONDS_SETTLED = 2_000
_SETTLED = 20


@dataclass(frozen=True)
class SourceCounts:
    """What one source held, in rows: `rows = usable + sum(quarantined)`."""

    rows: int = 0
    records: int = 0
    usable: int = 0
    media: int = 0
    tools: int = 0
    quarantined: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether it was read to its end; what could not be may hold more."""
        return not any(reason in self.quarantined for reason in _UNKNOWN_REST)

    def __add__(self, other: "SourceCounts") -> "SourceCounts":
        return SourceCounts(
            self.rows + other.rows,
            self.records + other.records,
            self.usable + other.usable,
            self.media + other.media,
            self.tools + other.tools,
            Counter(self.quarantined) + Counter(other.quarantined),
        )


@dataclass(frozen=True)
class Ingested:
    """What the sources of one run hold: `rows = examples + copies + sum(quarantined)`.

    Where the run's sources are all that its pool has, `examples` are the pool's, which are counted
    when it is opened: until `of_pool` they are 0.
    """

    rows: int
    records: int  # of the files: a tree gives several rows, a question and its answer give one
    examples: int  # distinct
    copies: int  # further rows with the id of one already counted
    quarantined: dict[str, int]  # reason to rows
    new_examples: int
    new_occurrences: int
    inputs: tuple[str, ...]
    left_out: tuple[str, ...] = ()  # files of folders that are of no known kind
    unread: tuple[UnreadField, ...] = ()  # fields with text that are in no example
    media: int = 0  # rows with pictures, sounds, films or files, which no model sees
    tools: int = 0  # rows with tool definitions, which no model sees
    unchanged: int = 0  # sources that were not read again
    unchanged_rows: int = 0  # of them, counted in `rows` too
    is_whole_pool: bool = False

    def of_pool(self, size: int) -> "Ingested":
        """The same once the pool, which has `size` examples, is open."""
        if not self.is_whole_pool:
            return self
        return replace(self, examples=size, copies=self.copies - size)


def sources_held(store: Store, pool: str) -> dict[str, int]:
    """The sources of a pool and how many current occurrences each has in the store."""
    counted = current_occurrences(store, pool).groupBy("source").count()
    return {row.source: row["count"] for row in counted.collect()}


def states(spark: SparkSession, inputs: Iterable[Input], began: datetime) -> dict[str, str]:
    """The state of each source that can be recognised as unchanged later; others are absent.

    Args:
        spark: asks for the versions of Delta tables.
        inputs: what was found to read.
        began: when reading begins; what changed just before may change again unseen.
    """
    now = began.timestamp() * 1_000
    by_source: dict[str, str] = {}
    twice: set[str] = set()
    for data in inputs:
        if data.source in by_source:
            twice.add(data.source)
        state = _state(spark, data, now)
        if state is not None:
            by_source[data.source] = state
    return {source: state for source, state in by_source.items() if source not in twice}


def _state(spark: SparkSession, data: Input, now: float) -> str | None:
    if data.kind.half is not None:
        return None  # its records are halves, joined with those of another file
    if data.container == "delta":
        return _table_state(spark, data.path)
    needed = _SETTLED if data.changed % 1_000 else _SECONDS_SETTLED
    if not 0 < data.changed < now - needed:
        return None
    return f"{data.bytes} bytes of {data.changed}"


def _table_state(spark: SparkSession, name: str) -> str | None:
    """Id and version of a Delta table; None for a view or a table of another kind."""
    table = f"delta.`{name}`" if "/" in name else name
    try:
        detail = spark.sql(f"DESCRIBE DETAIL {table}").first()
        newest = spark.sql(f"DESCRIBE HISTORY {table} LIMIT 1").first()
    except SPARK_ERRORS:
        return None
    return f"version {newest.version} of {detail.id}" if detail and newest else None


def unchanged(
    store: Store, pool: str, read: Read, states: Mapping[str, str], held: Mapping[str, int]
) -> dict[str, SourceCounts]:
    """The sources that the store holds whole, as they are today and as they would be read today.

    Args:
        store: has the table `sources`, if anything was read before.
        pool: that is read into.
        read: how to read.
        states: today's, by source.
        held: of `sources_held`: what was erased or lost in the store is read again.
    """
    if read.again or not states:
        return {}
    reading = _reading(read)
    return {
        row.source: _counts(row)
        for row in _newest(store, pool)
        if row.reading == reading
        and row.state == states.get(row.source)
        and row.usable == held.get(row.source, 0)
    }


def remember(
    store: Store,
    pool: str,
    read: Read,
    sources: Mapping[str, SourceCounts],
    states: Mapping[str, str],
    began: datetime,
    run_id: str,
) -> None:
    """Store what the sources hold; those without a state, or not read whole, are left out."""
    lines = [
        (
            source,
            states[source],
            counts.rows,
            counts.records,
            counts.usable,
            dict(counts.quarantined),
            counts.media,
            counts.tools,
        )
        for source, counts in sorted(sources.items())
        if source in states and counts.is_whole
    ]
    if lines:
        about = {
            "pool": F.lit(pool),
            "reading": F.lit(_reading(read)),
            "read_at": F.lit(began),
            "run_id": F.lit(run_id),
        }
        rows = small_frame(store.spark, lines, _HELD).withColumns(about).coalesce(1)
        store.append(rows, _TABLE, {"run_id": run_id})


def counted(rows: DataFrame, sources: Sequence[str]) -> tuple[dict[str, SourceCounts], int, int]:
    """What each of the sources holds; distinct examples of all; usable rows with unread fields."""
    sets = [[F.col("source"), F.col("reason")], [F.col("reason")]]
    grouped = rows.groupingSets(sets, "source", "reason").agg(
        F.grouping("source").alias("is_total"),
        F.count("*").alias("rows"),
        F.countDistinct("example_id").alias("examples"),
        F.sum("records").alias("records"),
        F.count_if(F.size("unread") > 0).alias("unread"),
        F.count_if(F.col("media") > 0).alias("media"),
        F.count_if("tools").alias("tools"),
    )
    counts = dict.fromkeys(sources, SourceCounts())
    examples = unread = 0
    for row in grouped.collect():
        if not row.is_total:
            counts[row.source] = counts.get(row.source, SourceCounts()) + _part(row)
        elif row.reason is None:
            examples, unread = row.examples, row.unread
    return counts, examples, unread


def _part(row: Row) -> SourceCounts:
    is_usable = row.reason is None
    return SourceCounts(
        row["rows"],
        row.records,
        row["rows"] if is_usable else 0,
        row.media,
        row.tools,
        {} if is_usable else {row.reason: row["rows"]},
    )


def examples_of(store: Store, pool: str, sources: Iterable[str]) -> int:
    """Number of distinct examples that stand in the sources today."""
    names = small_frame(store.spark, [(source,) for source in sources], "source STRING")
    rows = current_occurrences(store, pool).join(names, "source", "left_semi")
    return rows.select("example_id").distinct().count()


def vanished(inputs: Sequence[str], held: Iterable[str]) -> list[str]:
    """Sources of the pool in the folders that are read, which are not there any more."""
    folders = tuple(f"{folder}/" for folder in local_folders(inputs))
    return [name for name in held if name.startswith(folders) and not Path(name).exists()]


def _newest(store: Store, pool: str) -> list[Row]:
    rows = store.read(_TABLE).where(F.col("pool") == pool)
    newest = F.max_by(F.struct(*(name for name in rows.columns if name != "source")), "read_at")
    return rows.groupBy("source").agg(newest.alias("n")).select("source", "n.*").collect()


def _counts(row: Row) -> SourceCounts:
    return SourceCounts(
        row["rows"], row.records, row.usable, row.media, row.tools, row.quarantined or {}
    )


def _reading(read: Read) -> str:
    """What decides, beside its bytes, what is read of a source."""
    options = read.model_dump(mode="json", exclude={"again"})
    text = json.dumps([instructmining.__version__, _FORMATS, options], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
