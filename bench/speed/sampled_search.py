"""Neighbours of some rows of a pool in this process, and the CPU seconds that all would take."""

import time
from typing import NamedTuple

import numpy as np

from instructmining.settings.sections import Knn
from udfs.neighbors.cells import nearest_cells, rows_to_train, trained
from udfs.neighbors.exact import ExactIndex
from udfs.neighbors.knn import Search, asked_distances, build_index, neighbor_distances

_SEED = 0
_AT_ONCE = 65_536  # rows whose cells are found at a time


class Found(NamedTuple):
    """Last distances of the rows float64[m], CPU seconds for the whole pool, and what these are."""

    distances: np.ndarray
    cpu: float
    words: str


def index_of_sample(vectors: np.ndarray, rows: np.ndarray, knn: Knn, exact: bool) -> Found:
    """By one index over the pool.

    Args:
        vectors: float32[n, d] of unit length.
        rows: int64[m], which rows ask.
        knn: settings.
        exact: or by a graph.
    """
    started = time.process_time()
    index = build_index(vectors, exact, knn.probes)
    built = time.process_time() - started
    started = time.process_time()
    distances = neighbor_distances(index, rows, Search(knn.neighbors, knn.candidates))[:, -1]
    searched = time.process_time() - started
    words = f"{built:.0f} CPU s to build, {searched:.1f} to search for {len(rows):,}"
    if not exact:
        words = f"hnsw, effort {knn.probes}; {words}"
    return Found(distances, built + searched * len(vectors) / len(rows), words)


def cells_of_sample(vectors: np.ndarray, rows: np.ndarray, knn: Knn) -> Found:
    """By cells, as the join does it, without what Spark does.

    Args:
        vectors: as above.
        rows: as above.
        knn: settings.
    """
    started = time.process_time()
    draw = np.random.default_rng(_SEED)
    wanted = min(rows_to_train(len(vectors), knn), len(vectors))
    cells = trained(vectors[draw.choice(len(vectors), wanted, replace=False)], len(vectors), knn)
    near = np.concatenate(
        [
            nearest_cells(vectors[start : start + _AT_ONCE], cells.centroids, cells.visits)
            for start in range(0, len(vectors), _AT_ONCE)
        ]
    )
    made = time.process_time() - started
    best = np.full((len(rows), knn.neighbors), np.nan)
    searched = 0.0
    for cell in range(len(cells.centroids)):
        members = np.flatnonzero(near[:, 0] == cell)
        asking = np.flatnonzero((near[rows] == cell).any(axis=1))
        if not len(members) or not len(asking):
            continue
        places = np.searchsorted(members, rows[asking])
        own = np.where(members[np.minimum(places, len(members) - 1)] == rows[asking], places, -1)
        pool = np.ascontiguousarray(vectors[members])
        started = time.process_time()
        search = Search(knn.neighbors, knn.candidates)
        distances = asked_distances(ExactIndex(pool), vectors[rows[asking]], own, search)
        searched += time.process_time() - started
        best[asking] = np.sort(np.hstack([best[asking], distances]), axis=1)[:, : knn.neighbors]
    words = f"{made:.0f} CPU s for the cells, {searched:.1f} to search for {len(rows):,}"
    return Found(best[:, -1], made + searched * len(vectors) / len(rows), words)
