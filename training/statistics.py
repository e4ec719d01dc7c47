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


def accuracy(won: NDArray[np.float64], clusters: Sequence[str], seed: int = 0) -> dict[str, Any]:
    """Mean of `won` with a 95 % percentile interval over resampled clusters."""
    names, index = np.unique(np.asarray(clusters, dtype=object).astype(str), return_inverse=True)
    sums = np.bincount(index, won, minlength=len(names))
    counts = np.bincount(index, minlength=len(names))
    drawn = np.random.default_rng(seed).integers(len(names), size=(RESAMPLES, len(names)))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return {"accuracy": _round(won.mean()), "interval": [_round(low), _round(high)],
            "pairs": len(won), "clusters": len(names)}  # fmt: skip


def auc(positive: ArrayLike, negative: ArrayLike) -> float:
    """Probability that a positive scores above a negative, ties counted half."""
    positive, negative = np.asarray(positive, dtype=float), np.sort(np.asarray(negative, float))
    below = np.searchsorted(negative, positive, side="left")
    upto = np.searchsorted(negative, positive, side="right")
    return _round((below + upto).mean() / 2 / len(negative))


def _round(number: float) -> float:
    return round(float(number), 4)
