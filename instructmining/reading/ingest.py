"""Records to examples, occurrences and quarantine: every record read is accounted for."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial, reduce
from operator import or_
from pathlib import Path

from pyspark import StorageLevel
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from instructmining.errors import UserError, cause
from instructmining.layouts.detection import TREE_ROW
from instructmining.layouts.standard_form import UNDECODED, with_standard_form
from instructmining.reading.folders import Input
from instructmining.reading.inputs import local_folders, read_records
from instructmining.reading.nested_files import with_commands
from instructmining.reading.table_rows import SPARK_ERRORS
from instructmining.reading.trees import with_trees
from instructmining.reading.unread_fields import (
    UnreadField,
    names_or_null,
    refuse_unread,
    unread_fields,
)
from instructmining.settings.sections import Read, Settings
from instructmining.store.current import mark_stale
from instructmining.store.tables import Store

_NAME_FIELDS = (
    "; name the fields with --columns prompt=…,response=… (or turns=…, transcript=…; a name with a "
    'comma or dot in double quotes: prompt="a, b"), or the layout with --format'
)
_UNKNOWN_REST = ("unreadable_file", "damaged_file")  # reasons that stand for unread records


@dataclass(frozen=True)
class Ingested:
    """What one run read: `rows = examples + copies + sum(quarantined)`."""

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


def ingest(
    store: Store, settings: Settings, inputs: list[Input], left_out: Sequence[str], run_id: str
) -> Ingested:
    """Read the input and add what the store does not have yet.

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
    read, bad = persisted(store.spark, inputs, settings.read)
    try:
        if bad and not settings.read.skip_bad_files:
            raise UserError(_bad_files(bad))
        rows = _with_one_row_each(read, bad) if bad else read
        counts = _counts(rows)
        if not counts["rows"]:
            raise UserError(f"no record in {', '.join(settings.input)}: the input is empty")
        if "reason unknown_format" in counts:
            rows = with_commands(rows, inputs)
        if not counts["examples"]:
            raise UserError(_nothing_usable(rows, settings))
        unread = unread_fields(rows) if counts["unread"] else []
        if settings.read.strict_fields:
            refuse_unread(unread)
        if settings.replace_pool:
            for table in ("occurrences", "stale_occurrences"):
                store.delete(table, {"pool": settings.pool})
        new = _write(store, rows, settings.pool, run_id)
        has_damage = any(f"reason {reason}" in counts for reason in _UNKNOWN_REST)
        unknown = _not_read_whole(rows) if has_damage else set()
        _mark_stale(store, rows, settings, inputs, unknown, run_id)
    finally:
        read.unpersist()
    reasons = {key: count for key, count in counts.items() if key.startswith("reason ")}
    quarantined = {key.removeprefix("reason "): count for key, count in reasons.items()}
    return Ingested(
        rows=counts["rows"],
        records=counts["records"],
        examples=counts["examples"],
        copies=counts["rows"] - counts["examples"] - sum(quarantined.values()),
        quarantined=quarantined,
        new_examples=new["examples"],
        new_occurrences=new["occurrences"],
        inputs=tuple(each.named or each.path for each in inputs),
        left_out=tuple(left_out),
        unread=tuple(unread),
        media=counts["media"],
        tools=counts["tools"],
    )


def persisted(spark: SparkSession, inputs: list[Input], read: Read) -> tuple[DataFrame, list[Row]]:
    """All rows, kept on disk, and the bad files among them (see `_undecoded`).

    Raises:
        UserError: a file that is so large, or so far away, that only Spark can read it is damaged.
    """
    rows = with_standard_form(read_records(spark, inputs, read.csv_escape), read)
    rows = rows.persist(StorageLevel.DISK_ONLY)
    try:
        unread, trees = _undecoded(rows)
        return (_joined(rows, read), unread) if trees else (rows, unread)
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


def _undecoded(rows: DataFrame) -> tuple[list[Row], bool]:
    """Files of which no record can be decoded: `source, rows, first`; and whether there are trees.

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
    found = counted.where("decoded = 0 OR messages > 0").orderBy("source").collect()
    return [row for row in found if not row.decoded], any(row.messages for row in found)


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
    kept = rows.where(~F.col("source").isin([row.source for row in bad]))
    return kept.unionByName(replaced, allowMissingColumns=True)


def _counts(rows: DataFrame) -> dict[str, int]:
    grouped = rows.groupBy("reason").agg(
        F.count("*").alias("rows"),
        F.countDistinct("example_id").alias("examples"),
        F.sum("records").alias("records"),
        F.count_if(F.size("unread") > 0).alias("unread"),
        F.count_if(F.col("media") > 0).alias("media"),
        F.count_if("tools").alias("tools"),
    )
    found = grouped.collect()
    counts = {f"reason {row.reason}": row.rows for row in found if row.reason is not None}
    for name in ("rows", "records", "media", "tools"):
        counts[name] = sum(row[name] for row in found)
    counts["unread"] = sum(row.unread for row in found if row.reason is None)
    counts["examples"] = sum(row.examples for row in found if row.reason is None)
    return counts


def _write(store: Store, rows: DataFrame, pool: str, run_id: str) -> dict[str, int]:
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
    return {
        table: store.insert(
            partial(_lacking, store, table, given, keys),
            table,
            f"{run_id}/ingest/{table}",
            {"run_id": run_id},
        )
        for table, (given, keys) in keyed.items()
    }


def _mark_stale(
    store: Store,
    rows: DataFrame,
    settings: Settings,
    inputs: Sequence[Input],
    unknown: set[str],
    run_id: str,
) -> None:
    """Mark what the sources held before and do not hold now, but for those that are `unknown`."""
    sources = {each.source for each in inputs} | set(_vanished(store, settings))
    usable = rows.where(F.col("reason").isNull())
    if unknown:
        usable = usable.where(~F.col("source").isin(list(unknown)))
    mark_stale(store, usable, settings.pool, sorted(sources - unknown), run_id)


def _not_read_whole(rows: DataFrame) -> set[str]:
    """Sources that could not be read to their end: they may hold all that they held."""
    damaged = rows.where(F.col("reason").isin(*_UNKNOWN_REST))
    return {row.source for row in damaged.select("source").distinct().collect()}


def _vanished(store: Store, settings: Settings) -> list[str]:
    """Sources of the pool in the folders that are read, which are not there any more."""
    folders = local_folders(settings.input)
    if not folders:
        return []
    known = store.read("occurrences").where(F.col("pool") == settings.pool)
    below = reduce(or_, (F.startswith("source", F.lit(f"{each}/")) for each in folders))
    sources = known.where(below).select("source").distinct().collect()
    return [row.source for row in sources if not Path(row.source).exists()]


def _lacking(store: Store, table: str, rows: DataFrame, keys: list[str]) -> DataFrame:
    return rows.join(store.read(table).select(*keys), keys, "left_anti")


def _nothing_usable(rows: DataFrame, settings: Settings) -> str:
    first = rows.select("source", "position", "reason", "detail").first()
    assert first is not None  # noqa: S101 - the caller counted at least one row
    return (
        f"no usable record in {', '.join(settings.input)}; the first: {first.source} record "
        f"{first.position}: {first.detail} ({first.reason})"
        + ("" if " | jq " in first.detail else _NAME_FIELDS)
    )
