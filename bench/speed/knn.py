"""All neighbours of a pool, k = 6, beside other libraries: `python -m bench.speed.knn --help`.

Answers are judged on 1,500 sampled rows against brute force in float64: the share whose sixth
distance is within 1e-3 of the truth. Exact arms must reach 99.9 %; FAISS Flat is excused, because
its |a|² + |b|² − 2ab loses near-duplicates, and approximate arms show their share as a figure.
The compilation of pynndescent, about 20 s in a fresh process, is not counted.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from rich.console import Console
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits

from bench.harness.arms import Gate, Suite, run
from bench.harness.stored import table
from udfs.neighbors.exact import ExactIndex
from udfs.neighbors.knn import Search, build_index, neighbor_distances
from udfs.running.device import limit_threads

K, CANDIDATES = 6, 32
EXACT = ("ours", "sklearn brute")
EXCUSED = ("FAISS Flat",)
_SAMPLE = 1500
_SHARE = 0.999
_GATE = 0.8  # times as fast as FAISS Flat: the rest ranks 32 candidates by their true distances

Vectors = np.ndarray
Arm = Callable[[], np.ndarray]


def suite(repeats: int, rows: int = 20_000, vectors: Vectors | None = None) -> Suite:
    """Arms over `rows` unit vectors; made-up ones unless given."""
    limit_threads(1)
    faiss.omp_set_num_threads(1)
    threadpool_limits(1)
    pool = np.ascontiguousarray((made_vectors(rows) if vectors is None else vectors)[:rows])
    arms = arms_over(pool)
    for name in ("pynndescent 15", "pynndescent 30"):
        arms_over(pool[:2000])[name]()  # compiles
    sample, truth = sampled_truth(pool)
    figures: dict[str, float] = {}
    return Suite(
        name="knn",
        about=f"{len(pool):,} x {pool.shape[1]}, k = {K}",
        arms=arms,
        reference="FAISS Flat",
        flop=2.0 * len(pool) ** 2 * pool.shape[1],
        repeats=repeats,
        gates=[Gate("ours", "FAISS Flat", _GATE)],
        checks={arm: partial(_judged, arm, sample, truth, figures) for arm in arms},
        figures=figures,
    )


def arms_over(pool: Vectors) -> dict[str, Arm]:
    """Name to a callable that builds what it needs and returns sixth distances float[n]."""
    rows = np.arange(len(pool))
    search = Search(K, CANDIDATES)
    cells = max(1, int(4 * len(pool) ** 0.5))

    def ours(index: Callable[[], Any]) -> np.ndarray:
        return neighbor_distances(index(), rows, search)[:, -1]

    def searched(factory: str, setting: str = "", value: int = 0) -> np.ndarray:
        index = faiss.index_factory(pool.shape[1], factory)
        index.train(pool)
        index.add(pool)
        if setting:
            faiss.ParameterSpace().set_index_parameter(index, setting, value)
        return np.sqrt(np.maximum(index.search(pool, K + 1)[0][:, K], 0))

    def descended(neighbors: int) -> np.ndarray:
        from pynndescent import NNDescent

        found = NNDescent(pool, n_neighbors=neighbors, n_jobs=1, random_state=0)
        return found.neighbor_graph[1][:, K]

    def sklearn_brute() -> np.ndarray:
        found = NearestNeighbors(n_neighbors=K + 1, algorithm="brute", n_jobs=1).fit(pool)
        return found.kneighbors(pool)[0][:, K]

    return {
        "FAISS Flat": partial(searched, "Flat"),
        "ours": partial(ours, lambda: ExactIndex(pool)),
        "ours, HNSW": partial(ours, lambda: build_index(pool, exact=False)),
        "FAISS IVF, 64 cells": partial(searched, f"IVF{cells},Flat", "nprobe", 64),
        "FAISS HNSW M32 ef 64": partial(searched, "HNSW32,Flat", "efSearch", 64),
        "sklearn brute": sklearn_brute,
        "pynndescent 30": partial(descended, 30),
        "pynndescent 15": partial(descended, 15),
    }


def sampled_truth(pool: Vectors) -> tuple[np.ndarray, np.ndarray]:
    """Sampled rows, and their sixth distances."""
    sample = np.random.default_rng(0).choice(len(pool), min(_SAMPLE, len(pool)), replace=False)
    return sample, sixth_distances(pool, sample)


def right_share(answer: np.ndarray, sample: np.ndarray, truth: np.ndarray) -> float:
    """Share of the sampled rows whose sixth distance is right."""
    off = np.abs(answer[sample] - truth) > 1e-3 * np.maximum(truth, 1e-3)
    return 1 - float(off.mean())


def sixth_distances(pool: Vectors, rows: np.ndarray) -> np.ndarray:
    """By brute force in float64, the row itself left out."""
    exact = pool.astype(np.float64)
    found = []
    for row in rows:
        distances = cdist(exact[row : row + 1], exact)[0]
        distances[row] = np.inf
        found.append(np.partition(distances, K - 1)[K - 1])
    return np.array(found)


class Topics:
    """500 topics of 24 dimensions each, in a space of `width` dimensions; always the same ones."""

    def __init__(self, width: int):
        random = np.random.default_rng(0)
        self._spans = random.normal(size=(500, 24, width)).astype(np.float32) / 24**0.5

    def vectors(self, rows: int, random: np.random.Generator) -> Vectors:
        """Unit vectors float32[rows, width], a hundredth of them near-duplicates."""
        topics = random.integers(0, len(self._spans), rows)
        weights = 1 + random.normal(size=(rows, 24)).astype(np.float32)
        made = np.stack([w @ self._spans[t] for w, t in zip(weights, topics, strict=True)])
        made += 0.3 * random.normal(size=made.shape).astype(np.float32)
        copies = random.choice(rows, rows // 100, replace=False)
        made[copies] = made[np.roll(copies, 1)] + np.float32(1e-4)
        return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True), np.float32)


def made_vectors(rows: int, width: int = 384) -> Vectors:
    """Unit vectors of `Topics`."""
    return Topics(width).vectors(rows, np.random.default_rng(1))


def _judged(
    arm: str,
    sample: np.ndarray,
    truth: np.ndarray,
    figures: dict[str, float],
    answer: np.ndarray,
    _reference: np.ndarray,
) -> str | None:
    share = figures[f"sixth distances right, {arm}"] = right_share(answer, sample, truth)
    wrong = arm in EXACT and share < _SHARE
    return f"only {share:.4f} of the sixth distances are right" if wrong else None


def main() -> None:
    """One size, all arms or some."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--vectors", help="NumPy file, or a store with embeddings; else made up")
    chosen = parser.parse_args()
    found = run(suite(chosen.repeats, chosen.rows, _given(chosen.vectors)))
    from bench.run import tables

    for each in tables(found):
        Console(width=120).print(each)


def _given(path: str | None) -> Vectors | None:
    if path is None:
        return None
    if path.endswith(".npy"):
        return np.load(path)
    embedded = table(Path(path), "embeddings").dropna(subset=["vector"])
    return np.stack(embedded["vector"].to_list()).astype(np.float32)


if __name__ == "__main__":
    main()
