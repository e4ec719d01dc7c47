"""The figures' arithmetic against scikit-learn and cases worked by hand."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from training.statistics import accuracy, auc, ratio, separation, wins, with_interval


def test_auc_equals_scikit_learn_with_ties():
    generator = np.random.default_rng(3)
    good = generator.integers(0, 9, 80) + 2
    bad = generator.integers(0, 9, 50)
    labels = [1] * 80 + [0] * 50
    assert auc(good, bad) == pytest.approx(roc_auc_score(labels, [*good, *bad]), abs=5e-5)


def test_a_tie_is_half_a_win():
    assert wins([1, 2, 3], [2, 2, 2]).tolist() == [0, 0.5, 1]


def test_the_interval_widens_when_pairs_of_a_prompt_agree():
    won = np.repeat(np.random.default_rng(0).integers(0, 2, 40), 10).astype(float)
    alone = accuracy(won, [str(i) for i in range(400)])
    together = accuracy(won, [str(i // 10) for i in range(400)])
    assert alone["accuracy"] == together["accuracy"] == pytest.approx(won.mean(), abs=1e-4)
    spread = [low_high["interval"][1] - low_high["interval"][0] for low_high in (alone, together)]
    assert spread[1] > 2 * spread[0]
    assert together["clusters"] == 40


def test_the_interval_of_an_auc_is_that_of_resampled_pairs():
    generator = np.random.default_rng(4)
    common = generator.normal(size=120)
    bad = common + 0.5 + generator.normal(size=120) / 2
    good = common
    found = separation(bad, good)
    assert found["auc"] == auc(bad, good)
    theirs = stats.bootstrap(
        (bad, good),
        auc,
        paired=True,
        vectorized=False,
        n_resamples=2000,
        method="percentile",
        rng=np.random.default_rng(9),
    )
    assert found["interval"] == pytest.approx([*theirs.confidence_interval], abs=0.01)
    assert separation(good, good)["interval"] == [0.5, 0.5]


def test_the_interval_of_a_ratio_resamples_whole_rows():
    generator = np.random.default_rng(5)
    size = generator.integers(50, 500, 300).astype(float)
    value, interval = ratio(size * 1.7, size)
    assert (value, interval) == (1.7, [1.7, 1.7])  # every row has the same: nothing is uncertain
    nats = size * generator.normal(1.7, 0.3, 300)
    value, (low, high) = ratio(nats, size)
    standard_error = np.std(nats - value * size) / size.mean() / np.sqrt(300)
    assert low < value < high
    assert high - low == pytest.approx(2 * 1.96 * standard_error, rel=0.1)


def test_the_interval_after_hanley_and_mcneil_covers_as_often_as_it_says():
    generator = np.random.default_rng(7)
    inside = 0
    for _ in range(400):  # exponential scores of rate 1 and 1/4: the AUC is 4 / 5
        good = generator.exponential(4, 80)
        bad = generator.exponential(1, 80)
        low, high = with_interval(auc(good, bad), 80)["interval"]
        inside += low <= 0.8 <= high
    assert 0.92 <= inside / 400 <= 0.98
    assert with_interval(1.0, 300)["interval"] == [1.0, 1.0]
    low, high = with_interval(0.5, 100)["interval"]
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt((0.25 + 99 / 6) / 1e4), abs=2e-4)
