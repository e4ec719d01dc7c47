"""knn_i: euclidean distance of unit vectors to the i-th neighbour in the pool, itself excluded.

Source: the diversity indicator of arXiv 2307.06290 (its rule uses i = 6). Up to a size the search
is exact (`exact`), beyond it a FAISS graph. Both rank by Σ(a−b)², never by |a|² + |b|² − 2ab,
which is off by up to 0.9 of the value on near-duplicates. The example itself is removed by its
row, not by its distance: exact copies of its vector stay, at distance 0.
"""

from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from udfs.neighbors.exact import ExactIndex

Floats = NDArray[np.float64]
Vectors = NDArray[np.float32]
Ids = NDArray[np.int64]

_LINKS = 32  # of a row in the graph
_BUILD_EFFORT = 100
_RECALL_SAMPLE = 1000


@dataclass(frozen=True)
class Search:
    """How neighbours are searched.

    Attributes:
        neighbors: k, distances 1 … k are returned.
        candidates: rows per query, more than k, that are ranked by their true distance.
        copies: int64[n], further records with the same example; None: distinct examples only.
    """

    neighbors: int
    candidates: int
    copies: NDArray[np.int64] | None = None


def build_index(vectors: Vectors, exact: bool, effort: int = 64, device: str = "cpu") -> Any:
    """An index of float32[n, d], of unit length: an `ExactIndex`, or a FAISS HNSW graph.

    Args:
        vectors: the pool.
        exact: which of the two.
        effort: how many rows a search of the graph keeps in sight; more finds more.
        device: where an exact search computes; on a GPU by torch, see `udfs.neighbors.tiles`.
    """
    if exact and device != "cpu":
        from udfs.neighbors.tiles import TileIndex

        return TileIndex(vectors, device)
    if exact:
        return ExactIndex(vectors)
    graph = faiss.IndexHNSWFlat(vectors.shape[1], _LINKS)
    graph.hnsw.efConstruction, graph.hnsw.efSearch = _BUILD_EFFORT, effort
    graph.add(vectors)
    return graph


def neighbor_distances(index: Any, rows: Ids, search: Search) -> Floats:
    """Distances of indexed rows to their neighbours.

    Args:
        index: of the whole pool, see `build_index`.
        rows: int64[m], which of the indexed vectors to ask for.
        search: how.

    Returns:
        float64[m, k], ascending; NaN where the pool has fewer neighbours.
    """
    wanted = _proposed(index, search)
    near = _in_graph if isinstance(index, faiss.Index) else _in_pool
    squared, labels = near(index, rows, wanted, search)
    return _distances(squared, labels, rows, search)


def asked_distances(index: Any, queries: Vectors, own: Ids, search: Search) -> Floats:
    """Distances of any vectors to their neighbours in a pool.

    Args:
        index: an `ExactIndex` of the pool.
        queries: float32[m, d] of unit length.
        own: int64[m], the row of each query in the pool; -1: it is not in it.
        search: how.

    Returns:
        float64[m, k], ascending; NaN where the pool has fewer neighbours.
    """
    squared, labels = index.search(queries, own, search.neighbors, _proposed(index, search))
    return _distances(squared, labels, own, search)


def _proposed(index: Any, search: Search) -> int:
    return int(min(max(search.candidates, search.neighbors + 1), index.ntotal))


def _distances(squared: Vectors, labels: Ids, own: Ids, search: Search) -> Floats:
    """By falling nearness; infinite squares and `own` = -1 stand for what is not in the pool."""
    distances = np.sqrt(squared.astype(np.float64))
    if search.copies is not None:
        counts = 1 + search.copies[labels]
        mine = np.where(own >= 0, search.copies[own], 0)
        distances = _with_copies(distances, counts, mine, search.neighbors)
    return _first(distances, search.neighbors)


def recall(index: Any, vectors: Vectors, neighbors: int, seed: int = 0) -> tuple[float, int]:
    """Share of true neighbours that the index finds, and on how many sampled rows."""
    rows = np.random.default_rng(seed).choice(
        len(vectors), min(_RECALL_SAMPLE, len(vectors)), replace=False
    )
    _, nearest = index.search(vectors[rows], neighbors + 1)
    _, true = faiss.knn(vectors[rows], vectors, neighbors + 1)
    hits = [len(set(a) & set(b)) for a, b in zip(nearest, true, strict=True)]
    return float(np.sum(hits) / true.size), len(rows)


def _in_pool(index: Any, rows: Ids, wanted: int, search: Search) -> tuple[Vectors, Ids]:
    nearest: tuple[Vectors, Ids] = index.nearest(rows, search.neighbors, wanted)
    return nearest


def _in_graph(index: Any, rows: Ids, wanted: int, search: Search) -> tuple[Vectors, Ids]:
    squared, labels = index.search(index.reconstruct_batch(rows), wanted)
    squared[(labels < 0) | (labels == rows[:, None])] = np.inf  # the graph may run out of rows
    order = np.argsort(squared, axis=1, kind="stable")
    return np.take_along_axis(squared, order, 1), np.take_along_axis(labels, order, 1)


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
    padded = np.full((len(distances), k), np.nan)
    first = distances[:, :k]
    padded[:, : first.shape[1]] = np.where(np.isinf(first), np.nan, first)
    return padded
