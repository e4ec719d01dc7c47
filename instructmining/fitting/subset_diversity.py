"""How diverse each subset is, from stored sentence vectors: a number of the subset, of no example.

    mean_distance = mean over pairs of |a − b|
    vendi = exp(−Σ λ log λ),  λ the eigenvalues of the Gram matrix / n

The Vendi score (Friedman & Dieng 2023, arXiv 2210.02410) is the effective number of unlike
examples, from 1 to n. Both are higher where a subset is more diverse.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial.distance import pdist

from instructmining.fitting.cross_validation import cross_validate
from instructmining.fitting.regression import univariate

MEASURES = ("mean_distance", "vendi")


def mean_distance(vectors: NDArray[np.float32]) -> float:
    """Mean euclidean distance of the pairs of float32[n, d] unit vectors, 0 to 2."""
    return float(pdist(vectors.astype(float)).mean())


def vendi(vectors: NDArray[np.float32]) -> float:
    """Vendi score with the cosine kernel of float32[n, d] unit vectors, 1 to min(n, d)."""
    values = np.linalg.svd(vectors.astype(float), compute_uv=False) ** 2 / len(vectors)
    values = values[values > 1e-12]
    return float(np.exp(-(values * np.log(values)).sum()))


def diversity_of(
    subsets: Mapping[str, Sequence[str]], vectors: Mapping[str, NDArray[np.float32]]
) -> pd.DataFrame:
    """`mean_distance` and `vendi`, indexed by subset; NaN where a vector is missing.

    Args:
        subsets: example ids by hash of the subset.
        vectors: unit vectors by example id.
    """
    rows = {}
    for subset, ids in subsets.items():
        stored = [vectors[i] for i in ids if i in vectors]
        whole = len(stored) == len(ids) and len(ids) > 1
        matrix = np.array(stored) if whole else np.empty((0, 0), np.float32)
        rows[subset] = (mean_distance(matrix), vendi(matrix)) if whole else (np.nan, np.nan)
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(MEASURES))


def tried(runs: pd.DataFrame, terms: Sequence[str], seed: int) -> pd.DataFrame:
    """Each measure alone as in `univariate`, and `fall`: how far it lowers the squared error.

    `fall` is the share of the cross-validated squared error of the terms that goes when the
    measure is added; at or below zero it adds nothing to them.
    """
    known = [name for name in MEASURES if name in runs and runs[name].notna().all()]
    known = [name for name in known if runs[name].std() > 0]
    before = cross_validate(runs, terms, seed).rmse
    falls = [1 - (cross_validate(runs, [*terms, name], seed).rmse / before) ** 2 for name in known]
    return univariate(runs, known).assign(fall=falls)
