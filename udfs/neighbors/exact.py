"""Exact nearest neighbours of unit vectors: every row compared with every other, by FAISS.

A float32 matrix product proposes candidates and Σ(a−b)² in float32 ranks them. Of unit vectors the
order of the products is that of the distances, but a distance taken from a product is far off for
near-duplicates.
"""

import faiss
import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Ids = NDArray[np.int64]


class ExactIndex:
    """A pool to search exactly.

    Args:
        vectors: float32[n, d] of unit length, contiguous; may be mapped from a file.
    """

    def __init__(self, vectors: Vectors):
        self.vectors = np.asarray(vectors)
        self.ntotal, self.d = vectors.shape

    def nearest(self, rows: Ids, neighbors: int, candidates: int) -> tuple[Vectors, Ids]:
        """The rows nearest to some rows of the pool, themselves left out.

        Args:
            rows: int64[m].
            neighbors: how many to return.
            candidates: how many the product proposes, more than `neighbors`.

        Returns:
            See `search`.
        """
        return self.search(self.vectors[rows], rows, neighbors, candidates)

    def search(
        self, queries: Vectors, own: Ids, neighbors: int, candidates: int
    ) -> tuple[Vectors, Ids]:
        """The rows nearest to any vectors, as far as float32 products tell candidates apart.

        Args:
            queries: float32[m, d] of unit length.
            own: int64[m], the row of each query in the pool, to be left out; -1: it has none.
            neighbors: how many to return.
            candidates: how many the product proposes, more than `neighbors`.

        Returns:
            Squared distances float32[m, k], ascending, and rows int64[m, k]; k is `neighbors`, or
            all rows of a smaller pool, with an infinite distance for the row itself at the end.
        """
        proposed = min(candidates, self.ntotal)
        labels = faiss.knn(queries, self.vectors, proposed, faiss.METRIC_INNER_PRODUCT)[1]
        squared = self._squared(queries, labels)
        squared[labels == own[:, None]] = np.inf
        order = np.argsort(squared, axis=1, kind="stable")[:, :neighbors]
        return np.take_along_axis(squared, order, 1), np.take_along_axis(labels, order, 1)

    def _squared(self, queries: Vectors, labels: Ids) -> Vectors:
        """Σ(a−b)² of every query and its candidates, without a copy of the candidates' vectors."""
        squared = np.empty(labels.shape, np.float32)
        faiss.fvec_L2sqr_by_idx(
            faiss.swig_ptr(squared),
            faiss.swig_ptr(queries),
            faiss.swig_ptr(self.vectors),
            faiss.swig_ptr(labels),
            self.d,
            *labels.shape,
        )
        return squared
