"""Learn a rule: subsets → finetunes → regression → a registered candidate."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from pyspark.sql import SparkSession

from instructmining.finetunes.runs import (
    PlannedRun,
    finished,
    ids_hash,
    on_other_bases,
    refuse_failed,
    regression_frame,
)
from instructmining.fitting.page import fit_page
from instructmining.fitting.rule_fit import Learned, learn, rule_of, widest_interval
from instructmining.fitting.subset_design import describe
from instructmining.fitting.subset_diversity import diversity_of
from instructmining.rules.rule import LinearRule
from instructmining.selecting.subset_table import Members, store_subsets
from instructmining.settings.sections import Settings
from instructmining.spark.session import with_session
from instructmining.tracking.mlflow_runs import log_run
from jobs.finetuning.candidates import texts_of, vectors_of
from jobs.finetuning.waves import Spent, run_finetunes
from jobs.fitting.record import (
    fitted_models,
    fitted_name,
    provenance,
    ranges,
    record,
    registered,
    rivals,
    summary,
    write_files,
)
from jobs.fitting.setup import Setup, prepare


@dataclass(frozen=True)
class Fitted:
    """What a fit left behind."""

    learned: Learned
    rule: LinearRule | None
    spent: Spent
    page: str
    text: str


def run(spark: SparkSession, settings: Settings) -> Fitted:
    """Fit, print the summary and return it.

    Raises:
        UserError: a mistake in the settings or the data, too few runs.
        FailedRowsError: more finetunes failed than `fit.max_failed_fraction`.
    """
    fit = settings.fit
    setup = prepare(spark, settings)
    plan = planned(setup, fit.repeats, fit.seed)[: fit.max_runs]
    with log_run(settings.tracking, f"fit {', '.join(setup.pools)}") as tracked:
        tracked.log_params(settings.model_dump())
        store_subsets(setup.store, members(plan, settings), tracked.id)
        texts = texts_of(setup.store, sorted({i for run in plan for i in run.ids}))
        spent = run_finetunes(
            setup.store,
            setup.task,
            plan,
            texts,
            setup.sets,
            setup.base,
            settings,
            tracked.id,
            "fit",
            lambda: narrow_enough(setup, plan, settings),
            fit.budget_minutes,
        )
        refuse_failed(spent.failed, len(plan), fit.max_failed_fraction, "fit")
        runs = finished(setup.store, [run.key for run in plan])
        learned = learn_from(setup, plan, runs, settings)
        rule = rule_of(
            learned,
            fit.name or fitted_name(setup.pools),
            fitted_models(setup.measured, setup.resolved),
            ranges(setup.candidates),
            provenance(setup, settings, tracked.id),
        )
        page = fit_page(
            learned, setup.design, describe(setup.design, setup.candidates.rows), setup.target
        )
        record(tracked, setup, runs, learned, page)
        text = "\n".join(
            [
                *summary(setup, runs, spent, learned),
                *write_files(fit.to, rule, learned, page),
                *registered(rule, settings),
            ]
        )
        print(text)
    return Fitted(learned, rule, spent, page, text)


def narrow_enough(setup: Setup, plan: Sequence[PlannedRun], settings: Settings) -> bool:
    """Whether the finished runs already give the terms intervals as narrow as `fit.stop_at`."""
    fit = settings.fit
    names = setup.candidates.indicators
    if fit.stop_at is None:
        return False
    runs = finished(setup.store, [run.key for run in plan])
    frame = regression_frame(runs, names, setup.target)
    return widest_interval(frame, names, fit) <= fit.stop_at


def learn_from(
    setup: Setup, plan: Sequence[PlannedRun], runs: pd.DataFrame, settings: Settings
) -> Learned:
    """The regression on the finished runs, with what is known of their subsets beside it."""
    frame = regression_frame(runs, setup.candidates.indicators, setup.target)
    if "embed" in setup.resolved:
        subsets = {run.subset: run.ids for run in plan if run.ids}
        ids = sorted({i for members in subsets.values() for i in members})
        vectors = vectors_of(setup.store, ids, setup.resolved["embed"].fingerprint)
        frame = frame.join(diversity_of(subsets, vectors), on="subset")
    others = on_other_bases(setup.store, setup.task, setup.target)
    return learn(
        frame, setup.candidates.indicators, settings.fit, setup.target, rivals(settings), others
    )


def planned(setup: Setup, repeats: int, seed: int) -> list[PlannedRun]:
    """The base model as it is, every subset, and some subsets again with another seed."""
    task = setup.task
    design = setup.design
    ids = setup.candidates.rows["example_id"].to_numpy()
    subsets = [tuple(ids[rows]) for rows in design.subsets]
    drawn = [(i, seed) for i in range(len(subsets))]
    drawn += [(i, seed + 1) for i in range(min(repeats, len(subsets)))]
    runs = [PlannedRun(task.key("base", seed), "base", (), seed, {}, {})]
    for i, run_seed in drawn:
        subset = ids_hash(subsets[i])
        runs.append(
            PlannedRun(
                task.key(subset, run_seed),
                subset,
                subsets[i],
                run_seed,
                {str(k): float(v) for k, v in design.means.iloc[i].items()},
                {str(k): float(v) for k, v in design.mix.iloc[i].items()},
            )
        )
    return runs


def members(plan: Sequence[PlannedRun], settings: Settings) -> list[Members]:
    """The subsets of the plan, for the table."""
    recipe = settings.fit.model_dump_json(
        include={"design", "pools", "seed", "size", "subsets", "candidates"}
    )
    return [Members(run.subset, recipe, run.ids) for run in plan]


def run_with_session(settings: Settings) -> Any:
    """Run on the active session or a local one, which is stopped again."""
    return with_session(run, settings)
