"""Which indicators belong into a rule: searches forward, in sample and by permutation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from instructmining.fitting.cross_validation import (
    Array,
    Labels,
    folds_of,
    hat_matrix,
    squared_errors,
    standard_design,
)
from instructmining.fitting.regression import design_matrix
from instructmining.fitting.shared_examples import null_draws
from instructmining.rules.gate import LEVEL

_PERMUTATIONS = 199


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


def noise_floor(runs: pd.DataFrame) -> float | None:
    """Standard deviation of log loss between seeds of one subset, pooled; None without repeats."""
    groups = runs.groupby("subset")["log_loss"]
    counts = groups.count()
    if not (counts > 1).any():
        return None
    squares = (groups.var()[counts > 1] * (counts[counts > 1] - 1)).sum()
    return float(np.sqrt(squares / (counts[counts > 1] - 1).sum()))


def select_terms(
    runs: pd.DataFrame,
    indicators: Sequence[str],
    criterion: str,
    seed: int,
    beside: Sequence[str] = (),
    overlap: Array | None = None,
) -> Selection:
    """Choose terms.

    `cv` goes forward: the indicator that lowers the cross-validated error most is taken if it does
    so by more than one standard error, and if among draws of what the terms so far leave
    unexplained the same search over all indicators finds as much in fewer than 5 %. The draws are
    permutations (Freedman & Lane 1983), with `overlap` such that keep what the runs share.
    `aic` and `bic` go forward and `p` backward (p < 0.05), in sample as the paper did.

    Args:
        runs: one row per subset: `log_loss`, the indicators and `beside`.
        indicators: that may become terms.
        criterion: `cv`, `aic`, `bic` or `p`.
        seed: of folds and draws.
        beside: columns held fixed in the search by `cv`, as the shares of the sources.
        overlap: of `shared_examples.overlap_of`, in the order of the runs.
    """
    if criterion == "cv":
        return _by_cross_validation(runs, indicators, seed, beside, overlap)
    return (
        _backward(runs, indicators) if criterion == "p" else _forward(runs, indicators, criterion)
    )


def search(
    runs: pd.DataFrame, indicators: Sequence[str], seed: int, beside: Sequence[str] = ()
) -> tuple[str, ...]:
    """The terms that `cv` would take by the error alone, without the test: cheap, and lenient."""
    y = runs[["log_loss"]].to_numpy(float)
    folds = folds_of(len(runs), seed)
    terms: list[str] = []
    while left := [name for name in indicators if name not in terms]:
        step = _step(runs, left, [*beside, *terms], folds, y)
        if not step.fall > step.fall_se:
            break
        terms.append(step.term)
    return tuple(terms)


@dataclass(frozen=True)
class _Step:
    """The best indicator of a step: its gain by target, and its fall in squared error."""

    term: str
    gains: Array
    rmse: float
    fall: float
    fall_se: float


def _step(
    runs: pd.DataFrame,
    left: Sequence[str],
    fixed: Sequence[str],
    folds: Sequence[Labels],
    targets: Array,
) -> _Step:
    """Try every indicator that is left; the first target is the loss, the others are draws."""
    before = squared_errors(standard_design(runs, fixed), folds, targets)
    after = [squared_errors(standard_design(runs, [*fixed, name]), folds, targets) for name in left]
    gains = np.array([1 - errors.mean(axis=0) / before.mean(axis=0) for errors in after])
    best = int(np.argmax(gains[:, 0]))
    falls = before[:, 0] - after[best][:, 0]
    most = np.concatenate([gains[best, :1], gains[:, 1:].max(axis=0)])
    # Where no indicator can be added without being decided by a fold alone, nothing is known.
    deviation = falls.std(ddof=1) if np.isfinite(falls).all() else np.inf
    return _Step(
        left[best],
        most,
        float(np.sqrt(after[best][:, 0].mean())),
        float(falls.mean()),
        float(deviation / np.sqrt(len(falls))),
    )


def _by_cross_validation(
    runs: pd.DataFrame,
    indicators: Sequence[str],
    seed: int,
    beside: Sequence[str],
    overlap: Array | None,
) -> Selection:
    y = runs["log_loss"].to_numpy(float)
    folds = folds_of(len(runs), seed)
    generator = np.random.default_rng(seed)
    terms: list[str] = []
    rows: list[dict[str, object]] = []
    while left := [name for name in indicators if name not in terms]:
        fixed = [*beside, *terms]
        targets = _targets(standard_design(runs, fixed), y, overlap, generator)
        step = _step(runs, left, fixed, folds, targets)
        p_value = float((step.gains >= step.gains[0]).sum() / (1 + _PERMUTATIONS))
        taken = step.fall > step.fall_se and p_value < LEVEL
        rows.append(
            {
                "step": len(rows) + 1,
                "term": step.term,
                "rmse": step.rmse,
                "fall": step.fall,
                "fall_se": step.fall_se,
                "p": p_value,
                "taken": taken,
            }
        )
        if not taken:
            break
        terms.append(step.term)
    path = pd.DataFrame(rows, columns=["step", "term", "rmse", "fall", "fall_se", "p", "taken"])
    return Selection(
        tuple(terms), "cv", float(path["p"].iloc[0]) if rows else None, path, _sentence(path)
    )


def _targets(
    design: Array, y: Array, overlap: Array | None, generator: np.random.Generator
) -> Array:
    """The log loss and, beside it, draws in which nothing but the design explains it."""
    explained = hat_matrix(design) @ y
    if overlap is None:
        orders = np.array([generator.permutation(len(y)) for _ in range(_PERMUTATIONS)])
        draws = (y - explained)[orders].T
    else:
        free = len(y) - design.shape[1]
        orders = np.array([generator.permutation(free) for _ in range(_PERMUTATIONS)])
        signs = generator.choice([-1.0, 1.0], orders.shape)
        draws = null_draws(design, y, overlap, orders, signs)
    return np.column_stack([y, explained[:, None] + draws])


def p_text(p: float) -> str:
    """`p = 0.012`; `p ≤ 0.005` where no draw of the test found as much."""
    return f"p {'≤' if p <= 1 / (1 + _PERMUTATIONS) else '='} {p:.3f}"


def _sentence(path: pd.DataFrame) -> str:
    taken = path[path["taken"]]
    if len(taken):
        pairs = zip(taken["term"], taken["p"], strict=True)
        listed = ", ".join(f"{term} ({p_text(p)})" for term, p in pairs)
        return f"Found by cross-validation and permutation of the search: {listed}."
    best = ""
    if len(path):
        name = path["term"].iloc[0]
        p_value = path["p"].iloc[0]
        best = f" (the best, {name}: {p_text(p_value)} over permutations of the search)"
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
