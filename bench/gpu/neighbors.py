"""Exact sixth neighbours on a device, beside FAISS on the CPU for a sample of the queries."""

import time
from collections.abc import Mapping

import numpy as np
import torch

from bench.gpu.timing import RATE, GpuSuite, each
from bench.harness.arms import Gate
from udfs.neighbors.exact import ExactIndex, Ids, Vectors
from udfs.neighbors.knn import Floats, Search, neighbor_distances
from udfs.neighbors.tiles import TileIndex

_WIDTH = 384
_CENTRES = 2_000
_SEARCH = Search(6, 32)
_AT_ONCE = 2**20  # vectors made at a time
_COMPARED = (50, 500)  # queries that the CPU answers too, fewer in a large pool
_PAIRS = 5 * 10**8


def searched(
    rows: int, repeats: int, device: str, seconds: float, asked: int | None = None
) -> GpuSuite:
    """Neighbours of a pool of clusters with a tenth of near-copies.

    Args:
        rows: of the pool.
        repeats: windows of queries, each an equal part of the pool.
        device: of torch.
        seconds: the whole pool may take.
        asked: queries of a window, where the whole pool would take too long.
    """
    vectors = pool_of(rows, device)
    started = time.perf_counter()
    tiles = TileIndex(vectors, device)
    placing = time.perf_counter() - started
    order = np.random.default_rng(0).permutation(rows)
    order = order[: asked * (repeats + 1) if asked else rows]
    windows = [np.sort(part) for part in np.array_split(order, repeats + 1)]
    cpu = ExactIndex(vectors)

    def figures() -> Mapping[str, float]:
        return {
            "seconds to place the pool": placing,
            "share searched again in float32": tiles.again / len(order),
            "share compared with every row": tiles.directly / len(order),
        }

    compared = min(max(_PAIRS // rows, _COMPARED[0]), _COMPARED[1])

    def on_cpu(queries: Ids) -> Floats:
        return neighbor_distances(cpu, queries, _SEARCH)

    return GpuSuite(
        name=f"neighbors, {rows:,} x {_WIDTH}",
        about=f"the sixth distance of {len(windows[0]):,} rows at a time",
        arms={
            "FAISS on the CPU": each(on_cpu, min(1.0, compared / len(windows[0]))),
            "ours": each(lambda queries: neighbor_distances(tiles, queries, _SEARCH)),
        },
        windows=windows,
        tokens=len,
        flop=lambda queries: 2.0 * len(queries) * rows * _WIDTH,
        reference="FAISS on the CPU",
        same=_equal,
        gates=[Gate("ours", RATE, rows / seconds)],
        figures=figures,
    )


def pool_of(rows: int, device: str) -> Vectors:
    """Unit vectors float32[rows, 384], made on the device: millions take the CPU half a minute."""
    random = torch.Generator(device).manual_seed(0)

    def normal(count: int) -> torch.Tensor:
        return torch.randn(count, _WIDTH, device=device, generator=random)

    centres = normal(_CENTRES)
    made = torch.empty(rows, _WIDTH, device=device)
    for part in made.split(_AT_ONCE):
        chosen = torch.randint(_CENTRES, (len(part),), device=device, generator=random)
        part.copy_(centres[chosen] + 0.7 * normal(len(part)))
    copied = min(rows // 10, _AT_ONCE)
    made[:copied] = made[copied : 2 * copied] + 1e-3 * normal(copied)
    made /= made.norm(dim=1, keepdim=True)
    vectors: Vectors = made.cpu().numpy()
    return vectors


def _equal(distances: Floats, reference: Floats) -> str | None:
    worst = float(np.abs(distances - reference).max())
    return None if worst <= 1e-4 else f"a distance off by {worst:.1e}"
