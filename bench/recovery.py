"""Does the fit find what is there, and nothing else? `python -m bench.recovery`.

Simulated experiments of the size of the paper's (129 runs) with known coefficients, noise and
correlated indicators. The intervals of the true terms must cover the truth in 94 to 96 of 100
(the spread of the noise grows with an indicator in half of the experiments), and where no
indicator matters the default must select nothing in at least 90 of 100.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binomtest

from instructmining.fitting.regression import ols
from instructmining.fitting.terms import select_terms

_RUNS, _INDICATORS = 129, 11
_CORRELATION = 0.6  # between neighbours: 0.6, 0.36 … as in a chain
_TRUTH = {"x0": -0.020, "x3": 0.012, "x4": -0.006}
_NOISE = 0.02
_NAMES = [f"x{i}" for i in range(_INDICATORS)]


@dataclass(frozen=True)
class Share:
    """How often something held.

    Attributes:
        what: in words.
        hits: experiments in which it held.
        n: experiments.
        low: least share that is asked for.
        high: greatest.
    """

    what: str
    hits: int
    n: int
    low: float
    high: float

    @property
    def ok(self) -> bool:
        """Whether the share is where it must be."""
        return self.low <= self.hits / self.n <= self.high

    def words(self) -> str:
        """A row of the table, with the share's own 95 % interval."""
        interval = binomtest(self.hits, self.n).proportion_ci(0.95, "wilson")
        return (
            f"{self.what:<44}{self.n:>7,}{100 * self.hits / self.n:>8.1f} %  "
            f"{100 * interval.low:5.1f} … {100 * interval.high:5.1f}   "
            f"{100 * self.low:g} … {100 * self.high:g}   "
            f"{'ok' if self.ok else 'NOT OK'}"
        )


def simulated(
    generator: np.random.Generator, effects: dict[str, float], uneven: bool
) -> pd.DataFrame:
    """One experiment: mean indicators of the subsets and their log loss."""
    places = np.arange(_INDICATORS)
    covariance = _CORRELATION ** np.abs(places[:, None] - places)
    x = generator.multivariate_normal(np.zeros(_INDICATORS), covariance, _RUNS)
    frame = pd.DataFrame(x, columns=_NAMES)
    scale = np.exp(0.4 * x[:, 0]) if uneven else 1.0
    loss = 1.6 + frame[list(effects)].to_numpy() @ np.array(list(effects.values()))
    noise: NDArray[np.float64] = _NOISE * scale * generator.standard_normal(_RUNS)
    return frame.assign(log_loss=loss + noise)


def coverage(experiments: int, seed: int) -> Iterator[Share]:
    """How often the intervals of the true terms hold the truth."""
    generator = np.random.default_rng(seed)
    held = {(name, uneven): 0 for uneven in (False, True) for name in _TRUTH}
    for i in range(experiments):
        uneven = i % 2 == 1
        table = ols(simulated(generator, _TRUTH, uneven), list(_TRUTH), seed=i).table
        truth = pd.Series(_TRUTH)
        inside = (table["low"][truth.index] <= truth) & (truth <= table["high"][truth.index])
        for name in _TRUTH:
            held[name, uneven] += bool(inside[name])
    count = experiments // 2
    for uneven in (False, True):
        hits = sum(held[name, uneven] for name in _TRUTH)
        kind = "uneven noise" if uneven else "even noise"
        yield Share(f"95 % intervals hold the truth, {kind}", hits, count * len(_TRUTH), 0.94, 0.96)
    yield Share(
        "95 % intervals hold the truth, all",
        sum(held.values()),
        2 * count * len(_TRUTH),
        0.94,
        0.96,
    )


def nulls(experiments: int, seed: int) -> Iterator[Share]:
    """How often nothing is selected where nothing is, and the strongest where it is."""
    generator = np.random.default_rng(seed + 1)
    nothing = hits = 0
    for i in range(experiments):
        empty = simulated(generator, {"x0": 0.0}, uneven=i % 2 == 1)
        nothing += not select_terms(empty, _NAMES, "cv", seed=i).terms
        full = simulated(generator, _TRUTH, uneven=i % 2 == 1)
        hits += "x0" in select_terms(full, _NAMES, "cv", seed=i).terms
    yield Share("null data: the default selects nothing", nothing, experiments, 0.90, 1.0)
    yield Share("true terms: the strongest is selected", hits, experiments, 0.90, 1.0)


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table; exit 1 where a share is not what it must be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fits", type=int, default=2000)
    parser.add_argument("--nulls", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    print(f"{'':<44}{'n':>7}{'share':>9}    95 % interval   wanted")
    shares = [*coverage(arguments.fits, arguments.seed), *nulls(arguments.nulls, arguments.seed)]
    for share in shares:
        print(share.words(), flush=True)
    sys.exit(0 if all(share.ok for share in shares) else 1)


if __name__ == "__main__":
    main()
