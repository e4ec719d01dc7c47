"""Which indicators belong into a rule, and how well its terms predict runs they did not see.

Nothing is refitted in a loop: with the hat matrix H of all runs, the errors of a fold I that was
left out are (1 − H_II)⁻¹ (y − Hy)_I, so the errors of all folds are one matrix times y, and those
of many permuted y one product more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import spearmanr

from instructmining.fitting.regression import design_matrix, standardised
from instructmining.rules.gate import LEVEL

Array = NDArray[np.float64]
Labels = NDArray[np.int64]
_FOLDS, _REPEATS = 10, 5
_PERMUTATIONS = 199
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


@dataclass(frozen=True)
class Selection:
    """Which terms were taken and why.

    Attributes:
        terms: in the order they were found.
        criterion: `cv`, `aic`, `bic` or `p`.
        p_value: of the whole search where no indicator matters; None for criteria in sample.
        path: per `step` the best `term` of that step, what it gained, and whether it was `taken`.
        sentence: the result in words.
    """

    terms: tuple[str, ...]
    criterion: str
    p_value: float | None
    path: pd.DataFrame
    sentence: str


def cross_validate(runs: pd.DataFrame, terms: Sequence[str], seed: int) -> CrossValidation:
    """Ten folds, five times over; equal seeds make equal folds whatever the terms."""
    return _validated(runs, terms, _folds(len(runs), seed))


def leave_one_group_out(
    runs: pd.DataFrame, terms: Sequence[str], column: str
) -> CrossValidation | None:
    """Predict the runs of each group from the others; None where those do not carry the terms."""
    labels = pd.factorize(runs[column], sort=True)[0].astype(np.int64)
    try:
        return _validated(runs, terms, [labels])
    except np.linalg.LinAlgError:
        return None


def noise_floor(runs: pd.DataFrame) -> float | None:
    """Standard deviation of log loss between seeds of one subset, pooled; None without repeats."""
    groups = runs.groupby("subset")["log_loss"]
    counts = groups.count()
    if not (counts > 1).any():
        return None
    squares = (groups.var()[counts > 1] * (counts[counts > 1] - 1)).sum()
    return float(np.sqrt(squares / (counts[counts > 1] - 1).sum()))


def select_terms(
    runs: pd.DataFrame, indicators: Sequence[str], criterion: str, seed: int
) -> Selection:
    """Choose terms.

    `cv` goes forward: the indicator that lowers the cross-validated error most is taken if it does
    so by more than one standard error, and if among permutations of what the terms so far leave
    unexplained (Freedman & Lane 1983) the same search over all indicators finds as much in fewer
    than 5 %. `aic` and `bic` go forward and `p` backward (p < 0.05), in sample as the paper did.
    """
    if criterion == "cv":
        return _by_cross_validation(runs, indicators, seed)
    return (
        _backward(runs, indicators) if criterion == "p" else _forward(runs, indicators, criterion)
    )


def _by_cross_validation(runs: pd.DataFrame, indicators: Sequence[str], seed: int) -> Selection:
    y = runs["log_loss"].to_numpy(float)
    folds = _folds(len(runs), seed)
    generator = np.random.default_rng(seed)
    terms: list[str] = []
    rows: list[dict[str, object]] = []
    while left := [name for name in indicators if name not in terms]:
        design = _design(runs, terms)
        explained = _hat(design) @ y
        orders = np.array([generator.permutation(len(y)) for _ in range(_PERMUTATIONS)])
        targets = np.column_stack([y, explained[:, None] + (y - explained)[orders].T])
        before = _squared_errors(design, folds, targets)
        after = [_squared_errors(_design(runs, [*terms, name]), folds, targets) for name in left]
        gains = np.array([1 - errors.mean(axis=0) / before.mean(axis=0) for errors in after])
        best = int(np.argmax(gains[:, 0]))
        fall = before[:, 0] - after[best][:, 0]
        error = fall.std(ddof=1) / np.sqrt(len(y))
        found_by_chance = int((gains[:, 1:].max(axis=0) >= gains[best, 0]).sum())
        p_value = (1 + found_by_chance) / (1 + _PERMUTATIONS)
        taken = bool(fall.mean() > error and p_value < LEVEL)
        rows.append(
            {
                "step": len(rows) + 1,
                "term": left[best],
                "rmse": float(np.sqrt(after[best][:, 0].mean())),
                "fall": float(fall.mean()),
                "fall_se": float(error),
                "p": p_value,
                "taken": taken,
            }
        )
        if not taken:
            break
        terms.append(left[best])
    path = pd.DataFrame(rows, columns=["step", "term", "rmse", "fall", "fall_se", "p", "taken"])
    return Selection(
        tuple(terms), "cv", float(path["p"].iloc[0]) if rows else None, path, _sentence(path)
    )


def _sentence(path: pd.DataFrame) -> str:
    taken = path[path["taken"]]
    if len(taken):
        listed = ", ".join(f"{row.term} (p = {row.p:.3f})" for row in taken.itertuples())
        return f"Found by cross-validation and permutation of the search: {listed}."
    best = ""
    if len(path):
        name = path["term"].iloc[0]
        p_value = path["p"].iloc[0]
        best = f" (the best, {name}: p = {p_value:.3f} over permutations of the search)"
    return f"No indicator predicts the loss better than chance here{best}."


def _forward(runs: pd.DataFrame, indicators: Sequence[str], criterion: str) -> Selection:
    terms: list[str] = []
    rows: list[dict[str, object]] = []
    now = getattr(_fitted(runs, terms), criterion)
    while left := [name for name in indicators if name not in terms]:
        if len(runs) < len(terms) + 4:
            break
        values = [getattr(_fitted(runs, [*terms, name]), criterion) for name in left]
        best = int(np.argmin(values))
        taken = values[best] < now
        rows.append(
            {
                "step": len(rows) + 1,
                "term": left[best],
                criterion: float(values[best]),
                "taken": bool(taken),
            }
        )
        if not taken:
            break
        now = values[best]
        terms.append(left[best])
    return _in_sample(terms, criterion, rows, ["step", "term", criterion, "taken"])


def _backward(runs: pd.DataFrame, indicators: Sequence[str]) -> Selection:
    rows: list[dict[str, object]] = []
    terms = list(indicators)[: max(0, len(runs) - 3)]
    while terms:
        p_values = np.asarray(_fitted(runs, terms).pvalues)[1:]
        worst = int(np.argmax(p_values))
        if p_values[worst] < LEVEL:
            break
        rows.append(
            {
                "step": len(rows) + 1,
                "term": terms[worst],
                "p": float(p_values[worst]),
                "taken": False,
            }
        )
        del terms[worst]
    return _in_sample(terms, "p", rows, ["step", "term", "p", "taken"])


def _in_sample(
    terms: list[str], criterion: str, rows: list[dict[str, object]], columns: list[str]
) -> Selection:
    named = ", ".join(terms) or "none"
    return Selection(
        tuple(terms),
        criterion,
        None,
        pd.DataFrame(rows, columns=columns),
        f"Chosen in sample by {criterion}, which does not guard against chance: {named}.",
    )


def _fitted(runs: pd.DataFrame, terms: Sequence[str]) -> Any:
    import statsmodels.api as sm

    return sm.OLS(runs["log_loss"].to_numpy(float), design_matrix(runs, terms)).fit()


def _validated(
    runs: pd.DataFrame, terms: Sequence[str], folds: Sequence[Labels]
) -> CrossValidation:
    y = runs["log_loss"].to_numpy(float)
    errors = np.array([_left_out(_design(runs, terms), fold) @ y for fold in folds])
    alone = np.array([_left_out(_design(runs, ()), fold) @ y for fold in folds])
    squares = (errors**2).mean(axis=0)
    predictions = y - errors.mean(axis=0)
    rmse = float(np.sqrt(squares.mean()))
    return CrossValidation(
        rmse,
        float(squares.std(ddof=1) / np.sqrt(len(y)) / (2 * rmse)) if rmse else 0.0,
        float(1 - squares.mean() / (alone**2).mean()),
        float(spearmanr(predictions, y).statistic) if terms else float("nan"),
        predictions,
    )


def _squared_errors(design: Array, folds: Sequence[Labels], targets: Array) -> Array:
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
    rest = np.eye(len(labels)) - _hat(design)
    errors = np.empty_like(rest)
    for fold in range(labels.max() + 1):
        rows = np.flatnonzero(labels == fold)
        block = rest[np.ix_(rows, rows)]
        if np.linalg.cholesky(block).diagonal().min() < _SINGULAR:
            raise np.linalg.LinAlgError("a fold alone decides a term")
        errors[rows] = np.linalg.solve(block, rest[rows])
    return errors


def _design(runs: pd.DataFrame, terms: Sequence[str]) -> Array:
    return standardised(design_matrix(runs, terms))


def _hat(design: Array) -> Array:
    q, _ = np.linalg.qr(design)
    return np.asarray(q @ q.T)


def _folds(count: int, seed: int) -> list[Labels]:
    """Ten folds of like size, drawn five times."""
    generator = np.random.default_rng(seed)
    return [generator.permutation(np.arange(count) % min(_FOLDS, count)) for _ in range(_REPEATS)]
