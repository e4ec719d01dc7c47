"""Frames of a few rows that the driver holds, without a Python worker.

`createDataFrame` of Python objects sends them through workers, which Spark starts for that; of an
Arrow table it makes a relation of the plan.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import DataType


def small_frame(
    spark: SparkSession, rows: Iterable[Mapping[str, Any] | Sequence[Any]], ddl: str
) -> DataFrame:
    """The rows as a frame.

    Args:
        spark: the session.
        rows: one mapping by column, or one sequence in the order of the columns, for each; a
            struct inside is a mapping.
        ddl: the schema as Spark reads it.
    """
    struct: Any = DataType.fromDDL(ddl)
    schema = to_arrow_schema(struct)
    names = schema.names
    records = [
        row if isinstance(row, Mapping) else dict(zip(names, row, strict=True)) for row in rows
    ]
    if not records:
        return empty_frame(spark, ddl)
    columns = [_column([row[field.name] for row in records], field.type) for field in schema]
    return spark.createDataFrame(pa.table(columns, schema=schema))


def empty_frame(spark: SparkSession, ddl: str) -> DataFrame:
    """No row of a schema; Spark's optimizer knows that it is empty, and what is joined with it."""
    struct: Any = DataType.fromDDL(ddl)
    columns = [F.lit(None).cast(field.dataType).alias(field.name) for field in struct]
    return spark.range(1).select(*columns).limit(0)


def _column(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_map(kind):  # Arrow takes pairs
        values = [value if value is None else list(value.items()) for value in values]
    return pa.array(values, kind)
