"""Ridge regression beside least squares of NumPy, and its interval on data that are known."""

import numpy as np
import pytest

from instructmining.cascading.predictor import Inputs
from instructmining.cascading.ridge import cross_fitted, fit_ridge, quality_of


def made(rows: int, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(rows, 12)) * np.geomspace(0.01, 100, 12) + 3
    y = x @ (1 / np.geomspace(0.01, 100, 12)) + noise * generator.standard_normal(rows)
    return x, y


def by_least_squares(x: np.ndarray, y: np.ndarray, penalty: float) -> np.ndarray:
    """Ridge as least squares with a row for each penalised, standardised weight."""
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    rows = np.column_stack([np.ones(len(x)), z])
    penalties = np.sqrt(len(x) * penalty) * np.eye(z.shape[1] + 1)[1:]
    right = np.concatenate([y, np.zeros(z.shape[1])])
    return np.linalg.lstsq(np.vstack([rows, penalties]), right, rcond=None)[0]


@pytest.mark.parametrize("penalty", [1e-3, 0.1, 10.0])
def test_weights_are_those_of_least_squares_with_penalty_rows(penalty: float) -> None:
    x, y = made(80, noise=1.0)
    expected = by_least_squares(x, y, penalty)
    ridge = fit_ridge(x, y, penalty)
    assert ridge.weights * x.std(axis=0) == pytest.approx(expected[1:], rel=1e-6)
    assert ridge.intercept + x.mean(axis=0) @ ridge.weights == pytest.approx(expected[0])


def test_the_penalty_is_the_one_with_the_least_error_of_rows_left_out_one_by_one() -> None:
    x, y = made(40, noise=8.0)
    chosen = fit_ridge(x, y).penalty

    def left_out(penalty: float) -> float:
        # Standardised on all rows, as the closed form is.
        z = (x - x.mean(axis=0)) / x.std(axis=0)
        errors = []
        for row in range(len(y)):
            kept = np.arange(len(y)) != row
            rows = np.column_stack([np.ones(len(y) - 1), z[kept]])
            penalties = np.sqrt(len(y) * penalty) * np.eye(z.shape[1] + 1)[1:]
            right = np.concatenate([y[kept], np.zeros(z.shape[1])])
            weights = np.linalg.lstsq(np.vstack([rows, penalties]), right, rcond=None)[0]
            errors.append(y[row] - weights[0] - z[row] @ weights[1:])
        return float(np.mean(np.square(errors)))

    grid = np.logspace(-3, 2, 21)
    assert chosen == pytest.approx(min(grid, key=left_out))
    assert grid[0] < chosen < grid[-1]


def test_more_columns_than_rows_and_a_constant_column_are_fitted() -> None:
    generator = np.random.default_rng(1)
    x = np.column_stack([generator.normal(size=(60, 384)), np.full(60, 7.0)])
    y = x[:, 0] * 2
    ridge = fit_ridge(x, y)
    assert ridge.weights[-1] == 0
    assert np.isfinite(ridge.predict(x)).all()


def test_no_prediction_leaves_the_range_of_what_was_seen() -> None:
    x, y = made(50, noise=0.0)
    assert fit_ridge(x, y).predict(x * 1000).max() == y.max()


def test_predictions_out_of_fold_know_nothing_of_targets_without_a_cause() -> None:
    x, _ = made(300, noise=0.0)
    y = np.random.default_rng(5).standard_normal(300)
    quality = quality_of(y, cross_fitted(x, y, seed=0), 0.9)
    assert quality.r2 < 0.05
    assert abs(quality.rank_correlation) < 0.2


def test_the_interval_holds_the_asked_share_of_rows_that_no_fit_has_seen() -> None:
    held = []
    for seed in range(20):
        x, y = made(400, noise=2.0, seed=seed)
        quality = quality_of(y[:200], cross_fitted(x[:200], y[:200], seed), 0.9)
        errors = np.abs(y[200:] - fit_ridge(x[:200], y[:200]).predict(x[200:]))
        held.append(np.mean(errors <= quality.half_width))
    assert np.mean(held) == pytest.approx(0.9, abs=0.03)


def test_quality_is_r2_spearman_and_a_rounded_up_quantile() -> None:
    y = np.arange(1.0, 20.0)
    quality = quality_of(y, y + 1, 0.9)
    assert quality.r2 == pytest.approx(1 - 19 / 570)  # the squares around the mean sum to 570
    assert quality.rank_correlation == 1
    assert quality_of(y, y + np.arange(19), 0.9).half_width == 17  # the 18th of 19
    assert quality_of(y, y + 1, 0.96).half_width == np.inf  # 19 rows cannot say
    assert quality_of(np.ones(60), np.ones(60), 0.9).r2 == 0


def test_absent_numbers_stand_at_the_mean_and_are_marked() -> None:
    numbers = np.array([[1.0, np.nan, 5.0], [3.0, np.nan, 5.0], [np.nan, 2.0, 5.0]])
    inputs = Inputs.of(["a", "rare", "c"], numbers)
    assert inputs == Inputs(("a", "c"), (2.0, 5.0), ("a",))
    matrix = inputs.matrix(np.zeros((3, 2)), ["a", "rare", "c"], numbers)
    assert matrix.tolist() == [[0, 0, 1, 5, 0], [0, 0, 3, 5, 0], [0, 0, 2, 5, 1]]
