"""Arms of `evaluate.also` and `evaluate.clean` that choose from rows of their own."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from instructmining.evaluating.arms import BEST_SINGLE, ORACLE, TARGET
from instructmining.finetunes.evaluation_sets import EvaluationSet, read_evaluation_sets
from instructmining.rules.rule import LinearRule
from instructmining.settings.learning import Select
from jobs.evaluating.arm_runs import Experiment
from jobs.evaluating.clean_rows import clean_rows
from jobs.evaluating.setup import Setup
from jobs.selecting.for_target import Aim, aimed


@dataclass(frozen=True)
class FurtherArms:
    """What these arms choose from.

    Attributes:
        rows: by arm; the others choose from the whole pool.
        aim: what the arm `target` goes by; None without one.
        notes: sentences for the page.
    """

    rows: Mapping[str, DataFrame]
    aim: Aim | None = None
    notes: Sequence[str] = field(default_factory=list)


def further_arms(
    setup: Setup, experiment: Experiment, chosen: Mapping[str, Select], stack: ExitStack
) -> FurtherArms:
    """The rows of `oracle`, `best_single` and `target`, of those that are asked for.

    Args:
        setup: pool, rule and models.
        experiment: store and settings.
        chosen: of `arms.recipes`.
        stack: keeps the rows at hand.

    Raises:
        UserError: `--clean` is not a condition, or `--target` is not data that a model can read.
    """
    settings = experiment.settings
    pool = setup.pool.rows
    rows: dict[str, DataFrame] = {}
    notes: list[str] = []
    aim = None
    if settings.evaluate.clean:
        clean = settings.evaluate.clean
        rows[ORACLE] = clean_rows(experiment.store, settings.pool, pool, clean)
    if BEST_SINGLE in chosen:
        term = strongest_term(pool, setup.choice.rule)
        rows[BEST_SINGLE] = ordered_by(pool, setup.choice.rule, term)
        notes.append(
            f"the arm {BEST_SINGLE} goes by {term} alone, the term that moves the predictions of "
            f"{setup.choice.rule.name} most in this pool"
        )
    if TARGET in chosen:
        own = settings.model_copy(update={"select": chosen[TARGET]})
        aim = stack.enter_context(aimed(experiment.store, pool, own, experiment.run_id))
        rows[TARGET] = aim.rows
        [target] = read_evaluation_sets(experiment.store.spark, [chosen[TARGET].target or ""])
        notes += [*aim.notes, *shared(target, experiment.sets)]
    return FurtherArms(rows, aim, notes)


def strongest_term(rows: DataFrame, rule: LinearRule) -> str:
    """The term whose contribution, coefficient × value, varies most over the rows."""
    spreads = rows.select(
        *(
            F.stddev(F.when(~F.isnan(column), column)).alias(term)
            for term, column in _contributions(rule).items()
        )
    ).first()
    known = spreads.asDict() if spreads is not None else {}
    return max(known, key=lambda term: known[term] or 0.0)


def ordered_by(rows: DataFrame, rule: LinearRule, term: str) -> DataFrame:
    """The rows with the contribution of one term in place of the rule's prediction."""
    return rows.withColumn("predicted_log_loss", _contributions(rule)[term])


def shared(target: EvaluationSet, sets: Sequence[EvaluationSet]) -> list[str]:
    """A caution for every evaluation set that has examples of the target."""
    counts = {one.name: len({*target.ids} & {*one.ids}) for one in sets}
    return [
        f"{count} examples of the target are in the evaluation set {name}: the arm {TARGET} was "
        "told what it is measured on"
        for name, count in counts.items()
        if count
    ]


def _contributions(rule: LinearRule) -> dict[str, Column]:
    return dict(zip(rule.coefficients, rule.contributions().values(), strict=True))
