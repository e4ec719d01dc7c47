"""From the bytes of a file to its records, one by one: nothing is lost and nothing raises.

Every byte that is not a separator ends up in a record. What cannot be decoded is a record with a
reason, and reading goes on after it.
"""

import codecs
import io
import json
import shlex
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple

from instructmining.reading.arrow_rows import DAMAGE, Part, Row, one_line, parquet_rows, stream_rows
from instructmining.reading.csv_rows import CsvRows, Escape
from instructmining.reading.json_elements import elements
from instructmining.reading.sniffing import BROKEN, Kind, new_decompressor

MAX_RECORD = 1 << 26  # bytes; a longer line is not a record but a file without line ends
MAX_WHOLE = 1 << 30  # bytes, unpacked, of a file that is read in one piece
UNPACK = {None: "cat", "gzip": "zcat", "bz2": "bzcat", "xz": "xzcat", "zstd": "zstdcat"}
# What `jq` takes out of a file of JSON to make lines of it.
_ELEMENTS = {"array": "'.[]'", "objects": ".", "pages": "'.rows[].row'"}
_TOO_LARGE = "unpacked it is over 1 GiB of JSON that cannot be split; make it JSON lines with `{}`"
SHOWN = 1 << 14  # bytes kept of what cannot be a record
_CHUNK = 1 << 14
_WHOLE = Part()
_CUT = (
    "the viewer cut the cells {cells} of this row; download the files of the data set, which hold "
    "all of it"
)
_SPACE = " \t\r\n\f\v"


class RawRecord(NamedTuple):
    """One record of a file."""

    position: int  # from 1; 0 where it stands for the whole file
    raw: bytes  # UTF-8 where it could be decoded at all
    reason: str | None = None  # why it cannot be used, if that is known by now
    detail: str | None = None


def as_lines(path: str, kind: Kind) -> str:
    """The command that makes JSON lines of a file with an array, or with objects in a row."""
    source, target = shlex.quote(path), shlex.quote(f"{path.partition('.json')[0]}.jsonl")
    return f"{UNPACK[kind.compression]} {source} | jq -c {_ELEMENTS[kind.container]} > {target}"


def split(
    file: BinaryIO, kind: Kind, part: Part = _WHOLE, path: str = "FILE"
) -> Iterator[RawRecord]:
    """The records of an open file, and one more with a reason if its stream is damaged.

    Args:
        file: it is sought in if it is a Parquet file, and else read from beginning to end.
        kind: what is in it.
        part: which of its row groups to read, if it is a Parquet file.
        path: its path, for commands in details.
    """
    if kind.container == "parquet":
        yield from _parquet(file, part)
        return
    stream = _Stream(file, kind.compression)
    position = 0
    try:
        for record in _records(io.BufferedReader(stream, 1 << 18), kind):
            position = max(position, record.position)
            if record.detail == _TOO_LARGE:
                record = record._replace(detail=_TOO_LARGE.format(as_lines(path, kind)))
            yield record
    except UnicodeError as error:
        detail = f"not {kind.encoding}: {error.reason if hasattr(error, 'reason') else error}"
        position += 1
        yield RawRecord(position, b"", "not_utf8", detail)
    if stream.damage:
        yield RawRecord(position + 1, b"", "damaged_file", stream.damage)


def _records(stream: io.BufferedReader, kind: Kind) -> Iterator[RawRecord]:
    if kind.container == "csv":
        return _csv(stream, kind.encoding, kind.csv_escape)
    return _SPLITTERS[kind.container](stream, kind.encoding)


def _parquet(file: BinaryIO, part: Part) -> Iterator[RawRecord]:
    try:
        yield from map(_of_row, parquet_rows(file, part))
    except DAMAGE as error:
        if part.number == 0:
            yield RawRecord(0, b"", "unreadable_file", one_line(error))


def _of_row(row: Row) -> RawRecord:
    return RawRecord(row.position, row.json, row.problem and "damaged_file", row.problem)


