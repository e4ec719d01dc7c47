"""Exact sixth neighbours on a device, beside FAISS on the CPU for a sample of the queries."""

import time
from collections.abc import Mapping

import numpy as np

from bench.gpu.timing import RATE, Arm, GpuSuite
from bench.harness.arms import Gate
from udfs.neighbors.exact import ExactIndex, Ids
from udfs.neighbors.knn import Floats, Search, neighbor_distances
from udfs.neighbors.tiles import TileIndex

_WIDTH = 384
_CENTRES = 2_000
_SEARCH = Search(6, 32)
_COMPARED = 500  # queries that the CPU answers too


def searched(rows: int, repeats: int, device: str, seconds: float) -> GpuSuite:
    """Neighbours of a pool of clusters with a tenth of near-copies.

    Args:
        rows: of the pool.
        repeats: windows of queries, each an equal part of the pool.
        device: of torch.
        seconds: the whole pool may take.
    """
    random = np.random.default_rng(0)
    made = random.normal(size=(_CENTRES, _WIDTH))[random.integers(0, _CENTRES, rows)]
    made += 0.7 * random.normal(size=made.shape)
    copied = rows // 10
    made[:copied] = made[copied : 2 * copied] + 1e-3 * random.normal(size=(copied, _WIDTH))
    vectors = (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)
    started = time.perf_counter()
    tiles = TileIndex(vectors, device)
    placing = time.perf_counter() - started
    order = random.permutation(rows)
    windows = [np.sort(part) for part in np.array_split(order, repeats + 1)]
    cpu = ExactIndex(vectors)

    def figures() -> Mapping[str, float]:
        return {
            "seconds to place the pool": placing,
            "share searched again in float32": tiles.again / rows,
            "share compared with every row": tiles.directly / rows,
        }

    def on_cpu(queries: Ids) -> Floats:
        return neighbor_distances(cpu, queries, _SEARCH)

    return GpuSuite(
        name=f"neighbors, {rows:,} x {_WIDTH}",
        about=f"the sixth distance of {len(windows[0]):,} rows at a time",
        arms={
            "FAISS on the CPU": Arm(on_cpu, min(1.0, _COMPARED / len(windows[0]))),
            "ours": Arm(lambda queries: neighbor_distances(tiles, queries, _SEARCH)),
        },
        windows=windows,
        tokens=len,
        flop=lambda queries: 2.0 * len(queries) * rows * _WIDTH,
        reference="FAISS on the CPU",
        same=_equal,
        gates=[Gate("ours", RATE, rows / seconds)],
        figures=figures,
    )


def _equal(distances: Floats, reference: Floats) -> str | None:
    worst = float(np.abs(distances - reference).max())
    return None if worst <= 1e-4 else f"a distance off by {worst:.1e}"
