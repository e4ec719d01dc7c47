"""Intervals over seeds and prompts, the share of a gap that is closed, and what a plan says."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats

from instructmining.evaluating.arms import BASE, ORACLE, pairs_of, recipes
from instructmining.evaluating.comparison import differences, interval, verdict
from instructmining.evaluating.gap import gap_closed, gap_sentences
from instructmining.evaluating.seeds_and_prompts import PromptLosses, spread_of
from instructmining.settings.learning import Evaluate, Finetune, Select


def drawn(seed: int, seeds: int, prompts: int, by_seed=0.01, by_prompt=0.1, rest=0.05):
    generator = np.random.default_rng(seed)
    return (
        by_seed * generator.normal(size=(seeds, 1))
        + by_prompt * generator.normal(size=prompts)
        + rest * generator.normal(size=(seeds, prompts))
    )


def test_the_spread_is_that_of_statsmodels_two_way_clusters() -> None:
    values = drawn(0, 40, 60, by_seed=0.1)
    groups = np.indices(values.shape).reshape(2, -1).T
    fitted = sm.OLS(values.ravel(), np.ones(values.size)).fit(
        cov_type="cluster", cov_kwds={"groups": groups, "use_correction": False}
    )
    assert spread_of(values, np.ones(60)).error == pytest.approx(fitted.bse[0], rel=0.03)


def test_ninety_five_intervals_of_a_hundred_hold_the_truth_of_other_prompts() -> None:
    over_both = over_seeds = 0
    weights = np.random.default_rng(1).integers(10, 60, 80).astype(float)
    for seed in range(1000):
        values = drawn(seed, 5, 80)
        error, freedom = spread_of(values, weights)
        by_seed = values @ weights / weights.sum()
        over_both += abs(by_seed.mean()) <= stats.t.ppf(0.975, freedom) * error
        over_seeds += interval(by_seed)[0] <= 0 <= interval(by_seed)[1]
    assert 0.93 <= over_both / 1000 <= 0.97
    assert over_seeds / 1000 < 0.8  # seeds alone do not know of other prompts


def test_a_comparison_counts_prompts_where_they_are_known() -> None:
    values = drawn(3, 5, 80)
    prompts = PromptLosses(
        {
            (arm, run): values[run] * (arm == "selected")
            for arm in ("selected", "random")
            for run in range(5)
        },
        np.ones(80),
    )
    losses = pd.DataFrame(
        [("set", arm, run, prompts.losses[arm, run].mean()) for arm, run in prompts.losses],
        columns=["evaluation", "arm", "seed", "loss"],
    )
    pairs = [("selected", "random")]
    [both] = differences(losses, pairs, {"set": prompts}).itertuples()
    [alone] = differences(losses, pairs).itertuples()
    assert both.difference == pytest.approx(alone.difference)
    assert (both.prompts, alone.prompts) == (80, 0)
    assert both.high - both.low > alone.high - alone.low
    assert verdict(both).endswith("n = 5 seeds, 80 prompts")


def test_a_run_without_losses_of_prompts_leaves_the_interval_to_the_seeds() -> None:
    prompts = PromptLosses({("selected", 0): np.ones(3)}, np.ones(3))
    assert prompts.differences("selected", "random", [0, 1]) is None


def test_the_gap_that_is_closed_is_a_share_with_an_interval() -> None:
    generator = np.random.default_rng(2)
    prompts = 1 + 0.1 * generator.normal(size=50)
    arms = {
        name: loss + prompts + 0.01 * generator.normal(size=(5, 50))
        for name, loss in (("random", 0.2), ("selected", 0.05), (ORACLE, 0.0))
    }
    gap = gap_closed(arms["selected"], arms["random"], arms[ORACLE], np.ones(50))
    assert gap.share == pytest.approx(0.75, abs=0.03)
    assert gap.low < 0.75 < gap.high
    assert gap.high - gap.low < 0.1
    rows = [
        ("set", name, seed, float(values[seed].mean()))
        for name, values in arms.items()
        for seed in range(5)
    ]
    losses = pd.DataFrame(rows, columns=["evaluation", "arm", "seed", "loss"])
    [said] = gap_sentences(losses, ["selected", "longest"], {})
    assert said.startswith("set: selected closes 0.7")
    blind = losses.assign(loss=losses["loss"].where(losses["arm"] != ORACLE, 9.0))
    assert "cannot be set against each other" in gap_sentences(blind, ["selected"], {})[0]
    assert gap_sentences(losses[losses["arm"] != ORACLE], ["selected"], {}) == []


def test_an_oracle_is_an_arm_only_where_something_says_what_is_clean() -> None:
    plain, labelled = Evaluate(), Evaluate(clean="quality = 'good'")
    assert ORACLE not in recipes(plain, Select(), Finetune())
    assert recipes(labelled, Select(), Finetune())[ORACLE].strategy == "random"
    assert ("selected", BASE) in pairs_of(plain)
    assert ("selected", ORACLE) in pairs_of(labelled)
    assert ("selected", ORACLE) not in pairs_of(plain)
