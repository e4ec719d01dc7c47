"""One reader per container: rows to `source STRING, position BIGINT, raw BINARY`.

`raw` is the record's own bytes for JSON, and ordered-column JSON for tables. A position does not
depend on how Spark splits a file.
"""

import bz2
import gzip
import json
from collections.abc import Callable, Iterator
from urllib.parse import unquote, urlparse

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

RECORDS = "source STRING, position BIGINT, raw BINARY"
_ARROW = pa.schema([("source", pa.string()), ("position", pa.int64()), ("raw", pa.binary())])


def display_path(path: str) -> str:
    """A local file's plain path instead of its URI; anything else as it is."""
    return unquote(urlparse(path).path) if path.startswith("file:") else path


def _read_lines(spark: SparkSession, paths: list[str]) -> DataFrame:
    lines = spark.read.text(paths).select(
        F.col("_metadata.file_path").alias("source"),
        F.col("_metadata.file_block_start").alias("block"),
        F.col("value").cast("binary").alias("raw"),
    )
    # A line's number must not depend on how the file was split: count the lines of each split
    # first, then number within it.
    counted = sorted(lines.groupBy("source", "block").count().collect())
    before: dict[tuple[str, int], int] = {}
    total = 0
    for position, row in enumerate(counted):
        total = total if position and counted[position - 1].source == row.source else 0
        before[row.source, row.block] = total
        total += row["count"]

    def number(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        seen = dict(before)
        for batch in batches:
            sources, blocks = batch["source"].to_pylist(), batch["block"].to_pylist()
            positions = []
            for key in zip(sources, blocks, strict=True):
                seen[key] += 1
                positions.append(seen[key])
            shown = {source: display_path(source) for source in set(sources)}
            yield pa.record_batch(
                [pa.array([shown[s] for s in sources]), pa.array(positions), batch["raw"]],
                schema=_ARROW,
            )

    numbered = lines.mapInArrow(number, RECORDS)
    return numbered.where(F.length(F.trim(F.col("raw").cast("string"))) > 0)


def _read_arrays(spark: SparkSession, paths: list[str]) -> DataFrame:
    files = spark.read.format("binaryFile").load(paths).select("path", "content")
    return files.mapInArrow(_slice_arrays, RECORDS)


def _slice_arrays(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for path, content in zip(batch["path"], batch["content"], strict=True):
            source, text = path.as_py(), _decompressed(path.as_py(), content.as_py())
            rows: list[bytes] = []
            for record in array_elements(text.decode("utf-8", "surrogateescape")):
                rows.append(record.encode("utf-8", "surrogateescape"))
            count = len(rows)
            yield pa.record_batch(
                [pa.array([display_path(source)] * count, pa.string()),
                 pa.array(range(1, count + 1), pa.int64()), pa.array(rows, pa.binary())],
                schema=_ARROW,
            )  # fmt: skip


def array_elements(text: str) -> Iterator[str]:
    """The exact slices of the elements of a JSON array.

    Where an element is malformed, it is yielded up to the next line that starts an object, so that
    one bad record costs one record.
    """
    decoder = json.JSONDecoder()
    at = text.index("[") + 1
    while True:
        at = _skip(text, at, " \t\r\n,")
        if at >= len(text) or text[at] == "]":
            return
        try:
            _, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            following = text.find("\n", at + 1)
            while following != -1 and not text[following:].lstrip().startswith("{"):
                following = text.find("\n", following + 1)
            end = following if following != -1 else len(text)
        yield text[at:end]
        at = end


def _skip(text: str, at: int, characters: str) -> int:
    while at < len(text) and text[at] in characters:
        at += 1
    return at


def _decompressed(path: str, content: bytes) -> bytes:
    if path.lower().endswith(".gz"):
        return gzip.decompress(content)
    if path.lower().endswith(".bz2"):
        return bz2.decompress(content)
    return content


def _read_csv(spark: SparkSession, paths: list[str]) -> DataFrame:
    options = {"header": True, "multiLine": True, "quote": '"', "escape": '"'}
    frames = [_numbered(_as_json(spark.read.options(**options).csv(path))) for path in paths]
    united = frames[0]
    for frame in frames[1:]:
        united = united.unionByName(frame)
    return united


def _numbered(rows: DataFrame) -> DataFrame:
    """Row numbers of a file that is read in one piece."""

    def number(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        seen: dict[str, int] = {}
        for batch in batches:
            sources = batch["source"].to_pylist()
            positions = []
            for source in sources:
                seen[source] = seen.get(source, 0) + 1
                positions.append(seen[source])
            shown = pa.array([display_path(source) for source in sources])
            yield pa.record_batch([shown, pa.array(positions), batch["raw"]], schema=_ARROW)

    return rows.mapInArrow(number, RECORDS)


def _as_json(rows: DataFrame) -> DataFrame:
    columns = [F.col(f"`{name}`") for name in rows.columns]
    record = F.to_json(F.struct(*columns), {"ignoreNullFields": "false"})
    return rows.select(
        F.col("_metadata.file_path").alias("source"), record.cast("binary").alias("raw")
    )


def _read_parquet(spark: SparkSession, paths: list[str]) -> DataFrame:
    rows = spark.read.option("mergeSchema", "true").parquet(*paths)
    columns = [F.col(f"`{name}`") for name in rows.columns]
    return rows.select(
        _shown(F.col("_metadata.file_path")).alias("source"),
        (F.col("_metadata.row_index") + 1).alias("position"),
        F.to_json(F.struct(*columns), {"ignoreNullFields": "false"}).cast("binary").alias("raw"),
    )


def _read_delta(spark: SparkSession, names: list[str]) -> DataFrame:
    united = None
    for name in names:
        by_path = "/" in name
        rows = spark.read.format("delta").load(name) if by_path else spark.read.table(name)
        frame = _rows_by_content(rows, display_path(name) if by_path else name)
        united = frame if united is None else united.unionByName(frame)
    assert united is not None  # noqa: S101 - _READERS is only called with at least one name
    return united


def _rows_by_content(rows: DataFrame, source: str) -> DataFrame:
    """A table's rows have no order and its files are rewritten: their position is their content."""
    columns = [F.col(f"`{name}`") for name in rows.columns]
    raw = F.to_json(F.struct(*columns), {"ignoreNullFields": "false"})
    copies = Window.partitionBy("raw").orderBy(F.lit(0))
    return rows.select(raw.alias("raw")).select(
        F.lit(source).alias("source"),
        F.xxhash64("raw", F.row_number().over(copies)).alias("position"),
        F.col("raw").cast("binary").alias("raw"),
    )


def _shown(path: Column) -> Column:
    # url_decode would read a plus sign as a blank.
    return F.url_decode(
        F.replace(F.regexp_replace(path, "^file:/+", "/"), F.lit("+"), F.lit("%2B"))
    )


READERS: dict[str, Callable[[SparkSession, list[str]], DataFrame]] = {
    "lines": _read_lines,
    "array": _read_arrays,
    "csv": _read_csv,
    "parquet": _read_parquet,
    "delta": _read_delta,
}
