"""Runs that share examples and sources are not independent: what chance does there.

    log loss = source shares + indicators + Σ own value of each example / size + seed noise

Where no indicator matters, examples and sources still have values of their own, and subsets that
lean the same way share them. So the null draws of a search keep what the runs share: residuals
beside the source shares are decorrelated by the covariance h · overlap + (1 − h) · identity, with
h by restricted likelihood, permuted, and correlated again (Kang et al. 2008, Genetics 178:1709;
Abney 2015, Genetic Epidemiology 39:249).
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from instructmining.fitting.cross_validation import folds_of, squared_errors, standard_design

Array = NDArray[np.float64]
SHARE = "share_"  # of the columns that hold the share of each source in a run
_LEAST = 0.01  # mean share of a source that gets a column of its own
_RUNS_PER_SOURCE = 6  # fewer runs than this do not tell one more source from noise
_SHARES = np.linspace(0.0, 0.99, 34)  # of the unexplained variance, tried for the examples


def with_shares(runs: pd.DataFrame, mixes: Sequence[Mapping[str, float]]) -> pd.DataFrame:
    """The runs with a column `share_SOURCE` for every source; a source a run lacks has 0."""
    table = pd.DataFrame([dict(mix) for mix in mixes], index=runs.index, dtype=float)
    table = table.fillna(0.0).sort_index(axis=1)
    return pd.concat([runs, table.add_prefix(SHARE)], axis=1)


def source_terms(runs: pd.DataFrame, seed: int) -> list[str]:
    """The share columns to be held fixed: the largest source stands in the intercept.

    Small sources stay out where there are too few runs to tell them apart.
    """
    means = runs.filter(like=SHARE).mean().sort_values(ascending=False, kind="stable")
    columns = [str(name) for name in means.index[1:] if means[name] >= _LEAST]
    columns = columns[: len(runs) // _RUNS_PER_SOURCE]
    y = runs[["log_loss"]].to_numpy(float)
    folds = folds_of(len(runs), seed)
    while columns and np.isinf(squared_errors(standard_design(runs, columns), folds, y)).any():
        columns.pop()
    return columns


def overlap_of(subsets: Sequence[Sequence[str]]) -> Array:
    """Share of examples that each two subsets have in common, float[n, n]; 1 on the diagonal."""
    from scipy.sparse import csr_array  # seconds, and `select` computes no overlap

    codes, _ = pd.factorize(np.concatenate([np.asarray(ids, object) for ids in subsets]))
    lengths = np.array([len(ids) for ids in subsets])
    rows = np.repeat(np.arange(len(subsets)), lengths)
    members = csr_array((1 / np.sqrt(lengths)[rows], (rows, codes)))
    return np.asarray((members @ members.T).todense())


def null_draws(
    design: Array, y: Array, overlap: Array, orders: NDArray[np.int64], signs: Array
) -> Array:
    """What the design leaves unexplained, drawn again with the covariance of the runs.

    Args:
        design: float[n, k], what is held fixed.
        y: float[n].
        overlap: of `overlap_of`, float[n, n].
        orders: int[draws, n − k], permutations.
        signs: float[draws, n − k], of −1 and 1.

    Returns:
        float[n, draws].
    """
    basis, spectrum = _rotation(design, overlap)
    rotated = basis.T @ y
    share = _examples_share(rotated, spectrum)
    spread = np.sqrt(share * spectrum + 1 - share)
    white = rotated / spread
    return np.asarray(basis @ (spread[:, None] * (white[orders] * signs).T))


def examples_share(design: Array, y: Array, overlap: Array) -> float:
    """Share of the unexplained variance that goes with the examples runs have in common."""
    basis, spectrum = _rotation(design, overlap)
    return _examples_share(basis.T @ y, spectrum)


def _rotation(design: Array, overlap: Array) -> tuple[Array, Array]:
    """Directions free of the design in which the overlap is diagonal, and its values (mean 1)."""
    q, _ = np.linalg.qr(design, mode="complete")
    free = q[:, design.shape[1] :]
    values, vectors = np.linalg.eigh(free.T @ overlap @ free)
    return free @ vectors, np.maximum(values, 0.0) / values.mean()


def _examples_share(rotated: Array, spectrum: Array) -> float:
    """The share by restricted maximum likelihood, over a grid."""
    variances = _SHARES[:, None] * spectrum + 1 - _SHARES[:, None]
    squares = (rotated**2 / variances).sum(axis=1)
    likelihood = -0.5 * (np.log(variances).sum(axis=1) + len(rotated) * np.log(squares))
    return float(_SHARES[np.argmax(likelihood)])
