"""Least squares on finetuning runs, with errors that hold where the spread differs; statsmodels.

    log loss = intercept + Σ coefficient × mean indicator of the subset + error

Errors are HC3 (MacKinnon & White 1985) and intervals use Student's t with n − k degrees of freedom.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from instructmining.errors import UserError

Array = NDArray[np.float64]
_DRAWS = 1000  # of the bootstrap


@dataclass(frozen=True)
class OlsFit:
    """A fit of log loss on some indicators.

    Attributes:
        terms: the indicators.
        n: runs.
        intercept: log loss where every indicator is zero.
        coefficients: log loss per unit, by term.
        covariance: HC3, of intercept and coefficients in this order.
        table: by `intercept` and term: `coefficient`, `se`, `low`, `high`, `p`; `beta`, the
            coefficient in standard deviations; `vif`; `boot_low`, `boot_high`, the percentile
            interval over resampled runs.
        r_squared: in sample.
        fitted: float[n].
        residuals: float[n], studentized without the run itself.
        leverage: float[n].
        influence: float[n], Cook's distance.
        condition_number: of the standardised design.
    """

    terms: tuple[str, ...]
    n: int
    intercept: float
    coefficients: dict[str, float]
    covariance: tuple[tuple[float, ...], ...]
    table: pd.DataFrame
    r_squared: float
    fitted: Array
    residuals: Array
    leverage: Array
    influence: Array
    condition_number: float


def ols(runs: pd.DataFrame, terms: Sequence[str], seed: int) -> OlsFit:
    """Fit `log_loss` on the terms; none gives the mean.

    Args:
        runs: one row per subset: `log_loss` and the indicators.
        terms: columns of it.
        seed: of the bootstrap.

    Raises:
        UserError: too few runs, or terms that are sums of each other.
    """
    import statsmodels.api as sm
    from statsmodels.stats.outliers_influence import OLSInfluence

    x = design_matrix(runs, terms)
    y = runs["log_loss"].to_numpy(float)
    names = ["intercept", *terms]
    if len(y) <= x.shape[1] + 1:
        raise UserError(
            f"{len(y)} runs are too few for {len(terms)} terms: run more subsets, or "
            "name fewer with --indicators"
        )
    standard = standardised(x)
    if np.linalg.matrix_rank(standard) < x.shape[1]:
        raise UserError(
            f"one of {', '.join(terms)} is a sum of the others in these runs: leave "
            "one out with --indicators"
        )
    fitted = sm.OLS(y, x).fit(cov_type="HC3", use_t=True)
    covariance = (fitted.cov_params() + fitted.cov_params().T) / 2
    influence = OLSInfluence(sm.OLS(y, x).fit())
    return OlsFit(
        terms=tuple(terms),
        n=len(y),
        intercept=float(fitted.params[0]),
        coefficients=dict(zip(terms, map(float, fitted.params[1:]), strict=True)),
        covariance=tuple(tuple(map(float, row)) for row in covariance),
        table=_table(fitted, x, y, names, seed),
        r_squared=float(fitted.rsquared) if terms else 0.0,
        fitted=fitted.fittedvalues,
        residuals=influence.resid_studentized_external,
        leverage=influence.hat_matrix_diag,
        influence=influence.cooks_distance[0],
        condition_number=float(np.linalg.cond(standard)),
    )


def univariate(runs: pd.DataFrame, indicators: Sequence[str]) -> pd.DataFrame:
    """Each indicator alone: `slope`, its interval `low` to `high`, `p` (HC3), and Pearson's `r`."""
    import statsmodels.api as sm

    y = runs["log_loss"].to_numpy(float)
    rows = {}
    for name in indicators:
        fitted = sm.OLS(y, design_matrix(runs, [name])).fit(cov_type="HC3", use_t=True)
        low, high = fitted.conf_int()[1]
        rows[name] = {
            "slope": fitted.params[1],
            "low": low,
            "high": high,
            "r": np.corrcoef(y, runs[name])[0, 1],
            "p": fitted.pvalues[1],
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def design_matrix(runs: pd.DataFrame, terms: Sequence[str]) -> Array:
    """float[n, 1 + terms], a column of ones first."""
    return np.column_stack([np.ones(len(runs)), runs[list(terms)].to_numpy(float)])


def standardised(design: Array) -> Array:
    """The same with every column but the ones at mean 0 and deviation 1; constants become 0."""
    columns = design[:, 1:] - design[:, 1:].mean(axis=0)
    spread = columns.std(axis=0)
    return np.column_stack([design[:, 0], columns / np.where(spread > 0, spread, 1.0)])


def _table(fitted: Any, x: Array, y: Array, names: list[str], seed: int) -> pd.DataFrame:
    from statsmodels.stats.outliers_influence import variance_inflation_factor

    low, high = fitted.conf_int().T
    boot_low, boot_high = np.quantile(_bootstrap(x, y, seed), [0.025, 0.975], axis=0)
    inflation = [variance_inflation_factor(x, i) for i in range(1, len(names))]
    beta = fitted.params * np.r_[np.nan, x[:, 1:].std(axis=0)] / y.std()
    return pd.DataFrame(
        {
            "coefficient": fitted.params,
            "se": fitted.bse,
            "low": low,
            "high": high,
            "p": fitted.pvalues,
            "beta": beta,
            "vif": [np.nan, *inflation],
            "boot_low": boot_low,
            "boot_high": boot_high,
        },
        index=names,
    )


def _bootstrap(x: Array, y: Array, seed: int) -> Array:
    """Parameters over resampled runs, float[draws, k]: one batch of normal equations."""
    counts = np.random.default_rng(seed).multinomial(len(y), np.full(len(y), 1 / len(y)), _DRAWS)
    scale = np.r_[1.0, x[:, 1:].std(axis=0)]  # unit columns: the squares stay well conditioned
    shift = np.r_[0.0, x[:, 1:].mean(axis=0)]
    unit = (x - shift) / scale
    products = (unit[:, :, None] * unit[:, None, :]).reshape(len(y), -1)
    squares = (counts @ products).reshape(_DRAWS, x.shape[1], x.shape[1])
    crossed = counts @ (unit * y[:, None])
    coefficients = (np.linalg.pinv(squares, hermitian=True) @ crossed[:, :, None])[:, :, 0] / scale
    coefficients[:, 0] -= coefficients[:, 1:] @ shift[1:]
    return np.asarray(coefficients)
