"""Ridge regression with a penalty chosen by leave-one-out, and how well it does out of sample."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

FOLDS = 5
_PENALTIES = np.logspace(-3, 2, 21)  # for each row and standardised column


@dataclass(frozen=True)
class Ridge:
    """A fitted regression.

    Attributes:
        intercept: of the columns as they are.
        weights: [d], likewise.
        penalty: on squared weights of standardised columns, for each row.
        low: the smallest target it was fitted on; no prediction is below.
        high: the largest.
    """

    intercept: float
    weights: Numbers
    penalty: float
    low: float
    high: float

    def predict(self, x: Numbers) -> Numbers:
        """[n] of [n, d], within the range of the targets that it was fitted on."""
        return np.clip(self.intercept + x @ self.weights, self.low, self.high)


@dataclass(frozen=True)
class Quality:
    """What out-of-sample predictions are worth.

    Attributes:
        rows: they were made for.
        r2: 1 - squared error over that of the mean; 0 where the targets are all the same.
        rank_correlation: Spearman's, 0 where either side is constant.
        half_width: a prediction plus and minus this holds the target of the asked share of rows.
    """

    rows: int
    r2: float
    rank_correlation: float
    half_width: float


def fit_ridge(x: Numbers, y: Numbers, penalty: float | None = None) -> Ridge:
    """Fit y on x with an intercept that is not penalised.

    Args:
        x: [n, d]; a constant column gets the weight 0.
        y: [n].
        penalty: as `Ridge` has it; None: the one with the least squared leave-one-out error.
    """
    rows = len(y)
    mean = x.mean(axis=0)
    scale = x.std(axis=0)
    scale[scale < 1e-12] = np.inf
    z = (x - mean) / scale
    centred = y - y.mean()
    spectrum, basis = np.linalg.eigh(z.T @ z)
    spectrum = np.clip(spectrum, 0, None)
    turned = z @ basis
    moments = turned.T @ centred
    if penalty is None:
        squares = turned**2
        errors = [
            _left_out_error(turned, squares, centred, moments, spectrum + rows * factor)
            for factor in _PENALTIES
        ]
        penalty = float(_PENALTIES[int(np.argmin(errors))])
    weights = basis @ (moments / (spectrum + rows * penalty)) / scale
    intercept = float(y.mean() - mean @ weights)
    return Ridge(intercept, weights, penalty, float(y.min()), float(y.max()))


def cross_fitted(x: Numbers, y: Numbers, seed: int) -> Numbers:
    """[n] predictions, each by a fit (its penalty too) that has not seen the row."""
    fold_of = np.random.default_rng(seed).permutation(len(y)) % FOLDS
    predicted = np.empty(len(y))
    for fold in range(FOLDS):
        held = fold_of == fold
        predicted[held] = fit_ridge(x[~held], y[~held]).predict(x[held])
    return predicted


def quality_of(y: Numbers, predicted: Numbers, confidence: float) -> Quality:
    """Compare targets with predictions that were made without them.

    Args:
        y: [n].
        predicted: [n].
        confidence: share of rows that the interval is to hold: its half width is that quantile
            of the absolute errors, rounded up as split-conformal prediction does.
    """
    errors = np.sort(np.abs(y - predicted))
    place = math.ceil((len(y) + 1) * confidence)
    half_width = float(errors[place - 1]) if place <= len(y) else math.inf
    spread = float(np.sum((y - y.mean()) ** 2))
    r2 = 1 - float(np.sum((y - predicted) ** 2)) / spread if spread > 0 else 0.0
    both = pd.DataFrame({"y": y, "predicted": predicted})
    varies = bool((both.nunique() > 1).all())
    ranks = float(np.corrcoef(both.rank().to_numpy().T)[0, 1]) if varies else 0.0
    return Quality(len(y), r2, ranks, half_width)


def _left_out_error(
    turned: Numbers, squares: Numbers, centred: Numbers, moments: Numbers, shrunk: Numbers
) -> float:
    """Mean squared error of predicting each row from all others, in closed form."""
    leverage = 1 / len(centred) + squares @ (1 / shrunk)
    residuals = centred - turned @ (moments / shrunk)
    return float(np.mean((residuals / (1 - leverage)) ** 2))
