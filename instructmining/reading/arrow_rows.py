"""Rows of Parquet and Arrow files as JSON with the columns in their order, in bounded memory.

What JSON does not have is written as text (times, UUIDs) or as null (NaN, infinity). Bytes are text
where they are UTF-8: Impala and older writers leave texts without the annotation. What cannot be
read is a text with the mark `NOT_TEXT`: refused by name if a layout reads it, and of no harm where
none does.
"""

import io
import json
import math
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from instructmining.layouts.records import NOT_TEXT

# A damaged length asks for more memory than there is.
DAMAGE = (OSError, ValueError, MemoryError, pa.ArrowException)
_ROWS = 256  # of a batch
_COMPACT = (",", ":")
_FILE_MARK = b"ARROW1"
_PLAIN = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
    pa.types.is_boolean,
    pa.types.is_integer,
    pa.types.is_float32,
    pa.types.is_float64,
    pa.types.is_decimal,
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_binary_view,
    pa.types.is_null,
    pa.types.is_nested,
)


class Part(NamedTuple):
    """One of several shares of a file, by its row groups."""

    number: int = 0
    of: int = 1


class Row(NamedTuple):
    """One row; or what is wrong with those from here to the end of their row group."""

    position: int  # from 1
    json: bytes
    problem: str | None = None


def parquet_rows(file: BinaryIO, part: Part) -> Iterator[Row]:
    """The rows of a part of the file's row groups.

    Raises:
        OSError, ValueError, pyarrow.ArrowException: the file has no footer that can be read.
    """
    parquet = pq.ParquetFile(file)
    groups = parquet.num_row_groups
    before = 0
    for group in range(groups):
        count = parquet.metadata.row_group(group).num_rows
        if group % part.of == part.number:
            yield from _rows_of_group(parquet, group, before, before + count)
        before += count


def _rows_of_group(parquet: pq.ParquetFile, group: int, before: int, last: int) -> Iterator[Row]:
    position = before
    try:
        batches = parquet.iter_batches(_ROWS, row_groups=[group])
        texts = (text for batch in batches for text in json_rows(batch))
        for position, text in enumerate(texts, start=before + 1):
            yield Row(position, text)
    except DAMAGE as error:
        place = f"row group {group + 1} of {parquet.num_row_groups}, {last - position:,} rows"
        yield Row(position + 1, b"", f"{place}, cannot be read: {one_line(error)}")


def stream_rows(stream: io.BufferedReader) -> Iterator[Row]:
    """The rows of an Arrow file or stream, read from its beginning to its end."""
    position = 0
    try:
        if stream.peek(len(_FILE_MARK))[: len(_FILE_MARK)] == _FILE_MARK:
            stream.read(8)  # a file is a stream between marks
        texts = (text for batch in _checked(stream) for text in json_rows(batch))
        for position, text in enumerate(texts, start=1):
            yield Row(position, text)
    except DAMAGE as error:
        yield Row(position + 1, b"", f"the file breaks off or is damaged: {one_line(error)}")


def _checked(stream: BinaryIO) -> Iterator[pa.RecordBatch]:
    """Batches whose offsets have been looked at: those of a damaged file point anywhere."""
    for batch in pa.ipc.open_stream(stream):
        batch.validate(full=True)
        for start in range(0, len(batch), _ROWS):
            yield batch.slice(start, _ROWS)


def json_rows(batch: pa.RecordBatch) -> Iterator[bytes]:
    """Each row as a JSON object."""
    names = distinct(batch.schema.names)
    columns = [_values(column) for column in batch.columns]
    for row in zip(*columns, strict=True):
        yield _json(dict(zip(names, row, strict=True)))


def distinct(names: list[str]) -> list[str]:
    """The names of columns, with a number where one comes a second time."""
    unique: list[str] = []
    for number, name in enumerate(names, start=1):
        unique.append(name if name not in unique else f"{name} (column {number})")
    return unique


def _values(column: pa.Array) -> list[Any]:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_float16(column.type):
        column = column.cast(pa.float32())
    if not any(is_plain(column.type) for is_plain in _PLAIN):
        column = _as_text(column)
    try:
        values = list(column.to_pylist())
    except (*DAMAGE, ArithmeticError):
        values = [_value(scalar) for scalar in column]
    if pa.types.is_map(column.type):
        return [value if value is None else dict(value) for value in values]
    return values


def _as_text(column: pa.Array) -> pa.Array:
    """Times and the like, as Arrow writes them; the same column where it has no text for them."""
    try:
        return column.cast(pa.string())
    except pa.ArrowException:
        return column


def _value(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except (*DAMAGE, ArithmeticError) as error:
        return f"{NOT_TEXT}a value that cannot be read: {one_line(error)}"


def _json(row: dict[str, Any]) -> bytes:
    try:
        text = json.dumps(
            row, ensure_ascii=False, default=_other, allow_nan=False, separators=_COMPACT
        )
        return text.encode()
    except ValueError:  # NaN, or half of a character
        row = _without_nan(row)
        return json.dumps(row, default=_other, separators=_COMPACT).encode()


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _other(value: Any) -> Any:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return f"{NOT_TEXT}{len(value):,} bytes that are not UTF-8"
    if isinstance(value, Decimal):
        if not value.is_finite():
            return None
        return int(value) if value == value.to_integral_value() else float(value)
    return str(value)


def one_line(error: Exception) -> str:
    """The first line of what a library says."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
