"""What a file is, from its first bytes: compression, encoding, and how its records are laid out.

Names lie (`.json` that is gzip, `.csv` that is JSON lines), so the content decides wherever it can
and the extension only where the content says nothing.
"""

import bz2
import json
import lzma
import re
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal

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
    ".arrow": "arrow",
    ".feather": "arrow",
    ".orc": "orc",
    ".avro": "avro",
}
BY_SPARK = ("orc", "avro")  # containers that only Spark's own readers know
COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
KNOWN = (
    ".json, .jsonl, .ndjson, .csv and .tsv (each also .gz, .bz2, .xz or .zst), .parquet, .arrow, "
    ".feather, .orc, .avro, or a Delta folder; archives have to be unpacked, workbooks saved "
    "as .csv"
)
BROKEN: tuple[type[Exception], ...] = (
    OSError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
)  # from a decompressor
if zstandard:
    BROKEN += (zstandard.ZstdError,)
_COMPRESSION = {
    "gzip": re.compile(rb"\x1f\x8b"),
    "bz2": re.compile(rb"BZh"),
    "xz": re.compile(rb"\xfd7zXZ\0"),
    # A frame, or one to be skipped, as parallel and seekable compressors write it first.
    "zstd": re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"),
}
_LARGEST_WINDOW = 1 << 31  # bytes: all that `zstd --long=31` writes
_BINARY = {b"PAR1": "parquet", b"ORC": "orc", b"Obj\x01": "avro"}
# Arrow's file, and its stream as `Dataset.save_to_disk` writes it: a mark and a short length.
_ARROW = re.compile(rb"ARROW1|\xff\xff\xff\xff..[\x00-\x0f]\x00", re.DOTALL)
# What lies beside the files of a data set and describes them: names and a field.
_DESCRIPTIONS = {
    "state.json": b'"_data_files"',
    "dataset_info.json": b'"features"',
    "dataset_infos.json": b'"features"',
    "dataset_dict.json": b'"splits"',
}
_VIEWER_PAGE = re.compile(r'"features"\s*:.*"rows"\s*:\s*\[\s*\{\s*"row_idx"\s*:', re.DOTALL)
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

_QUOTED = re.compile(r'"[^"]*"')  # a cell whose signs separate nothing
_OF_JSON = re.compile(r'[{}]|"\s*:')  # a damaged line of JSON names fields too, but is not a header


@dataclass(frozen=True)
class Kind:
    """How a file is read."""

    container: str  # lines, objects, array, pages, csv, parquet, arrow, orc, avro, tar, unknown
    compression: str | None = None  # gzip, bz2, xz, zstd
    encoding: str = "utf-8"  # with or without its mark; utf-16 and utf-32 only with theirs
    csv_escape: Literal["auto", "doubled", "backslash"] = "auto"  # of quotes within cells
    half: str | None = None  # `questions` or `answers`: one of two files that belong together

    @property
    def is_data(self) -> bool:
        """Whether there are records in it that can be read."""
        return self.container not in ("unknown", "tar")


def sniff(name: str, head: bytes) -> Kind:
    """The kind of the file `name` that starts with `head` (up to HEAD_BYTES)."""
    extension = _extension(name)
    compression = next((kind for kind, mark in _COMPRESSION.items() if mark.match(head)), None)
    if compression:
        head = decompress_head(head, compression)
    for mark, container in _BINARY.items():
        if head.startswith(mark) and compression is None:
            return Kind(container)
    if _ARROW.match(head):
        return Kind("arrow", compression)
    if _is_tar(head):
        return Kind("tar", compression)
    if head.startswith(_ZIP) or _describes(name, head):
        return Kind("unknown")
    encoding = next((code for mark, code in _MARKS.items() if head.startswith(mark)), "utf-8")
    text = head.decode("utf-8-sig" if encoding == "utf-8" else encoding, "replace")
    container = _container(text, extension)
    half = _half(text) if container == "lines" else None
    return Kind(container, compression, encoding, half=half)


def new_decompressor(compression: str) -> Any:
    """An object with `decompress`, `eof` and `unused_data`, for one member of a stream."""
    if compression == "gzip":
        return zlib.decompressobj(wbits=31)
    if compression == "bz2":
        return bz2.BZ2Decompressor()
    if compression == "xz":
        return lzma.LZMADecompressor()
    if zstandard is None:
        raise OSError("zstd needs the package zstandard here: pip install zstandard")
    return zstandard.ZstdDecompressor(max_window_size=_LARGEST_WINDOW).decompressobj()


def decompress_head(head: bytes, compression: str) -> bytes:
    """As much as the first bytes give; nothing where they are damaged."""
    unpacked = b""
    try:
        while head and len(unpacked) < 4 * HEAD_BYTES:
            member = new_decompressor(compression)
            unpacked += member.decompress(head)
            head = member.unused_data if member.eof else b""
    except BROKEN:
        pass
    return unpacked[: 4 * HEAD_BYTES]


def _is_tar(head: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(head[: tarfile.BLOCKSIZE], "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _describes(name: str, head: bytes) -> bool:
    """Whether the file describes a data set and holds no record, as `state.json` does."""
    mark = _DESCRIPTIONS.get(PurePosixPath(name).name)
    return mark is not None and mark in head


def _extension(name: str) -> str:
    path = PurePosixPath(name.lower())
    while path.suffix in COMPRESSED:
        path = path.with_suffix("")
    return path.suffix


def _container(text: str, extension: str) -> str:
    named = EXTENSIONS.get(extension)
    if named is None and extension not in ("", ".txt", ".data"):
        return "unknown"
    text = text.lstrip(" \t\r\n\ufeff")
    if text.startswith(("{", "[")) and _VIEWER_PAGE.search(text):
        return "pages"
    container = _json_container(text)
    if container and not (named == "csv" and container == "broken"):
        return ("lines" if named else "unknown") if container == "broken" else container
    if named == "lines" and is_csv_header(text):
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


def is_csv_header(text: str) -> bool:
    """Whether the first line of the text names at least two fields that records usually have."""
    first = (text.lstrip("\ufeff \r\n").splitlines() or [""])[0]
    if _OF_JSON.search(first):
        return False
    cells = first.split(delimiter(first))
    return len(cells) > 1 and sum(bool(_FIELD.search(cell)) for cell in cells) > 1


def delimiter(header: str) -> str:
    """What separates the cells of a header line: the most frequent of `, ; tab |`."""
    return max(",;\t|", key=_QUOTED.sub("", header).count)


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
