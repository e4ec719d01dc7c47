"""How much of what clean data would bring an arm brings: a share that a person understands.

    gap closed = (loss of random − loss of the arm) / (loss of random − loss of the oracle)

0 is as good as random examples, 1 as good as random *clean* ones. The interval is that of a
percentile bootstrap over seeds, and over prompts where their losses are known.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from instructmining.evaluating.arms import ORACLE
from instructmining.evaluating.seeds_and_prompts import PromptLosses, Values

_RESAMPLES = 2000


@dataclass(frozen=True)
class Gap:
    """The share of one arm on one evaluation set.

    Attributes:
        share: of the gap between random and oracle that is closed.
        low: 95 % percentile bootstrap.
        high: upper end.
        certain: whether the oracle is better than random in 95 of 100 resamples: without that the
            share has no meaning.
    """

    share: float
    low: float
    high: float
    certain: bool


def gap_closed(arm: Values, random: Values, oracle: Values, weights: Values) -> Gap:
    """The share, from losses float[seeds, prompts] and weights float[prompts].

    Losses of whole runs are one prompt.
    """
    generator = np.random.default_rng(0)
    seeds, prompts = arm.shape
    reach, width = (random - arm), (random - oracle)
    drawn = []
    for _ in range(_RESAMPLES):
        rows = generator.integers(seeds, size=seeds)
        columns = generator.integers(prompts, size=prompts)
        share = weights[columns] / weights[columns].sum()
        drawn.append([(matrix[np.ix_(rows, columns)] @ share).mean() for matrix in (reach, width)])
    closed, whole = np.array(drawn).T
    certain = bool((whole > 0).mean() >= 0.95)
    low, high = np.percentile(closed / np.where(whole == 0, np.nan, whole), [2.5, 97.5])
    share = weights / weights.sum()
    return Gap(
        float((reach @ share).mean() / (width @ share).mean()), float(low), float(high), certain
    )


class Closed(NamedTuple):
    """The gap that an arm closes on an evaluation set, over this many seeds."""

    evaluation: str
    arm: str
    gap: Gap
    seeds: int


def gaps(
    losses: pd.DataFrame, arms: Sequence[str], prompts: Mapping[str, PromptLosses]
) -> Iterator[Closed]:
    """The gap that every arm closes on every evaluation set; none without an oracle.

    Args:
        losses: `evaluation`, `arm`, `seed`, `loss`; one row per finished run.
        arms: to set against random and oracle; those without two common seeds are left out.
        prompts: by evaluation set, losses of single prompts.
    """
    for evaluation, group in losses.groupby("evaluation", sort=False):
        table = group.pivot_table(index="seed", columns="arm", values="loss")
        if ORACLE not in table:
            continue
        known = prompts.get(str(evaluation))
        for arm in arms:
            wanted = [arm, "random", ORACLE]
            seeds = list(table.reindex(columns=wanted).dropna().index)
            if len(seeds) < 2:
                continue
            if known is not None and known.holds(wanted, seeds):
                one, random, oracle = (known.of(name, seeds) for name in wanted)
                gap = gap_closed(one, random, oracle, known.weights)
            else:
                one, random, oracle = (table.loc[seeds, [name]].to_numpy(float) for name in wanted)
                gap = gap_closed(one, random, oracle, np.ones(1))
            yield Closed(str(evaluation), arm, gap, len(seeds))


def gap_sentences(
    losses: pd.DataFrame, arms: Sequence[str], prompts: Mapping[str, PromptLosses]
) -> list[str]:
    """What `gaps` finds, in words."""
    return [
        f"{one.evaluation}: {_words(one.arm, one.gap, one.seeds)}"
        for one in gaps(losses, arms, prompts)
    ]


def _words(arm: str, gap: Gap, seeds: int) -> str:
    if not gap.certain:
        return (
            f"{arm} and the oracle cannot be set against each other: random clean examples are not "
            f"surely better than random ones here (n = {seeds} seeds)"
        )
    return (
        f"{arm} closes {gap.share:.2f} [{gap.low:.2f}, {gap.high:.2f}] of the gap between random "
        f"and clean random examples (n = {seeds} seeds)"
    )
