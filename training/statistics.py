"""The figures' arithmetic: accuracy with a cluster bootstrap, and areas under ROC curves."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 2000


def wins(better: ArrayLike, worse: ArrayLike) -> NDArray[np.float64]:
    """1 where the better reply has the higher score, 0.5 for a tie, 0 else."""
    difference = np.asarray(better, dtype=float) - np.asarray(worse, dtype=float)
    return np.where(difference == 0, 0.5, (difference > 0).astype(float))


def accuracy(
    won: NDArray[np.float64], clusters: Sequence[str] | NDArray[Any], seed: int = 0
) -> dict[str, Any]:
    """Mean of `won` with a 95 % percentile interval over resampled clusters."""
    low, high = np.percentile(_resampled(won, clusters, seed), [2.5, 97.5])
    return {
        "accuracy": _round(won.mean()),
        "interval": [_round(low), _round(high)],
        "pairs": len(won),
        "clusters": len({str(cluster) for cluster in clusters}),
    }


def _resampled(
    won: NDArray[np.float64], clusters: Sequence[str] | NDArray[Any], seed: int
) -> NDArray[np.float64]:
    """Means of `won` over RESAMPLES draws of as many clusters as there are."""
    names, index = np.unique(np.asarray(clusters, dtype=object).astype(str), return_inverse=True)
    sums = np.bincount(index, won, minlength=len(names))
    counts = np.bincount(index, minlength=len(names))
    drawn = np.random.default_rng(seed).integers(len(names), size=(RESAMPLES, len(names)))
    means: NDArray[np.float64] = sums[drawn].sum(1) / counts[drawn].sum(1)
    return means


def auc(positive: ArrayLike, negative: ArrayLike) -> float:
    """Probability that a positive scores above a negative, ties counted half."""
    positive = np.asarray(positive, dtype=float)
    negative = np.sort(np.asarray(negative, float))
    below = np.searchsorted(negative, positive, side="left")
    upto = np.searchsorted(negative, positive, side="right")
    return _round((below + upto).mean() / 2 / len(negative))


def separation(positive: ArrayLike, negative: ArrayLike, seed: int = 0) -> dict[str, Any]:
    """The AUC of scores in pairs, with a 95 % percentile interval over resampled pairs."""
    above, below = (np.asarray(scores, dtype=float) for scores in (positive, negative))
    drawn = np.random.default_rng(seed).integers(len(above), size=(RESAMPLES, len(above)))
    low, high = np.percentile([auc(above[rows], below[rows]) for rows in drawn], [2.5, 97.5])
    return {"auc": auc(above, below), "interval": [_round(low), _round(high)]}


def with_interval(area: float, pairs: int) -> dict[str, Any]:
    """An AUC of as many positives as negatives with its 95 % interval after Hanley and McNeil.

    Radiology 143 (1982) 29-36: the variance under exponential scores, a normal interval, cut to
    0 and 1; for figures of which only the AUC was kept.
    """
    one = area / (2 - area)
    two = 2 * area**2 / (1 + area)
    spread = area * (1 - area) + (pairs - 1) * (one + two - 2 * area**2)
    reach = 1.96 * np.sqrt(spread) / pairs
    return {
        "auc": area,
        "interval": [_round(max(0.0, area - reach)), _round(min(1.0, area + reach))],
    }


def ratio(over: ArrayLike, under: ArrayLike, seed: int = 0) -> tuple[float, list[float]]:
    """sum(over) / sum(under), with a 95 % percentile interval over resampled rows."""
    above, below = (np.asarray(part, dtype=float) for part in (over, under))
    drawn = np.random.default_rng(seed).integers(len(above), size=(RESAMPLES, len(above)))
    low, high = np.percentile(above[drawn].sum(1) / below[drawn].sum(1), [2.5, 97.5])
    return _round(above.sum() / below.sum()), [_round(low), _round(high)]


def _round(number: float) -> float:
    return round(float(number), 4)
