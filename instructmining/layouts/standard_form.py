"""One raw record to its rows in standard form: a conversation with its id, or a reason."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame

from instructmining.identity import bucket, example_id
from instructmining.layouts.columns import speakers
from instructmining.layouts.detection import (
    TREE_ROW,
    VERDICTS,
    Messages,
    Part,
    Unusable,
    is_readable,
    kept_beside,
    prompt_and_response,
    standardize,
)
from instructmining.layouts.field_names import path_to_records, steps
from instructmining.layouts.records import lookup
from instructmining.layouts.unread import Example, holds_all, texts, unread
from instructmining.layouts.writing import record_of
from instructmining.settings.sections import Read
from instructmining.store.schemas import MESSAGES
from instructmining.turns.structure import (
    Structure,
    as_json,
    beside_turns,
    identifying,
    media_of,
    structure_of,
)

QUARANTINE_CHARACTERS = 4096
# Reasons that say a record could not even be read: a file with nothing else is a bad file.
UNDECODED = (
    "damaged_file",
    "malformed_csv",
    "malformed_json",
    "nested_too_deep",
    "not_an_object",
    "not_utf8",
    "too_long",
    "unreadable_file",
)
_LONGEST_NUMBER = 4000  # digits; Python refuses to read longer ones as integers
_STANDARDIZED = (
    "source STRING, position BIGINT, content_hash STRING, raw STRING, format STRING, "
    f"messages {MESSAGES}, structure STRING, prompt STRING, response STRING, example_id STRING, "
    "bucket INT, source_key STRING, kept MAP<STRING, STRING>, unread MAP<STRING, STRING>, "
    "reason STRING, detail STRING, records INT, media INT, tools BOOLEAN, inside STRING"
)
_MESSAGE = pa.struct([("role", pa.string()), ("content", pa.string())])
_ARROW = pa.schema(
    [
        ("source", pa.string()),
        ("position", pa.int64()),
        ("content_hash", pa.string()),
        ("raw", pa.string()),
        ("format", pa.string()),
        ("messages", pa.list_(_MESSAGE)),
        ("structure", pa.string()),
        ("prompt", pa.string()),
        ("response", pa.string()),
        ("example_id", pa.string()),
        ("bucket", pa.int32()),
        ("source_key", pa.string()),
        ("kept", pa.map_(pa.string(), pa.string())),
        ("unread", pa.map_(pa.string(), pa.string())),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("records", pa.int32()),
        ("media", pa.int32()),  # pictures, sounds, films, files
        ("tools", pa.bool_()),
        ("inside", pa.string()),
    ]
)


def with_standard_form(records: DataFrame, read: Read) -> DataFrame:
    """Parse records: `messages`, ids and prompt where usable, else a reason and a detail.

    A record that holds several conversations gives several rows; `records` is set on the first.
    `inside` is the path to records in an unusable one, where there are any.
    """
    options = read.model_dump()

    def parse(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            rows = [row for record in batch.to_pylist() for row in standard_rows(record, options)]
            if rows:
                yield pa.RecordBatch.from_pylist(rows, schema=_ARROW)

    return records.mapInArrow(parse, _STANDARDIZED)


def standard_rows(record: Mapping[str, Any], options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of one record as `read_records` gives it; never empty, never raises on content."""
    raw: bytes = record["raw"]
    row = {
        "source": record["source"],
        "position": record["position"],
        "records": record["records"],
        "content_hash": hashlib.sha256(raw).hexdigest()[:32],
    }
    try:
        if record["reason"] is not None:
            raise Unusable(record["reason"], record["detail"] or "")
        text = _decoded(raw)
        parsed = _parsed(text)
    except Unusable as problem:
        return [row | _refused(raw, problem)]
    try:
        name, parts = standardize(
            parsed, options["format"], options["columns"], options["best_path"]
        )
    except Unusable as problem:
        return [row | _refused(raw, problem) | {"inside": _inside(parsed, options)}]
    beside = _kept(parsed if isinstance(parsed, dict) else {}, name, record["source"], options)
    around = beside_turns(parsed)
    beside["unread"] = list(_unread(parsed, around, parts, beside, options).items())
    rows = []
    for label, messages in parts:
        if label is not None:
            digest = hashlib.sha256(raw + label.encode("utf-8", "surrogatepass"))
            row = row | {"content_hash": digest.hexdigest()[:32]}
        try:
            if isinstance(messages, Unusable):
                raise messages
            own = text if label is None else None
            usable = _usable(name, messages, around, own, label, beside["kept"])
            rows.append({**row, **beside, **usable})
        except Unusable as problem:
            rows.append(row | _refused(raw, problem))
        row = row | {"records": 0}
    return rows


