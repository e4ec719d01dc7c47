"""Dirt in a design: how much, where, and that nothing else of a subset changes; no Spark."""

import re

import numpy as np
import pandas as pd
import pytest

from bench.nulls import INDICATORS, candidates
from instructmining.fitting.dirt import (
    DIRT,
    Wish,
    dirt_of,
    dirt_sentence,
    draw_dirt,
    with_copies,
)
from instructmining.fitting.drawn_subsets import copies_in, members_csv, read_designs
from instructmining.fitting.page import reading
from instructmining.fitting.rule_fit import learn
from instructmining.fitting.shared_examples import overlap_of
from instructmining.fitting.subset_design import Design, design_of, draw_subsets
from instructmining.settings.fitting import Fit
from instructmining.spoiling.spoiled_copies import real_of

KINDS = ("shuffled", "gibberish", "truncated")
NAMES = INDICATORS[:4]


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    frame = candidates(np.random.default_rng(0))
    return frame.assign(example_id=[f"{i:032x}" for i in range(len(frame))])


@pytest.fixture(scope="module")
def design(rows) -> Design:
    return draw_subsets(rows, NAMES, 40, 100, 0)


def dirty(rows: pd.DataFrame, design: Design, wishes: list[Wish]) -> tuple[pd.DataFrame, Design]:
    """Copies of the kind that is wanted first, three higher in x0 than their real rows."""
    ids = rows["example_id"].to_numpy()
    copies = [(wish.subset, f"{wish.kinds[0]}:{ids[wish.row]}") for wish in wishes]
    once = sorted({one for _, one in copies})
    spoiled = rows.set_index("example_id").loc[[real_of(one) for one in once]].reset_index()
    spoiled = spoiled.assign(example_id=once, x0=spoiled["x0"] + 3)
    whole = pd.concat([rows, spoiled], ignore_index=True)
    return whole, with_copies(design, whole, NAMES, copies)


def test_the_stated_share_of_subsets_of_both_halves_is_dirty_over_the_whole_order(design):
    wishes = draw_dirt(design, 0.3, 0.7, KINDS, 5)
    assert draw_dirt(design, 0.3, 0.7, KINDS, 5) == wishes
    assert draw_dirt(design, 0.3, 0.7, KINDS, 6) != wishes
    places = sorted({wish.subset for wish in wishes})
    assert len(places) == 12
    assert np.bincount(design.halves[places]).tolist() == [6, 6]
    assert len([place for place in places if place < 20]) == 6
    counts = pd.Series([wish.subset for wish in wishes]).value_counts()
    assert counts.between(10, 70).all()
    assert counts.max() > 2 * counts.min()
    assert all(wish.row in design.subsets[wish.subset] for wish in wishes)
    assert len({(wish.subset, wish.row) for wish in wishes}) == len(wishes)
    assert {wish.kinds[0] for wish in wishes} == set(KINDS)
    assert draw_dirt(design, 0.0, 0.7, KINDS, 5) == []
    assert {wish.subset for wish in draw_dirt(design, 1.0, 0.05, KINDS, 5)} == set(range(40))


def test_a_dirty_subset_differs_from_the_clean_one_in_its_dirt_alone(rows, design):
    wishes = draw_dirt(design, 0.3, 0.7, KINDS, 0)
    whole, found = dirty(rows, design, wishes)
    ids = whole["example_id"].to_numpy()
    for place, (before, after) in enumerate(zip(design.subsets, found.subsets, strict=True)):
        assert len(set(after)) == 100
        assert sorted(map(real_of, ids[after])) == sorted(ids[before])
        own = [wish for wish in wishes if wish.subset == place]
        shift = found.means.iloc[place]["x0"] - design.means.iloc[place]["x0"]
        assert shift == pytest.approx(3 * len(own) / 100, abs=1e-9)
    pd.testing.assert_frame_equal(found.mix, design.mix)
    assert found.halves is design.halves
    subsets = {str(i): list(ids[own]) for i, own in enumerate(found.subsets)}
    assert sum(share > 0 for share in dirt_of(subsets).values()) == 12
    assert dirt_sentence(list(subsets.values())).startswith("12 of 40 subsets hold spoiled rows")
    shared = overlap_of([[real_of(one) for one in own] for own in subsets.values()])
    clean = overlap_of([list(map(str, own)) for own in design.subsets])
    assert shared == pytest.approx(clean)


def test_a_file_names_copies_and_gives_the_same_design_again(rows, design, tmp_path):
    whole, found = dirty(rows, design, draw_dirt(design, 0.3, 0.7, KINDS, 0))
    random = design_of(whole, NAMES, [np.arange(100)])
    path = tmp_path / "subsets.csv"
    path.write_text(members_csv(list(whole["example_id"]), found, random))
    assert copies_in(str(path)) == list(whole["example_id"][len(rows) :])
    again, _ = read_designs(str(path), whole, NAMES)
    assert all(map(np.array_equal, again.subsets, found.subsets))
    pd.testing.assert_frame_equal(again.means, found.means)
    assert again.halves.tolist() == found.halves.tolist()


def test_a_fit_that_has_seen_dirt_says_what_it_does_and_how_it_is_ranked(rows, design):
    whole, found = dirty(rows, design, draw_dirt(design, 0.5, 0.9, KINDS, 0))
    ids = whole["example_id"].to_numpy()
    subsets = {str(i): list(ids[own]) for i, own in enumerate(found.subsets)}
    loss = 1.6 + 0.1 * found.means["x0"] + 0.001 * np.random.default_rng(1).normal(size=40)
    runs = found.means.assign(
        log_loss=loss,
        log_loss_target=loss,
        subset=list(subsets),
        seed=0,
        mix="a",
        half=found.halves,
    )
    runs[DIRT] = runs["subset"].map(dirt_of(subsets))
    said = " ".join(reading(learn(runs, NAMES, Fit(), "target", {}, {}), "target"))
    assert "The share of spoiled rows goes with log loss at r = 0." in said
    assert "out of fold the rule ranks the 20 subsets with any at 1.00" in said
    assert re.search(r"reaches R² (1\.00|0\.9\d) among the 20 clean ones alone", said)
    clean = learn(runs.assign(dirt=0.0), NAMES, Fit(), "target", {}, {})
    assert "spoiled" not in " ".join(reading(clean, "target"))
