"""Which rows each row may stand for: itself, its neighbours, and those whose neighbour it is."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, eye_array

from udfs.neighbors.knn import build_index

_NEIGHBORS = 32  # of each row; beyond them a cosine counts as 0
_QUERIES = 16_384  # searched at a time, which bounds memory


class Near(NamedTuple):
    """Cosines of near rows, row after row: of row i from `starts[i]` to `starts[i + 1]`."""

    starts: NDArray[np.int64]  # int64[n + 1]
    rows: NDArray[np.int64]  # int64[m]
    cosines: NDArray[np.float32]  # float32[m], above 0; 1 of the row itself


def near_rows(vectors: NDArray[np.float32], neighbors: int = _NEIGHBORS) -> Near:
    """The neighbours of every row, exactly, and every row whose neighbour it is.

    Args:
        vectors: float32[n, d] of unit length, contiguous.
        neighbors: of each row, itself excluded.
    """
    count = len(vectors)
    index = build_index(vectors, exact=True)
    parts = []
    for start in range(0, count, _QUERIES):
        asked = np.arange(start, min(start + _QUERIES, count))
        squared, nearest = index.nearest(asked, neighbors, 2 * neighbors)
        parts.append(_cosines(squared, nearest, asked, count))
    graph: Any = sum(parts[1:], parts[0])
    graph = graph.maximum(graph.T) + eye_array(count, dtype=np.float32, format="csr")
    graph.sort_indices()
    return Near(graph.indptr.astype(np.int64), graph.indices.astype(np.int64), graph.data)


def _cosines(
    squared: NDArray[np.float32], nearest: NDArray[np.int64], asked: NDArray[np.int64], count: int
) -> Any:
    """Of unit vectors: 1 − d²/2; the row itself, at an infinite distance, is left out."""
    cosines = 1 - squared / 2
    real = np.isfinite(squared) & (cosines > 0)
    rows = np.broadcast_to(asked[:, None], nearest.shape)[real]
    return csr_array((cosines[real], (rows, nearest[real])), shape=(count, count), dtype=np.float32)
