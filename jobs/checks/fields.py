"""Whether the fields that a user names occur in the data: judged on a few records, in seconds."""

import difflib
import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from instructmining.errors import UserError
from instructmining.layouts.columns import check_columns
from instructmining.layouts.field_names import steps, written
from instructmining.layouts.records import kind
from instructmining.layouts.turn_lists import parsed
from instructmining.reading.folders import Input
from instructmining.reading.inputs import read_records
from instructmining.reading.splitting import split
from instructmining.reading.table_rows import SPARK_ERRORS, as_json
from instructmining.settings.sections import Read
from instructmining.spark.paths import LOCAL_AS_IT_IS, escaped, shown

Record = dict[str, Any]

_FILES, _ROWS = 5, 50
_UNREADABLE: tuple[type[Exception], ...] = (OSError, *SPARK_ERRORS)
# What names a field of a record; the other names of --columns are those of speakers.
_IN_RECORD = {
    "turns": ("turns", "system_field"),
    "transcript": ("transcript", "system_field"),
    "prompt": ("prompt", "response", "input", "system"),
}
_IN_TURNS = ("role", "content")
# Prompts and answers may be numbers: they become text.
_TEXTS = (str, list, int, float)
_WANTED: dict[str, Any] = {
    "--id": object,
    "--columns role": object,
    "--columns turns": list,
    "--columns prompt": _TEXTS,
    "--columns response": _TEXTS,
    "--columns input": _TEXTS,
}


def check_fields(spark: SparkSession, inputs: Sequence[Input], read: Read) -> list[str]:
    """The fields that `--columns`, `--id` and `--keep` name occur in the first records.

    They are sought in some records of some files: an absent `--keep` is a note, since another file
    may have it.

    Raises:
        UserError: `--columns` or `--id` names a field that none of them has, or one without text.
    """
    if read.columns:
        check_columns(read.columns)
    elif not (read.id or read.keep):
        return []
    records = [record for row in first_records(spark, inputs) if (record := _parsed(row))]
    if not records:
        return []  # reading says it better
    for option, name, objects in _named(read, records):
        values = [value for record in objects for value in _values(record, name)]
        if objects and not values:
            raise UserError(
                f"{option}={name}: none of the first {len(records)} records has such "
                f"a field; {_nearest(name, objects)}"
            )
        wanted = _WANTED.get(option, (str, list))
        present = [value for value in values if value is not None]
        if wanted is list:  # it may be JSON in a cell of text
            present = [parsed(value) if isinstance(value, str) else value for value in present]
        if present and not any(isinstance(value, wanted) for value in present):
            needed = "a list" if wanted is list else "text"
            raise UserError(
                f"{option}={name}: it has to be {needed}, and is {kind(present[0])}; "
                f"{_nearest(name, objects)}"
            )
    absent = [name for name in read.keep if not any(_values(record, name) for record in records)]
    if not absent:
        return []
    return [f"--keep: none of the first {len(records)} records has {', '.join(absent)}"]


def _named(read: Read, records: list[Record]) -> Iterator[tuple[str, str, list[Record]]]:
    """Each option that needs its field, the field's name, and the objects to find it in."""
    if read.id:
        yield "--id", read.id, records
    layout = next((name for name in _IN_RECORD if name in read.columns), "prompt")
    for key in _IN_RECORD[layout]:
        if key in read.columns:
            yield f"--columns {key}", read.columns[key], records
    if layout == "turns":
        lists = [value for record in records for value in _values(record, read.columns["turns"])]
        lists = [parsed(value) if isinstance(value, str) else value for value in lists]
        turns = [turn for items in lists if isinstance(items, list) for turn in items]
        turns = [turn for turn in turns if isinstance(turn, dict)]
        for key in _IN_TURNS:
            yield f"--columns {key}", read.columns[key], turns


def first_records(spark: SparkSession, inputs: Sequence[Input]) -> list[tuple[str, bytes]]:
    """Source and text of the first records of a few inputs, spread over all of them."""
    whole = [data for data in inputs if data.kind.half is None]
    chosen = whole[:: -(-len(whole) // _FILES) or 1]
    return [(data.path, raw) for data in chosen for raw in _first_of(spark, data)]


def _first_of(spark: SparkSession, data: Input) -> list[bytes]:
    local = Path(shown(data.path))
    try:
        if local.is_file():
            with local.open("rb") as file:
                return [record.raw for record in islice(split(file, data.kind), _ROWS)]
        rows = _cheaply(spark, data).select("raw").limit(_ROWS).collect()
        return [bytes(row.raw) for row in rows]
    except _UNREADABLE:
        return []  # reading says what is wrong with this one


def _cheaply(spark: SparkSession, data: Input) -> DataFrame:
    """Records without their positions, which would cost a pass over a large file or table."""
    if data.container == "delta":
        table = spark.read.format("delta").load if "/" in data.path else spark.read.table
        rows = table(data.path)
        return rows.select(as_json(rows).cast("binary").alias("raw"))
    if data.container == "lines":
        lines = spark.read.options(**LOCAL_AS_IT_IS).text(escaped(data.path))
        return lines.select(F.col("value").cast("binary").alias("raw"))
    return read_records(spark, [data]).where(F.col("reason").isNull())


def _parsed(row: tuple[str, bytes]) -> Record:
    """A record with the folders named `key=value` above it; empty where it is not an object."""
    source, raw = row
    try:
        record = json.loads(raw.decode("utf-8-sig"), strict=False)
    except (ValueError, RecursionError):
        return {}
    folders = dict(part.split("=", 1) for part in source.split("/")[:-1] if "=" in part)
    return {**folders, **record} if isinstance(record, dict) else {}


def _values(record: Record, name: str) -> list[Any]:
    """The field of that name, else what is at the dotted path, in a list; empty if neither is."""
    if name in record:
        return [record[name]]
    value: Any = record
    for step in steps(name):
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return []
    return [value]


def _nearest(name: str, objects: Sequence[Record]) -> str:
    known = list(dict.fromkeys(written(path) for record in objects for path in _paths(record)))
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(known[:12])}"


def _paths(value: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The paths of all fields, those inside others too; of lists the first element."""
    inside = value.items() if isinstance(value, dict) else []
    if isinstance(value, list) and value and isinstance(value[0], dict):
        inside = [("0", value[0])]
    for name, inner in inside:
        yield (*above, name)
        yield from _paths(inner, (*above, name))
