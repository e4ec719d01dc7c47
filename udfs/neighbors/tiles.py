"""Exact nearest neighbours of unit vectors on a GPU: a rough product proposes, a proof decides.

Tiles of the pool are multiplied in float16, and the largest products of each query are ranked by
Σ(a−b)² in float32, as on a CPU (`udfs.neighbors.exact`). How far a rough product can be off is
known from what rounding took from the vectors: where a row that was not proposed could still be
nearer, the query is searched again with products in float32, and where these cannot tell either,
by Σ(a−b)² over the whole pool. So every distance is exact, and most cost one product.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from instructmining.errors import UserError
from udfs.neighbors.exact import ExactIndex, Ids, Vectors

_QUERIES = 4_096  # at a time
_TILE = 131_072  # rows of the pool at a time
_BLOCK = 128  # products of a query that are first compared by their largest
_DIRECT = 256  # queries at a time where every distance is computed
_RANKING = 1e-4  # share of a squared distance that float32 may be off by


class Products(NamedTuple):
    """A pool in one precision.

    Attributes:
        vectors: [n, d].
        off: length of the longest difference to the float32 vectors.
        rounding: half a unit in the last place of a product near 1.
    """

    vectors: torch.Tensor
    off: float
    rounding: float


class Proposal(NamedTuple):
    """Squared distances float32[m, k], ascending, rows int64[m, k], and what is beyond doubt."""

    squared: torch.Tensor
    labels: torch.Tensor
    certain: torch.Tensor


class TileIndex(ExactIndex):
    """A pool on a device, to search exactly; `nearest` and `search` are those of `ExactIndex`.

    Args:
        vectors: float32[n, d] of unit length.
        device: of torch; any that computes float16.
    """

    def __init__(self, vectors: Vectors, device: str):
        super().__init__(vectors)
        self.device = device
        if device.startswith("cuda"):
            refuse_without_room(self.ntotal, self.d, torch.cuda.mem_get_info(device)[0])
            # Sums of products stay in float32, as the proof takes them.
            torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
        whole = torch.empty(self.ntotal, self.d, device=device)
        for start in range(0, self.ntotal, _TILE):  # the host holds one copy and a part
            part = np.array(self.vectors[start : start + _TILE])
            whole[start : start + _TILE] = torch.from_numpy(part)
        rough = whole.half()
        off = max(
            float((a - b.float()).norm(dim=1).max())
            for a, b in zip(whole.split(_TILE), rough.split(_TILE), strict=True)
        )
        self.whole = Products(whole, 0.0, 2.0**-24)
        self.rough = Products(rough, off, 2.0**-11)
        self.shortest = min(float(tile.square().sum(1).min()) for tile in whole.split(_TILE))
        self.again = 0  # queries searched with float32 products
        self.directly = 0  # of these, queries compared with every row

    def nearest(self, rows: Ids, neighbors: int, candidates: int) -> tuple[Vectors, Ids]:
        """See `ExactIndex.nearest`; no neighbour is missed."""
        parts = (torch.from_numpy(part).to(self.device) for part in _in_parts(rows))
        asked = ((self.whole.vectors[part], part) for part in parts)
        return self._found(asked, neighbors, candidates)

    def search(
        self, queries: Vectors, own: Ids, neighbors: int, candidates: int
    ) -> tuple[Vectors, Ids]:
        """See `ExactIndex.search`; no neighbour is missed."""
        asked = (
            (torch.from_numpy(vectors).to(self.device), torch.from_numpy(rows).to(self.device))
            for vectors, rows in zip(_in_parts(queries), _in_parts(own), strict=True)
        )
        return self._found(asked, neighbors, candidates)

    @torch.inference_mode()
    def _found(
        self,
        asked: Iterable[tuple[torch.Tensor, torch.Tensor]],
        neighbors: int,
        candidates: int,
    ) -> tuple[Vectors, Ids]:
        """What is found for some queries and their rows after others, copied to the host once."""
        wanted, proposed = min(neighbors, self.ntotal), min(candidates, self.ntotal)
        parts = [self._search(queries, own, wanted, proposed) for queries, own in asked]
        squared, labels = (torch.cat(found).cpu().numpy() for found in zip(*parts, strict=True))
        return squared, labels

    def _search(
        self, asked: torch.Tensor, own: torch.Tensor, wanted: int, candidates: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        squared, labels, certain = self._propose(self.rough, asked, own, wanted, candidates)
        doubtful = torch.nonzero(~certain)[:, 0]
        if doubtful.numel():
            self.again += doubtful.numel()
            proposed = self._propose(self.whole, asked[doubtful], own[doubtful], wanted, candidates)
            squared[doubtful], labels[doubtful] = proposed.squared, proposed.labels
            doubtful = doubtful[~proposed.certain]
        for part in doubtful.split(_DIRECT) if doubtful.numel() else ():
            self.directly += part.numel()
            squared[part], labels[part] = self._compare(asked[part], own[part], wanted)
        return squared, labels

    def _propose(
        self,
        pool: Products,
        asked: torch.Tensor,
        own: torch.Tensor,
        wanted: int,
        candidates: int,
    ) -> Proposal:
        """The nearest among the rows with the largest products."""
        queries = asked.to(pool.vectors.dtype)
        products, labels = self._largest(queries, pool.vectors, candidates)
        squared, labels = self._ranked(asked, own, labels, wanted)
        off = (asked - queries.float()).norm(dim=1) * (1 + pool.off)
        off += asked.norm(dim=1) * pool.off + self.d * 2.0**-23
        bound = products[:, -1].float()  # no other row has a larger product
        bound = bound + off + bound.abs() * pool.rounding
        nearest_other = asked.square().sum(1) + self.shortest - 2 * bound
        last = squared[:, -1]
        certain = (last * (1 + _RANKING) + 1e-6 <= nearest_other) | (last == 0)
        return Proposal(squared, labels, certain | (candidates == self.ntotal))

    def _largest(
        self, queries: torch.Tensor, pool: torch.Tensor, count: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        best: tuple[torch.Tensor, torch.Tensor] | None = None
        for start in range(0, self.ntotal, _TILE):
            top, rows = largest_of(queries @ pool[start : start + _TILE].T, count)
            rows = rows + start
            if best is not None:
                top, rows = torch.cat([best[0], top], 1), torch.cat([best[1], rows], 1)
                top, order = top.topk(min(count, top.shape[1]), dim=1)
                rows = rows.gather(1, order)
            best = top, rows
        assert best is not None  # noqa: S101 - a pool has rows
        return best

    def _ranked(
        self, asked: torch.Tensor, own: torch.Tensor, labels: torch.Tensor, wanted: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Candidates by Σ(a−b)², the row itself at infinity."""
        squared = (asked[:, None] - self.whole.vectors[labels]).square().sum(2)
        squared[labels == own[:, None]] = torch.inf
        squared, order = squared.sort(dim=1, stable=True)
        return squared[:, :wanted], labels.gather(1, order)[:, :wanted]

    def _compare(
        self, asked: torch.Tensor, own: torch.Tensor, wanted: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Every distance, without a product: for crowds that products cannot tell apart."""
        best = torch.empty(len(asked), 0, dtype=torch.int64, device=asked.device)
        for start in range(0, self.ntotal, _TILE):
            tile = self.whole.vectors[start : start + _TILE]
            distances = torch.cdist(asked, tile, compute_mode="donot_use_mm_for_euclid_dist")
            near = distances.topk(min(wanted + 1, len(tile)), dim=1, largest=False).indices
            best = torch.cat([best, near + start], 1)
            best = self._ranked(asked, own, best, min(wanted + 1, best.shape[1]))[1]
        return self._ranked(asked, own, best, wanted)


def refuse_without_room(rows: int, width: int, free: int) -> None:
    """Refuse a pool that a GPU cannot hold, before it says so itself in the middle.

    Raises:
        UserError: with what it needs: both precisions, and two tiles of products.
    """
    needed = 6 * rows * width + 2 * 2 * _QUERIES * _TILE
    if needed > free:
        raise UserError(
            f"neighbours on a GPU: {rows:,} vectors of {width} numbers need "
            f"{needed / 2**30:.1f} GiB there, of which {free / 2**30:.1f} are free; set "
            "knn.device=cpu, or knn.cells_beyond below the rows of the pool"
        )


def _in_parts(rows: NDArray[Any]) -> list[NDArray[Any]]:
    """Copies of some rows after others; one part, if an empty one, at least."""
    starts = range(0, max(1, len(rows)), _QUERIES)
    return [np.array(rows[start : start + _QUERIES]) for start in starts]


def largest_of(products: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The `count` largest of each row [m, n] and their columns, or all of fewer; in any order.

    As `topk`, which reads wide rows several times: blocks are compared by their largest products
    first, and only the `count` best blocks can hold what is asked for.
    """
    queries, columns = products.shape
    blocks = columns // _BLOCK
    if blocks <= count:
        return products.topk(min(count, columns), dim=1)
    # A block is every `blocks`-th product: the largest are then found by reading whole lines.
    whole = products[:, : blocks * _BLOCK].view(queries, _BLOCK, blocks)
    best = whole.amax(1).topk(count, dim=1, sorted=False).indices
    held = whole.gather(2, best[:, None].expand(-1, _BLOCK, -1)).flatten(1)
    top, places = torch.cat([held, products[:, blocks * _BLOCK :]], 1).topk(count, dim=1)
    block = best.gather(1, places % count)
    after = places + (blocks - count) * _BLOCK  # of what no block holds
    inside = places < count * _BLOCK
    return top, torch.where(inside, places // count * blocks + block, after)
