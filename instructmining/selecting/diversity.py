"""Choose rows that are both good and unlike each other; NumPy alone, rows come best first.

The vectors are of unit length, so their product is the cosine. Products are made in blocks, so the
memory beyond the vectors themselves is that of two blocks (some 70 MB), whatever their number.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Ids = NDArray[np.int64]

_BLOCK = 1024  # rows judged together
_AGAINST = 16_384  # rows that they are compared with at a time


@dataclass
class Room:
    """How much may still be taken.

    Attributes:
        size: rows; None: no limit.
        tokens: in all; the first row that would exceed them ends the choice. None: no limit.
        costs: int64[n], tokens of each row.
        groups: pairs of int64[n] (the group of each row, -1: none) and what each group may still
            give.
    """

    size: int | None = None
    tokens: int | None = None
    costs: Ids | None = None
    groups: Sequence[tuple[Ids, Ids]] = ()
    full: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.groups = [(codes, left.copy()) for codes, left in self.groups]

    def admits(self, row: int) -> bool:
        """Whether the groups of the row have something left."""
        return all(codes[row] < 0 or left[codes[row]] > 0 for codes, left in self.groups)

    def take(self, row: int) -> bool:
        """Take the row; False, and `full`, where there is no room for it."""
        cost = 0 if self.tokens is None or self.costs is None else int(self.costs[row])
        if self.size == 0 or (self.tokens is not None and cost > self.tokens):
            self.full = True
            return False
        self.size = None if self.size is None else self.size - 1
        self.tokens = None if self.tokens is None else self.tokens - cost
        for codes, left in self.groups:
            left[codes[row]] -= codes[row] >= 0
        self.full = self.size == 0
        return True


def apart(vectors: Vectors, similarity: float, room: Room, among_all: bool = False) -> list[int]:
    """The rows from the first on, without those that are too close to a better one.

    Args:
        vectors: float32[n, d] of unit length, the best row first.
        similarity: cosine above which two rows are too close.
        room: ends the choice.
        among_all: compare with every better row, also one that was left out itself: of a chain of
            near-duplicates only the first stays. Else with the rows taken before, as DEITA does
            (arXiv 2312.15685).

    Returns:
        Rows taken, in order. Nothing beyond the last one is looked at.
    """
    taken: list[int] = []
    for start in range(0, len(vectors), _BLOCK):
        block = vectors[start : start + _BLOCK]
        before = np.arange(start) if among_all else np.array(taken, np.int64)
        close = _any_above(block, vectors, before, similarity)
        within = block @ block.T > similarity
        compared = np.full(len(block), among_all)
        for i in np.flatnonzero(~close):
            if within[i, :i][compared[:i]].any() or not room.admits(start + int(i)):
                continue
            if not room.take(start + int(i)):
                return taken
            compared[i] = True
            taken.append(start + int(i))
            if room.full:
                return taken
    return taken


def facility_location(
    starts: Ids,
    rows: Ids,
    similarities: NDArray[np.float32],
    weights: NDArray[np.float64],
    room: Room,
) -> list[int]:
    """Rows that stand for all rows: greedily, so within 1 − 1/e of the best choice there is.

    It maximizes Σᵢ maxⱼ wⱼ·sᵢⱼ over the rows j taken: every row i counts by the row taken that
    resembles it most, and a good row is worth more as its deputy than a poor one. A gain can only
    fall as rows are taken, so a gain computed earlier is a bound, and few are computed again (lazy
    greedy, Minoux 1978). Equal gains are resolved for the better row.

    Args:
        starts: int64[n + 1], where in `rows` those begin that each row may stand for.
        rows: int64[m], and
        similarities: float32[m], how much it resembles them, at least 0.
        weights: float64[n], the worth of each row, at least 0.
        room: ends the choice.
    """
    covered = np.zeros(len(weights))
    owners = np.repeat(np.arange(len(weights)), np.diff(starts))
    worth = similarities * weights[owners]
    gains = np.bincount(owners, worth, minlength=len(weights))
    waiting = [(-gain, row, 0) for row, gain in enumerate(gains.tolist())]
    heapq.heapify(waiting)
    taken: list[int] = []
    while waiting and not room.full:
        _, row, seen = heapq.heappop(waiting)
        if not room.admits(row):
            continue
        mine = slice(starts[row], starts[row + 1])
        if seen < len(taken):
            gain = float(np.maximum(worth[mine] - covered[rows[mine]], 0).sum())
            heapq.heappush(waiting, (-gain, row, len(taken)))
        elif room.take(row):
            taken.append(row)
            covered[rows[mine]] = np.maximum(covered[rows[mine]], worth[mine])
    return taken


def _any_above(block: Vectors, vectors: Vectors, rows: Ids, similarity: float) -> NDArray[np.bool_]:
    is_close = np.zeros(len(block), dtype=bool)
    for start in range(0, len(rows), _AGAINST):
        others = vectors[rows[start : start + _AGAINST]]
        is_close |= (block @ others.T).max(axis=1) > similarity
    return is_close
