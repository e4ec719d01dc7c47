"""Prove a selection: arms × seeds → finetunes → intervals → a verdict in words."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pandas as pd
from pyspark.sql import DataFrame, SparkSession

from instructmining.arms import PAIRS, Pick, recipes, seeds_of, subsets_of
from instructmining.comparison import differences, means, verdict
from instructmining.errors import FailedRowsError
from instructmining.evaluation_page import EvaluationPage
from instructmining.evaluation_plots import arms_figure
from instructmining.evaluation_sets import EvaluationSet, read_evaluation_sets
from instructmining.finetunes import Task
from instructmining.models import ResolvedModel, load_model_list, resolve
from instructmining.progress import duration
from instructmining.schemas import TABLES
from instructmining.selection import pick
from instructmining.session import get_session
from instructmining.settings import Select, Settings
from instructmining.tables import Store
from instructmining.tracking import Run, log_run
from jobs.arm_runs import (
    ArmRun,
    Experiment,
    base_losses,
    facts_of,
    finetune_arms,
    losses_of,
    outcomes,
    store_arms,
    store_members,
)
from jobs.base_model import base_model, refuse_what_cannot_fit, training_dtype
from jobs.diverse import pick_diverse
from jobs.evaluation_pool import EvaluationPool, evaluation_pool
from jobs.finetunes import Spent, refuse_speculation
from jobs.judge_answers import Judged, check_judge, judge_answers
from jobs.resources import check_gpus
from jobs.score import Choice, choose
from jobs.size_curve import SizeCurve, size_curve


@dataclass(frozen=True)
class Evaluated:
    """What an evaluation left behind.

    Attributes:
        page: Markdown.
        outcomes: one row per arm and seed.
        means: of `comparison.means`.
        differences: of `comparison.differences`.
        judged: what the judge said, by evaluation set; none where nobody judged.
        spent: what the finetunes took.
    """

    page: str
    outcomes: pd.DataFrame
    means: pd.DataFrame
    differences: pd.DataFrame
    judged: Sequence[Judged]
    spent: Spent


@dataclass(frozen=True)
class Setup:
    """What is decided before anything is finetuned."""

    store: Store
    resolved: Mapping[str, ResolvedModel]
    choice: Choice
    base: ResolvedModel
    sets: Sequence[EvaluationSet]
    pool: EvaluationPool


def main(argv: Sequence[str] | None = None) -> None:
    """`instructmining evaluate`, also under spark-submit and as a Databricks wheel task."""
    from jobs.cli import console

    console(["evaluate", *(sys.argv[1:] if argv is None else argv)])


def run(spark: SparkSession, settings: Settings) -> Evaluated | SizeCurve:
    """Evaluate, or with `evaluate.sizes` measure the curve; print the page and return it.

    Raises:
        UserError: a mistake in the settings or the data.
        FailedRowsError: more finetunes failed than `evaluate.max_failed_fraction`; the page is
            printed first, and says which arms miss them.
    """
    with ExitStack() as stack:
        setup = prepare(spark, settings, stack)
        tracked = stack.enter_context(log_run(settings.tracking, f"evaluate {settings.pool}"))
        tracked.log_params(settings.model_dump())
        experiment = experiment_of(setup, settings, tracked.id)
        if settings.evaluate.sizes:
            curve = size_curve(experiment, setup.pool, picker(setup), tracked,
                               f"pool {settings.pool}, rule {setup.choice.rule.name}")  # fmt: skip
            print(curve.page)
            return curve
        done = evaluate(setup, experiment, tracked)
        print(done.page)
        print(closing(setup.store, done.spent, tracked.id))
        refuse_failures(done, settings)
    return done


def prepare(spark: SparkSession, settings: Settings, stack: ExitStack) -> Setup:
    """Resolve models and rule, read the evaluation sets, clean the pool.

    Raises:
        UserError: a mistake in any of them, or a model that does not fit the memory.
    """
    store = Store.open(spark, settings.store)
    refuse_speculation(spark)
    check_gpus(dict(spark.conf.getAll), settings.measure)
    models = load_model_list(settings.models)
    resolved = {s: resolve(spec, settings.tracking) for s, spec in models.stages.items()}
    choice, base = choose(models, resolved, settings), base_model(settings, resolved)
    refuse_what_cannot_fit(spark, settings, base)
    check_judge(settings.judge, resolved.get("reward"))
    sets = read_evaluation_sets(spark, settings.evaluate.evaluation)
    embedded = any(m.spec.source.startswith("embedded:") for m in (base, *resolved.values()))
    pool = evaluation_pool(store, settings.pool, choice.rule, sets, settings.evaluate.overlap,
                           embedded, stack)  # fmt: skip
    return Setup(store, resolved, choice, base, sets, pool)


def experiment_of(setup: Setup, settings: Settings, run_id: str) -> Experiment:
    """What the finetunes share."""
    base = setup.base
    task = Task(base.spec.source, base.fingerprint, settings.finetune,
                {each.name: each.version for each in setup.sets},
                training_dtype(setup.store.spark, settings))  # fmt: skip
    return Experiment(setup.store, settings, base, task, setup.sets, run_id)


def evaluate(setup: Setup, experiment: Experiment, tracked: Run) -> Evaluated:
    """Choose the arms, finetune them, compare them, write it down."""
    settings, rows = experiment.settings, setup.pool.rows
    chosen = recipes(settings.evaluate, settings.select, settings.finetune)
    arms = subsets_of(rows, picker(setup), chosen, seeds_of(settings.evaluate))
    runs, spent = finetune_arms(experiment, arms, facts_of(rows, arms))
    store_members(experiment, runs)
    store_arms(experiment, runs)
    found = outcomes(setup.store, runs)
    if found.empty:
        raise FailedRowsError(f"no finetune has a result: {next(iter(spent.failed.values()))}")
    losses = losses_of(found, setup.sets)
    average, compared = means(losses), differences(losses, PAIRS)
    judged = judge(setup, experiment, runs, found)
    page = EvaluationPage(
        title_of(setup, settings), [*setup.pool.sentences, *cautions(setup, settings, found)],
        base_losses(experiment), settings.evaluate.seeds, found, average, compared, spent.failed,
        [each.sentence for each in judged],
    )  # fmt: skip
    done = Evaluated(page.text(), found, average, compared, judged, spent)
    record(experiment, done, losses, tracked)
    return done


def picker(setup: Setup) -> Pick:
    """Chooses examples, with diversity where the recipe asks for it."""

    def choose_examples(rows: DataFrame, recipe: Select) -> DataFrame:
        if recipe.diversity == "none":
            return pick(rows, recipe)
        return pick_diverse(setup.store, rows, recipe, setup.choice.measured)

    return choose_examples


def title_of(setup: Setup, settings: Settings) -> str:
    """The first line of the page."""
    evaluate, rule = settings.evaluate, setup.choice.rule
    size = f"{evaluate.tokens:,} tokens" if evaluate.tokens else f"{evaluate.top:,} examples"
    return (f"Evaluation of pool {settings.pool}: {size} of {setup.pool.count:,} per arm, "
            f"{evaluate.seeds} seeds, rule {rule.name} {rule.version}, base model "
            f"{setup.base.spec.source}")  # fmt: skip


def judge(
    setup: Setup, experiment: Experiment, runs: Sequence[ArmRun], found: pd.DataFrame
) -> list[Judged]:
    """Judge the answers of two arms, unless nobody is to judge or one of them has no model."""
    settings = experiment.settings.judge
    if settings.kind == "none" or not set(settings.arms) <= set(found["arm"]):
        return []
    return judge_answers(experiment, runs, setup.resolved.get("reward"))


def cautions(setup: Setup, settings: Settings, found: pd.DataFrame) -> list[str]:
    """What a reader must know before believing the page."""
    steps = found.groupby("arm")["steps"].mean()
    uneven = steps.max() > 1.02 * steps.min()
    said = ["the arms differ in steps, see the table"] if uneven else []
    said += [f"{each}: its coefficient does not carry over" for each in setup.choice.mismatches]
    fitted = setup.choice.rule.provenance.get("evaluation", {})
    same = [each.name for each in setup.sets if each.version in dict(fitted).values()]
    if same:
        said.append(f"the rule was fitted to the loss on {', '.join(same)}: what it wins there is "
                    "no independent proof")  # fmt: skip
    if settings.finetune.epochs == 1:
        said.append("with one epoch the arm full is one more random draw: finetune.epochs=2 shows "
                    "what fresh examples are worth against repeated ones")  # fmt: skip
    said += [f"evaluation {each.name}: {len(each.ids)} conversations"
             + (f", {each.unusable} unusable records" if each.unusable else "")
             for each in setup.sets]  # fmt: skip
    return said


def record(experiment: Experiment, done: Evaluated, losses: pd.DataFrame, tracked: Run) -> None:
    """Write the comparisons; log metrics, page, table and picture."""
    store, run_id = experiment.store, experiment.run_id
    rows = done.differences.assign(pool=experiment.settings.pool, run_id=run_id)
    rows["verdict"] = [verdict(row) for row in done.differences.itertuples()]
    rows = rows.astype({"n": "int64"})
    table = TABLES["comparisons"]
    frame = store.spark.createDataFrame(rows[table.names], table.ddl)
    store.append(frame, "comparisons", f"{run_id}/comparisons", {"run_id": run_id})
    if not tracked.records:
        return
    tracked.log_metrics({f"loss_{m.arm}_{m.evaluation}": m.loss for m in done.means.itertuples()})
    tracked.log_metrics({f"{name}_{d.arm}_vs_{d.rival}_{d.evaluation}": getattr(d, name)
                         for d in done.differences.itertuples() if d.n > 1
                         for name in ("difference", "low", "high", "p")})  # fmt: skip
    tracked.log_metrics({f"win_share_{j.evaluation}": j.tally.win / j.tally.n
                         for j in done.judged if j.tally.n})  # fmt: skip
    tracked.log_text(done.page, "evaluation.md")
    tracked.log_text(losses.to_csv(index=False), "losses.csv")
    tracked.log_figures({"arms": arms_figure(done.means, losses)})


def closing(store: Store, spent: Spent, run_id: str) -> str:
    """Below the page: what it took, where it is, and what to ask next."""
    lines = [f"finetunes {spent.runs} run, {spent.found} found finished, {len(spent.failed)} "
             f"failed, in {duration(spent.seconds)}"]  # fmt: skip
    if spent.estimated:
        thought, took = spent.estimated
        lines.append(f"estimated {duration(thought)} after calibration, took {duration(took)}")
    names = ("finetuning_runs", "arms", "comparisons", "subsets")
    lines.append("tables: " + ", ".join(store.location(name) for name in names))
    lines.append(
        "SQL to try next: SELECT a.arm, a.seed, r.losses, r.tokens, r.indicators FROM "  # noqa: S608
        f"{store.sql_name('arms')} a JOIN {store.sql_name('finetuning_runs')} r USING (run_key) "
        f"WHERE a.run_id = '{run_id}' AND r.status = 'ok' ORDER BY a.arm, a.seed"
    )
    return "\n".join(lines)


def refuse_failures(done: Evaluated, settings: Settings) -> None:
    """Fail where too many finetunes did.

    Raises:
        FailedRowsError: with the first reason.
    """
    failed, limit = done.spent.failed, settings.evaluate.max_failed_fraction
    everything = len(failed) + done.spent.runs + done.spent.found
    if len(failed) > limit * everything:
        raise FailedRowsError(
            f"{len(failed)} of {everything} finetunes failed, more than evaluate."
            f"max_failed_fraction={limit:g}; the first: {next(iter(failed.values()))}; mend the "
            "cause and run again, finished runs are kept"
        )


def run_with_session(settings: Settings) -> Any:
    """Run on the active session or a local one, which is stopped again."""
    spark, ours = get_session()
    try:
        return run(spark, settings)
    finally:
        if ours:
            spark.stop()


if __name__ == "__main__":
    main()
