"""How a rule predicts runs that neither its coefficients nor its terms have seen.

The figures out of fold of `cross_validation` are of terms that were chosen on all runs, which also
share examples and sources with those they are predicted from. Here terms are searched in every
fold again, or on the runs of one half of the candidates alone.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from instructmining.fitting.cross_validation import Array, Labels, folds_of
from instructmining.fitting.regression import design_matrix
from instructmining.fitting.terms import search, select_terms

_NESTED = 2  # repetitions of ten folds, each with a search of its own
_RESAMPLES = 2000
_SEEDS, _SUBSAMPLES, _PART = 20, 40, 0.8


@dataclass(frozen=True)
class Crossed:
    """Halves of the candidates, each predicted by the fit on the other.

    Attributes:
        r_squared: 1 − squared error / that of the other half's mean.
        beside_sources: share of the squared error of the source shares alone that goes when the
            terms are added; at or below zero the terms add nothing.
        rank_correlation: Spearman's, mean of both halves.
        terms: that each half found.
    """

    r_squared: float
    beside_sources: float
    rank_correlation: float
    terms: tuple[tuple[str, ...], tuple[str, ...]]


@dataclass(frozen=True)
class Ranked:
    """Predicted against measured log loss of uniform random subsets, which no fit has used.

    Attributes:
        n: subsets.
        correlation: Spearman's (the LDS of Park et al. 2023, arXiv 2303.14186).
        low: 95 % percentile bootstrap over the subsets.
        high: upper end.
    """

    n: int
    correlation: float
    low: float
    high: float


def nested_r_squared(
    runs: pd.DataFrame, indicators: Sequence[str], seed: int, folds: Sequence[Labels] | None = None
) -> float:
    """R² out of fold where every fold searches its terms again.

    Args:
        runs: one row per subset.
        indicators: that may become terms.
        seed: of the folds.
        folds: other folds than those, int[n] each.
    """
    errors, alone = [], []
    for labels in folds or folds_of(len(runs), seed)[:_NESTED]:
        for fold in range(labels.max() + 1):
            train, test = runs[labels != fold], runs[labels == fold]
            terms = search(train, indicators, seed)
            errors.append(_errors(train, test, terms))
            alone.append(_errors(train, test, ()))
    return _gain(np.concatenate(errors), np.concatenate(alone))


def r_squared_on_others(
    runs: pd.DataFrame, indicators: Sequence[str], size: int, generator: np.random.Generator
) -> float:
    """R² on the other runs of terms that were searched and fitted on a random part of them."""
    order = generator.permutation(len(runs))
    train = runs.iloc[order[:size]].reset_index(drop=True)
    test = runs.iloc[order[size:]]
    terms = search(train, indicators, int(generator.integers(2**31)))
    return _gain(_errors(train, test, terms), _errors(train, test, ()))


def crossed(
    runs: pd.DataFrame, indicators: Sequence[str], sources: Sequence[str], seed: int
) -> Crossed | None:
    """Search and fit on the runs of one half of the candidates, predict those of the other.

    Args:
        runs: with the column `half`, 0 or 1.
        indicators: that may become terms.
        sources: share columns, of `shared_examples.source_terms`.
        seed: of the folds of the search.

    Returns:
        None where the runs do not come from two halves.
    """
    if "half" not in runs or set(runs["half"]) != {0, 1}:
        return None
    selections, ranks = [], []
    errors: dict[str, list[Array]] = {"terms": [], "mean": [], "beside": [], "sources": []}
    for half in (0, 1):
        train, test = runs[runs["half"] != half], runs[runs["half"] == half]
        terms = search(train, indicators, seed, sources)
        designs = {"terms": terms, "mean": (), "beside": (*sources, *terms), "sources": sources}
        for name, columns in designs.items():
            errors[name].append(_errors(train, test, columns))
        predicted = test["log_loss"].to_numpy(float) - errors["terms"][-1]
        ranks.append(_rank(predicted, test["log_loss"].to_numpy(float)))
        selections.append(terms)
    joined = {name: np.concatenate(parts) for name, parts in errors.items()}
    return Crossed(
        _gain(joined["terms"], joined["mean"]),
        _gain(joined["beside"], joined["sources"]),
        float(np.mean(ranks)),
        (selections[0], selections[1]),
    )


def ranked(train: pd.DataFrame, tested: pd.DataFrame, terms: Sequence[str]) -> Ranked | None:
    """Rank correlation on random subsets of the rule that was fitted on others.

    Args:
        train: runs of the fit.
        tested: runs of uniform random subsets.
        terms: of the rule.

    Returns:
        None without terms, or with fewer than five random subsets.
    """
    if len(tested) < 5 or not terms:
        return None
    measured = tested["log_loss"].to_numpy(float)
    predicted = measured - _errors(train, tested, terms)
    draws = np.random.default_rng(0).integers(len(measured), size=(_RESAMPLES, len(measured)))
    drawn = [_rank(predicted[rows], measured[rows]) for rows in draws]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Ranked(len(measured), _rank(predicted, measured), float(low), float(high))


def stability(
    runs: pd.DataFrame,
    indicators: Sequence[str],
    seed: int,
    beside: Sequence[str],
    overlap: Array | None,
) -> pd.DataFrame:
    """How often each indicator becomes a term.

    Args:
        runs: one row per subset.
        indicators: that may become terms.
        seed: the first of the seeds; of the subsamples.
        beside: share columns.
        overlap: of `shared_examples.overlap_of`.

    Returns:
        Indexed by indicator, those that never do left out: share of other seeds of folds and draws
        (`of_seeds`), and of subsamples of 80 % of the runs (`of_subsamples`).
    """
    by_seed: Counter[str] = Counter()
    for other in range(seed + 1, seed + 1 + _SEEDS):
        by_seed.update(select_terms(runs, indicators, "cv", other, beside, overlap).terms)
    generator = np.random.default_rng(seed)
    by_sample: Counter[str] = Counter()
    for draw in range(_SUBSAMPLES):
        rows = np.sort(generator.choice(len(runs), round(_PART * len(runs)), replace=False))
        part = None if overlap is None else overlap[np.ix_(rows, rows)]
        sample = runs.iloc[rows].reset_index(drop=True)
        by_sample.update(select_terms(sample, indicators, "cv", draw, beside, part).terms)
    table = pd.DataFrame({"of_seeds": by_seed, "of_subsamples": by_sample}, dtype=float).fillna(0.0)
    table = table / [_SEEDS, _SUBSAMPLES]
    return table.sort_values(["of_subsamples", "of_seeds"], ascending=False)


def _errors(train: pd.DataFrame, test: pd.DataFrame, columns: Sequence[str]) -> Array:
    """Measured minus predicted log loss of the test runs."""
    beta, *_ = np.linalg.lstsq(design_matrix(train, columns), train["log_loss"].to_numpy(float))
    return np.asarray(test["log_loss"].to_numpy(float) - design_matrix(test, columns) @ beta)


def _gain(errors: Array, rivals: Array) -> float:
    return float(1 - (errors**2).mean() / (rivals**2).mean())


def _rank(predicted: NDArray[np.float64], measured: NDArray[np.float64]) -> float:
    """Spearman's; 0 where all predictions are one."""
    if np.ptp(predicted) == 0 or np.ptp(measured) == 0:
        return 0.0
    from scipy.stats import spearmanr

    return float(spearmanr(predicted, measured).statistic)
