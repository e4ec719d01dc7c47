"""Learn a rule: subsets → finetunes → regression → a registered candidate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from pyspark.sql import SparkSession

from instructmining.finetunes.runs import (
    PlannedRun,
    finished,
    on_other_bases,
    refuse_failed,
    regression_frame,
)
from instructmining.fitting.dirt import DIRT, dirt_of
from instructmining.fitting.out_of_sample import stability
from instructmining.fitting.page import fit_page
from instructmining.fitting.rule_fit import Learned, learn, rule_of
from instructmining.fitting.stopping import further_gain, widest_interval
from instructmining.fitting.subset_design import describe
from instructmining.fitting.subset_diversity import diversity_of
from instructmining.rules.canary import metrics_of
from instructmining.rules.rule import LinearRule
from instructmining.selecting.subset_table import Members, store_subsets
from instructmining.settings.fitting import Fit
from instructmining.settings.sections import Settings
from instructmining.spoiling.spoiled_copies import real_of
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
    tried_on_canary,
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
    store = setup.finetunes.store
    plan = planned(setup, fit.repeats, fit.seed)[: fit.max_runs]
    with log_run(settings.tracking, f"fit {', '.join(setup.pools)}") as tracked:
        tracked.log_params(settings.model_dump())
        store_subsets(store, members(plan, fit), tracked.id)
        spent = run_finetunes(
            setup.finetunes,
            plan,
            texts_of(store, sorted({i for run in plan for i in run.ids})),
            tracked.id,
            "fit",
            lambda: enough(setup, plan, fit),
            fit.budget_minutes,
            [run.key for run in plan if run.subset in tested_subsets(setup)],
        )
        refuse_failed(spent.failed, len(plan), fit.max_failed_fraction, "fit")
        runs = finished(store, [run.key for run in plan])
        learned = learn_from(setup, plan, runs, fit, rivals(settings.tracking))
        rule = rule_of(
            learned,
            fit.name or fitted_name(setup.pools),
            fitted_models(setup.measured, setup.finetunes.resolved),
            ranges(setup.design.means),
            provenance(setup, fit, tracked.id),
        )
        page = fit_page(
            learned,
            setup.design,
            describe(setup.design, setup.candidates.real),
            setup.target,
            stability(
                learned.runs, list(learned.singles.index), fit.seed, learned.beside, learned.overlap
            ),
            setup.dirt,
        )
        record(tracked, setup, runs, learned, page)
        canary = tried_on_canary(setup, rule)
        if rule is not None:
            tracked.log_canary(rule, metrics_of(canary))
        text = "\n".join(
            [
                *summary(setup, runs, spent, learned),
                *write_files(fit.to, setup, rule, learned, page),
                *registered(rule, canary, settings.tracking, fit.register_rule),
            ]
        )
        print(text)
    return Fitted(learned, rule, spent, page, text)


def enough(setup: Setup, plan: Sequence[PlannedRun], fit: Fit) -> str | None:
    """Why the finished runs are enough, by `fit.stop_at` or `fit.stop_gain`; None where not."""
    if fit.stop_at is None and not fit.stop_gain:
        return None
    frame = runs_frame(setup, finished(setup.finetunes.store, [run.key for run in plan]))
    names, hinges = setup.candidates.indicators, list(setup.hinges)
    if fit.stop_at is not None and widest_interval(frame, names, fit, hinges) <= fit.stop_at:
        return "the intervals are as narrow as fit.stop_at asks"
    if fit.stop_gain:
        gain = further_gain(frame, setup.offered, fit, len(setup.design.subsets))
        if gain < fit.stop_gain:
            return f"the remaining subsets would add {gain:.3f} to R², less than fit.stop_gain asks"
    return None


def tested_subsets(setup: Setup) -> set[str]:
    """Hashes of the random subsets, which the rule is only tested on."""
    return set(list(setup.subsets)[len(setup.design.subsets) :])


def runs_frame(setup: Setup, runs: pd.DataFrame) -> pd.DataFrame:
    """The finished runs for the regression, with the half of the candidates and who is tested."""
    frame = regression_frame(runs, setup.candidates.indicators, setup.target)
    # Of the subsets themselves: a run that was finished before may have seen other knots.
    frame = frame.join(setup.hinge_means, on="subset")
    frame["tested"] = frame["subset"].isin(tested_subsets(setup))
    frame[DIRT] = frame["subset"].map(dirt_of(setup.subsets))
    if setup.design.halves is not None:
        halves = dict(zip(setup.subsets, map(int, setup.design.halves), strict=False))
        frame["half"] = frame["subset"].map(halves)
    return frame


def learn_from(
    setup: Setup,
    plan: Sequence[PlannedRun],
    runs: pd.DataFrame,
    fit: Fit,
    rules: Mapping[str, LinearRule],
) -> Learned:
    """The regression on the finished runs, with the diversity of their subsets.

    Args:
        setup: what was decided before.
        plan: the runs that were wanted.
        runs: those that finished.
        fit: criterion, seed and so on.
        rules: other rules by name, whose terms are refitted on the same runs.
    """
    finetunes = setup.finetunes
    names = setup.candidates.indicators
    known = {name: rule for name, rule in rules.items() if set(rule.indicators) <= set(names)}
    theirs = {
        term: hinge
        for rule in known.values()
        for term, hinge in rule.hinges.items()
        if term not in setup.hinges
    }
    frame = runs_frame(setup, runs).join(setup.means_of(theirs), on="subset")
    if "embed" in finetunes.resolved:
        subsets = {run.subset: run.ids for run in plan if run.ids}
        ids = sorted({i for members in subsets.values() for i in members})
        vectors = vectors_of(finetunes.store, ids, finetunes.resolved["embed"].fingerprint)
        vectors |= setup.copies.vectors if setup.copies is not None else {}
        frame = frame.join(diversity_of(subsets, vectors), on="subset")
    others = on_other_bases(finetunes.store, finetunes.task, setup.target)
    terms = {name: list(rule.coefficients) for name, rule in known.items()}
    # A spoiled copy is the same example as its real one: what it has in common with other runs.
    shared = {name: [real_of(i) for i in ids] for name, ids in setup.subsets.items()}
    return learn(frame, names, fit, setup.target, terms, others, shared, setup.hinges)


def planned(setup: Setup, repeats: int, seed: int) -> list[PlannedRun]:
    """The base model as it is, every subset, some again with another seed, the random ones."""
    task = setup.finetunes.task
    design = setup.design
    own = len(design.subsets)
    subsets = list(setup.subsets.items())
    designs = [made for made in (design, setup.random) if made.subsets]
    means = pd.concat([made.means for made in designs], ignore_index=True)
    means = means.join(setup.hinge_means.reset_index(drop=True))
    mixes = pd.concat([made.mix for made in designs], ignore_index=True)
    drawn = [(i, seed) for i in range(own)]
    drawn += [(i, seed + 1) for i in range(min(repeats, own))]
    drawn += [(i, seed) for i in range(own, len(subsets))]
    runs = [PlannedRun(task.key("base", seed), "base", (), seed, {}, {})]
    for i, run_seed in drawn:
        subset, ids = subsets[i]
        runs.append(
            PlannedRun(
                task.key(subset, run_seed),
                subset,
                ids,
                run_seed,
                {str(k): float(v) for k, v in means.iloc[i].items()},
                {str(k): float(v) for k, v in mixes.iloc[i].items()},
            )
        )
    return runs


def members(plan: Sequence[PlannedRun], fit: Fit) -> list[Members]:
    """The subsets of the plan, for the table."""
    recipe = fit.model_dump_json(
        include={
            "design",
            "pools",
            "seed",
            "size",
            "subsets",
            "random_subsets",
            "drawn",
            "dirty_subsets",
            "dirty_share",
            "candidates",
        }
    )
    return [Members(run.subset, recipe, run.ids) for run in plan]
