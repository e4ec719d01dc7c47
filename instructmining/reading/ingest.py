"""Records to examples, occurrences and quarantine: every record read is accounted for."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pyspark import StorageLevel
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from instructmining.errors import UserError, cause
from instructmining.layouts.detection import TREE_ROW
from instructmining.layouts.standard_form import UNDECODED, with_standard_form
from instructmining.reading.folders import Input
from instructmining.reading.inputs import read_records
from instructmining.reading.nested_files import with_commands
from instructmining.reading.sources import (
    Ingested,
    SourceCounts,
    counted,
    examples_of,
    remember,
    sources_held,
    states,
    unchanged,
    vanished,
)
from instructmining.reading.table_rows import SPARK_ERRORS
from instructmining.reading.trees import with_trees
from instructmining.reading.unread_fields import (
    UnreadField,
    names_or_null,
    refuse_unread,
    unread_fields,
)
from instructmining.settings.sections import Read, Settings
from instructmining.spark.frames import empty_frame
from instructmining.store.current import has_stale, mark_stale
from instructmining.store.missing_rows import FEW, insert_missing
from instructmining.store.tables import Store

_NAME_FIELDS = (
    "; name the fields with --columns prompt=…,response=… (or turns=…, transcript=…; a name with a "
    'comma or dot in double quotes: prompt="a, b"), or the layout with --format'
)
_KEYS = "source STRING, position BIGINT, example_id STRING"


@dataclass(frozen=True)
class Reading:
    """All rows of some inputs, kept on disk."""

    rows: DataFrame
    bad: Sequence[Row]  # files of which no record can be decoded: source, rows, first
    trees: frozenset[str]  # sources with messages of trees, which may go on in other files


@dataclass(frozen=True)
class Added:
    """What was read, and what of it the store did not have."""

    sources: dict[str, SourceCounts] = field(default_factory=dict)
    examples: int = 0
    new_examples: int = 0
    new_occurrences: int = 0
    unread: Sequence[UnreadField] = ()
    trees: frozenset[str] = frozenset()


def ingest(
    store: Store, settings: Settings, inputs: list[Input], left_out: Sequence[str], run_id: str
) -> Ingested:
    """Read the input, but what did not change since it was last read, and add what is new.

    Args:
        store: gets the new rows.
        settings: how to read, and into which pool.
        inputs: what `find_inputs` found to read.
        left_out: and what it left out, for the summary.
        run_id: marks the rows.

    Raises:
        UserError: the input is empty, or holds no usable record; or a file holds no record that
            can be decoded and `read.skip_bad_files` is off; or a field with text is in no
            example and `read.strict_fields` is on.
    """
    began = datetime.now(UTC)
    today = states(store.spark, inputs, began)
    held = sources_held(store, settings.pool)
    known = (
        {} if settings.replace_pool else unchanged(store, settings.pool, settings.read, today, held)
    )
    gone = vanished(settings.input, held)
    changed = [data for data in inputs if data.source not in known]
    added = Added()
    if changed:
        added = _read_changed(store, settings, changed, gone, has_more=bool(known), run_id=run_id)
        settled = {name: state for name, state in today.items() if name not in added.trees}
        remember(store, settings.pool, settings.read, added.sources, settled, began, run_id)
    elif gone:
        mark_stale(store, empty_frame(store.spark, _KEYS), settings.pool, gone, run_id)
    everything = sum([*known.values(), *added.sources.values()], SourceCounts())
    sources = [data.source for data in inputs]
    all_sources = {*held, *added.sources} <= set(sources) and not has_stale(store)
    is_whole_pool = bool(known) and all_sources
    examples = added.examples
    if known:
        examples = 0 if is_whole_pool else examples_of(store, settings.pool, sources)
    return Ingested(
        rows=everything.rows,
        records=everything.records,
        examples=examples,
        copies=everything.usable - examples,
        quarantined=dict(everything.quarantined),
        new_examples=added.new_examples,
        new_occurrences=added.new_occurrences,
        inputs=tuple(data.named or data.path for data in inputs),
        left_out=tuple(left_out),
        unread=tuple(added.unread),
        media=everything.media,
        tools=everything.tools,
        unchanged=len(known),
        unchanged_rows=sum(counts.rows for counts in known.values()),
        is_whole_pool=is_whole_pool,
    )


def _read_changed(
    store: Store,
    settings: Settings,
    inputs: list[Input],
    gone: Sequence[str],
    has_more: bool,
    run_id: str,
) -> Added:
    """Read the inputs into the store; `has_more`: the pool's data are more than these."""
    reading = persisted(store.spark, inputs, settings.read)
    rows = reading.rows
    try:
        if reading.bad and not settings.read.skip_bad_files:
            raise UserError(_bad_files(reading.bad))
        if reading.bad:
            rows = _with_one_row_each(rows, reading.bad)
        counts, examples, with_unread = counted(rows, [data.source for data in inputs])
        held = sum(counts.values(), SourceCounts())
        if "unknown_format" in held.quarantined:
            rows = with_commands(rows, inputs)
        if not has_more:
            _refuse_unusable(rows, held, ", ".join(settings.input))
        unread = unread_fields(rows) if with_unread else []
        if settings.read.strict_fields:
            refuse_unread(unread)
        if settings.replace_pool:
            for table in ("occurrences", "stale_occurrences"):
                store.delete(table, {"pool": settings.pool})
        new = _write(store, rows, settings.pool, run_id, are_few=held.rows <= FEW)
        usable = rows.where(F.col("reason").isNull())
        # What could not be read to its end may hold all that it held.
        read_whole = {source for source, part in counts.items() if part.is_whole}
        if len(read_whole) < len(counts):
            usable = usable.where(F.col("source").isin(*read_whole))
        mark_stale(store, usable, settings.pool, sorted({*read_whole, *gone}), run_id)
    finally:
        reading.rows.unpersist()
    return Added(counts, examples, new["examples"], new["occurrences"], unread, reading.trees)


