"""Files to records on the executors: whole files in Python, large JSON lines split by Spark."""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from instructmining.reading.arrow_rows import Part
from instructmining.reading.sniffing import BY_SPARK, Kind
from instructmining.reading.splitting import RawRecord, split
from instructmining.reading.table_rows import RECORDS
from instructmining.spark.frames import small_frame
from instructmining.spark.paths import LOCAL_AS_IT_IS, escaped, plain, shown

# The content only where Python cannot open the path; which part of the file's row groups to read.
_FILE = "path STRING, content BINARY, part INT, parts INT"
SPLIT_FROM = 64 << 20  # bytes from which JSON lines and Parquet are worth several tasks
_WHOLE_PACKED = 256 << 20  # compressed bytes that may travel through Spark in one piece
_BATCH_ROWS = 1024
_BATCH_BYTES = 8 << 20
_ARROW = pa.schema(
    [
        ("source", pa.string()),
        ("position", pa.int64()),
        ("raw", pa.binary()),
        ("reason", pa.string()),
        ("detail", pa.string()),
    ]
)


def splittable(kind: Kind, path: str, length: int) -> bool:
    """Whether Spark's own reader takes the file, in several tasks or as a stream.

    Of text it knows UTF-8 only, it does not know all types of Parquet, and damage fails it: it is
    for what is too large, or plain text, and not on a file system that Python can open.
    """
    if kind.container in BY_SPARK:
        return True
    local = Path(shown(path)).is_file()
    if kind.container == "parquet":
        return length > _WHOLE_PACKED and not local
    if kind.container != "lines" or kind.encoding != "utf-8":
        return False
    if kind.compression is None:
        return length > SPLIT_FROM or not local
    return length > _WHOLE_PACKED and not local


def in_one_piece(kind: Kind, path: str, length: int) -> bool:
    """Whether the whole content travels through Spark: Python cannot open the path."""
    if kind.container == "delta" or splittable(kind, path, length):
        return False
    return not Path(shown(path)).is_file()


def read_files(spark: SparkSession, files: Sequence[tuple[str, Kind, int]]) -> DataFrame:
    """Records of files that Python reads; several tasks share many files, or a large Parquet file.

    Args:
        files: path, kind and bytes of each.
    """
    kinds = {shown(path): kind for path, kind, _ in files}
    parts = [part for file in files if Path(shown(file[0])).is_file() for part in _parts(*file)]
    remote = [path for path, _, _ in files if not Path(shown(path)).is_file()]
    tasks = min(
        len(parts),
        max(spark.sparkContext.defaultParallelism, sum(size for _, _, size in files) // SPLIT_FROM),
    )
    frames = []
    if parts:
        names = small_frame(spark, parts, _FILE)
        frames.append(names.repartition(tasks) if tasks > 1 else names.coalesce(1))
    if remote:
        contents = spark.read.format("binaryFile").load([*map(escaped, remote)])
        whole = [F.lit(0).alias("part"), F.lit(1).alias("parts")]
        frames.append(contents.select("path", "content", *whole))
    united = frames[0] if len(frames) == 1 else frames[0].unionByName(frames[1])

    def records(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for path, content, *part in zip(*batch.columns, strict=True):
                source = shown(path.as_py())
                share = Part(*(number.as_py() for number in part))
                yield from _batches(source, _records(source, content, kinds[source], share))

    return united.mapInArrow(records, RECORDS)


def _parts(path: str, kind: Kind, length: int) -> list[tuple[str, None, int, int]]:
    parts = 1 + length // SPLIT_FROM if kind.container == "parquet" else 1
    return [(shown(path), None, part, parts) for part in range(parts)]


def _records(source: str, content: pa.Scalar, kind: Kind, part: Part) -> Iterator[RawRecord]:
    try:
        with _opened(source, content) as file:
            yield from split(file, kind, part, source)
    except OSError as error:
        if part.number == 0:
            yield RawRecord(0, b"", "unreadable_file", error.strerror or str(error))


def _opened(source: str, content: pa.Scalar) -> BinaryIO:
    return io.BytesIO(content.as_py()) if content.is_valid else Path(source).open("rb")


def _batches(source: str, records: Iterator[RawRecord]) -> Iterator[pa.RecordBatch]:
    waiting: list[RawRecord] = []
    size = 0
    for record in records:
        waiting.append(record)
        size += len(record.raw)
        if len(waiting) >= _BATCH_ROWS or size > _BATCH_BYTES:
            yield _batch(source, waiting)
            waiting = []
            size = 0
    if waiting:
        yield _batch(source, waiting)


def _batch(source: str, records: list[RawRecord]) -> pa.RecordBatch:
    positions, raws, reasons, details = zip(*records, strict=True)
    return pa.record_batch(
        [
            pa.array([source] * len(records)),
            *map(pa.array, (positions, raws)),
            pa.array(reasons, pa.string()),
            pa.array(details, pa.string()),
        ],
        schema=_ARROW,
    )


def read_lines(spark: SparkSession, paths: Sequence[str]) -> DataFrame:
    """JSON lines, split by Spark: `source, position, raw`.

    A line's number must not depend on how the file was split: the lines of each split are counted
    first, then numbered within it.
    """
    texts = spark.read.options(**LOCAL_AS_IT_IS).text([*map(escaped, paths)])
    lines = _with_fixed_splits(
        texts.select(
            plain(F.col("_metadata.file_path")).alias("source"),
            F.col("_metadata.file_block_start").alias("block"),
            F.col("value").cast("binary").alias("raw"),
        )
    )
    counted = sorted(lines.groupBy("source", "block").count().collect())
    before: dict[tuple[str, int], int] = {}
    total = 0
    for place, row in enumerate(counted):
        total = total if place and counted[place - 1].source == row.source else 0
        before[row.source, row.block] = total
        total += row["count"]

    def number(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        seen = dict(before)
        for batch in batches:
            sources = batch["source"].to_pylist()
            blocks = batch["block"].to_pylist()
            positions = []
            for key in zip(sources, blocks, strict=True):
                seen[key] += 1
                positions.append(seen[key])
            yield pa.record_batch(
                [batch["source"], pa.array(positions), batch["raw"]],
                names=["source", "position", "raw"],
            )

    numbered = lines.mapInArrow(number, "source STRING, position BIGINT, raw BINARY")
    return numbered.where("raw RLIKE '[^ \\\\t\\\\r\\\\n\\\\f]'")


def _with_fixed_splits(lines: DataFrame) -> DataFrame:
    """The same rows in the splits of now, however many cores there are when they are read.

    Spark plans a file's splits again for each pass, by the cores it has then; an RDD keeps its own.
    """
    rows = lines._jdf.toJavaRDD()
    session = lines.sparkSession
    return DataFrame(session._jsparkSession.createDataFrame(rows, lines._jdf.schema()), session)
