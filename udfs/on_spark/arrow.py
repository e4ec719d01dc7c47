"""Vectors and distances between Arrow and NumPy, and rows gathered across Arrow's batches."""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def windows(batches: Iterator[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """At least `rows` rows at a time; fewer only at the end, and none without a row."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(batch.num_rows for batch in waiting) >= rows:
            yield pa.Table.from_batches(waiting)
            waiting = []
    if any(batch.num_rows for batch in waiting):
        yield pa.Table.from_batches(waiting)


def vectors(lists: pa.Array | pa.ChunkedArray) -> NDArray[np.float32]:
    """float32[n, d], a copy that may be written to, of n lists of equal length; [0, 0] of none."""
    chunks = lists.chunks if isinstance(lists, pa.ChunkedArray) else [lists]
    width = next((len(chunk[0]) for chunk in chunks if len(chunk)), 0)
    rows = np.empty((len(lists), width), np.float32)
    copy_vectors(chunks, rows)
    return rows


def copy_vectors(chunks: Iterable[pa.Array], rows: NDArray[np.float32]) -> None:
    """Lists of d numbers into float32[n, d].

    Chunk by chunk: Arrow counts the numbers of one array of lists in 32 bits, so that chunks of
    more than 2^31 numbers together cannot be joined.
    """
    start = 0
    for chunk in chunks:
        flat = chunk.flatten().to_numpy(zero_copy_only=False)
        rows[start : start + len(chunk)] = flat.reshape(len(chunk), rows.shape[1])
        start += len(chunk)


def vector_lists(rows: NDArray[np.float32]) -> pa.Array:
    """float32[n, d] as n lists."""
    flat = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), rows.shape[1])
    return flat.cast(pa.list_(pa.float32()))


def distance_lists(distances: NDArray[np.float64]) -> pa.Array:
    """float64[n, k] as n lists without their NaN, which stand for neighbours there are not."""
    lists = [[d for d in row if d == d] for row in distances.tolist()]
    return pa.array(lists, pa.list_(pa.float64()))
