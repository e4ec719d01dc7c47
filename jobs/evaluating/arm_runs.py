"""Finetune every arm at every seed, and read back the losses."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

import pandas as pd
from pyspark.sql import DataFrame

from instructmining.evaluating.arms import Arm
from instructmining.finetunes.evaluation_sets import EvaluationSet
from instructmining.finetunes.runs import PlannedRun, Task, ids_hash
from instructmining.selecting.subset_table import Members, store_subsets
from instructmining.settings.sections import Settings
from instructmining.spark.frames import small_frame
from instructmining.store.schemas import INDICATORS
from instructmining.store.tables import Store
from jobs.finetuning.candidates import texts_of
from jobs.finetuning.setup import FinetuneSetup
from jobs.finetuning.time_left import together
from jobs.finetuning.waves import Spent, run_finetunes

PURPOSE = "evaluate"


@dataclass(frozen=True)
class Experiment:
    """What all finetunes of an evaluation share.

    Attributes:
        setup: models, recipe, evaluation sets and store.
        settings: of the command.
        run_id: marks the rows.
    """

    setup: FinetuneSetup
    settings: Settings
    run_id: str

    @property
    def store(self) -> Store:
        """Where the runs are stored."""
        return self.setup.store

    @property
    def task(self) -> Task:
        """Base, recipe and evaluation sets, which are part of every run's key."""
        return self.setup.task

    @property
    def sets(self) -> Sequence[EvaluationSet]:
        """What every model is measured on."""
        return self.setup.sets

    def with_recipe(self, **changes: float) -> "Experiment":
        """The same experiment with other settings of the finetuning, such as `epochs`."""
        recipe = self.task.recipe.model_copy(update=changes)
        task = replace(self.task, recipe=recipe)
        return replace(self, setup=replace(self.setup, task=task))

    def planned(self, arm: Arm, rows: pd.DataFrame) -> PlannedRun:
        """The finetune of an arm; equal ones of two arms have one key and run once.

        Args:
            arm: its examples and seed.
            rows: indexed by example id: `source` and the indicators.
        """
        subset, ids = ids_hash(arm.ids), tuple(sorted(arm.ids))  # the key knows no order
        own = rows.loc[list(ids)]
        means = own.drop(columns="source").mean().dropna()
        mix = own["source"].value_counts(normalize=True)
        return PlannedRun(
            self.task.key(subset, arm.seed),
            subset,
            ids,
            arm.seed,
            {str(k): float(v) for k, v in means.items()},
            {str(k): float(v) for k, v in mix.items()},
        )

    def base_run(self) -> PlannedRun:
        """The base model as it is: what finetuning starts from, and what a run costs at least."""
        seed = self.settings.evaluate.seed
        return PlannedRun(self.task.key("base", seed), "base", (), seed, {}, {})

    def run(self, plan: Sequence[PlannedRun], name: str) -> Spent:
        """Finetune what the table does not have yet; equal runs once."""
        once = list({run.key: run for run in plan}.values())
        texts = texts_of(self.store, sorted({i for run in once for i in run.ids}))
        print(f"{name}: {len(once)} finetunes", flush=True)
        return run_finetunes(self.setup, once, texts, self.run_id, PURPOSE)


@dataclass(frozen=True)
class ArmRun:
    """An arm at one seed and the finetune that stands for it."""

    arm: Arm
    run: PlannedRun
    experiment: Experiment


def facts_of(rows: DataFrame, arms: Sequence[Arm]) -> pd.DataFrame:
    """`source` and indicators of every chosen example, indexed by its id."""
    ids = sorted({i for arm in arms for i in arm.ids})
    wanted = small_frame(rows.sparkSession, [(i,) for i in ids], "example_id STRING")
    known = [name for name in rows.columns if name in INDICATORS or name.startswith("knn_")]
    chosen = rows.join(wanted, "example_id", "left_semi")
    facts = chosen.select("example_id", "source", *known, "predicted_log_loss").toPandas()
    return facts.set_index("example_id")