def _refuse_unusable(rows: DataFrame, held: SourceCounts, named: str) -> None:
    """Refuse input without a row that can be used."""
    if held.usable:
        return
    if not held.rows:
        raise UserError(f"no record in {named}: the input is empty")
    first = rows.select("source", "position", "reason", "detail").first()
    assert first is not None  # noqa: S101 - at least one row was counted
    raise UserError(
        f"no usable record in {named}; the first: {first.source} record "
        f"{first.position}: {first.detail} ({first.reason})"
        + ("" if " | jq " in first.detail else _NAME_FIELDS)
    )


def persisted(spark: SparkSession, inputs: list[Input], read: Read) -> Reading:
    """All rows of the inputs.

    Raises:
        UserError: a file that is so large, or so far away, that only Spark can read it is damaged.
    """
    rows = with_standard_form(read_records(spark, inputs, read.csv_escape), read)
    rows = rows.persist(StorageLevel.DISK_ONLY)
    try:
        bad, trees = _undecoded(rows)
        return Reading(_joined(rows, read) if trees else rows, bad, trees)
    except SPARK_ERRORS as error:
        rows.unpersist()
        if "FAILED_READ_FILE" not in str(error):
            raise
        raise UserError(
            f"Spark cannot read a file to its end ({cause(error)}); leave it out, or copy it where "
            "the workers can open its path: there what is not damaged is read"
        ) from error


def _joined(rows: DataFrame, read: Read) -> DataFrame:
    """The rows with the messages of trees joined, kept instead of those given."""
    joined = with_trees(rows, read).persist(StorageLevel.DISK_ONLY)
    joined.count()
    rows.unpersist()
    return joined


def _undecoded(rows: DataFrame) -> tuple[list[Row], frozenset[str]]:
    """Files of which no record can be decoded: `source, rows, first`; and the sources with trees.

    Trees are messages in rows of their own.
    """
    decoded = F.col("reason").isNull() | ~F.col("reason").isin(*UNDECODED)
    first = F.min(F.struct("position", "reason", "detail", "raw")).alias("first")
    counted = rows.groupBy("source").agg(
        F.count_if(decoded).alias("decoded"),
        F.count("*").alias("rows"),
        first,
        F.count_if(F.col("reason") == TREE_ROW).alias("messages"),
    )
    troubled = counted.where("decoded = 0 OR messages > 0").orderBy("source").collect()
    bad = [row for row in troubled if not row.decoded]
    return bad, frozenset(row.source for row in troubled if row.messages)


def _bad_files(bad: Sequence[Row]) -> str:
    lines = [f"{row.source}: {row.first['detail']} ({row.first['reason']})" for row in bad[:3]]
    more = f" and {len(bad) - 3:,} more files" if len(bad) > 3 else ""
    return (
        f"no record can be decoded of {'; '.join(lines)}{more}; "
        "repair or leave out such files, or quarantine them with --skip-bad-files"
    )


def _with_one_row_each(rows: DataFrame, bad: Sequence[Row]) -> DataFrame:
    """Each bad file as one quarantine row instead of its records."""
    lines = [
        (
            row.source,
            0,
            hashlib.sha256(str(row.first["raw"]).encode()).hexdigest()[:32],
            row.first["raw"],
            "unreadable_file",
            f"none of its {row['rows']:,} records can be decoded; the first: {row.first['detail']}",
            1,
        )
        for row in bad
    ]
    columns = ("source", "position", "content_hash", "raw", "reason", "detail", "records")
    types = rows.select(*columns).schema
    replaced = rows.sparkSession.createDataFrame(lines, types)
    others = rows.where(~F.col("source").isin([row.source for row in bad]))
    return others.unionByName(replaced, allowMissingColumns=True)


def _write(store: Store, rows: DataFrame, pool: str, run_id: str, are_few: bool) -> dict[str, int]:
    rows = rows.withColumn("run_id", F.lit(run_id)).withColumn("pool", F.lit(pool))
    usable = rows.where(F.col("reason").isNull())
    keyed = {
        "examples": (usable.dropDuplicates(["example_id"]), ["example_id"]),
        "occurrences": (
            usable.withColumn("unread", names_or_null()),
            ["pool", "source", "position", "example_id"],
        ),
        "quarantine": (
            rows.where(F.col("reason").isNotNull()),
            ["source", "position", "content_hash"],
        ),
    }
    return insert_missing(store, keyed, f"{run_id}/ingest", {"run_id": run_id}, are_few)
