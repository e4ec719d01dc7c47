"""Files to records on the executors: whole files in Python, large JSON lines split by Spark."""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from instructmining.reading.row_groups import rows_of_groups
from instructmining.reading.sniffing import Kind
from instructmining.reading.splitting import RawRecord, split
from instructmining.reading.table_rows import RECORDS
from instructmining.spark.paths import LOCAL_AS_IT_IS, escaped, plain, shown

FILE = "path STRING, content BINARY"  # the content only where Python cannot open the path
ROW_GROUPS = Kind("row groups")  # a Parquet file that Spark could not read to its end
SPLIT_FROM = 64 << 20  # bytes from which JSON lines are worth several tasks
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
    """Whether Spark's own text reader takes the file, in several tasks or as a stream.

    It knows UTF-8 only, and damage in compressed files fails it: it is for what is too large, or
    plain and not on a file system that Python can open.
    """
    if kind.container != "lines" or kind.encoding != "utf-8":
        return False
    local = Path(shown(path)).is_file()
    if kind.compression is None:
        return length > SPLIT_FROM or not local
    return length > _WHOLE_PACKED and not local


def read_files(spark: SparkSession, files: Sequence[tuple[str, Kind, int]]) -> DataFrame:
    """Records of files that are read in one piece each; several tasks share many files.

    Args:
        files: path, kind and bytes of each.
    """
    kinds = {shown(path): kind for path, kind, _ in files}
    local = [shown(path) for path, _, _ in files if Path(shown(path)).is_file()]
    remote = [path for path, _, _ in files if not Path(shown(path)).is_file()]
    tasks = min(
        len(files),
        max(spark.sparkContext.defaultParallelism, sum(size for _, _, size in files) // SPLIT_FROM),
    )
    frames = []
    if local:
        names = spark.createDataFrame([(path, None) for path in local], FILE)
        frames.append(names.repartition(tasks) if tasks > 1 else names.coalesce(1))
    if remote:
        found = spark.read.format("binaryFile").load([*map(escaped, remote)])
        frames.append(found.select("path", "content"))
    united = frames[0] if len(frames) == 1 else frames[0].unionByName(frames[1])

    def records(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for path, content in zip(batch["path"], batch["content"], strict=True):
                source = shown(path.as_py())
                yield from _batches(source, _records(source, content, kinds[source]))

    return united.mapInArrow(records, RECORDS)


def _records(source: str, content: pa.Scalar, kind: Kind) -> Iterator[RawRecord]:
    try:
        with _opened(source, content) as file:
            yield from rows_of_groups(file) if kind == ROW_GROUPS else split(file, kind)
    except OSError as error:
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
