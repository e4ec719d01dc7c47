"""knn_i: euclidean distance of unit vectors to the i-th neighbour in the pool, itself excluded.

Source: the diversity indicator of arXiv 2307.06290 (its rule uses i = 6). A FAISS index proposes
candidates; these are ranked again by Σ(a−b)², because FAISS expands the square and is off by up to
0.9 of the value on near-duplicates. The example itself is removed by its row, not by its distance:
exact copies of its vector stay, at distance 0.
"""

from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Vectors = NDArray[np.float32]

_BLOCK = 256  # queries re-ranked together: block × candidates × dimension floats at a time
_RECALL_SAMPLE = 1000


@dataclass(frozen=True)
class Search:
    """How neighbours are searched.

    Attributes:
        neighbors: k, distances 1 … k are returned.
        candidates: proposals per query, at least k + 1, that are ranked exactly.
        copies: int64[n], further records with the same example; None: distinct examples only.
    """

    neighbors: int
    candidates: int
    copies: NDArray[np.int64] | None = None


def build_index(vectors: Vectors, exact: bool, probes: int = 64, seed: int = 0) -> Any:
    """A FAISS L2 index of float32[n, d]: flat, or inverted lists of about 4·√n cells."""
    rows, width = vectors.shape
    if exact:
        index = faiss.IndexFlatL2(width)
    else:
        cells = max(1, min(int(4 * rows**0.5), rows // 39))
        index = faiss.IndexIVFFlat(faiss.IndexFlatL2(width), width, cells)
        index.cp.seed = seed
        index.train(vectors)
        index.nprobe = min(probes, cells)
    index.add(vectors)
    return index


def neighbor_distances(index: Any, rows: NDArray[np.int64], search: Search) -> Floats:
    """Distances of indexed rows to their neighbours.

    Args:
        index: of the whole pool, see `build_index`.
        rows: int64[m], which of the indexed vectors to ask for.
        search: how.

    Returns:
        float64[m, k], ascending; NaN where the pool has fewer neighbours.
    """
    _make_readable(index)
    wanted = min(max(search.candidates, search.neighbors + 1), index.ntotal)
    found = [_block(index, rows[i : i + _BLOCK], wanted, search)
             for i in range(0, len(rows), _BLOCK)]  # fmt: skip
    return np.concatenate(found) if found else np.empty((0, search.neighbors))


def recall(index: Any, vectors: Vectors, neighbors: int, seed: int = 0) -> tuple[float, int]:
    """Share of true neighbours that the index finds, and on how many sampled rows."""
    rows = np.random.default_rng(seed).choice(
        len(vectors), min(_RECALL_SAMPLE, len(vectors)), replace=False
    )
    _, found = index.search(vectors[rows], neighbors + 1)
    _, true = faiss.knn(vectors[rows], vectors, neighbors + 1)
    hits = [len(set(a) & set(b)) for a, b in zip(found, true, strict=True)]
    return float(np.sum(hits) / true.size), len(rows)


def _block(index: Any, rows: NDArray[np.int64], wanted: int, search: Search) -> Floats:
    queries = index.reconstruct_batch(rows)
    _, labels = index.search(queries, wanted)
    absent = labels < 0  # an inverted list search can run out of candidates
    candidates = index.reconstruct_batch(np.where(absent, 0, labels).ravel())
    difference = candidates.reshape(*labels.shape, -1) - queries[:, None, :]
    squared = np.einsum("qcd,qcd->qc", difference, difference).astype(np.float64)
    squared[absent | (labels == rows[:, None])] = np.inf
    order = np.argsort(squared, axis=1, kind="stable")
    distances = np.sqrt(np.take_along_axis(squared, order, axis=1))
    if search.copies is not None:
        counts = 1 + search.copies[np.take_along_axis(labels, order, axis=1)]
        distances = _with_copies(distances, counts, search.copies[rows], search.neighbors)
    return _first(distances, search.neighbors)


def _with_copies(
    distances: Floats, counts: NDArray[np.int64], own: NDArray[np.int64], k: int
) -> Floats:
    """Distances in the raw pool: each neighbour as often as it occurs, own copies at 0."""
    reached = np.cumsum(counts, axis=1) + own[:, None]
    columns = []
    for place in range(1, k + 1):
        position = np.minimum((reached < place).sum(axis=1), distances.shape[1] - 1)
        nearest = distances[np.arange(len(distances)), position]
        columns.append(np.where(own >= place, 0.0, nearest))
    return np.column_stack(columns)


def _first(distances: Floats, k: int) -> Floats:
    found = np.full((len(distances), k), np.nan)
    kept = distances[:, :k]
    found[:, : kept.shape[1]] = np.where(np.isinf(kept), np.nan, kept)
    return found


def _make_readable(index: Any) -> None:
    """Inverted lists need a map from row to list before vectors can be read back."""
    if isinstance(index, faiss.IndexIVF) and index.direct_map.type == faiss.DirectMap.NoMap:
        index.make_direct_map()
