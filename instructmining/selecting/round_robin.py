"""Take turns: each target in turn gets the row most like it that none has taken yet."""

from collections.abc import Sequence
from typing import NamedTuple


class Near(NamedTuple):
    """A row of the pool and its cosine to a target."""

    example_id: str
    similarity: float


class Turns(NamedTuple):
    """What was taken, in order, and whether a list ended before the size was reached."""

    taken: list[Near]
    ended: bool


def round_robin(lists: Sequence[Sequence[Near]], size: int) -> Turns:
    """Take rows from lists in turn until there are `size`, no row twice.

    Args:
        lists: of each target, most alike first.
        size: rows wanted.

    Returns:
        The rows. `ended` says that a target's list had no row left while others went on: with
        lists cut to the most alike, longer ones may give another choice.
    """
    places = [0] * len(lists)
    taken: dict[str, Near] = {}
    ended = False
    while len(taken) < size:
        before = len(taken)
        for target, rows in enumerate(lists):
            while places[target] < len(rows) and rows[places[target]].example_id in taken:
                places[target] += 1
            if places[target] == len(rows):
                ended = True
                continue
            row = rows[places[target]]
            taken[row.example_id] = row
            if len(taken) == size:
                break
        if len(taken) == before:
            break
    return Turns(list(taken.values()), ended)
