"""What an evaluation decides before anything is finetuned, and what a reader has to know of it."""

from contextlib import ExitStack
from dataclasses import dataclass
from uuid import uuid4

import pandas as pd
from pyspark.sql import DataFrame, SparkSession

from instructmining.errors import UserError
from instructmining.evaluating.arms import TARGET, Pick
from instructmining.selecting.selection import candidates, pick
from instructmining.settings.learning import Evaluate, Select
from instructmining.settings.sections import Settings
from jobs.evaluating.pool import EvaluationPool, evaluation_pool
from jobs.finetuning.setup import FinetuneSetup, prepare_finetunes
from jobs.judging.judge_answers import check_judge
from jobs.scoring.rule_choice import RuleChoice, rule_for
from jobs.selecting.diverse import pick_diverse
from jobs.selecting.for_target import Aim, choose_for_target
from jobs.selecting.marks import goes_by_marks, marks


@dataclass(frozen=True)
class Setup:
    """What is decided before anything is finetuned."""

    finetunes: FinetuneSetup
    choice: RuleChoice
    pool: EvaluationPool


def prepare(spark: SparkSession, settings: Settings, stack: ExitStack) -> Setup:
    """Resolve models and rule, read the evaluation sets, clean the pool.

    Raises:
        UserError: a mistake in any of them, or a model that does not fit the memory.
    """
    evaluate = settings.evaluate
    finetunes = prepare_finetunes(spark, settings, evaluate.evaluation)
    choice = rule_for(
        finetunes.models, finetunes.resolved, settings.rule, settings.knn, settings.tracking
    )
    check_judge(settings.judge, finetunes.resolved.get("reward"), finetunes.sets)
    if settings.finetune.gpus_per_run > 1 and settings.judge.kind != "none":
        raise UserError(
            "a model that was finetuned over several processes cannot answer prompts "
            "here: --judge none, or finetune.gpus_per_run=1"
        )
    rows = candidates(finetunes.store, settings.pool, choice.rule)
    if goes_by_marks(settings.select):
        # The run in MLflow begins later, when all settings are known to hold.
        rows = marks(finetunes.store, rows, settings.floor, settings.models, uuid4().hex)
    pool = evaluation_pool(
        finetunes.store,
        settings.pool,
        rows,
        finetunes.sets,
        evaluate.overlap,
        finetunes.uses_embedded_models,
        stack,
        settings.select,
    )
    return Setup(finetunes, choice, pool)


def picker(setup: Setup, aim: Aim | None = None) -> Pick:
    """Chooses examples, with diversity or in turn of targets where the recipe asks for it."""

    def choose_examples(rows: DataFrame, recipe: Select) -> DataFrame:
        if aim is not None and recipe.strategy == TARGET:
            return choose_for_target(setup.finetunes.store, aim, recipe).picked
        if recipe.diversity == "none":
            return pick(rows, recipe)
        return pick_diverse(setup.finetunes.store, rows, recipe, setup.choice.measured)

    return choose_examples


def title_of(setup: Setup, pool: str, evaluate: Evaluate) -> str:
    """The first line of the page."""
    rule = setup.choice.rule
    size = f"{evaluate.tokens:,} tokens" if evaluate.tokens else f"{evaluate.top:,} examples"
    return (
        f"Evaluation of pool {pool}: {size} of {setup.pool.count:,} per arm, "
        f"{evaluate.seeds} seeds, rule {rule.name} {rule.version}, base model "
        f"{setup.finetunes.base.spec.source}"
    )


def cautions(setup: Setup, results: pd.DataFrame) -> list[str]:
    """What a reader must know before believing the page."""
    said = [*_uneven(results), *_alike(results)]
    said += setup.choice.notes
    said += _base_cautions(setup)
    about = setup.choice.rule.provenance
    target = dict(about.get("evaluation", {})).get(about.get("target"))
    same = [evaluation.name for evaluation in setup.finetunes.sets if evaluation.version == target]
    if same:
        said.append(
            f"the rule was fitted to the loss on {', '.join(same)}: what it wins there is "
            "no independent proof"
        )
    if setup.finetunes.recipe.epochs == 1:
        said.append(
            "with one epoch the arm full is one more random draw: finetune.epochs=2 shows "
            "what fresh examples are worth against repeated ones"
        )
    said += [
        f"evaluation {evaluation.name}: {len(evaluation.ids)} conversations"
        + (f", {evaluation.unusable} unusable records" if evaluation.unusable else "")
        for evaluation in setup.finetunes.sets
    ]
    return said


def _base_cautions(setup: Setup) -> list[str]:
    """Where the base model is not a stranger to the pool, or not the one that scored it."""
    base = setup.finetunes.base
    said = []
    if base.spec.source.startswith("embedded:"):
        said.append(
            f"the base model {base.spec.source} was trained on half 0 of eight free pools (Dolly, "
            "Self-Instruct and others, docs/embedded-models.md): clean data of these cannot help "
            "it, only bad data can harm it"
        )
    scored = setup.finetunes.resolved.get("perplexity")
    if scored is not None and scored.fingerprint != base.fingerprint:
        said.append(
            f"perplexity was measured by {scored.spec.source}, another model than the base model "
            f"{base.spec.source}: what is hard for one need not be for the other"
        )
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
