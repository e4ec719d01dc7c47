"""The share of a gap that an arm closes, the power of seeds, and which size is good enough."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from instructmining.evaluating.gap import gap_closed, gap_sentences, gaps
from instructmining.evaluating.power import detectable, seeds_for
from instructmining.evaluating.size_reading import reading, second_descent, smallest_as_good


def losses(**arms: list[float]) -> pd.DataFrame:
    rows = [
        {"evaluation": "e", "arm": arm, "seed": seed, "loss": loss}
        for arm, values in arms.items()
        for seed, loss in enumerate(values)
    ]
    return pd.DataFrame(rows)


RANDOM = [2.0, 2.1, 1.9, 2.05]
ORACLE = [1.0, 1.1, 0.9, 1.05]


@pytest.mark.parametrize("share", [-0.5, 0.0, 0.3, 1.0])
def test_an_arm_on_the_line_between_random_and_oracle_closes_its_share_for_sure(share):
    random, oracle = np.array(RANDOM)[:, None], np.array(ORACLE)[:, None]
    arm = random + share * (oracle - random)
    gap = gap_closed(arm, random, oracle, np.ones(1))
    assert [gap.share, gap.low, gap.high] == pytest.approx([share] * 3, abs=1e-9)
    assert gap.certain


def test_prompts_count_by_their_weights_in_the_share():
    random = np.array([[2.0, 4.0], [2.0, 4.0]])
    oracle = np.array([[1.0, 1.0], [1.0, 1.0]])
    arm = np.array([[1.0, 4.0], [1.0, 4.0]])  # all of the first prompt, nothing of the second
    for weights, expected in (([1, 1], 1 / 4), ([3, 1], 3 / 6)):
        gap = gap_closed(arm, random, oracle, np.array(weights, float))
        assert gap.share == pytest.approx(expected)
        assert gap.low <= gap.share <= gap.high


def test_the_interval_covers_the_true_share_about_as_often_as_it_says():
    generator = np.random.default_rng(5)
    hits = 0
    for _ in range(20):
        random = generator.normal(2.0, 0.05, (12, 1))
        oracle = generator.normal(1.0, 0.05, (12, 1))
        arm = generator.normal(1.4, 0.05, (12, 1))  # closes 0.6
        gap = gap_closed(arm, random, oracle, np.ones(1))
        hits += gap.low <= 0.6 <= gap.high
    assert hits >= 16  # 95 %, a little less for a percentile bootstrap of 12


def test_without_an_oracle_or_with_one_common_seed_there_is_no_gap():
    assert list(gaps(losses(selected=RANDOM, random=RANDOM), ["selected"], {})) == []
    table = losses(selected=[1.5], random=RANDOM, oracle=ORACLE)
    assert list(gaps(table, ["selected"], {})) == []


def test_a_sentence_has_the_interval_and_says_where_the_oracle_is_not_surely_better():
    table = losses(selected=[1.5, 1.6, 1.4, 1.55], random=RANDOM, oracle=ORACLE)
    [sentence] = gap_sentences(table, ["selected"], {})
    assert sentence.startswith("e: selected closes 0.50 [0.50, 0.50] of the gap")
    assert sentence.endswith("(n = 4 seeds)")
    worse = losses(selected=ORACLE, random=RANDOM, oracle=[2.1, 2.0, 1.95, 1.98])
    [sentence] = gap_sentences(worse, ["selected"], {})
    assert "cannot be set against each other" in sentence


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_the_detectable_difference_has_the_power_of_a_noncentral_t(seeds):
    difference = detectable(0.02, seeds)
    critical = stats.t.ppf(0.975, seeds - 1)
    distance = difference / 0.02 * np.sqrt(seeds)
    power = stats.nct.sf(critical, seeds - 1, distance) + stats.nct.cdf(
        -critical, seeds - 1, distance
    )
    assert power == pytest.approx(0.80, abs=1e-3)
    assert seeds_for(difference * 1.001, 0.02) == seeds
    assert seeds_for(-difference * 0.98, 0.02) == seeds + 1


curves = st.lists(
    st.tuples(st.floats(0.5, 3), st.floats(0.001, 0.2), st.integers(2, 6)), min_size=1, max_size=8
)


@given(curves, st.randoms(use_true_random=False))
def test_the_smallest_size_within_one_pooled_error_of_the_lowest_is_taken(points, generator):
    rows = [
        {"size": 100 * (place + 1), "loss": loss, "sd": sd, "n": n}
        for place, (loss, sd, n) in enumerate(points)
    ]
    pooled = sum(row["sd"] ** 2 * (row["n"] - 1) for row in rows) / sum(
        row["n"] - 1 for row in rows
    )
    best = min(rows, key=lambda row: row["loss"])
    error = (pooled / best["n"]) ** 0.5
    expected = min(row["size"] for row in rows if row["loss"] <= best["loss"] + error)
    generator.shuffle(rows)
    choice = smallest_as_good(pd.DataFrame(rows))
    assert (choice.size, choice.lowest) == (expected, best["size"])
    assert choice.error == pytest.approx(error)


def test_sizes_of_one_seed_have_no_error_and_the_lowest_is_taken():
    curve = pd.DataFrame(
        {"size": [10, 20, 30], "loss": [2.0, 1.0, 1.0001], "sd": [np.nan] * 3, "n": [1, 1, 1]}
    )
    choice = smallest_as_good(curve)
    assert (choice.size, choice.lowest, choice.error) == (20, 20, 0.0)


def curve(*means: float, half: float = 0.1) -> pd.DataFrame:
    sizes = [100 * 2**place for place in range(len(means))]
    return pd.DataFrame(
        {
            "arm": "selected",
            "size": sizes,
            "loss": means,
            "low": [mean - half for mean in means],
            "high": [mean + half for mean in means],
            "n": 3,
        }
    )


@pytest.mark.parametrize(
    ("means", "risen"),
    [
        ((2.0, 1.5, 1.2), None),
        ((2.0, 1.5, 1.9), None),
        ((1.5, 2.0, 1.4), 200),
        ((1.5, 1.65, 1.4), None),  # within the intervals
        ((1.5, 1.5, 2.5, 1.5), 400),
        ((1.0,), None),
    ],
)
def test_a_second_descent_is_a_hill_beyond_the_intervals(means, risen):
    assert second_descent(curve(*means)) == risen


def test_what_is_read_off_a_curve_names_sizes_that_are_as_good():
    [sentence] = reading(curve(2.0, 1.5, 1.45), "target")
    assert "lowest mean loss, 1.4500, at 400 examples" in sentence
    assert sentence.endswith("within their intervals as good: 200")
    assert len(reading(curve(1.5, 2.0, 1.4), "target")) == 2
