"""How well terms predict runs they did not see: every fold left out at once, without a refit.

Nothing is refitted in a loop: with the hat matrix H of all runs, the errors of a fold I that was
left out are (1 − H_II)⁻¹ (y − Hy)_I, so the errors of all folds are one matrix times y, and those
of many other y one product more.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from instructmining.fitting.regression import design_matrix, standardised

Array = NDArray[np.float64]
Labels = NDArray[np.int64]
_FOLDS, _REPEATS = 10, 5
_SINGULAR = 1e-6  # a pivot of 1 − H_II this small: without the fold a term has no variation


@dataclass(frozen=True)
class CrossValidation:
    """How terms predict runs that the fit did not see.

    Attributes:
        rmse: root mean squared error of log loss.
        rmse_se: its standard error over runs.
        r_squared: 1 − mean squared error / that of the mean of the same training runs.
        rank_correlation: Spearman's, of predicted and measured; NaN without terms.
        predictions: float[n], the mean over repetitions.
    """

    rmse: float
    rmse_se: float
    r_squared: float
    rank_correlation: float
    predictions: Array


def cross_validate(runs: pd.DataFrame, terms: Sequence[str], seed: int) -> CrossValidation:
    """Ten folds, five times over; equal seeds make equal folds whatever the terms."""
    return _validated(runs, terms, folds_of(len(runs), seed))


def leave_one_group_out(
    runs: pd.DataFrame, terms: Sequence[str], column: str
) -> CrossValidation | None:
    """Predict the runs of each group from the others; None where those do not carry the terms."""
    labels = pd.factorize(runs[column], sort=True)[0].astype(np.int64)
    try:
        return _validated(runs, terms, [labels])
    except np.linalg.LinAlgError:
        return None


def _rank_correlation(predictions: Array, y: Array) -> float:
    from scipy.stats import spearmanr  # seconds, which a list of runs need not pay

    return float(spearmanr(predictions, y).statistic)


def _validated(
    runs: pd.DataFrame, terms: Sequence[str], folds: Sequence[Labels]
) -> CrossValidation:
    y = runs["log_loss"].to_numpy(float)
    errors = np.array([_left_out(standard_design(runs, terms), fold) @ y for fold in folds])
    alone = np.array([_left_out(standard_design(runs, ()), fold) @ y for fold in folds])
    squares = (errors**2).mean(axis=0)
    predictions = y - errors.mean(axis=0)
    rmse = float(np.sqrt(squares.mean()))
    return CrossValidation(
        rmse,
        float(squares.std(ddof=1) / np.sqrt(len(y)) / (2 * rmse)) if rmse else 0.0,
        float(1 - squares.mean() / (alone**2).mean()),
        _rank_correlation(predictions, y) if terms else float("nan"),
        predictions,
    )


def squared_errors(design: Array, folds: Sequence[Labels], targets: Array) -> Array:
    """Per run and target the mean over repetitions, float[n, targets]; infinite if singular."""
    total = np.zeros_like(targets)
    try:
        for labels in folds:
            total += (_left_out(design, labels) @ targets) ** 2
    except np.linalg.LinAlgError:
        return np.full_like(targets, np.inf)
    return total / len(folds)


def _left_out(design: Array, labels: Labels) -> Array:
    """The matrix that takes y to the errors of the folds that were left out, float[n, n].

    Raises:
        LinAlgError: without a fold the others do not determine the fit.
    """
    if np.linalg.matrix_rank(design) < design.shape[1]:
        raise np.linalg.LinAlgError("the terms are sums of each other")
    rest = np.eye(len(labels)) - hat_matrix(design)
    errors = np.empty_like(rest)
    for fold in range(labels.max() + 1):
        rows = np.flatnonzero(labels == fold)
        block = rest[np.ix_(rows, rows)]
        if np.linalg.cholesky(block).diagonal().min() < _SINGULAR:
            raise np.linalg.LinAlgError("a fold alone decides a term")
        errors[rows] = np.linalg.solve(block, rest[rows])
    return errors


def standard_design(runs: pd.DataFrame, terms: Sequence[str]) -> Array:
    """float[n, 1 + terms], a column of ones and the terms in standard deviations."""
    return standardised(design_matrix(runs, terms))


def hat_matrix(design: Array) -> Array:
    """The matrix that takes y to its fitted values, float[n, n]."""
    q, _ = np.linalg.qr(design)
    return np.asarray(q @ q.T)


def folds_of(count: int, seed: int) -> list[Labels]:
    """Ten folds of like size, drawn five times: int[count] each."""
    generator = np.random.default_rng(seed)
    return [generator.permutation(np.arange(count) % min(_FOLDS, count)) for _ in range(_REPEATS)]
