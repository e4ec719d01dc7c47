"""What chance does where runs share examples and sources; the file of the drawn subsets."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from bench.nulls import INDICATORS, candidates, simulated
from instructmining.errors import UserError
from instructmining.fitting.drawn_subsets import members_csv, read_designs
from instructmining.fitting.out_of_sample import crossed
from instructmining.fitting.shared_examples import (
    examples_share,
    null_draws,
    overlap_of,
    source_terms,
    with_shares,
)
from instructmining.fitting.subset_design import design_of, draw_at_random, draw_subsets
from instructmining.fitting.terms import select_terms


def fit_of(kind: str, seed: int, subsets: int = 60):
    """Runs in which one kind of reason moves the loss, their overlap and their shares."""
    generator = np.random.default_rng([seed, 1])
    rows = candidates(generator)
    design = draw_subsets(rows, INDICATORS, subsets, 300, seed)
    runs = simulated(rows, design, kind, generator)
    overlap = overlap_of([tuple(map(str, subset)) for subset in design.subsets])
    return runs, overlap, source_terms(runs, seed)


def test_overlap_is_the_share_of_examples_that_two_subsets_have_in_common():
    overlap = overlap_of([("a", "b", "ü"), ("b", "ü", "c"), ("x", "y", "z")])
    assert overlap == pytest.approx(np.array([[1, 2 / 3, 0], [2 / 3, 1, 0], [0, 0, 1]]))


def test_null_draws_have_the_covariance_of_runs_that_share_examples_and_none_of_the_design():
    generator = np.random.default_rng(0)
    members = generator.random((40, 30)) < 0.3
    overlap = overlap_of([np.flatnonzero(row).astype(str) for row in members])
    design = np.column_stack([np.ones(40), generator.normal(size=40)])
    root = np.linalg.cholesky(overlap + 1e-9 * np.eye(40))
    y = root @ generator.normal(size=40)
    orders = np.array([generator.permutation(38) for _ in range(4000)])
    draws = null_draws(design, y, overlap, orders, generator.choice([-1.0, 1.0], orders.shape))
    assert np.abs(design.T @ draws).max() < 1e-9
    rest = np.eye(40) - design @ np.linalg.pinv(design)
    share = examples_share(design, y, overlap)
    wanted = rest @ (share * overlap / np.mean(np.diag(overlap)) + (1 - share) * np.eye(40)) @ rest
    correlation = np.corrcoef(np.cov(draws).ravel(), wanted.ravel())[0, 1]
    assert correlation > 0.9


def test_values_of_examples_and_sources_are_not_taken_for_an_effect_of_an_indicator():
    count = 6
    kinds = ("examples", "sources")
    naive = held = 0
    for kind in kinds:
        for seed in range(count):
            runs, overlap, shares = fit_of(kind, seed)
            naive += bool(select_terms(runs, INDICATORS, "cv", seed).terms)
            held += bool(select_terms(runs, INDICATORS, "cv", seed, shares, overlap).terms)
    assert naive >= count  # sources alone look like an effect to independent permutations
    assert held <= binom.ppf(0.999, len(kinds) * count, 0.05)


def test_an_effect_beside_the_sources_is_found_in_both_halves():
    runs, overlap, shares = fit_of("an indicator", 3, 129)
    assert "x0" in select_terms(runs, INDICATORS, "cv", 3, shares, overlap).terms
    assert crossed(runs, INDICATORS, shares, 3).beside_sources > 0.1
    nothing, _, shares = fit_of("sources", 3, 129)
    assert crossed(nothing, INDICATORS, shares, 3).beside_sources < 0.1


def test_the_two_halves_of_a_design_share_no_example():
    rows = candidates(np.random.default_rng(0))
    design = draw_subsets(rows, INDICATORS, 20, 300, 0)
    first, second = (
        {
            i
            for subset, own in zip(design.subsets, design.halves, strict=True)
            if own == half
            for i in subset
        }
        for half in (0, 1)
    )
    assert first.isdisjoint(second)
    assert sorted(design.halves) == [0] * 10 + [1] * 10
    assert list(design.halves[:4]) == [0, 1, 0, 1]
    assert draw_subsets(rows.head(1000), INDICATORS, 4, 300, 0).halves is None


def test_a_source_of_few_runs_gets_no_column():
    runs = pd.DataFrame({"log_loss": np.arange(24.0)})
    generator = np.random.default_rng(0)
    mixes = [dict(zip("abcdefgh", generator.dirichlet(np.ones(8)), strict=True)) for _ in range(24)]
    assert len(source_terms(with_shares(runs, mixes), 0)) == 4
    assert source_terms(with_shares(runs, [{"質問": 1.0}] * 24), 0) == []


def test_subsets_are_read_back_as_they_were_drawn(tmp_path):
    rows = candidates(np.random.default_rng(0)).head(200)
    rows = rows.assign(example_id=[f"é{i:03d}" for i in range(200)])
    design = draw_subsets(rows, INDICATORS, 6, 20, 1)
    random = design_of(rows, INDICATORS, draw_at_random(200, 20, 3, 1))
    path = tmp_path / "subsets.csv"
    path.write_text(members_csv(list(rows["example_id"]), design, random), "utf-8")
    shuffled = rows.sample(frac=1, random_state=0).reset_index(drop=True)
    again, tested = read_designs(str(path), shuffled, INDICATORS)
    pd.testing.assert_frame_equal(again.means, design.means)
    pd.testing.assert_frame_equal(tested.means, random.means)
    assert list(again.halves) == list(design.halves)
    with pytest.raises(UserError, match=r"examples are not candidates here, the first é"):
        read_designs(str(path), rows.head(100), INDICATORS)
    with pytest.raises(UserError, match=r"fit\.drawn=.*none\.csv"):
        read_designs(str(tmp_path / "none.csv"), rows, INDICATORS)
