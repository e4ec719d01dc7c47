"""The winner and random finetuned again at other learning rates, with the same seeds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from instructmining.evaluating.page import missing
from instructmining.evaluating.rate_reading import (
    RANDOM,
    USUAL,
    RateReading,
    at_rate,
    read_rates,
    winner_of,
)
from jobs.checks.resources import parameters_of
from jobs.evaluating.arm_runs import ArmRun, Experiment, all_spent, store_arms
from jobs.evaluating.results import losses_of, outcomes, prompts_of, store_comparisons
from jobs.finetuning.setup import FinetuneSetup
from jobs.finetuning.waves import Spent
from udfs.finetuning.adapters import peak_rate


@dataclass(frozen=True)
class Rates:
    """What came of the other rates.

    Attributes:
        reading: None where there is nobody to compare.
        absent: sentences about finetunes that have no result.
        spent: what the further finetunes took.
    """

    reading: RateReading | None
    absent: Sequence[str]
    spent: Spent

    def sentences(self) -> list[str]:
        """What is missing, then what the rates say."""
        return [*self.absent, *(self.reading.sentences() if self.reading else ())]

    def lines(self) -> Iterator[str]:
        """The tables of the page."""
        if self.reading:
            yield from self.reading.lines()


def measure_rates(
    experiment: Experiment, runs: Sequence[ArmRun], facts: pd.DataFrame, average: pd.DataFrame
) -> Rates:
    """Finetune the winner and random at `evaluate.rates`; nothing where none are asked for.

    Args:
        experiment: at the usual rate.
        runs: the planned arms, which are finetuned.
        facts: of `arm_runs.facts_of`.
        average: of `comparison.means`, of the planned arms.
    """
    rates = experiment.settings.evaluate.rates
    if not rates:
        return Rates(None, [], all_spent([]))
    winner = winner_of(average, experiment.sets[0].name)
    if winner is None:
        why = f"no other learning rate is tried: {RANDOM} or every other arm has no result"
        return Rates(None, [why], all_spent([]))
    arms = [arm_run for arm_run in runs if arm_run.arm.name in (winner, RANDOM)]
    at_rates = {rate: _at(experiment, arms, rate, facts) for rate in rates}
    others = [one for rate, again in at_rates.items() if rate != USUAL for one in again]
    spent = all_spent(
        [
            again[0].experiment.run(
                [one.run for one in again], f"{winner} and {RANDOM}, {rate:g} ×"
            )
            for rate, again in at_rates.items()
            if rate != USUAL
        ]
    )
    store_arms(experiment, others)
    results = outcomes(experiment.store, [one for again in at_rates.values() for one in again])
    reading = read_rates(
        losses_of(results, experiment.sets), winner, rates, prompts_of(results, experiment.sets)
    )
    store_comparisons(experiment, pd.concat([reading.at_rates, reading.at_best]))
    wanted = [at_rate(arm, rate) for arm in (winner, RANDOM) for rate in rates if rate != USUAL]
    absent = missing(results, wanted, experiment.settings.evaluate.seeds, spent.failed)
    return Rates(reading, absent, spent)


def further_runs(experiment: Experiment) -> int:
    """Finetunes that the other rates add at most; those that are stored are not repeated."""
    evaluate = experiment.settings.evaluate
    return 2 * max(0, len(evaluate.rates) - 1) * evaluate.seeds


def usual_rate(setup: FinetuneSetup) -> float:
    """The learning rate of which the others are multiples."""
    return peak_rate(setup.recipe, parameters_of(setup.base))


def _at(
    experiment: Experiment, arms: Sequence[ArmRun], rate: float, facts: pd.DataFrame
) -> list[ArmRun]:
    """The arms at a multiple of the usual rate, at which their runs are the planned ones."""
    named = [replace(one.arm, name=at_rate(one.arm.name, rate)) for one in arms]
    if rate == USUAL:
        return [replace(one, arm=arm) for one, arm in zip(arms, named, strict=True)]
    # Digits that no reader needs would be part of every run's key.
    absolute = float(f"{rate * usual_rate(experiment.setup):.6g}")
    other = experiment.with_recipe(rate=absolute)
    return [ArmRun(arm, other.planned(arm, facts), other) for arm in named]
