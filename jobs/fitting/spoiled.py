"""The spoiled copies of a fit: made, measured as the pool's rows were, and put beside these."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from instructmining.fitting.dirt import Wish, draw_dirt, with_copies
from instructmining.fitting.subset_design import Design
from instructmining.models.lists import ResolvedModel
from instructmining.settings.sections import Settings
from instructmining.spoiling.spoiled_copies import KINDS, Donors, copy_of, real_of
from instructmining.store.planning import members
from instructmining.store.tables import Store
from jobs.finetuning.candidates import Candidates, texts_of
from jobs.scoring.spoiled_rows import NOT_PAID, add_distances, measure_rows
from udfs.on_spark.arrow import vectors


@dataclass(frozen=True)
class Copies:
    """Candidates with spoiled copies beside them.

    Attributes:
        candidates: the copies stand behind the real rows, ordered by id.
        vectors: of the copies, by id, where there is a sentence encoder.
        problem: why there are none, in words; empty where there are.
    """

    candidates: Candidates
    vectors: dict[str, NDArray[np.float32]]
    problem: str = ""


@dataclass(frozen=True)
class Measuring:
    """What copies are measured with.

    Attributes:
        store: where the pools are.
        pools: that are drawn from.
        resolved: their models by stage.
        settings: how to measure.
    """

    store: Store
    pools: Sequence[str]
    resolved: Mapping[str, ResolvedModel]
    settings: Settings


def spoil(measuring: Measuring, candidates: Candidates, design: Design) -> tuple[Copies, Design]:
    """Exchange rows of some subsets for spoiled copies of themselves, as `fit.dirty_…` says.

    A row that no kind of dirt can be made of, or whose copy lacks an indicator, stays as it is.
    """
    fit = measuring.settings.fit
    wishes = draw_dirt(design, fit.dirty_subsets, fit.dirty_share, KINDS, fit.seed)
    if not wishes:
        return Copies(candidates, {}), design
    ids = [str(one) for one in candidates.rows["example_id"]]
    texts = texts_of(measuring.store, sorted({ids[wish.row] for wish in wishes}))
    halves = {
        ids[wish.row]: 0 if design.halves is None else int(design.halves[wish.subset])
        for wish in wishes
    }
    donors = Donors(texts, halves)
    chosen = [(wish.subset, _copy_id(wish, ids[wish.row], donors, texts)) for wish in wishes]
    made = [(subset, copy) for subset, copy in chosen if copy is not None]
    copies = measured_copies(measuring, candidates, sorted({copy for _, copy in made}))
    known = set(copies.candidates.rows["example_id"])
    placed = [(subset, copy) for subset, copy in made if copy in known]
    rows = copies.candidates.rows
    return copies, with_copies(design, rows, candidates.indicators, placed)


def measured_copies(measuring: Measuring, candidates: Candidates, ids: Sequence[str]) -> Copies:
    """Measure these copies; those without all indicators are left out.

    Args:
        measuring: with what.
        candidates: real rows, those of the copies among them.
        ids: of the copies.
    """
    store, settings = measuring.store, measuring.settings
    sources = dict(zip(candidates.rows["example_id"], candidates.rows["source"], strict=True))
    turns = texts_of(store, [one for one in ids if real_of(one) in sources])
    if not turns:
        return Copies(candidates, {})
    numbers = measure_rows(store, turns, measuring.resolved, settings.measure, settings.endpoint)
    if numbers is None:
        return Copies(candidates, {}, f"No subset holds spoiled rows: {NOT_PAID}.")
    of_pool = _by_pool(measuring.pools, turns, sources)
    for pool, own in of_pool.items():
        add_distances(numbers, store, members(store, pool), own, measuring.resolved, settings.knn)
    names = candidates.indicators
    measured = pd.DataFrame(
        [
            {"example_id": one, "source": sources[real_of(one)], **numbers.values.get(one, {})}
            for one in sorted(turns)
        ]
    ).reindex(columns=["example_id", "source", *names])
    complete = measured[measured[names].notna().all(axis=1)]
    if not len(complete):
        absent = ", ".join(name for name in names if measured[name].isna().all())
        return Copies(
            candidates,
            {},
            f"No subset holds spoiled rows: they cannot be measured ({absent or 'incomplete'}).",
        )
    rows = pd.concat([candidates.rows, complete], ignore_index=True)
    stored = {}
    if numbers.embedded is not None:
        embedded = numbers.embedded
        ids_of = embedded["example_id"].to_pylist()
        stored = dict(zip(ids_of, vectors(embedded["vector"]), strict=True))
    return Copies(replace(candidates, rows=rows), stored)


def _copy_id(
    wish: Wish, example_id: str, donors: Donors, texts: Mapping[str, Sequence[Mapping[str, str]]]
) -> str | None:
    """The copy of the first kind that the row's text allows."""
    for kind in wish.kinds:
        identifier = donors.copy_id(kind, example_id)
        if identifier is not None and copy_of(identifier, texts) is not None:
            return identifier
    return None


def _by_pool(
    pools: Sequence[str], ids: Iterable[str], sources: Mapping[str, str]
) -> dict[str, list[str]]:
    """The copies by the pool that their real rows come from: with several it is the source."""
    if len(pools) == 1:
        return {pools[0]: list(ids)}
    return {pool: [one for one in ids if sources[real_of(one)] == pool] for pool in pools}
