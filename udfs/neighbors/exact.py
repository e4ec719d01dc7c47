"""Exact nearest neighbours of a pool's own rows at the speed of small integers.

One product of 8-bit codes (four times the rate of float32 where the CPU has VNNI or AMX) proposes
candidates, and Σ(a−b)² in float32 ranks them. How far the codes are from the vectors is known, so
each row can tell whether a neighbour could have been missed; those rows, few unless a pool is full
of copies, are searched again in float32. Vectors are of unit length.
"""

from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
import torch
from numpy.typing import NDArray

from udfs.running.device import _cpu_flags

Vectors = NDArray[np.float32]
Ids = NDArray[np.int64]

_INT8_UNITS = {"avx512_vnni", "avx_vnni", "amx_int8"}
_GROUP = 16  # of every so many scores the largest is kept before the first selection
_QUERIES = 192  # searched together: enough for the product, while the scores stay near the cache
_SCORES = 2**25  # of one block at most, which bounds memory on large pools
_SPARE = 10  # proposed in float32 beyond the neighbours: the row itself, and near-ties
_QUANTIZED_ROWS = 16_384
_ROUNDING = 1e-5  # of lengths and float32 sums; far above both


@dataclass(frozen=True)
class _Codes:
    """A pool in 8 bits: vector ≈ codes · step, off by at most `error` in length."""

    codes: torch.Tensor
    step: float
    error: float


