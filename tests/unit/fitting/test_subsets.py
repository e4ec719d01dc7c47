"""Designs spread over what the candidates allow, and are the same for the same seed; no Spark."""

import numpy as np
import pandas as pd
import pytest

from instructmining.errors import UserError
from instructmining.fitting.subset_design import Design, condition_number, describe, draw_subsets
from instructmining.fitting.subset_diversity import diversity_of, mean_distance, tried, vendi

NAMES = ["reward", "mtld", "knn_6"]


@pytest.fixture(scope="module")
def candidates() -> pd.DataFrame:
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(generator.normal(size=(2000, 3)), columns=NAMES)
    frame["mtld"] = np.exp(4 + 0.5 * frame["mtld"])  # skewed, with outliers
    return frame.assign(
        source=generator.choice(["dolly", "code", "質問"], 2000),
        example_id=[f"{i:032x}" for i in range(2000)],
    )


def test_the_same_seed_draws_the_same_and_another_seed_does_not(candidates):
    one, two, other = (draw_subsets(candidates, NAMES, 10, 50, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one.subsets, two.subsets, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(one.subsets, other.subsets, strict=True))


def test_a_subset_has_its_size_without_a_row_twice_and_its_means_are_right(candidates):
    design = draw_subsets(candidates, NAMES, 10, 50, 0)
    assert {len(set(rows)) for rows in design.subsets} == {50}
    assert len({tuple(rows) for rows in design.subsets}) == 10
    own = candidates.iloc[design.subsets[3]]
    assert design.means.iloc[3].to_numpy() == pytest.approx(own[NAMES].mean().to_numpy())
    assert design.mix.iloc[3]["質問"] == pytest.approx((own["source"] == "質問").mean())
    assert design.mix.sum(axis=1).to_numpy() == pytest.approx(np.ones(10))


def test_spread_subsets_reach_further_than_random_mixtures_do(candidates):
    spread, mixtures = (
        describe(draw_subsets(candidates, NAMES, 40, 50, 0, kind), candidates)
        for kind in ("spread", "random")
    )
    assert (spread["sd"] > 3 * mixtures["sd"]).all()
    assert mixtures["spread"].to_numpy() == pytest.approx(np.ones(3), abs=0.45)


def test_random_subsets_have_spread_one_however_much_of_the_pool_they_take(candidates):
    generator = np.random.default_rng(0)
    pool = candidates.head(700)
    rows = [generator.choice(700, 300, replace=False) for _ in range(2000)]
    means = pd.DataFrame(
        [pool[NAMES].to_numpy()[each].mean(axis=0) for each in rows], columns=NAMES
    )
    found = describe(Design(tuple(rows), means, pd.DataFrame()), pool)
    assert found["spread"].to_numpy() == pytest.approx(np.ones(3), abs=0.06)


def test_the_condition_number_is_one_without_correlation_and_grows_with_it():
    apart = pd.DataFrame({"a": [1.0, -1, 1, -1], "b": [1.0, 1, -1, -1]})
    assert condition_number(apart) == pytest.approx(1)
    assert condition_number(apart.assign(b=apart["a"] + 0.01 * apart["b"])) > 100


def test_too_few_candidates_are_a_clear_mistake(candidates):
    with pytest.raises(UserError, match="80 candidates are too few for subsets of 50"):
        draw_subsets(candidates.head(80), NAMES, 5, 50, 0)


def test_vendi_counts_unlike_examples_and_copies_count_once():
    unlike = np.eye(5, dtype=np.float32)
    assert vendi(unlike) == pytest.approx(5)
    assert vendi(np.repeat(unlike[:1], 4, axis=0)) == pytest.approx(1)
    assert vendi(np.repeat(unlike[:2], 3, axis=0)) == pytest.approx(2)


def test_mean_distance_is_over_pairs():
    assert mean_distance(np.eye(3, dtype=np.float32)) == pytest.approx(np.sqrt(2))
    assert mean_distance(np.array([[1, 0], [1, 0], [0, 1]], np.float32)) == pytest.approx(
        2 * np.sqrt(2) / 3
    )


def test_a_subset_with_a_vector_missing_has_no_diversity():
    vectors = {"a": np.array([1, 0], np.float32), "b": np.array([0, 1], np.float32)}
    found = diversity_of({"whole": ["a", "b"], "part": ["a", "c"]}, vectors)
    assert found.loc["whole", "vendi"] == pytest.approx(2)
    assert found.loc["part"].isna().all()


def test_diversity_is_tried_beside_the_terms():
    generator = np.random.default_rng(1)
    runs = pd.DataFrame({"x": generator.normal(size=60), "vendi": generator.normal(size=60)})
    runs["log_loss"] = runs["x"] + 2 * runs["vendi"] + 0.1 * generator.normal(size=60)
    row = tried(runs.assign(mean_distance=np.nan), ["x"], seed=0).loc["vendi"]
    assert row["fall"] > 0.9
    assert row["r"] > 0.7
