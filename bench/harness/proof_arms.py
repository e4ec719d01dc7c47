"""One dirty pool of the proof: scored, its arms chosen, finetuned and read back, by `evaluate`."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pyspark.sql import SparkSession

from bench.harness.clean_shares import Chosen, chosen, labels_of
from bench.harness.dirty_rows import CLEAN
from instructmining.evaluating.arms import BASE, ORACLE, Arm, seeds_of, sized, subsets_of
from instructmining.evaluating.seeds_and_prompts import PromptLosses
from instructmining.settings.learning import Select
from instructmining.settings.loading import load_settings
from instructmining.settings.sections import Settings
from jobs.evaluating.arm_runs import ArmRun, Experiment, facts_of, finetune_arms
from jobs.evaluating.clean_rows import clean_rows
from jobs.evaluating.results import losses_of, outcomes, prompts_of, with_base
from jobs.evaluating.setup import picker, prepare
from jobs.scoring import run as score

ARMS: dict[str, Select] = {
    "random": Select(strategy="random", floor="off"),
    "longest": Select(strategy="longest", floor="off"),
    "floor, random": Select(strategy="random"),
    "floor, longest": Select(strategy="longest"),
    "floor, rule": Select(strategy="rule"),
    "floor, quality": Select(strategy="quality"),
    ORACLE: Select(strategy="random", floor="off"),
}
OURS = tuple(name for name in ARMS if name.startswith("floor"))
PAIRS = (
    *((arm, rival) for arm in OURS for rival in ("random", "longest")),
    (ORACLE, "random"),
    (ORACLE, BASE),
)


@dataclass(frozen=True)
class Size:
    """What every arm gets.

    Attributes:
        top: examples, where there are no `tokens`; the selectors' choices are of this size always.
        tokens: of prompts and responses.
        seeds: finetunes of each arm.
    """

    top: int
    tokens: int | None
    seeds: int


@dataclass(frozen=True)
class Planned:
    """A pool whose arms are chosen.

    Attributes:
        experiment: base, recipe, evaluation sets, store.
        runs: every arm at every seed.
        shares: how clean the choices of the selectors are.
        labels: by example id.
    """

    experiment: Experiment
    runs: Sequence[ArmRun]
    shares: Chosen
    labels: Mapping[str, str]


@dataclass(frozen=True)
class Measured:
    """What the finetunes of a pool came to.

    Attributes:
        losses: `evaluation`, `arm`, `seed`, `loss`, the base among the arms.
        prompts: losses of single prompts by evaluation set.
        facts: by arm: share of clean rows, response tokens.
    """

    losses: pd.DataFrame
    prompts: Mapping[str, PromptLosses]
    facts: pd.DataFrame


def pool_settings(
    file: Path, store: Path, base: str | None, sets: Sequence[str], size: Size, rule: str = "auto"
) -> Settings:
    """The settings of one pool: the product's defaults, but for what makes runs short."""
    return load_settings(
        options={
            "input": (str(file),),
            "store": str(store),
            "pool": file.stem,
            "read": {"keep": ("label",)},
            "rule": {"source": rule},
            "canary": {"rows": 0},
            "fit": {"base": base},
            "evaluate": {
                "evaluation": tuple(sets),
                "top": size.top,
                "tokens": size.tokens,
                "seeds": max(2, size.seeds),
                "clean": f"label = '{CLEAN}'",
            },
            "judge": {"kind": "none"},
            "tracking": {"uri": "none"},
        }
    )


def planned(spark: SparkSession, settings: Settings, stack: ExitStack, run_id: str) -> Planned:
    """Score the pool and choose the arms."""
    score.run(spark, settings)
    setup = prepare(spark, settings, stack)
    experiment = Experiment(setup.finetunes, settings, run_id)
    rows = setup.pool.rows
    labels = labels_of(experiment.store.read("occurrences"), settings.pool)
    evaluate = settings.evaluate
    clean = clean_rows(experiment.store, settings.pool, rows, evaluate.clean or "")
    top = None if evaluate.tokens else evaluate.top
    recipes = {name: sized(select, top, evaluate.tokens) for name, select in ARMS.items()}
    arms = subsets_of(rows, picker(setup), recipes, seeds_of(evaluate), {ORACLE: clean})
    facts = facts_of(rows, arms)
    arms.sort(key=lambda arm: arm.seed)  # what is broken off has whole seeds
    runs = [ArmRun(arm, experiment.planned(arm, facts), experiment) for arm in arms]
    return Planned(experiment, runs, chosen(rows, labels, evaluate.top), labels)


def measured(plan: Planned) -> Measured:
    """Finetune what is not finetuned yet, and read the losses."""
    finetune_arms(plan.experiment, plan.runs)
    results = with_base(plan.experiment, outcomes(plan.experiment.store, plan.runs))
    sets = plan.experiment.sets
    tokens = results.groupby("arm")["tokens"].mean().rename("tokens")
    clean = pd.Series(
        [_clean_share(one.arm, plan.labels) for one in plan.runs],
        index=[one.arm.name for one in plan.runs],
        name="clean",
    )
    facts = pd.concat([clean.groupby(level=0).mean(), tokens], axis=1)
    return Measured(losses_of(results, sets), prompts_of(results, sets), facts)


def _clean_share(arm: Arm, labels: Mapping[str, str]) -> float:
    return sum(labels[i] == CLEAN for i in arm.ids) / len(arm.ids)