class ExactIndex:
    """A pool to search exactly.

    Args:
        vectors: float32[n, d] of unit length, contiguous; may be mapped from a file.
        int8: propose by 8-bit codes; None: where the CPU has units for them.
    """

    def __init__(self, vectors: Vectors, int8: bool | None = None):
        self.vectors = np.asarray(vectors)
        self.ntotal, self.d = vectors.shape
        wanted = bool(_cpu_flags() & _INT8_UNITS) if int8 is None else int8
        self._codes = _quantized(torch.from_numpy(self.vectors)) if wanted else None

    def nearest(self, rows: Ids, neighbors: int, candidates: int) -> tuple[Vectors, Ids]:
        """The rows nearest to some rows of the pool, themselves left out.

        Args:
            rows: int64[m].
            neighbors: so many are the nearest, as far as float32 products tell rows apart.
            candidates: proposed by the codes, more than `neighbors`.

        Returns:
            See `search`.
        """
        return self.search(self.vectors[rows], rows, neighbors, candidates)

    def search(
        self, queries: Vectors, own: Ids, neighbors: int, candidates: int
    ) -> tuple[Vectors, Ids]:
        """The rows nearest to any vectors.

        Args:
            queries: float32[m, d] of unit length.
            own: int64[m], the row of each query in the pool, to be left out; -1: it has none.
            neighbors: so many are the nearest, as far as float32 products tell rows apart.
            candidates: proposed by the codes, more than `neighbors`.

        Returns:
            Squared distances float32[m, k], ascending, and rows int64[m, k]; k is `neighbors`, or
            all rows of a smaller pool, with an infinite distance for the row itself at the end.
        """
        if self._codes is None or self.ntotal // _GROUP < candidates:
            return self._by_floats(queries, own, neighbors)
        asked = _quantized(torch.from_numpy(queries), self._codes.step)
        proposed, worst = self._by_codes(self._codes.codes, asked.codes, candidates)
        squared, labels = self._ranked(queries, own, proposed, neighbors)
        unsure = ~_certain(squared[:, -1], worst, self._codes, asked)
        if unsure.any():
            again = self._by_floats(queries[unsure], own[unsure], neighbors)
            squared[unsure], labels[unsure] = again
        return squared, labels

    def _by_floats(self, queries: Vectors, own: Ids, neighbors: int) -> tuple[Vectors, Ids]:
        wanted = min(neighbors + _SPARE, self.ntotal)
        # By products: of unit vectors the order is that of distances, and needs no lengths.
        labels = faiss.knn(queries, self.vectors, wanted, faiss.METRIC_INNER_PRODUCT)[1]
        return self._ranked(queries, own, labels, neighbors)

    def _by_codes(
        self, codes: torch.Tensor, asked: torch.Tensor, wanted: int
    ) -> tuple[Ids, NDArray[Any]]:
        """Per query the ids with the largest products, and a product that no other id is above."""
        block = max(1, min(_QUERIES, _SCORES // self.ntotal, len(asked)))
        # One buffer for all blocks: fresh memory for each costs as much as the product itself.
        scores = torch.empty(block, self.ntotal, dtype=torch.int32)
        ids = []
        worst = []
        for queries in asked.split(block):
            products = torch._int_mm(queries, codes.T, out=scores[: len(queries)])
            best, least = _largest(products, wanted)
            ids.append(best)
            worst.append(least)
        return torch.cat(ids).numpy(), torch.cat(worst).numpy()

    def _ranked(
        self, queries: Vectors, own: Ids, labels: Ids, neighbors: int
    ) -> tuple[Vectors, Ids]:
        """The first labels by Σ(a−b)²: |a|² + |b|² − 2ab is far off for near-duplicates."""
        labels = np.ascontiguousarray(labels)
        squared = np.empty(labels.shape, np.float32)
        faiss.fvec_L2sqr_by_idx(
            faiss.swig_ptr(squared),
            faiss.swig_ptr(queries),
            faiss.swig_ptr(self.vectors),
            faiss.swig_ptr(labels),
            self.d,
            *labels.shape,
        )
        squared[labels == own[:, None]] = np.inf
        order = np.argsort(squared, axis=1, kind="stable")[:, :neighbors]
        return np.take_along_axis(squared, order, 1), np.take_along_axis(labels, order, 1)


def _quantized(vectors: torch.Tensor, step: float | None = None) -> _Codes:
    """Codes in steps of a size, or of the smallest size that leaves nothing to be cut off."""
    parts = vectors.split(_QUANTIZED_ROWS)
    step = step or max((float(part.abs().max()) for part in parts), default=0.0) / 127 or 1.0
    codes = torch.empty(vectors.shape, dtype=torch.int8)
    error = 0.0
    for part, target in zip(parts, codes.split(_QUANTIZED_ROWS), strict=True):
        target.copy_((part / step).round().clamp_(-127, 127))
        error = max(error, float((part - target * step).norm(dim=1).max()))
    return _Codes(codes, step, error)


def _largest(scores: torch.Tensor, wanted: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The columns of the largest scores in each row, and a score no other column is above.

    The largest members are all in the groups with the largest maxima. A group is every so many
    columns apart, which makes its maximum a comparison of whole stretches of memory. The columns
    left over by the grouping are always proposed.
    """
    groups = scores.shape[1] // _GROUP
    grouped = scores[:, : groups * _GROUP].unflatten(1, (_GROUP, groups))
    best = grouped.amax(1).topk(wanted, dim=1, sorted=False).indices
    members = (best[:, None, :] + torch.arange(0, groups * _GROUP, groups)[:, None]).flatten(1)
    top = scores.gather(1, members).topk(wanted, dim=1)
    rest = torch.arange(groups * _GROUP, scores.shape[1]).expand(len(scores), -1)
    columns = torch.cat([members.gather(1, top.indices), rest], dim=1)
    return columns, top.values[:, -1]


def _certain(
    squared: Vectors, worst: NDArray[Any], pool: _Codes, asked: _Codes
) -> NDArray[np.bool_]:
    """Whether every vector that was not proposed is farther away than `squared`.

    With a = a' + α and b = b' + β: ab = a'b' + a'β + αb, which is at most a'b' + (2 + ε)·ε for
    errors of at most ε and vectors of length 1.
    """
    error = max(pool.error, asked.error)
    bound = worst * pool.step**2 + (2 + error) * error + _ROUNDING
    return np.asarray(1 - squared / 2 >= bound)