def planned_arms(experiment: Experiment, arms: Sequence[Arm], facts: pd.DataFrame) -> list[ArmRun]:
    """The finetunes of all arms; the full pool is its own kind of task, with its own epochs.

    Args:
        experiment: what the arms share.
        arms: all of them, at every seed.
        facts: of `facts_of`.
    """
    whole = experiment.with_recipe(epochs=full_epochs(arms, experiment, facts))
    kinds = [(arm, whole if arm.name == "full" else experiment) for arm in arms]
    return [ArmRun(arm, kind.planned(arm, facts), kind) for arm, kind in kinds]


def finetune_arms(experiment: Experiment, runs: Sequence[ArmRun]) -> Spent:
    """Run all arms, those of equal size first, and the base model as it is."""
    equal = [arm_run.run for arm_run in runs if arm_run.arm.name != "full"]
    full = [arm_run for arm_run in runs if arm_run.arm.name == "full"]
    spent = [experiment.run([experiment.base_run(), *equal], "arms of equal size")]
    if full:
        whole = full[0].experiment
        spent.append(whole.run([one.run for one in full], "full pool, as many steps"))
    return all_spent(spent)


def full_epochs(arms: Sequence[Arm], experiment: Experiment, facts: pd.DataFrame) -> int:
    """Passes over what the full pool was drawn to, in whole ones.

    One, unless the pool is smaller than what the others read: then the number that comes closest
    to their steps, or with `evaluate.tokens` to their tokens.
    """
    recipe = experiment.task.recipe
    budget = experiment.settings.evaluate.tokens

    def dearest(full: bool) -> float:
        """Of the full pool's arms or of the others, steps or tokens of one pass."""
        return max(
            _tokens(facts, arm.ids) if budget else ceil(len(arm.ids) / recipe.batch_rows)
            for arm in arms
            if (arm.name == "full") == full
        )

    return max(1, round(recipe.epochs * dearest(full=False) / dearest(full=True)))


def _tokens(facts: pd.DataFrame, ids: Sequence[str]) -> float:
    """Of prompts and responses, as the budget of an arm counts them."""
    return float(facts.loc[list(ids), ["input_length", "output_length"]].sum().sum())


def store_arms(experiment: Experiment, runs: Sequence[ArmRun]) -> None:
    """Say in the table `arms` which finetune stands for which arm."""
    rows = [
        (
            experiment.settings.pool,
            arm_run.arm.name,
            arm_run.arm.seed,
            arm_run.run.key,
            arm_run.run.subset,
            arm_run.arm.recipe.model_dump_json(exclude_defaults=True),
            experiment.run_id,
        )
        for arm_run in runs
    ]
    columns = (
        "pool STRING, arm STRING, seed BIGINT, run_key STRING, subset STRING, "
        "recipe STRING, run_id STRING"
    )
    store = experiment.store
    store.append(
        small_frame(store.spark, rows, columns),
        "arms",
        {"run_id": experiment.run_id},
    )


def store_members(experiment: Experiment, runs: Sequence[ArmRun]) -> None:
    """Write which examples the subsets of the runs have."""
    store_subsets(
        experiment.store,
        [
            Members(
                arm_run.run.subset,
                arm_run.arm.recipe.model_dump_json(exclude_defaults=True),
                arm_run.arm.ids,
            )
            for arm_run in runs
        ],
        experiment.run_id,
    )


def all_spent(spent: Sequence[Spent]) -> Spent:
    """What several calls took, as one."""
    known = [part.estimated for part in spent if part.estimated]
    failed = {key: why for part in spent for key, why in part.failed.items()}
    return Spent(
        sum(e.runs for e in spent),
        sum(e.found for e in spent),
        failed,
        sum(e.seconds for e in spent),
        together(known) if known else None,
        sum(e.left for e in spent),
    )
