"""Means, paired differences and verdicts; scipy and statsmodels say what the numbers must be."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.weightstats import DescrStatsW

from instructmining.evaluating.comparison import (
    differences,
    disagreements,
    interval,
    means,
    paired,
    verdict,
    verdicts,
)

SELECTED = [1.02, 0.98, 1.01, 0.97, 1.00]
RANDOM = [1.10, 1.04, 1.09, 1.08, 1.07]


def losses(**arms: list[float]) -> pd.DataFrame:
    rows = [
        ("set", arm, seed, loss) for arm, each in arms.items() for seed, loss in enumerate(each)
    ]
    return pd.DataFrame(rows, columns=["evaluation", "arm", "seed", "loss"])


def test_the_interval_is_that_of_statsmodels() -> None:
    low, high = interval(np.array(SELECTED))
    assert (low, high) == pytest.approx(DescrStatsW(SELECTED).tconfint_mean(0.05), rel=1e-12)


def test_means_keep_the_order_of_the_arms_and_count_the_runs() -> None:
    found = means(losses(selected=SELECTED, random=RANDOM))
    assert list(found["arm"]) == ["selected", "random"]
    assert list(found["n"]) == [5, 5]
    assert found["loss"].tolist() == pytest.approx([np.mean(SELECTED), np.mean(RANDOM)])


def test_the_paired_test_is_that_of_scipy() -> None:
    [row] = differences(losses(selected=SELECTED, random=RANDOM), [("selected", "random")]).to_dict(
        "records"
    )
    reference = stats.ttest_rel(SELECTED, RANDOM)
    bounds = reference.confidence_interval(0.95)
    assert row["p"] == pytest.approx(reference.pvalue, rel=1e-9)
    assert (row["low"], row["high"]) == pytest.approx((bounds.low, bounds.high), rel=1e-9)
    # All five differences have one sign: of 32 flips, this one and its mirror are as extreme.
    assert row["p_signs"] == pytest.approx(2 / 32)


def test_the_bootstrap_agrees_with_the_t_test_where_both_are_valid() -> None:
    drawn = np.random.default_rng(3).normal(0.25, 1.0, 60)
    found = paired(drawn)
    assert found["p_bootstrap"] == pytest.approx(found["p"], abs=0.02)


def test_only_seeds_that_both_arms_have_are_paired() -> None:
    frame = losses(selected=SELECTED, random=RANDOM)
    frame = frame[~((frame["arm"] == "random") & (frame["seed"] == 2))]
    [row] = differences(frame, [("selected", "random")]).itertuples()
    assert row.n == 4
    assert row.difference == pytest.approx(np.mean([-0.08, -0.06, -0.11, -0.07]))


def test_p_values_are_corrected_for_the_number_of_comparisons() -> None:
    frame = losses(selected=SELECTED, random=RANDOM, longest=[1.0, 1.01, 0.99, 1.0, 0.98])
    found = differences(frame, [("selected", "random"), ("selected", "longest")])
    first, second = found.itertuples()
    assert first.p_adjusted == pytest.approx(2 * first.p)  # Holm: the smallest of two, twice
    assert second.p_adjusted == pytest.approx(max(second.p, 2 * first.p))


def test_a_lower_loss_wins_in_words() -> None:
    said = verdicts(differences(losses(selected=SELECTED, random=RANDOM), [("selected", "random")]))
    assert len(said) == 1
    assert said[0].startswith("set: selected beats random by 0.0800 [")
    assert said[0].endswith("n = 5 seeds")


def test_a_higher_loss_is_said_to_be_worse() -> None:
    [said] = verdicts(
        differences(losses(selected=RANDOM, random=SELECTED), [("selected", "random")])
    )
    assert "random is better than selected by 0.0800" in said


def test_arms_of_equal_examples_show_no_difference() -> None:
    [said] = verdicts(
        differences(losses(selected=SELECTED, random=SELECTED), [("selected", "random")])
    )
    assert "no detectable difference between selected and random: +0.0000" in said
    assert "p = 1.000" in said


def test_answers_that_speak_for_another_arm_than_the_loss_are_named() -> None:
    pair = ("selected", "random")
    better = differences(losses(selected=SELECTED, random=RANDOM), [pair])
    assert disagreements(better, pair, {"set": "selected"}) == []
    assert disagreements(better, ("selected", "longest"), {"set": "random"}) == []
    assert disagreements(better, pair, {"set": None}) == [
        "set: loss and answers disagree: the loss speaks for selected, the answers for neither"
    ]
    alike = differences(losses(selected=SELECTED, random=SELECTED), [pair])
    assert disagreements(alike, pair, {"set": None}) == []
    [said] = disagreements(alike, pair, {"set": "random"})
    assert said.endswith("the loss speaks for neither, the answers for random")


def test_an_arm_without_runs_is_named_and_not_judged() -> None:
    [said] = verdicts(differences(losses(selected=SELECTED), [("selected", "random")]))
    assert "cannot be judged: n = 0" in said


def test_a_win_that_does_not_survive_the_correction_is_none() -> None:
    row = {
        "evaluation": "set",
        "arm": "selected",
        "rival": "random",
        "n": 5,
        "prompts": 252,
        "comparisons": 8,
        "difference": -0.1,
        "low": -0.19,
        "high": -0.01,
        "p": 0.04,
        "p_adjusted": 0.32,
    }
    said = verdict(pd.Series(row))
    assert said == (
        "set: no detectable difference between selected and random: -0.1000 [-0.1900, -0.0100] "
        "nats per token (p = 0.320 after 8 comparisons), n = 5 seeds, 252 prompts"
    )
    assert "beats" in verdict(pd.Series({**row, "p_adjusted": 0.04}))


@pytest.mark.parametrize("n", [3, 5])
def test_without_a_difference_five_verdicts_in_a_hundred_claim_one(n: int) -> None:
    drawn = np.random.default_rng(11).normal(0.0, 1.0, (4000, n))
    claimed = np.mean([low > 0 or high < 0 for low, high in map(interval, drawn)])
    assert claimed == pytest.approx(0.05, abs=0.012)


def test_percentiles_of_a_bootstrap_of_five_would_claim_three_times_too_many() -> None:
    """Why the verdict does not rest on them (decision 19)."""
    generator = np.random.default_rng(11)
    drawn = generator.normal(0.0, 1.0, (2000, 5))
    means = np.stack([row[generator.integers(0, 5, (500, 5))].mean(axis=1) for row in drawn])
    low, high = np.percentile(means, [2.5, 97.5], axis=1)
    assert np.mean((low > 0) | (high < 0)) == pytest.approx(0.18, abs=0.03)
