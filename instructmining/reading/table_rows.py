"""Tables as records: a row of Parquet, ORC, Avro or Delta becomes ordered-column JSON."""

from collections.abc import Sequence
from functools import partial

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    DataType,
    DoubleType,
    FloatType,
    StructType,
)

from instructmining.errors import cause
from instructmining.layouts.records import NOT_TEXT
from instructmining.spark.paths import LOCAL_AS_IT_IS, escaped, plain, shown
from instructmining.store.distributions import quoted

SPARK_ERRORS: tuple[type[Exception], ...] = (PySparkException, Py4JJavaError)
RECORDS = "source STRING, position BIGINT, raw BINARY, reason STRING, detail STRING"


def read_by_spark(spark: SparkSession, form: str, paths: Sequence[str]) -> DataFrame:
    """Rows of Parquet, ORC or Avro files; a file that cannot be read is a row with a reason.

    Files whose columns contradict each other are read apart. Of Avro all are looked at first:
    Spark takes the columns of one of them for all.
    """
    read = _parquet if form == "parquet" else partial(_without_numbers, form)
    if form != "avro":
        try:
            return read(spark, paths)
        except SPARK_ERRORS:
            pass  # a damaged file or types that drifted: look at each
    groups: dict[str, list[str]] = {}
    damaged = []
    for path in paths:
        try:
            reader = spark.read.options(**LOCAL_AS_IT_IS).format(form)
            columns = reader.load(escaped(path)).schema
            groups.setdefault(columns.json(), []).append(path)
        except SPARK_ERRORS as error:
            damaged.append((shown(path), 0, b"", "unreadable_file", cause(error)))
    frames = [read(spark, group) for group in groups.values()]
    if damaged:
        frames.append(spark.createDataFrame(damaged, RECORDS))
    return union(frames)


def _parquet(spark: SparkSession, paths: Sequence[str]) -> DataFrame:
    # Times in nanoseconds, as pandas writes them: numbers instead of the end of the job.
    spark.conf.set("spark.sql.legacy.parquet.nanosAsLong", "true")
    reader = spark.read.options(**LOCAL_AS_IT_IS, mergeSchema="true")
    rows = reader.parquet(*map(escaped, paths))
    return rows.select(
        plain(F.col("_metadata.file_path")).alias("source"),
        (F.col("_metadata.row_index") + 1).alias("position"),
        as_json(rows).cast("binary").alias("raw"),
    )


def _without_numbers(form: str, spark: SparkSession, paths: Sequence[str]) -> DataFrame:
    """Rows of files in which Spark does not number them: a position is the row's content."""
    reader = spark.read.options(**LOCAL_AS_IT_IS, mergeSchema="true").format(form)
    rows = reader.load([*map(escaped, paths)])
    source = plain(F.col("_metadata.file_path")).alias("source")
    return _by_content(rows.select(source, as_json(rows).alias("raw")))


def _by_content(rows: DataFrame) -> DataFrame:
    """`source, position, raw` of `source` and `raw`: copies of a row are told apart by number."""
    copies = Window.partitionBy("source", "raw").orderBy(F.lit(0))
    return rows.select(
        "source",
        F.xxhash64("raw", F.row_number().over(copies)).alias("position"),
        F.col("raw").cast("binary").alias("raw"),
    )


def read_delta(spark: SparkSession, name: str) -> DataFrame:
    """Rows of a Delta table, by path or by name.

    A table's rows have no order and its files are rewritten: a row's position is its content.
    """
    by_path = "/" in name
    rows = spark.read.format("delta").load(name) if by_path else spark.read.table(name)
    return _by_content(rows.select(F.lit(shown(name)).alias("source"), as_json(rows).alias("raw")))


def union(frames: Sequence[DataFrame]) -> DataFrame:
    """One below the other, by column name; null where one lacks a column."""
    united = frames[0]
    for frame in frames[1:]:
        united = united.unionByName(frame, allowMissingColumns=True)
    return united


def as_json(rows: DataFrame) -> Column:
    """A row as JSON, its columns in their order, nulls written out.

    Times are in UTC whatever the session's zone is: a row of a Delta table is known by this text.
    Bytes are text where they are UTF-8, and NaN is null.
    """
    columns = [
        _readable(quoted(field.name), field.dataType).alias(field.name)
        for field in rows.schema.fields
    ]
    return F.to_json(F.struct(*columns), {"ignoreNullFields": "false", "timeZone": "UTC"})


def _readable(column: Column, of: DataType) -> Column:
    """The same values as JSON can hold them; a column that needs no change stays as it is."""
    if isinstance(of, BinaryType):
        size = F.concat(F.format_number(F.length(column), 0), F.lit(" bytes that are not UTF-8"))
        text = F.try_validate_utf8(column.cast("string"))
        return F.when(column.isNotNull(), F.coalesce(text, F.concat(F.lit(NOT_TEXT), size)))
    if isinstance(of, (FloatType, DoubleType)):
        infinite = F.abs(column) == float("inf")
        return F.when(~(F.isnan(column) | infinite), column)
    if isinstance(of, ArrayType) and _has_to_change(of):
        return F.transform(column, lambda element: _readable(element, of.elementType))
    if isinstance(of, StructType) and _has_to_change(of):
        fields = [_readable(column[f.name], f.dataType).alias(f.name) for f in of.fields]
        return F.when(column.isNotNull(), F.struct(*fields))
    return column


def _has_to_change(of: DataType) -> bool:
    if isinstance(of, ArrayType):
        return _has_to_change(of.elementType)
    if isinstance(of, StructType):
        return any(_has_to_change(field.dataType) for field in of.fields)
    return isinstance(of, (BinaryType, FloatType, DoubleType))
