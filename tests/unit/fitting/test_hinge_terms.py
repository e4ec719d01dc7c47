"""Hinges in a fit: offered at the quantiles, found where the truth bends, and only there."""

import numpy as np
import pandas as pd

from bench.nulls import INDICATORS, candidates
from instructmining.fitting.hinges import hinge_means, hinges_of
from instructmining.fitting.page import reading
from instructmining.fitting.rule_fit import Learned, learn, rule_of
from instructmining.fitting.subset_design import draw_subsets
from instructmining.fitting.terms import select_terms
from instructmining.settings.fitting import Fit

NAMES = ["perplexity", "reward", "mtld"]


def pool(seed: int, count: int = 4000) -> pd.DataFrame:
    """One source; the upper tail of perplexity is dirt."""
    generator = np.random.default_rng(seed)
    values = generator.normal(size=(count, 3))
    values[:, 0] = np.exp(values[:, 0])
    return pd.DataFrame(values, columns=NAMES).assign(source="one")


def test_the_knots_are_quantiles_rounded_as_their_names_say():
    rows = pool(0)
    hinges = hinges_of(rows, NAMES)
    low, high = np.quantile(rows["perplexity"], [0.05, 0.95])
    assert {h.indicator for h in hinges.values()} == set(NAMES)
    assert [h.above for h in hinges.values() if h.indicator == "reward"] == [None]
    above = next(h for h in hinges.values() if h.indicator == "perplexity" and h.above)
    below = next(h for h in hinges.values() if h.indicator == "perplexity" and h.below)
    assert (above.above, below.below) == (float(f"{high:.3g}"), float(f"{low:.3g}"))
    assert above.name == f"perplexity_above_{above.above:g}".replace(".", "_")
    means = hinge_means(rows, hinges, [np.arange(100), np.arange(200, 300)])
    excess = (rows["perplexity"] - above.above).clip(lower=0)
    assert means[above.name].tolist() == [excess[:100].mean(), excess[200:300].mean()]


def test_an_indicator_without_tails_gets_no_hinge():
    rows = pd.DataFrame({"flag": [0.0] * 60 + [1.0] * 40})
    assert hinges_of(rows, ["flag"]) == {}


def fitted(seed: int) -> tuple[Learned, str]:
    """More perplexity is better up to the 95 % quantile and three times as much worse beyond."""
    rows = pool(seed)
    hinges = hinges_of(rows, NAMES)
    design = draw_subsets(rows, NAMES, 60, 200, seed)
    means = design.means.join(hinge_means(rows, hinges, design.subsets))
    bend = next(name for name, h in hinges.items() if h.indicator == "perplexity" and h.above)
    loss = 1.6 - 0.02 * means["perplexity"] + 0.06 * means[bend]
    noise = 0.001 * np.random.default_rng(seed).normal(size=60)
    runs = means.assign(
        log_loss=loss + noise,
        log_loss_target=loss + noise,
        subset=[str(i) for i in range(60)],
        seed=0,
        mix="one",
        half=design.halves,
    )
    return learn(runs, NAMES, Fit(), "target", {}, {}, hinges=hinges), bend


def test_a_bend_is_recovered_and_stands_in_the_rule():
    learned, bend = fitted(3)
    rule = rule_of(learned, "mine", {}, dict.fromkeys(NAMES, (-3.0, 3.0)), {})
    assert {"perplexity", bend} <= set(rule.coefficients)
    assert rule.coefficients["perplexity"] < 0 < rule.coefficients[bend]
    interval = learned.fit.table.loc[bend]
    assert interval["low"] <= 0.06 <= interval["high"]
    assert rule.hinges[bend].indicator == "perplexity"
    assert set(rule.ranges) == set(rule.indicators)
    ordinary, dirty = ({"perplexity": p, "reward": 0.0, "mtld": 0.0} for p in (4.0, 40.0))
    assert rule.prediction_of(dirty) > rule.prediction_of(ordinary)
    assert bend in " ".join(reading(learned, "target"))


def test_three_terms_for_an_indicator_find_no_more_where_there_is_nothing():
    """The draws of the test go through the same search, so that it counts all that is offered."""
    found = 0
    for seed in range(20):
        generator = np.random.default_rng(seed)
        rows = candidates(generator)
        hinges = hinges_of(rows, INDICATORS[:6])
        design = draw_subsets(rows, INDICATORS[:6], 40, 300, seed)
        means = design.means.join(hinge_means(rows, hinges, design.subsets))
        runs = means.assign(log_loss=generator.normal(size=len(means)))
        assert len(means.columns) == 18
        found += bool(select_terms(runs, list(means.columns), "cv", seed).terms)
    assert found <= 3  # of 20 at 5 %: more in 1.6 of 100
