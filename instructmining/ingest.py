"""Records to examples, occurrences and quarantine: every record read is accounted for."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from instructmining.errors import UserError
from instructmining.formats import Unusable, prompt_and_response, standardize
from instructmining.identity import bucket, example_id
from instructmining.reading import find_inputs, read_records
from instructmining.schemas import MESSAGES
from instructmining.settings import Read, Settings
from instructmining.tables import Store

QUARANTINE_CHARACTERS = 4096
_STANDARDIZED = (
    "source STRING, position BIGINT, content_hash STRING, raw STRING, format STRING, "
    f"messages {MESSAGES}, prompt STRING, response STRING, example_id STRING, bucket INT, "
    "source_key STRING, kept MAP<STRING, STRING>, reason STRING, detail STRING"
)
_MESSAGE = pa.struct([("role", pa.string()), ("content", pa.string())])
_ARROW = pa.schema([
    ("source", pa.string()), ("position", pa.int64()), ("content_hash", pa.string()),
    ("raw", pa.string()), ("format", pa.string()), ("messages", pa.list_(_MESSAGE)),
    ("prompt", pa.string()), ("response", pa.string()), ("example_id", pa.string()),
    ("bucket", pa.int32()), ("source_key", pa.string()),
    ("kept", pa.map_(pa.string(), pa.string())), ("reason", pa.string()), ("detail", pa.string()),
])  # fmt: skip


@dataclass(frozen=True)
class Ingested:
    """What one run read: `rows = examples + copies + sum(quarantined)`."""

    rows: int
    examples: int  # distinct
    copies: int  # further records with the id of one already counted
    quarantined: dict[str, int]  # reason to records
    new_examples: int
    new_occurrences: int
    inputs: tuple[str, ...]
    left_out: tuple[str, ...] = ()  # files of folders that are of no known kind


def ingest(store: Store, settings: Settings, run_id: str) -> Ingested:
    """Read the input and add what the store does not have yet.

    Raises:
        UserError: the input is missing, empty, or holds no usable record.
    """
    inputs, left_out = find_inputs(store.spark, settings.input)
    rows = with_standard_form(read_records(store.spark, inputs), settings.read)
    rows = rows.persist(StorageLevel.DISK_ONLY)
    try:
        counts = _counts(rows)
        if not counts["rows"]:
            raise UserError(f"no record in {', '.join(settings.input)}: the input is empty")
        if not counts["examples"]:
            raise UserError(_nothing_usable(rows, settings))
        if settings.replace_pool:
            store.delete("occurrences", {"pool": settings.pool})
        new = _write(store, rows, settings.pool, run_id)
    finally:
        rows.unpersist()
    reasons = {key: count for key, count in counts.items() if key.startswith("reason ")}
    quarantined = {key.removeprefix("reason "): count for key, count in reasons.items()}
    return Ingested(
        rows=counts["rows"],
        examples=counts["examples"],
        copies=counts["rows"] - counts["examples"] - sum(quarantined.values()),
        quarantined=quarantined,
        new_examples=new["examples"],
        new_occurrences=new["occurrences"],
        inputs=tuple(each.path for each in inputs),
        left_out=tuple(left_out),
    )


def with_standard_form(records: DataFrame, read: Read) -> DataFrame:
    """Parse records: `messages`, ids and prompt where usable, else a reason and a detail."""
    options = read.model_dump()

    def parse(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            rows = [_standard_row(source, position, raw, options)
                    for source, position, raw in zip(*(batch[n].to_pylist() for n in
                    ("source", "position", "raw")), strict=True)]  # fmt: skip
            yield pa.RecordBatch.from_pylist(rows, schema=_ARROW)

    return records.mapInArrow(parse, _STANDARDIZED)


def _standard_row(
    source: str, position: int, raw: bytes, options: dict[str, Any]
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "source": source,
        "position": position,
        "content_hash": hashlib.sha256(raw).hexdigest()[:32],
    }
    try:
        text = _decoded(raw)
        record = _parsed(text)
        name, found = standardize(record, options["format"], options["columns"])
        prompt, response = prompt_and_response(found)
        identifier = example_id(found)
        kept = {column: _cell(record.get(column)) for column in options["keep"]}
        return row | {
            "raw": text, "format": name, "messages": found, "prompt": prompt,
            "response": response, "example_id": identifier, "bucket": bucket(identifier),
            "source_key": _cell(record.get(options["id"])) if options["id"] else None,
            "kept": list(kept.items()),
        }  # fmt: skip
    except Unusable as problem:
        shown = raw[: 4 * QUARANTINE_CHARACTERS].decode("utf-8", "backslashreplace")
        return row | {
            "raw": shown[:QUARANTINE_CHARACTERS],
            "reason": problem.reason,
            "detail": problem.detail[:500].encode("utf-8", "backslashreplace").decode(),
        }


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise Unusable("not_utf8", f"byte {error.start} of the record is not UTF-8") from None


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise Unusable("nested_too_deep", "the record's nesting is too deep to read") from None
    except ValueError as error:
        raise Unusable("malformed_json", str(error)) from None


def _cell(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _counts(rows: DataFrame) -> dict[str, int]:
    grouped = rows.groupBy("reason").agg(
        F.count("*").alias("rows"), F.countDistinct("example_id").alias("examples")
    )
    found = grouped.collect()
    counts = {f"reason {row.reason}": row.rows for row in found if row.reason is not None}
    counts["rows"] = sum(row.rows for row in found)
    counts["examples"] = sum(row.examples for row in found if row.reason is None)
    return counts


def _write(store: Store, rows: DataFrame, pool: str, run_id: str) -> dict[str, int]:
    rows = rows.withColumn("run_id", F.lit(run_id)).withColumn("pool", F.lit(pool))
    usable = rows.where(F.col("reason").isNull())
    new = {
        "examples": usable.dropDuplicates(["example_id"]).join(
            store.read("examples").select("example_id"), "example_id", "left_anti"
        ),
        "occurrences": usable.join(
            store.read("occurrences"), ["pool", "source", "position", "example_id"], "left_anti"
        ),
        "quarantine": rows.where(F.col("reason").isNotNull()).join(
            store.read("quarantine"), ["source", "position", "content_hash"], "left_anti"
        ),
    }
    written = {}
    for table, fresh in new.items():
        written[table] = fresh.count()
        if written[table] or table != "quarantine":
            store.create(table)
        if written[table]:
            store.append(fresh, table, f"{run_id}/ingest/{table}", {"run_id": run_id})
    return written


def _nothing_usable(rows: DataFrame, settings: Settings) -> str:
    first = rows.select("source", "position", "reason", "detail").first()
    assert first is not None  # noqa: S101 - the caller counted at least one row
    return (
        f"no usable record in {', '.join(settings.input)}; the first: {first.source} record "
        f"{first.position}: {first.detail} ({first.reason}); name the fields with "
        "--columns prompt=…,response=… or the layout with --format"
    )
