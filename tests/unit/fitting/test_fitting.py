"""From runs to a rule and to sentences about it; no Spark."""

import math

import numpy as np
import pandas as pd
import pytest

from instructmining.errors import UserError
from instructmining.fitting.out_of_sample import stability
from instructmining.fitting.page import fit_page, reading
from instructmining.fitting.rule_fit import learn, one_per_subset, rule_of
from instructmining.fitting.stopping import further_gain, widest_interval
from instructmining.fitting.subset_design import Design, describe
from instructmining.rules.fitted_model import FittedModel
from instructmining.rules.gate import objection
from instructmining.settings.fitting import Fit

NAMES = ["reward", "mtld", "knn_6"]


def simulated(seed: int, effect: float, count: int = 60) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    runs = pd.DataFrame(generator.normal(size=(count, 3)), columns=NAMES)
    runs["log_loss"] = 1.6 + effect * runs["reward"] + 0.02 * generator.normal(size=count)
    runs["log_loss_target"] = runs["log_loss"]
    runs["log_loss_other"] = 2 * runs["log_loss"] + 0.02 * generator.normal(size=count)
    return runs.assign(
        subset=[str(i) for i in range(count)],
        seed=0,
        run_key="k",
        mix=generator.choice(["dolly", "質問"], count),
        half=np.arange(count) % 2,
    )


def learned(runs, others=None, bases=None, fit=Fit()):  # noqa: B008
    return learn(runs, NAMES, fit, "target", others or {}, bases or {})


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
    assert objection("mine", rule.provenance, None) is None
    assert "with the terms searched again in every fold" in " ".join(reading(found, "target"))


def test_a_null_result_gives_no_rule_and_says_so():
    found = learned(simulated(1, 0.0))
    assert rule_of(found, "mine", {}, {}, {}) is None
    said = reading(found, "target")
    assert said[0].startswith("No indicator predicts the loss better than chance here")
    assert "nan" not in " ".join(said)


@pytest.mark.parametrize("criterion", ["aic", "bic", "p"])
def test_what_a_criterion_in_sample_finds_on_null_data_does_not_pass_the_gate(criterion):
    beaten = 0
    for seed in range(12):
        found = learned(simulated(seed, 0.0), fit=Fit(criterion=criterion))
        rule = rule_of(found, "mine", {}, {}, {})
        if rule is None:
            continue
        assert objection("mine", rule.provenance, None)
        beaten += found.cross_validated.rmse < found.mean_only.rmse
    assert beaten  # by its error out of fold alone a rule would pass


def test_the_gate_asks_for_the_mean_the_champion_and_the_permutation_test():
    errors = {
        "rmse": 2.0,
        "rmse_mean_only": 3.0,
        "rmse_others": {"models:/r/1": 2.5, "other": 1.0},
        "crossed_beside_sources": 0.2,
    }
    proven = {"cross_validation": errors, "permutation_p": 0.005}
    assert objection("it", proven, None) is None
    assert objection("it", proven, "models:/r/1") is None  # the terms of `other` need no beating
    assert "was not compared with the champion" in objection("it", proven, "models:/r/2")
    assert "was not compared with the mean alone" in objection("it", {}, None)
    worse = {**proven, "cross_validation": {**errors, "rmse": 2.7}}
    assert "is not better than the champion" in objection("it", worse, "models:/r/1")
    for p_value in (None, 0.05, math.nan):
        said = objection("it", {**proven, "permutation_p": p_value}, None)
        assert "may have been found by chance" in said
        assert "--criterion cv, or promote it with --force" in said
    elsewhere = {**proven, "cross_validation": {**errors, "crossed_beside_sources": -0.1}}
    assert "the other by +10 % beside the shares" in objection("it", elsewhere, None)
    whole = {"rmse": 2.0, "rmse_mean_only": 3.0}
    said = objection("it", {"cross_validation": whole, "permutation_p": 0.005}, None)
    assert "was not tested on examples that its fit had not seen" in said


def test_a_sign_against_what_an_indicator_means_is_said_and_needs_force():
    found = learned(simulated(8, 0.05))
    assert "a higher reward predicts a higher loss (+0.0" in " ".join(reading(found, "target"))
    rule = rule_of(found, "mine", {}, {}, {})
    assert "contradicts what reward means" in objection(
        "mine", rule.provenance, None, rule.coefficients
    )
    assert objection("mine", rule.provenance, None, {"mtld": 1.0, "naturalness": -1.0}) is None


def test_random_subsets_are_ranked_and_never_fitted():
    runs = simulated(9, -0.05, 80)
    runs["tested"] = np.arange(80) >= 60
    runs.loc[runs["tested"], "log_loss"] += 100.0  # a fit on these could not be missed
    found = learned(runs)
    assert found.fit.n == 60
    assert found.fit.intercept < 2
    assert found.ranked.n == 20
    assert found.ranked.low < found.ranked.correlation < found.ranked.high
    assert found.ranked.correlation > 0.6
    assert rule_of(found, "m", {}, {}, {}).provenance["cross_validation"]["lds_low"] > 0


def test_more_runs_help_a_weak_effect_of_few_runs_and_not_where_nothing_is():
    assert further_gain(simulated(5, -0.05, 29), NAMES, Fit(), 60) == math.inf
    assert further_gain(simulated(5, -0.2, 40), NAMES, Fit(), 200) < 0.02
    names = [f"x{i}" for i in range(12)]
    generator = np.random.default_rng(0)
    many = pd.DataFrame(generator.normal(size=(40, 12)), columns=names)
    loss = 0.01 * many.sum(axis=1) + 0.02 * generator.normal(size=40)
    many = many.assign(log_loss=loss, subset=[str(i) for i in range(40)], mix="one")
    assert further_gain(many, names, Fit(), 200) > 0.1


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
        runs["log_loss"][0] + 0.005
    )


def test_the_page_has_every_part():
    runs = simulated(4, -0.05)
    design = Design((np.arange(10),) * 60, runs[NAMES], pd.DataFrame())
    stable = stability(runs, NAMES, 0, (), None)
    page = fit_page(learned(runs), design, describe(design, runs), "target", stable)
    assert stable.loc["reward"].tolist() == [1.0, 1.0]
    for part in (
        "# Fit on target",
        "## Coefficients",
        "## Each indicator alone",
        "## Design",
        "## How the terms were chosen",
        "## Would the same terms be chosen again?",
        "## Out of sample",
        "| reward |",
    ):
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
