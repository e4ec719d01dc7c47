"""The spread of a paired difference over seeds and prompts together.

    V = V_seeds + V_prompts − V_both

the variance of a mean over two crossed groupings (Cameron, Gelbach & Miller 2011, J. Business &
Economic Statistics 29:238): seeds decide the order of the examples and the draw of random ones,
prompts are a sample of what might be asked. Degrees of freedom by Satterthwaite (1946).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


@dataclass(frozen=True)
class PromptLosses:
    """Losses of single prompts on one evaluation set.

    Attributes:
        losses: by arm and seed, float[prompts], nats per token; runs without them are missing.
        weights: float[prompts], reference tokens.
    """

    losses: Mapping[tuple[str, int], Values]
    weights: Values

    def holds(self, arms: Sequence[str], seeds: Sequence[int]) -> bool:
        """Whether all runs of these arms are there."""
        return all((arm, seed) in self.losses for arm in arms for seed in seeds)

    def of(self, arm: str, seeds: Sequence[int]) -> Values:
        """The losses of an arm, float[seeds, prompts]."""
        return np.array([self.losses[arm, seed] for seed in seeds])

    def mean(self, arm: str, seed: int) -> float:
        """The loss of one run on these prompts, nats per token."""
        return float(self.losses[arm, seed] @ self.weights / self.weights.sum())

    def renamed(self, names: Mapping[str, str]) -> "PromptLosses":
        """The arms that have a new name, under it."""
        known = {
            (names[arm], seed): values
            for (arm, seed), values in self.losses.items()
            if arm in names
        }
        return PromptLosses(known, self.weights)

    def every_second(self, first: int) -> "PromptLosses":
        """The prompts at every second place.

        Args:
            first: 0 or 1; together the two are all prompts.
        """
        losses = {run: values[first::2] for run, values in self.losses.items()}
        return PromptLosses(losses, self.weights[first::2])

    def differences(
        self, arm: str, rival: str, seeds: Sequence[int]
    ) -> tuple[Values, Values] | None:
        """Arm − rival, float[seeds, prompts], and the weights; None where a run is missing."""
        if min(len(seeds), len(self.weights)) < 2 or not self.holds((arm, rival), seeds):
            return None
        return self.of(arm, seeds) - self.of(rival, seeds), self.weights


class Spread(NamedTuple):
    """Standard error of a mean difference, and its degrees of freedom."""

    error: float
    freedom: float


def spread_of(differences: Values, weights: Values) -> Spread:
    """Standard error over seeds and prompts.

    Args:
        differences: float[seeds, prompts], nats per token; two of each at least.
        weights: float[prompts], reference tokens: the loss of a run is the weighted mean.
    """
    seeds, prompts = differences.shape
    share = weights / weights.sum()
    by_seed = differences @ share
    by_prompt = differences.mean(axis=0)
    mean = by_seed.mean()
    few = prompts / (prompts - 1)
    over_seeds = float(by_seed.var(ddof=1) / seeds)
    over_prompts = float(few * (share**2 * (by_prompt - mean) ** 2).sum())
    rest = differences - by_seed[:, None] - by_prompt + mean
    over_both = float(few * (share**2 * rest**2).sum() / (seeds * (seeds - 1)))
    variance = max(over_seeds + over_prompts - over_both, over_seeds, over_prompts)
    pieces = over_seeds**2 / (seeds - 1) + over_prompts**2 / (prompts - 1)
    return Spread(float(np.sqrt(variance)), variance**2 / pieces if pieces else seeds - 1.0)
