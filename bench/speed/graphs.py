"""Approximate indexes: `python -m bench.speed.graphs --rows 50000 --vectors STORE`.

Per index and effort: CPU seconds of one thread to build it and to ask for every row, the recall of
the seven nearest on 1,000 sampled rows, and the share of right sixth distances on 1,500.
"""

import argparse
import time
from typing import Any

import faiss
import numpy as np
from rich.console import Console
from rich.table import Table

from bench.speed.knn import K, Vectors, _given, made_vectors, right_share, sampled_truth
from udfs.neighbors.knn import build_index, recall
from udfs.running.device import limit_threads

_PROBES = (16, 64, 256)
_EFFORTS = (64, 128, 256)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--vectors", help="NumPy file, or a store with embeddings; else made up")
    chosen = parser.parse_args()
    limit_threads(1)
    faiss.omp_set_num_threads(1)
    given = _given(chosen.vectors)
    pool = np.ascontiguousarray(made_vectors(chosen.rows) if given is None else given)
    pool = pool[: chosen.rows]
    truth = sampled_truth(pool)
    table = Table(title=f"{len(pool):,} x {pool.shape[1]}", title_justify="left")
    for name in ("index", "build, CPU s", "all rows, CPU s", "recall", "sixth right"):
        table.add_column(name, justify="left" if name == "index" else "right")
    cells = int(4 * len(pool) ** 0.5)
    for index, name, build in (_inverted(pool, cells), _graph(pool)):
        for effort in _PROBES if hasattr(index, "nprobe") else _EFFORTS:
            table.add_row(f"{name}, {effort}", f"{build:.1f}", *_asked(index, pool, effort, truth))
    Console(width=100).print(table)


def _inverted(pool: Vectors, cells: int) -> tuple[Any, str, float]:
    started = time.process_time()
    index = faiss.index_factory(pool.shape[1], f"IVF{cells},Flat")
    index.train(pool)
    index.add(pool)
    return index, f"IVF {cells} cells, probes", time.process_time() - started


def _graph(pool: Vectors) -> tuple[Any, str, float]:
    started = time.process_time()
    return build_index(pool, exact=False), "HNSW, effort", time.process_time() - started


def _asked(
    index: Any, pool: Vectors, effort: int, truth: tuple[np.ndarray, np.ndarray]
) -> tuple[str, str, str]:
    if hasattr(index, "nprobe"):
        index.nprobe = effort
    else:
        index.hnsw.efSearch = effort
    started = time.process_time()
    squared = index.search(pool, K + 1)[0]
    seconds = time.process_time() - started
    share = right_share(np.sqrt(np.maximum(squared[:, K], 0)), *truth)
    return f"{seconds:.1f}", f"{recall(index, pool, K)[0]:.3f}", f"{share:.3f}"


if __name__ == "__main__":
    main()