class _Stream(io.RawIOBase):
    """Bytes of a file, decompressed; damage ends the stream and is remembered, not raised."""

    def __init__(self, file: BinaryIO, compression: str | None):
        self.damage: str | None = None
        self._file, self._compression = file, compression
        self._member: Any = None
        self._started = False
        self._ready = memoryview(b"")
        self._unpacked: deque[bytes] = deque()  # what follows `_ready`, by member of the stream

    def readable(self) -> bool:
        """As `io` asks."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """As `io` asks."""
        while not self._ready:
            if self._unpacked:
                self._ready = memoryview(self._unpacked.popleft())
            elif not self._fill() and not self._unpacked:
                break
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _fill(self) -> bool:
        """Get the next bytes ready; whether there may be more."""
        if self.damage:
            return False
        try:
            chunk = self._file.read(_CHUNK)
            if self._compression:
                return self._decompress(chunk, self._compression)
            self._ready = memoryview(chunk)
            return bool(chunk)
        except BROKEN as error:
            self.damage = f"the file breaks off or is damaged: {error}"
            return False

    def _decompress(self, chunk: bytes, compression: str) -> bool:
        self._member = self._member or new_decompressor(compression)
        if not chunk:
            if self._started and not self._member.eof:
                raise EOFError(f"{compression} ends before its end mark")
            return False
        while chunk:
            if self._member.eof:
                chunk = chunk.lstrip(b"\0")  # tapes and downloads are padded with zeros
                if not chunk:
                    break
                self._member = new_decompressor(compression)
            self._started = True
            # At once: what came before the damage stays when the next step raises.
            self._unpacked.append(self._member.decompress(chunk))
            chunk = self._member.unused_data if self._member.eof else b""
        return True


def _text(stream: io.BufferedReader, encoding: str) -> io.TextIOWrapper:
    """Lines end at LF, CRLF or CR. Of UTF-8 each byte is a character, so that no byte is lost."""
    if encoding == "utf-8":
        return io.TextIOWrapper(stream, "latin-1", newline=None)
    return io.TextIOWrapper(stream, encoding, "surrogatepass", newline=None)


def _bytes(text: str, encoding: str) -> bytes:
    if encoding == "utf-8":
        return text.encode("latin-1")
    return text.encode("utf-8", "surrogatepass")


def _lines(stream: io.BufferedReader, encoding: str) -> Iterator[RawRecord]:
    text = _text(stream, encoding)
    number = 0
    while line := text.readline(MAX_RECORD):
        number += 1
        raw = _bytes(line, encoding)
        if number == 1:
            raw = raw.removeprefix(b"\xef\xbb\xbf")
        if len(line) == MAX_RECORD and not line.endswith("\n"):
            while (more := text.readline(MAX_RECORD)) and not more.endswith("\n"):
                pass
            yield RawRecord(number, raw[:SHOWN], "too_long", f"a line over {MAX_RECORD:,} bytes")
        elif raw.strip(_SPACE.encode()):
            yield RawRecord(number, raw.rstrip(b"\n"))


def _decoded(content: bytes, encoding: str) -> str:
    if encoding == "utf-8":
        return content.decode("utf-8", "surrogateescape")
    # Not final: half a character at the end of a damaged file must not cost all the others.
    return codecs.getincrementaldecoder(encoding)("surrogatepass").decode(content)


def _array(stream: io.BufferedReader, encoding: str) -> Iterator[RawRecord]:
    content = stream.read(MAX_WHOLE + 1)
    if len(content) > MAX_WHOLE:  # compressed: its size on disk said nothing
        yield RawRecord(0, b"", "unreadable_file", _TOO_LARGE)
        return
    errors = "surrogateescape" if encoding == "utf-8" else "surrogatepass"
    for position, text in enumerate(elements(_decoded(content, encoding)), start=1):
        yield RawRecord(position, text.encode("utf-8", errors))


def _csv(stream: io.BufferedReader, encoding: str, escape: Escape) -> Iterator[RawRecord]:
    errors = "surrogateescape" if encoding == "utf-8" else "surrogatepass"
    code = "utf-8-sig" if encoding == "utf-8" else encoding
    rows = CsvRows(io.TextIOWrapper(stream, code, errors, newline=""), escape)
    header = rows.header()
    for position, (cells, text, problem) in enumerate(rows, start=1):
        if problem is None and len(cells) > len(header):
            problem = f"{len(cells)} cells, but the header names {len(header)} columns"
        if problem is not None:
            raw = text[:SHOWN].encode("utf-8", errors)
            yield RawRecord(position, raw, "malformed_csv", problem)
            continue
        missing = [None] * (len(header) - len(cells))
        record = dict(zip(header, [*cells, *missing], strict=True))
        yield RawRecord(position, json.dumps(record, ensure_ascii=False).encode("utf-8", errors))


def _arrow(stream: io.BufferedReader, encoding: str) -> Iterator[RawRecord]:
    yield from map(_of_row, stream_rows(stream))


def _pages(stream: io.BufferedReader, encoding: str) -> Iterator[RawRecord]:
    """The rows of pages of a data set viewer: `{"features": …, "rows": [{"row": …}, …]}`.

    Its API gives them: https://huggingface.co/docs/dataset-viewer/rows
    """
    position = 0
    for page in _array(stream, encoding):
        for record in _rows_of_page(page.raw):
            position += 1
            yield RawRecord(position, *record)


def _rows_of_page(page: bytes) -> Iterator[tuple[bytes, str | None, str | None]]:
    """Each row as JSON, with a reason and a detail where the viewer cut it short.

    What is not such a page is given back as it is: its reader says what is wrong with it.
    """
    try:
        parsed = json.loads(page, strict=False)
        rows = parsed["rows"]
        records = [(row["row"], row.get("truncated_cells")) for row in rows]
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        yield page, None, None
        return
    for record, cut in records:
        raw = json.dumps(record, ensure_ascii=False).encode("utf-8", "backslashreplace")
        if cut:
            yield raw, "cut_cells", _CUT.format(cells=", ".join(map(str, cut)))
        else:
            yield raw, None, None


_SPLITTERS: dict[str, Callable[[io.BufferedReader, str], Iterator[RawRecord]]] = {
    "lines": _lines,
    "objects": _array,
    "array": _array,
    "arrow": _arrow,
    "pages": _pages,
}
