"""The figures' arithmetic against scikit-learn and cases worked by hand."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from training.statistics import accuracy, auc, wins


def test_auc_equals_scikit_learn_with_ties():
    generator = np.random.default_rng(3)
    good, bad = generator.integers(0, 9, 80) + 2, generator.integers(0, 9, 50)
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
