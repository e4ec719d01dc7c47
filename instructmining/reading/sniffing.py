"""What a file is, from its first bytes: compression, encoding, and how its records are laid out.

Names lie (`.json` that is gzip, `.csv` that is JSON lines), so the content decides wherever it can
and the extension only where the content says nothing.
"""

import bz2
import json
import re
import zlib
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

try:
    import zstandard
except ImportError:  # a cluster that was given only the .zip; all else can be read without it
    zstandard = None  # type: ignore[assignment]

HEAD_BYTES = 1 << 16
EXTENSIONS = {
    ".json": "lines",
    ".jsonl": "lines",
    ".ndjson": "lines",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
}
COMPRESSED = (".gz", ".bz2", ".zst")
KNOWN = (
    ".json, .jsonl, .ndjson, .csv and .tsv (each also .gz, .bz2 or .zst), .parquet, "
    "or a Delta folder; archives have to be unpacked, workbooks saved as .csv"
)
BROKEN: tuple[type[Exception], ...] = (OSError, EOFError, zlib.error)  # from a decompressor
if zstandard:
    BROKEN += (zstandard.ZstdError,)
_MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\x28\xb5\x2f\xfd": "zstd"}
_ZIP = b"PK\x03\x04"  # an archive, or a workbook that is called .csv
# The longer mark first: UTF-32 little-endian begins with that of UTF-16.
_MARKS = {
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
_FIELD = re.compile(
    r"instruction|input|output|response|prompt|completion|question|answer|query|text|context"
    r"|conversation|chosen|rejected|target|id",
    re.IGNORECASE,
)

_OF_JSON = re.compile(r'[{}]|"\s*:')  # a damaged line of JSON names fields too, but is not a header


@dataclass(frozen=True)
class Kind:
    """How a file is read."""

    container: str  # lines, objects, array, csv, parquet, or unknown
    compression: str | None = None  # gzip, bz2, zstd
    encoding: str = "utf-8"  # with or without its mark; utf-16 and utf-32 only with theirs
    half: str | None = None  # `questions` or `answers`: one of two files that belong together


def sniff(name: str, head: bytes) -> Kind:
    """The kind of the file `name` that starts with `head` (up to HEAD_BYTES)."""
    extension = _extension(name)
    compression = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), None)
    if compression:
        head = decompress_head(head, compression)
    if head.startswith(b"PAR1") and compression is None:
        return Kind("parquet")
    if head.startswith(_ZIP):
        return Kind("unknown")
    encoding = next((code for mark, code in _MARKS.items() if head.startswith(mark)), "utf-8")
    text = head.decode("utf-8-sig" if encoding == "utf-8" else encoding, "replace")
    container = _container(text, extension)
    half = _half(text) if container == "lines" else None
    return Kind(container, compression, encoding, half)


def new_decompressor(compression: str) -> Any:
    """An object with `decompress`, `eof` and `unused_data`, for one member of a stream."""
    if compression == "gzip":
        return zlib.decompressobj(wbits=31)
    if compression == "bz2":
        return bz2.BZ2Decompressor()
    if zstandard is None:
        raise OSError("zstd needs the package zstandard here: pip install zstandard")
    return zstandard.ZstdDecompressor().decompressobj()


def decompress_head(head: bytes, compression: str) -> bytes:
    """As much as the first bytes give; nothing where they are damaged."""
    try:
        found: bytes = new_decompressor(compression).decompress(head)
    except BROKEN:
        return b""
    return found[: 4 * HEAD_BYTES]


def _extension(name: str) -> str:
    path = PurePosixPath(name.lower())
    while path.suffix in COMPRESSED:
        path = path.with_suffix("")
    return path.suffix


def _container(text: str, extension: str) -> str:
    named = EXTENSIONS.get(extension)
    if named is None and extension not in ("", ".txt", ".data"):
        return "unknown"
    found = _json_container(text.lstrip(" \t\r\n\ufeff"))
    if found and not (named == "csv" and found == "broken"):
        return ("lines" if named else "unknown") if found == "broken" else found
    if named == "lines" and _is_csv_header(text):
        return "csv"
    return named or "unknown"


def _json_container(text: str) -> str | None:
    """`array`, `objects` or `lines`; `broken` where only a bracket speaks for JSON, else None."""
    if text[:1] not in ("{", "["):
        return None
    first, _, rest = text.partition("\n")
    try:
        _, end = json.JSONDecoder(strict=False).raw_decode(text)
    except (ValueError, RecursionError):
        # Cut off by the end of the head, or malformed.
        if text[0] == "[":
            return "array" if text[1:].lstrip()[:1] in ("{", "[", '"', "]", "") else "broken"
        if first.strip() == "{":
            return "objects"
        return "lines" if len(text) >= HEAD_BYTES and not rest else "broken"
    if end > len(first):
        return "array" if text[0] == "[" else "objects"
    # A whole value on the first line: an array with nothing after it is the file, else a line is.
    return "array" if text[0] == "[" and not rest.strip() else "lines"


def _is_csv_header(text: str) -> bool:
    first = (text.lstrip("\ufeff \r\n").splitlines() or [""])[0]
    if _OF_JSON.search(first):
        return False
    cells = first.split(delimiter(first))
    return len(cells) > 1 and sum(bool(_FIELD.search(cell)) for cell in cells) > 1


def delimiter(header: str) -> str:
    """What separates the cells of a header line: the most frequent of `, ; tab |`."""
    return max(",;\t|", key=header.count)


def _half(text: str) -> str | None:
    """Questions and answers of MT-Bench lie in two files and are joined on `question_id`."""
    try:
        record = json.loads(text.lstrip("\ufeff \r\n").partition("\n")[0])
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or "question_id" not in record:
        return None
    if isinstance(record.get("choices"), list):
        return "answers"
    return "questions" if isinstance(record.get("turns"), list) else None
