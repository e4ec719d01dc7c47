"""Terms are found where there is something to find, and only there; no Spark."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import LeaveOneGroupOut, LeaveOneOut, cross_val_predict

from instructmining.fitting.cross_validation import cross_validate, leave_one_group_out
from instructmining.fitting.terms import noise_floor, select_terms

NAMES = [f"x{i}" for i in range(6)]


def simulated(seed: int, effects: dict[str, float], count: int = 100) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    frame = pd.DataFrame(generator.normal(size=(count, 6)), columns=NAMES)
    frame["x1"] = 0.7 * frame["x0"] + 0.7 * frame["x1"]
    loss = 1.5 + sum((c * frame[n] for n, c in effects.items()), np.zeros(count))
    return frame.assign(
        log_loss=loss + 0.02 * generator.normal(size=count),
        subset=[str(i) for i in range(count)],
        mix=generator.choice(["alpaca", "dolly", "日本語"], count),
    )


def test_leaving_out_each_source_predicts_as_a_loop_over_sklearn_does():
    runs = simulated(0, {"x0": 0.02})
    theirs = cross_val_predict(
        LinearRegression(),
        runs[["x0", "x2"]],
        runs["log_loss"],
        groups=runs["mix"],
        cv=LeaveOneGroupOut(),
    )
    ours = leave_one_group_out(runs, ["x0", "x2"], "mix")
    assert ours.predictions == pytest.approx(theirs, rel=1e-9)
    assert ours.rmse == pytest.approx(np.sqrt(((theirs - runs["log_loss"]) ** 2).mean()), rel=1e-9)


def test_with_a_run_per_fold_the_folds_do_not_matter():
    runs = simulated(1, {"x0": 0.02}, count=10)
    theirs = cross_val_predict(LinearRegression(), runs[["x0"]], runs["log_loss"], cv=LeaveOneOut())
    assert cross_validate(runs, ["x0"], seed=0).predictions == pytest.approx(theirs, rel=1e-9)


def test_r_squared_is_against_the_mean_of_the_same_training_runs():
    runs = simulated(2, {"x0": 0.02})
    mean = cross_validate(runs, [], seed=3)
    found = cross_validate(runs, ["x0"], seed=3)
    assert mean.r_squared == pytest.approx(0, abs=1e-12)
    assert np.isnan(mean.rank_correlation)
    assert found.r_squared == pytest.approx(1 - (found.rmse / mean.rmse) ** 2, rel=1e-9)
    assert found.rank_correlation > 0.6


def test_strong_terms_are_found_in_the_order_of_what_they_explain():
    found = select_terms(simulated(3, {"x0": 0.04, "x3": -0.02}), NAMES, "cv", seed=0)
    assert found.terms == ("x0", "x3")
    assert found.p_value == pytest.approx(1 / 200)
    assert list(found.path["taken"]) == [True, True, False]
    assert "x0 (p ≤ 0.005)" in found.sentence


def test_of_two_indicators_that_go_together_only_the_one_that_matters_is_taken():
    assert select_terms(simulated(4, {"x0": 0.03}), NAMES, "cv", seed=0).terms == ("x0",)


def test_a_null_result_is_reported_as_one():
    found = select_terms(simulated(5, {}), NAMES, "cv", seed=0)
    assert found.terms == ()
    assert found.sentence.startswith("No indicator predicts the loss better than chance here")
    assert found.p_value > 0.05


def test_noise_alone_is_taken_for_something_in_few_of_twenty_data_sets():
    taken = [bool(select_terms(simulated(s, {}), NAMES, "cv", s).terms) for s in range(100, 120)]
    # At 5 % more than four of twenty happen once in 380 times.
    assert sum(taken) <= 4


def test_the_same_seed_finds_the_same():
    runs = simulated(6, {"x2": 0.01})
    one, two = (select_terms(runs, NAMES, "cv", seed=1) for _ in range(2))
    pd.testing.assert_frame_equal(one.path, two.path)


@pytest.mark.parametrize("criterion", ["aic", "bic", "p"])
def test_criteria_in_sample_find_what_is_there_and_say_that_they_do_not_guard(criterion):
    found = select_terms(simulated(7, {"x0": 0.04, "x3": -0.03}), NAMES, criterion, seed=0)
    assert {"x0", "x3"} <= set(found.terms)
    assert "does not guard against chance" in found.sentence
    assert found.p_value is None


def test_in_sample_criteria_take_noise_more_often_than_the_default():
    noise = [simulated(s, {}) for s in range(200, 215)]
    by_aic = sum(bool(select_terms(f, NAMES, "aic", 0).terms) for f in noise)
    by_default = sum(bool(select_terms(f, NAMES, "cv", 0).terms) for f in noise)
    assert by_aic > by_default + 3


def test_the_noise_floor_is_the_pooled_deviation_between_seeds():
    runs = pd.DataFrame({"subset": list("aabbbc"), "log_loss": [1.0, 1.2, 2.0, 2.1, 2.2, 9.0]})
    assert noise_floor(runs) == pytest.approx(np.sqrt((0.02 + 0.02) / 3))
    assert noise_floor(runs[runs["subset"] == "c"]) is None


def test_a_source_whose_absence_leaves_a_term_without_variation_gives_no_answer():
    runs = simulated(8, {"x0": 0.02})
    runs["x5"] = (runs["mix"] == "dolly").astype(float)
    assert leave_one_group_out(runs, ["x5"], "mix") is None
