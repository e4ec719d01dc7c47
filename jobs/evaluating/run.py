"""Prove a selection: arms × seeds → finetunes → intervals → a verdict in words."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import pandas as pd
from pyspark.sql import SparkSession

from instructmining.errors import UserError
from instructmining.evaluating.arms import (
    pairs_of,
    recipes,
    refuse_half_a_target,
    seeds_of,
    subsets_of,
)
from instructmining.evaluating.comparison import differences, disagreements, means, verdicts
from instructmining.evaluating.gap import gap_sentences
from instructmining.evaluating.page import EvaluationPage
from instructmining.evaluating.plots import arms_figure
from instructmining.finetunes.runs import refuse_failed
from instructmining.progress import duration
from instructmining.settings.sections import Settings
from instructmining.store.tables import Store
from instructmining.tracking.mlflow_runs import Run, log_run
from jobs.evaluating.arm_runs import (
    ArmRun,
    Experiment,
    all_spent,
    facts_of,
    finetune_arms,
    planned_arms,
    store_arms,
    store_members,
)
from jobs.evaluating.further_arms import further_arms
from jobs.evaluating.plan import plan_lines
from jobs.evaluating.rates import Rates, measure_rates
from jobs.evaluating.results import (
    base_losses,
    losses_of,
    outcomes,
    prompts_of,
    refuse_without_result,
    store_comparisons,
    with_base,
)
from jobs.evaluating.setup import Setup, cautions, picker, prepare, title_of
from jobs.evaluating.size_curve import SizeCurve
from jobs.finetuning.waves import Spent
from jobs.judging.judge_answers import Judged, judge_answers
from jobs.selecting.size_choice import measure_sizes


@dataclass(frozen=True)
class Evaluated:
    """What an evaluation left behind.

    Attributes:
        page: Markdown.
        outcomes: one row per arm and seed.
        means: of `comparison.means`.
        differences: of `comparison.differences`.
        rates: what other learning rates say.
        judged: what the judge said, by evaluation set; none where nobody judged.
        spent: what the finetunes took.
        refused: why the judge could not judge, None where it did or nobody was to.
    """

    page: str
    outcomes: pd.DataFrame
    means: pd.DataFrame
    differences: pd.DataFrame
    rates: Rates
    judged: Sequence[Judged]
    spent: Spent
    refused: UserError | None = None


def run(spark: SparkSession, settings: Settings) -> Evaluated | SizeCurve:
    """Evaluate, or with `evaluate.sizes` measure the curve; print the page and return it.

    Raises:
        UserError: a mistake in the settings or the data. Of the judge's, the page is printed and
            kept first: the finetunes were paid for.
        FailedRowsError: more finetunes failed than `evaluate.max_failed_fraction`; the page is
            printed first, and says which arms miss them.
    """
    refuse_half_a_target(settings.evaluate, settings.select)
    if settings.evaluate.sizes:
        return measure_sizes(spark, settings)
    with ExitStack() as stack:
        setup = prepare(spark, settings, stack)
        tracked = stack.enter_context(log_run(settings.tracking, f"evaluate {settings.pool}"))
        tracked.log_params(settings.model_dump())
        experiment = Experiment(setup.finetunes, settings, tracked.id)
        done = evaluate(setup, experiment, tracked, stack)
        print(done.page)
        print(closing(experiment.store, done.spent, tracked.id))
        spent = done.spent
        limit = settings.evaluate.max_failed_fraction
        everything = len(spent.failed) + spent.runs + spent.found
        refuse_failed(spent.failed, everything, limit, "evaluate")
        if done.refused is not None:
            raise done.refused
    return done


def evaluate(setup: Setup, experiment: Experiment, tracked: Run, stack: ExitStack) -> Evaluated:
    """Choose the arms, finetune them, compare them, write it down."""
    settings = experiment.settings
    rows = setup.pool.rows
    chosen = recipes(settings.evaluate, settings.select, settings.finetune)
    further = further_arms(setup, experiment, chosen, stack)
    pick = picker(setup, further.aim)
    arms = subsets_of(rows, pick, chosen, seeds_of(settings.evaluate), further.rows)
    facts = facts_of(rows, arms)
    runs = planned_arms(experiment, arms, facts)
    plan = plan_lines(experiment, runs)
    print("\n".join(plan), flush=True)
    spent = finetune_arms(experiment, runs)
    store_members(experiment, runs)
    store_arms(experiment, runs)
    results = outcomes(experiment.store, runs)
    refuse_without_result(results, spent, "an arm")
    measured = with_base(experiment, results)
    losses = losses_of(measured, experiment.sets)
    prompts = prompts_of(measured, experiment.sets)
    average = means(losses)
    compared = differences(losses, pairs_of(settings.evaluate), prompts)
    store_comparisons(experiment, compared)
    print("\n".join(verdicts(compared)), flush=True)  # whatever becomes of the judge
    rates = measure_rates(experiment, runs, facts, average)
    spent = all_spent([spent, rates.spent])
    judged, refused = judge(experiment, runs, results)
    page = EvaluationPage(
        title_of(setup, settings.pool, settings.evaluate),
        [*setup.pool.sentences, *further.notes, *cautions(setup, results)],
        base_losses(experiment),
        settings.evaluate.seeds,
        results,
        average,
        compared,
        spent.failed,
        [
            *rates.sentences(),
            *gap_sentences(losses, ("selected", "diverse", "longest"), prompts),
            *(verdict.sentence for verdict in judged),
            *disagreements(
                compared,
                settings.judge.arms,
                {verdict.evaluation: verdict.preferred for verdict in judged},
            ),
            *[f"answers are not judged: {refused}"] * bool(refused),
        ],
        plan,
        list(rates.lines()),
    )
    done = Evaluated(page.text(), results, average, compared, rates, judged, spent, refused)
    record(done, losses, tracked)
    return done


def judge(
    experiment: Experiment, runs: Sequence[ArmRun], results: pd.DataFrame
) -> tuple[list[Judged], UserError | None]:
    """Judge the answers of two arms, unless nobody is to judge or one of them has no model.

    Returns:
        What the judge said, and the mistake that kept it from judging: the losses stand without it.
    """
    settings = experiment.settings.judge
    if settings.kind == "none" or not set(settings.arms) <= set(results["arm"]):
        return [], None
    try:
        return judge_answers(experiment, runs, experiment.setup.resolved.get("reward")), None
    except UserError as error:
        return [], error


def record(done: Evaluated, losses: pd.DataFrame, tracked: Run) -> None:
    """Log metrics, page, table and picture."""
    if not tracked.records:
        return
    tracked.log_metrics(
        {
            f"loss_{row['arm']}_{row['evaluation']}": row["loss"]
            for row in done.means.to_dict("records")
        }
    )
    reading = done.rates.reading
    compared = pd.concat([done.differences, reading.at_best]) if reading else done.differences
    tracked.log_metrics(
        {
            f"{name}_{row['arm']}_vs_{row['rival']}_{row['evaluation']}": row[name]
            for row in compared.to_dict("records")
            if row["n"] > 1
            for name in ("difference", "low", "high", "p")
        }
    )
    tracked.log_metrics(
        {f"win_share_{j.evaluation}": j.tally.win / j.tally.n for j in done.judged if j.tally.n}
    )
    tracked.log_text(done.page, "evaluation.md")
    tracked.log_text(losses.to_csv(index=False), "losses.csv")
    if reading:
        tracked.log_text(reading.means.to_csv(index=False), "rates.csv")
    tracked.log_figures({"arms": arms_figure(done.means, losses)})


def closing(store: Store, spent: Spent, run_id: str) -> str:
    """Below the page: what it took, where it is, and what to ask next."""
    lines = [
        f"finetunes {spent.runs} run, {spent.found} found finished, {len(spent.failed)} "
        f"failed, in {duration(spent.seconds)}"
    ]
    if spent.estimated:
        lines.append(spent.estimated.words())
    names = ("finetuning_runs", "arms", "comparisons", "subsets")
    lines.append("tables: " + ", ".join(store.location(name) for name in names))
    lines.append(
        "SQL to try next: SELECT a.arm, a.seed, r.losses, r.tokens, r.indicators FROM "  # noqa: S608
        f"{store.sql_name('arms')} a JOIN {store.sql_name('finetuning_runs')} r USING (run_key) "
        f"WHERE a.run_id = '{run_id}' AND r.status = 'ok' ORDER BY a.arm, a.seed"
    )
    return "\n".join(lines)