def _unread(
    record: Any,
    around: Structure,
    parts: list[Part],
    columns_beside: Mapping[str, Any],
    options: Mapping[str, Any],
) -> dict[str, str]:
    """The fields with text that no part of the record holds, with one instance each."""
    conversations = [messages for _, messages in parts if not isinstance(messages, Unusable)]
    if not around and holds_all(record, conversations):
        return {}
    columns = options["columns"] or {}
    beside = [columns_beside["source_key"], *(value for _, value in columns_beside["kept"])]
    beside += [label for label, _ in parts]
    beside += [text for _, _, text in texts(around)] if around else []
    example = Example(
        conversations,
        [text for text in beside if text is not None],
        speakers(columns),
        steps(columns["role"])[-1] if "role" in columns else "role",
    )
    paths = [[name for name in steps(path) if not name.isdecimal()] for path in options["keep"]]
    read = [".".join(path) for path in paths]
    if [label for label, _ in parts] == ["rejected"]:
        read += VERDICTS
    return unread(record, example, read)


def _inside(record: Any, options: Mapping[str, Any]) -> str | None:
    """Where records lie inside of what is not one, see `field_names`; if no layout is forced."""
    if options["columns"] or options["format"] != "auto":
        return None
    return path_to_records(record, is_readable)


def _usable(
    name: str,
    messages: Messages,
    around: Structure,
    raw: str | None,
    label: str | None,
    own_columns: list[tuple[str, str | None]],
) -> dict[str, Any]:
    """The columns of an example; without `raw` its record is written as `messages`."""
    prompt, response = prompt_and_response(messages)
    try:
        structure = structure_of(around, messages)
        identifier = example_id([*messages, *identifying(structure)])
        stored = as_json(structure)
        own = raw or json.dumps(record_of(messages, "messages", structure), ensure_ascii=False)
    except RecursionError:
        raise Unusable("nested_too_deep", "the record's nesting is too deep to read") from None
    return {
        "raw": own,
        "format": name,
        "messages": messages,
        "structure": stored,
        "media": sum(map(len, media_of(structure).values())) if structure else 0,
        "tools": "tools" in (structure or {}),
        "prompt": prompt,
        "response": response,
        "example_id": identifier,
        "bucket": bucket(identifier),
        "kept": own_columns if label is None else [*own_columns, ("part", label)],
    }


def _refused(raw: bytes, problem: Unusable) -> dict[str, Any]:
    shown = raw[: 4 * QUARANTINE_CHARACTERS].decode("utf-8", "backslashreplace")
    if problem.reason == TREE_ROW:
        shown = raw.decode("utf-8", "backslashreplace")  # whole: it is still to be joined
    else:
        shown = shown[:QUARANTINE_CHARACTERS]
    return {
        "raw": shown,
        "reason": problem.reason,
        "detail": problem.detail[:500].encode("utf-8", "backslashreplace").decode(),
    }


def _kept(
    record: Mapping[str, Any], layout: str, source: str, options: Mapping[str, Any]
) -> dict[str, Any]:
    """The user's own key and columns, and what the layout keeps.

    A folder named `language=en` is a column too.
    """
    cells: dict[str, Any] = kept_beside(record, layout)
    key = None
    if options["id"] or options["keep"]:
        folders = dict(part.split("=", 1) for part in source.split("/")[:-1] if "=" in part)
        fields = {**folders, **record}
        key = _cell(lookup(fields, options["id"])) if options["id"] else None
        cells |= {name: lookup(fields, name) for name in options["keep"]}
    return {"source_key": key, "kept": [(name, _cell(value)) for name, value in cells.items()]}


def parsed_record(raw: bytes) -> Any:
    """The value of a record as `standard_rows` reads it.

    Raises:
        Unusable: it is not UTF-8 or not JSON.
    """
    return _parsed(_decoded(raw))


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise Unusable(
            "not_utf8",
            f"byte {error.start} of the record is not UTF-8; convert text "
            "from Windows with `iconv -f cp1252 -t utf-8`",
        ) from None


def _parsed(text: str) -> Any:
    """A JSON value; control characters in strings are let through, as many files have them.

    Raises:
        Unusable: it is not JSON, too deep, or a key is there twice with different values.
    """
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise Unusable("nested_too_deep", "the record's nesting is too deep to read") from None
    except ValueError as error:
        raise Unusable("malformed_json", str(error)) from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        for key, value in pairs:
            if members[key] != value:
                raise Unusable("duplicate_key", f"{key!r} is there twice, with different values")
    return members


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) < _LONGEST_NUMBER else float(digits)


_DECODER = json.JSONDecoder(
    strict=False,
    object_pairs_hook=_object,
    parse_int=_integer,
    parse_constant=lambda _: None,  # NaN stands for a value that is not there
)


def _cell(value: Any) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace").decode()  # a lone surrogate is not text
