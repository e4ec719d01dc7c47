"""What an evaluation decides before anything is finetuned, and what a reader has to know of it."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import pandas as pd
from pyspark.sql import DataFrame, SparkSession

from instructmining.errors import UserError
from instructmining.evaluating.arms import Pick
from instructmining.finetunes.evaluation_sets import EvaluationSet, read_evaluation_sets
from instructmining.finetunes.runs import Task
from instructmining.models.lists import ResolvedModel
from instructmining.selecting.selection import pick
from instructmining.settings.learning import Select
from instructmining.settings.sections import Settings
from instructmining.store.tables import Store
from jobs.checks.base_model import base_model, refuse_what_cannot_fit, training_dtype
from jobs.checks.resources import check_gpus
from jobs.evaluating.arm_runs import Experiment
from jobs.evaluating.judge_answers import check_judge
from jobs.evaluating.pool import EvaluationPool, evaluation_pool
from jobs.finetuning.sharded import refuse_what_cannot_be_spread
from jobs.finetuning.waves import refuse_speculation
from jobs.scoring.run import Choice, choose
from jobs.selecting.diverse import pick_diverse
from udfs.indicators import load_model_list, resolve


@dataclass(frozen=True)
class Setup:
    """What is decided before anything is finetuned."""

    store: Store
    resolved: Mapping[str, ResolvedModel]
    choice: Choice
    base: ResolvedModel
    sets: Sequence[EvaluationSet]
    pool: EvaluationPool


def prepare(spark: SparkSession, settings: Settings, stack: ExitStack) -> Setup:
    """Resolve models and rule, read the evaluation sets, clean the pool.

    Raises:
        UserError: a mistake in any of them, or a model that does not fit the memory.
    """
    store = Store.open(spark, settings.store)
    refuse_speculation(spark)
    check_gpus(dict(spark.conf.getAll), settings.measure)
    refuse_what_cannot_be_spread(spark, settings)
    models = load_model_list(settings.models)
    resolved = {s: resolve(spec, settings.tracking) for s, spec in models.stages.items()}
    choice = choose(models, resolved, settings)
    base = base_model(settings, resolved)
    refuse_what_cannot_fit(spark, settings, base)
    check_judge(settings.judge, resolved.get("reward"))
    if settings.finetune.gpus_per_run > 1 and settings.judge.kind != "none":
        raise UserError(
            "a model that was finetuned over several processes cannot answer prompts "
            "here: --judge none, or finetune.gpus_per_run=1"
        )
    sets = read_evaluation_sets(spark, settings.evaluate.evaluation)
    embedded = any(m.spec.source.startswith("embedded:") for m in (base, *resolved.values()))
    pool = evaluation_pool(
        store, settings.pool, choice.rule, sets, settings.evaluate.overlap, embedded, stack
    )
    return Setup(store, resolved, choice, base, sets, pool)


def experiment_of(setup: Setup, settings: Settings, run_id: str) -> Experiment:
    """What the finetunes share."""
    base = setup.base
    task = Task(
        base.spec.source,
        base.fingerprint,
        settings.finetune,
        {evaluation.name: evaluation.version for evaluation in setup.sets},
        training_dtype(setup.store.spark, settings),
    )
    return Experiment(setup.store, settings, base, task, setup.sets, run_id)


def picker(setup: Setup) -> Pick:
    """Chooses examples, with diversity where the recipe asks for it."""

    def choose_examples(rows: DataFrame, recipe: Select) -> DataFrame:
        if recipe.diversity == "none":
            return pick(rows, recipe)
        return pick_diverse(setup.store, rows, recipe, setup.choice.measured)

    return choose_examples


def title_of(setup: Setup, settings: Settings) -> str:
    """The first line of the page."""
    evaluate = settings.evaluate
    rule = setup.choice.rule
    size = f"{evaluate.tokens:,} tokens" if evaluate.tokens else f"{evaluate.top:,} examples"
    return (
        f"Evaluation of pool {settings.pool}: {size} of {setup.pool.count:,} per arm, "
        f"{evaluate.seeds} seeds, rule {rule.name} {rule.version}, base model "
        f"{setup.base.spec.source}"
    )


def cautions(setup: Setup, settings: Settings, results: pd.DataFrame) -> list[str]:
    """What a reader must know before believing the page."""
    said = [*_uneven(results), *_alike(results)]
    said += [
        f"{mismatch}: its coefficient does not carry over" for mismatch in setup.choice.mismatches
    ]
    about = setup.choice.rule.provenance
    target = dict(about.get("evaluation", {})).get(about.get("target"))
    same = [evaluation.name for evaluation in setup.sets if evaluation.version == target]
    if same:
        said.append(
            f"the rule was fitted to the loss on {', '.join(same)}: what it wins there is "
            "no independent proof"
        )
    if settings.finetune.epochs == 1:
        said.append(
            "with one epoch the arm full is one more random draw: finetune.epochs=2 shows "
            "what fresh examples are worth against repeated ones"
        )
    said += [
        f"evaluation {evaluation.name}: {len(evaluation.ids)} conversations"
        + (f", {evaluation.unusable} unusable records" if evaluation.unusable else "")
        for evaluation in setup.sets
    ]
    return said


def _uneven(results: pd.DataFrame) -> list[str]:
    """The steps of every arm where they differ: by tokens, or by whole passes over a small pool."""
    steps = results.groupby("arm", sort=False)["steps"].mean()
    if steps.max() <= 1.02 * steps.min():
        return []
    steps_by_arm = ", ".join(f"{arm} {count:,.0f}" for arm, count in steps.items())
    return [f"the arms differ in steps: {steps_by_arm}"]


def _alike(results: pd.DataFrame) -> list[str]:
    """Arms whose finetunes are the same, so that they say one thing and not two."""
    shared = {tuple(sorted(set(arms))) for _, arms in results.groupby("run_key")["arm"]}
    groups = sorted(arms for arms in shared if len(arms) > 1)
    return [
        f"the arms {' and '.join(arms)} have the same examples: they are one result"
        for arms in groups
    ]
