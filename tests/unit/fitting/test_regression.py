"""The fit of a rule beside numbers that we did not compute; no Spark."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats

from instructmining.errors import UserError
from instructmining.fitting.regression import ols, univariate


@pytest.fixture(scope="module")
def longley() -> pd.DataFrame:
    """The Longley data, whose certified coefficients NIST publishes (StRD)."""
    data = sm.datasets.longley.load_pandas()
    return data.exog.assign(log_loss=data.endog)


def simulated(seed: int, count: int = 129) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    frame = pd.DataFrame(generator.normal(size=(count, 3)), columns=["reward", "mtld", "knn_6"])
    frame["mtld"] = 70 + 10 * (0.8 * frame["reward"] + 0.6 * frame["mtld"])
    noise = 0.02 * (0.5 + np.abs(frame["knn_6"])) * generator.normal(size=count)
    return frame.assign(log_loss=1.6 - 0.03 * frame["reward"] + 0.01 * frame["knn_6"] + noise)


def test_coefficients_are_those_that_nist_certifies_for_the_longley_data(longley):
    fit = ols(longley, ["GNPDEFL", "GNP", "UNEMP", "ARMED", "POP", "YEAR"], seed=0)
    assert fit.intercept == pytest.approx(-3482258.63459582, rel=1e-7)
    assert fit.coefficients["GNPDEFL"] == pytest.approx(15.0618722713733, rel=1e-6)
    assert fit.coefficients["YEAR"] == pytest.approx(1829.15146461355, rel=1e-7)
    assert fit.r_squared == pytest.approx(0.995479004577296, rel=1e-9)
    assert fit.table.loc["GNP", "vif"] == pytest.approx(1788.51348271, rel=1e-6)  # car::vif in R


def test_errors_are_hc3_by_its_formula():
    runs = simulated(1)
    fit = ols(runs, ["reward", "knn_6"], seed=0)
    x = np.column_stack([np.ones(len(runs)), runs[["reward", "knn_6"]]])
    inverse = np.linalg.inv(x.T @ x)
    residuals = runs["log_loss"] - x @ inverse @ x.T @ runs["log_loss"]
    leverage = np.einsum("ij,jk,ik->i", x, inverse, x)
    meat = x.T @ (x * ((residuals / (1 - leverage)) ** 2).to_numpy()[:, None])
    assert np.array(fit.covariance) == pytest.approx(inverse @ meat @ inverse, rel=1e-9)
    assert fit.leverage == pytest.approx(leverage, rel=1e-9)
    row = fit.table.loc["reward"]
    half = stats.t.ppf(0.975, len(runs) - 3) * row["se"]
    assert row["high"] - row["coefficient"] == pytest.approx(half, rel=1e-9)


def test_the_bootstrap_interval_is_about_as_wide_as_that_of_scipy():
    runs = simulated(2)
    row = ols(runs, ["reward"], seed=0).table.loc["reward"]
    theirs = stats.bootstrap(
        (runs["reward"], runs["log_loss"]),
        lambda x, y: stats.linregress(x, y).slope,
        paired=True,
        vectorized=False,
        n_resamples=1000,
        method="percentile",
        rng=np.random.default_rng(3),
    ).confidence_interval
    assert row["boot_low"] == pytest.approx(theirs.low, abs=0.15 * (theirs.high - theirs.low))
    assert row["boot_high"] == pytest.approx(theirs.high, abs=0.15 * (theirs.high - theirs.low))


def test_a_single_indicator_has_the_slope_and_correlation_of_scipy():
    runs = simulated(3)
    row = univariate(runs, ["mtld"]).loc["mtld"]
    theirs = stats.linregress(runs["mtld"], runs["log_loss"])
    assert (row["slope"], row["r"]) == pytest.approx((theirs.slope, theirs.rvalue), rel=1e-9)
    assert row["low"] < theirs.slope < row["high"]


def test_standardised_coefficients_do_not_change_with_the_unit():
    runs = simulated(4)
    beta = ols(runs, ["reward", "mtld"], seed=0).table["beta"]
    scaled = ols(runs.assign(mtld=runs["mtld"] / 100), ["reward", "mtld"], seed=0).table["beta"]
    assert beta["mtld"] == pytest.approx(scaled["mtld"], rel=1e-9)


def test_without_terms_the_fit_is_the_mean():
    runs = simulated(5)
    fit = ols(runs, [], seed=0)
    assert fit.intercept == pytest.approx(runs["log_loss"].mean())
    assert (fit.coefficients, fit.r_squared) == ({}, 0.0)


def test_terms_that_are_sums_of_each_other_and_too_few_runs_are_refused():
    runs = simulated(6).assign(both=lambda f: f["reward"] + f["mtld"])
    with pytest.raises(UserError, match="a sum of the others"):
        ols(runs, ["reward", "mtld", "both"], seed=0)
    with pytest.raises(UserError, match="3 runs are too few for 2 terms"):
        ols(runs.head(3), ["reward", "knn_6"], seed=0)
