"""Stored vectors, brought to the driver one range of buckets at a time.

A range is cut out of both tables by the columns that they are clustered by, before anything is
joined or shuffled. So a query reads and shuffles the vectors of its own range, and all ranges
together move each vector once, whatever their number.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from instructmining.errors import UserError
from instructmining.identity import BUCKETS
from instructmining.store.tables import Store
from udfs.on_spark.arrow import vectors

_PART_ROWS = 100_000  # of one query at most: Spark bounds the bytes of a result
_PART_BYTES = 256 * 2**20  # likewise; a quarter of what spark.driver.maxResultSize is unless set
_FLOAT = 4


def of_encoder(store: Store, encoder: Column) -> DataFrame:
    """The rows of `embeddings` of one encoder, which is a condition, that have a vector.

    An example may have two: two runs at once can measure the same one.
    """
    return store.read("embeddings").where(encoder & F.col("vector").isNotNull())


def width_of(embedded: DataFrame) -> int:
    """How many numbers a vector of `of_encoder` has, of one stored row; 0: there is none."""
    row = embedded.select(F.size("vector").alias("width")).first()
    return int(row.width) if row else 0


def with_vectors(
    examples: DataFrame, embedded: DataFrame, low: int = 0, high: int = BUCKETS
) -> DataFrame:
    """The examples that have a vector, one row each.

    Args:
        examples: `example_id`, each once, and columns to keep.
        embedded: of `of_encoder`.
        low: the first bucket that is read.
        high: the first bucket that is not read any more.
    """
    if (low, high) != (0, BUCKETS):
        examples = examples.where(_id_between(low, high))
        embedded = embedded.where(F.col("bucket").between(low, high - 1))
    return examples.join(embedded, "example_id").dropDuplicates(["example_id"])


def vector_tables(
    examples: DataFrame, embedded: DataFrame, count: int, width: int
) -> Iterator[pa.Table]:
    """`example_id`, the columns of `examples`, and `vector`, a part at a time.

    Args:
        examples: as for `with_vectors`.
        embedded: as for `with_vectors`.
        count: about how many rows there are; with `width` it decides the number of parts.
        width: of `width_of`.

    Yields:
        Parts in the order of their ids, without an order inside; none is empty.
    """
    at_once = max(1, min(_PART_ROWS, _PART_BYTES // (_FLOAT * max(1, width))))
    parts = min(BUCKETS, max(1, -(-count // at_once)))
    for low, high in pairwise(BUCKETS * part // parts for part in range(parts + 1)):
        rows = with_vectors(examples, embedded, low, high)
        table = rows.select(*examples.columns, "vector").toArrow()
        if table.num_rows:
            yield table


def vector_parts(
    examples: DataFrame, embedded: DataFrame, count: int, width: int
) -> Iterator[tuple[pa.Table, NDArray[np.float32]]]:
    """The parts of `vector_tables`, without their vectors, and these as float32[n, d]."""
    for table in vector_tables(examples, embedded, count, width):
        yield table.drop_columns("vector"), vectors(table["vector"])


def gathered(
    members: DataFrame, embedded: DataFrame, count: int, width: int
) -> tuple[list[str], NDArray[np.float32], NDArray[np.int64]]:
    """Ids in order, float32[n, d] and copies int64[n] of the members that have a vector.

    Args:
        members: `example_id`, `copies`.
        embedded: of `of_encoder`.
        count: n, which is at least 1.
        width: d, of `width_of`.

    Raises:
        UserError: there are not as many as `count`.
    """
    ids: list[str] = []
    copies = np.empty(count, np.int64)
    matrix = np.empty((count, width), np.float32)
    for table, part in vector_parts(members, embedded, count, width):
        order = np.argsort(table["example_id"].to_numpy())
        rows = slice(len(ids), len(ids) + len(order))
        ids += table["example_id"].take(order).to_pylist()
        if len(ids) > count:
            break
        matrix[rows] = part[order]
        copies[rows] = table["copies"].to_numpy()[order]
    if len(ids) != count:
        raise UserError(
            f"the embeddings of the pool changed while they were read ({count:,} vectors before, "
            f"{len(ids):,} now): run the same command again"
        )
    return ids, matrix, copies


def _id_between(low: int, high: int) -> Column:
    """Ids of the buckets low … high − 1: a bucket is the first three digits."""
    above = F.col("example_id") >= f"{low:03x}"
    return above if high == BUCKETS else above & (F.col("example_id") < f"{high:03x}")
