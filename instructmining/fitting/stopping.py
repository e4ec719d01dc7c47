"""When to stop finetuning: intervals that are narrow enough, or more runs that would not help."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from instructmining.fitting.out_of_sample import r_squared_on_others
from instructmining.fitting.regression import ols
from instructmining.fitting.rule_fit import FEWEST, fitted_and_tested, one_per_subset
from instructmining.fitting.terms import select_terms
from instructmining.settings.fitting import Fit

LEAST = 30  # subsets below which a learning curve is too short to be read
_PARTS = (0.4, 0.6, 0.8)  # of the runs, to see how fast the prediction gets better
_DRAWS = 20


def widest_interval(
    runs: pd.DataFrame, indicators: Sequence[str], fit: Fit, hinges: Sequence[str] = ()
) -> float:
    """Half-width of the widest 95 % interval of a term, its coefficient standardised.

    Args:
        runs: of `regression_frame`.
        indicators: that may become terms.
        fit: criterion and seed.
        hinges: columns that may become terms, too.

    Returns:
        Infinite as long as there are fewer than three subsets per indicator, or no term.
    """
    runs, _ = fitted_and_tested(one_per_subset(runs))
    if len(runs) < max(FEWEST, 3 * len(indicators)):
        return math.inf
    offered = [*indicators, *hinges]
    terms = select_terms(runs, offered, criterion=fit.criterion, seed=fit.seed).terms
    if not terms:
        return math.inf
    table = ols(runs, terms, seed=fit.seed).table.loc[list(terms)]
    scale = runs[list(terms)].std() / runs["log_loss"].std()
    return float(((table["high"] - table["low"]) / 2 * scale).max())


def further_gain(runs: pd.DataFrame, indicators: Sequence[str], fit: Fit, wanted: int) -> float:
    """What R² on other runs would gain from here to the number of subsets that is wanted.

    Terms are searched and fitted on parts of the runs and tested on the rest; to the mean R² of
    each part the curve a − b / n is fitted and read at both ends.

    Args:
        runs: of `regression_frame`.
        indicators: that may become terms, hinges among them.
        fit: seed.
        wanted: subsets.

    Returns:
        Infinite below 30 subsets; never below zero.
    """
    runs, _ = fitted_and_tested(one_per_subset(runs))
    n = len(runs)
    if n < LEAST:
        return math.inf
    varied = [name for name in indicators if runs[name].std() > 0]
    sizes = np.array([round(part * n) for part in _PARTS])
    generator = np.random.default_rng(fit.seed)
    reached = [
        np.mean([r_squared_on_others(runs, varied, size, generator) for _ in range(_DRAWS)])
        for size in sizes
    ]
    slope, _ = np.polyfit(1 / sizes, reached, 1)
    return max(0.0, float(slope * (1 / wanted - 1 / n)))
