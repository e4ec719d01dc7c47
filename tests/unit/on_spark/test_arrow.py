"""Vectors out of Arrow's lists."""

import numpy as np
import pyarrow as pa
import pytest

from udfs.on_spark.arrow import copy_vectors, vectors

FLOATS = pa.list_(pa.float32())


def test_lists_of_several_chunks_are_the_rows_of_one_matrix() -> None:
    chunks = [pa.array(rows, FLOATS) for rows in ([[1, 2]], [], [[3, 4], [5, 6]])]
    found = vectors(pa.chunked_array([*chunks, chunks[2].slice(1)]))
    np.testing.assert_array_equal(found, [[1, 2], [3, 4], [5, 6], [5, 6]])
    found[0] = 7  # it may be written to
    assert chunks[0].to_pylist() == [[1, 2]]


def test_no_lists_are_no_rows() -> None:
    assert vectors(pa.chunked_array([], FLOATS)).shape == (0, 0)
    assert vectors(pa.array([], FLOATS)).shape == (0, 0)


@pytest.mark.parametrize("rows", [[[1, 2], [3]], [[1], [2, 3]], [[1, 2], [1, 2, 3, 4]]])
def test_lists_of_different_lengths_are_no_matrix(rows: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="reshape"):
        vectors(pa.array(rows, FLOATS))


def test_more_numbers_than_one_array_of_arrow_can_count_are_copied() -> None:
    """2^31 and some, in chunks that are one piece of memory, into rows that are one as well."""
    numbers = np.arange(2**16, dtype=np.float32)
    offsets = np.arange(0, 2**16 + 1, 2**13, dtype=np.int32)
    chunk = pa.ListArray.from_arrays(pa.array(offsets), pa.array(numbers))
    lists = pa.chunked_array([chunk] * (2**15 + 1))
    with pytest.raises(pa.ArrowInvalid, match="offset overflow while concatenating arrays"):
        lists.combine_chunks()
    memory = np.zeros(2**13, np.float32)
    rows = np.lib.stride_tricks.as_strided(memory, (len(lists), 2**13), (0, 4))
    copy_vectors(lists.chunks, rows)
    np.testing.assert_array_equal(memory, numbers[-(2**13) :])
