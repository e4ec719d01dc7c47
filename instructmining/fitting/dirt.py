"""Which rows of which subsets are spoiled, so that a rule has seen what dirt does to the loss.

A share of the subsets is drawn as all are, and then some of its rows are exchanged for spoiled
copies of themselves: sources, halves and real examples stay what they were, so that a dirty subset
differs from a clean one in its dirt alone. Each has its own share of spoiled rows and its own
mixture of kinds, since dirt of one make would be one direction among the indicators.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from instructmining.fitting.subset_design import Design, Rows, design_of
from instructmining.spoiling.spoiled_copies import is_copy, kind_of, real_of

LEAST = 0.1  # smallest share of spoiled rows of a dirty subset, or the largest where that is less
DIRT = "dirt"  # the column of runs that holds this share


@dataclass(frozen=True)
class Wish:
    """A row of a subset that is to be spoiled.

    Attributes:
        subset: its place in the design.
        row: number of the candidate.
        kinds: of dirt, the one that is wanted first; the next where the text does not allow it.
    """

    subset: int
    row: int
    kinds: tuple[str, ...]


def draw_dirt(
    design: Design, share: float, most: float, kinds: Sequence[str], seed: int
) -> list[Wish]:
    """Decide which rows are spoiled; the same seed decides the same.

    Args:
        design: clean subsets.
        share: of the subsets that get dirt, as evenly over their order and halves as can be.
        most: largest share of spoiled rows in one; each draws its own, uniformly.
        kinds: of dirt.
        seed: of everything random.
    """
    generator = np.random.default_rng([seed, len(design.subsets), len(kinds)])
    wishes = []
    for place in _dirty_places(design, share):
        rows = design.subsets[place]
        count = max(1, round(float(generator.uniform(min(LEAST, most), most)) * len(rows)))
        weights = np.log(np.maximum(generator.dirichlet(np.ones(len(kinds))), 1e-12))
        for row in np.sort(generator.choice(rows, count, replace=False)):
            order = np.argsort(-(weights + generator.gumbel(size=len(kinds))))
            wishes.append(Wish(place, int(row), tuple(kinds[i] for i in order)))
    return wishes


def _dirty_places(design: Design, share: float) -> list[int]:
    halves = np.zeros(len(design.subsets), int) if design.halves is None else design.halves
    places: list[int] = []
    for half in np.unique(halves):
        own = np.flatnonzero(halves == half)
        steps = np.floor(share * np.arange(len(own) + 1) + 1e-9)
        places += [int(place) for place in own[np.diff(steps) > 0]]
    return sorted(places)


def with_copies(
    design: Design, rows: pd.DataFrame, indicators: list[str], copies: Iterable[tuple[int, str]]
) -> Design:
    """The design with rows exchanged for spoiled copies of themselves.

    Args:
        design: clean subsets.
        rows: candidates, the copies among them.
        indicators: whose means are taken.
        copies: place of a subset, and id of a copy that takes the place of its real row there.
    """
    numbers = {str(one): number for number, one in enumerate(rows["example_id"])}
    subsets: list[Rows] = [own.copy() for own in design.subsets]
    for place, identifier in copies:
        own = subsets[place]
        own[own == numbers[real_of(identifier)]] = numbers[identifier]
    return design_of(rows, indicators, [np.sort(own) for own in subsets], design.halves)


def dirt_of(subsets: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """By hash of a subset, its share of spoiled rows."""
    return {name: _share(ids) for name, ids in subsets.items()}


def dirt_sentence(subsets: Sequence[Sequence[str]]) -> str:
    """How many subsets hold dirt, what share of their rows, and of what kinds.

    Args:
        subsets: ids of those that the rule is fitted on.
    """
    dirty = [share for share in map(_share, subsets) if share > 0]
    if not dirty:
        return f"None of the {len(subsets)} subsets holds spoiled rows."
    kinds = Counter(kind_of(one) for ids in subsets for one in ids if is_copy(one))
    listed = ", ".join(f"{kind} {count:,}" for kind, count in kinds.most_common())
    return (
        f"{len(dirty)} of {len(subsets)} subsets hold spoiled rows, {100 * min(dirty):.0f} to "
        f"{100 * max(dirty):.0f} % of each: {listed}."
    )


def _share(ids: Sequence[str]) -> float:
    return sum(map(is_copy, ids)) / len(ids)
