"""Hinges that a search may take beside the plain indicators: what lies beyond the ordinary.

A pool's own indicator is good or bad without end only where its tails were never seen. The knots
are the 5 % and the 95 % quantile of the clean candidates, so that a hinge is zero of ordinary rows.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from instructmining.fitting.subset_design import Rows
from instructmining.rules.gate import HIGHER_IS_BETTER
from instructmining.rules.hinge import Hinge

LOW, HIGH = 0.05, 0.95


def hinges_of(candidates: pd.DataFrame, indicators: Sequence[str]) -> dict[str, Hinge]:
    """By name, the hinges of these indicators at three significant digits.

    What is better the higher it is gets no hinge above: nothing is too natural. A hinge that is
    zero of all candidates is left out.

    Args:
        candidates: rows that nobody spoiled, with the indicators.
        indicators: their names.
    """
    hinges = []
    for name in indicators:
        values = candidates[name].to_numpy(float)
        low, high = (float(f"{knot:.3g}") for knot in np.quantile(values, [LOW, HIGH]))
        if values.min() < low:
            hinges.append(Hinge(indicator=name, below=low))
        if values.max() > high and name not in HIGHER_IS_BETTER:
            hinges.append(Hinge(indicator=name, above=high))
    return {hinge.name: hinge for hinge in hinges}


def hinge_means(
    rows: pd.DataFrame, hinges: Mapping[str, Hinge], subsets: Iterable[Rows]
) -> pd.DataFrame:
    """One row per subset, the mean of every hinge over its rows.

    Args:
        rows: the candidates, with the indicators.
        hinges: by name.
        subsets: row numbers of the candidates.
    """
    values = {
        name: np.array([hinge.of(value) for value in rows[hinge.indicator].to_numpy(float)])
        for name, hinge in hinges.items()
    }
    means = [{name: column[own].mean() for name, column in values.items()} for own in subsets]
    return pd.DataFrame(means, columns=list(hinges), dtype=float)
