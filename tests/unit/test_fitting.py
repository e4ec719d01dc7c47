"""From runs to a rule and to sentences about it; no Spark."""

import math

import numpy as np
import pandas as pd
import pytest

from instructmining.errors import UserError
from instructmining.fit_summary import fit_page, reading
from instructmining.fitting import learn, one_per_subset, rule_of, widest_interval
from instructmining.rule import FittedModel
from instructmining.settings import Fit
from instructmining.subsets import Design, describe

NAMES = ["reward", "mtld", "knn_6"]


def simulated(seed: int, effect: float, count: int = 60) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    runs = pd.DataFrame(generator.normal(size=(count, 3)), columns=NAMES)
    runs["log_loss"] = 1.6 + effect * runs["reward"] + 0.02 * generator.normal(size=count)
    runs["log_loss_target"] = runs["log_loss"]
    runs["log_loss_other"] = 2 * runs["log_loss"] + 0.02 * generator.normal(size=count)
    return runs.assign(subset=[str(i) for i in range(count)], seed=0, run_key="k",
                       mix=generator.choice(["dolly", "質問"], count))  # fmt: skip


def learned(runs, others=None, bases=None):
    return learn(runs, NAMES, Fit(), "target", others or {}, bases or {})


def test_a_rule_comes_with_errors_models_ranges_and_what_it_was_compared_with():
    found = learned(simulated(0, -0.05), {"paper": ["mtld", "knn_6"], "unknown": ["naturalness"]})
    models = {"reward": FittedModel(fingerprint="f"), "mtld": FittedModel(fingerprint="g")}
    rule = rule_of(found, "mine", models, dict.fromkeys(NAMES, (-3.0, 3.0)), {"pools": ["a"]})
    assert rule.coefficients["reward"] == pytest.approx(-0.05, abs=0.01)
    assert len(rule.covariance) == 1 + len(rule.coefficients)
    assert set(rule.models) == set(rule.ranges) == set(rule.coefficients)
    gate = rule.provenance["cross_validation"]
    assert set(gate["rmse_others"]) == {"paper"}
    assert gate["rmse"] < gate["rmse_mean_only"]
    assert found.better


def test_a_null_result_gives_no_rule_and_says_so():
    found = learned(simulated(1, 0.0))
    assert rule_of(found, "mine", {}, {}, {}) is None
    assert not found.better
    said = reading(found, "target")
    assert said[0].startswith("No indicator predicts the loss better than chance here")
    assert "nan" not in " ".join(said)


def test_other_evaluation_sets_and_base_models_are_set_beside_the_target():
    runs = simulated(2, -0.05)
    smaller = runs[["subset"]].assign(log_loss=-runs["log_loss"]).head(30)
    said = " ".join(reading(learned(runs, bases={"small": smaller}), "target"))
    assert (
        "Finetuned from small, 30 of the same subsets rank as here with correlation -1.00" in said
    )
    assert "On other the same terms, refitted, reach R²" in said


def test_seeds_of_a_subset_are_averaged_before_anything_is_fitted():
    runs = simulated(3, -0.05)
    again = runs.head(6).assign(log_loss=runs["log_loss"].head(6) + 0.01, seed=1)
    found = learned(pd.concat([runs, again], ignore_index=True))
    assert found.fit.n == 60
    assert found.noise == pytest.approx(0.01 / np.sqrt(2))
    assert one_per_subset(pd.concat([runs, again]))["log_loss"][0] == pytest.approx(
        runs["log_loss"][0] + 0.005)  # fmt: skip


def test_the_page_has_every_part():
    runs = simulated(4, -0.05)
    design = Design((np.arange(10),) * 60, runs[NAMES], pd.DataFrame())
    page = fit_page(learned(runs), design, describe(design, runs), "target")
    for part in ("# Fit on target", "## Coefficients", "## Each indicator alone", "## Design",
                 "## How the terms were chosen", "## Out of sample", "| reward |"):  # fmt: skip
        assert part in page


def test_the_widest_interval_is_that_of_a_standardised_coefficient():
    one, four = (widest_interval(simulated(5, -0.05, n), NAMES, Fit()) for n in (60, 240))
    assert four == pytest.approx(one / 2, rel=0.3)
    assert 0.01 < four < 0.2
    assert widest_interval(simulated(5, 0.0), NAMES, Fit()) == math.inf
    assert widest_interval(simulated(5, -0.05, 11), NAMES, Fit()) == math.inf


def test_too_few_runs_are_a_clear_mistake():
    with pytest.raises(UserError, match="11 finetuned subsets are too few"):
        learned(simulated(6, -0.05, 11))
