"""Learn a rule: subsets → finetunes → regression → a registered candidate."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from pyspark.sql import SparkSession

from instructmining.errors import FailedRowsError, UserError
from instructmining.evaluation_sets import EvaluationSet, read_evaluation_sets
from instructmining.finetunes import PlannedRun, Task, finished, ids_hash, regression_frame
from instructmining.fit_plots import fit_plots
from instructmining.fit_summary import fit_page, reading
from instructmining.fitting import Learned, learn, rule_of
from instructmining.models import ResolvedModel, load_model_list, resolve
from instructmining.progress import duration
from instructmining.registry import CHAMPION, list_rules, load_rule, publish_rule
from instructmining.rule import FittedModel, LinearRule, built_in_rules
from instructmining.scoring import Measured
from instructmining.session import get_session
from instructmining.settings import Settings
from instructmining.subsets import Design, describe, draw_subsets
from instructmining.tables import Store
from instructmining.tracking import Run, log_run
from jobs.candidates import Candidates, gather, texts_of
from jobs.finetunes import Spent, refuse_speculation, run_finetunes
from jobs.resources import check_gpus, parameters_of, place_of
from udfs.device import resolve_dtype
from udfs.finetuning import adapter_of, training_bytes
from udfs.placement import model_slots

CANDIDATE = "candidate"


@dataclass(frozen=True)
class Fitted:
    """What a fit left behind."""

    learned: Learned
    rule: LinearRule | None
    spent: Spent
    page: str
    text: str


def main(argv: Sequence[str] | None = None) -> None:
    """`instructmining fit`, also under spark-submit and as a Databricks wheel task."""
    from jobs.cli import console

    console(["fit", *(sys.argv[1:] if argv is None else argv)])


def run(spark: SparkSession, settings: Settings) -> Fitted:
    """Fit, print the summary and return it.

    Raises:
        UserError: a mistake in the settings or the data, too few runs.
        FailedRowsError: more finetunes failed than `fit.max_failed_fraction`.
    """
    fit, store = settings.fit, Store.open(spark, settings.store)
    refuse_speculation(spark)
    check_gpus(dict(spark.conf.getAll), settings.measure)
    models = load_model_list(settings.models)
    resolved = {s: resolve(spec, settings.tracking) for s, spec in models.stages.items()}
    measured = Measured(models, {s: m.fingerprint for s, m in resolved.items()}, settings.knn)
    base = base_model(settings, resolved)
    refuse_what_cannot_fit(spark, settings, base)
    sets = read_evaluation_sets(spark, fit.evaluation)
    held_out = [i for each in sets for i in each.ids]
    embedded = any(m.spec.source.startswith("embedded:") for m in (base, *resolved.values()))
    pools = fit.pools or (settings.pool,)
    candidates = gather(store, pools, measured, fit.candidates, fit.seed, fit.indicators,
                        held_out, embedded)  # fmt: skip
    design = draw_subsets(candidates.rows, candidates.indicators, fit.subsets, fit.size, fit.seed,
                          fit.design)  # fmt: skip
    spread = describe(design, candidates.rows)
    task = Task(base.spec.source, base.fingerprint, settings.finetune,
                {each.name: each.version for each in sets}, training_dtype(settings))  # fmt: skip
    plan = planned(task, design, candidates, fit.repeats, fit.seed)[: fit.max_runs]
    with log_run(settings.tracking, f"fit {', '.join(pools)}") as tracked:
        tracked.log_params(settings.model_dump())
        store_subsets(store, plan, settings, tracked.id)
        texts = texts_of(store, sorted({i for each in plan for i in each.ids}))
        spent = run_finetunes(store, task, plan, texts, sets, base, settings, tracked.id, "fit")
        refuse_failures(spent, plan, fit.max_failed_fraction)
        runs = finished(store, [each.key for each in plan])
        frame = regression_frame(runs, candidates.indicators, sets[0].name)
        learned = learn(frame, candidates.indicators, fit, sets[0].name, rivals(settings))
        rule = rule_of(learned, fitted_name(pools), fitted_models(measured, resolved),
                       ranges(candidates), provenance(base, sets, design, settings))  # fmt: skip
        page = fit_page(learned, design, spread, sets[0].name)
        record(tracked, runs, learned, page, candidates.indicators)
        text = summary(store, candidates, sets, runs, spent, learned, rule, settings)
        print(text)
    return Fitted(learned, rule, spent, page, text)


def base_model(settings: Settings, resolved: Mapping[str, ResolvedModel]) -> ResolvedModel:
    """The causal language model that is finetuned."""
    given = resolved.get("perplexity")
    if given is None or given.spec.kind != "causal_lm":
        raise UserError(f"model list {settings.models} has no causal language model to finetune: "
                        "give it a perplexity model, whose template --base shares")  # fmt: skip
    if settings.fit.base is None:
        return given
    return resolve(given.spec.model_copy(update={"source": settings.fit.base}), settings.tracking)


def training_dtype(settings: Settings) -> str:
    """Of the weights while training: decided once, since it is part of every run's key."""
    wanted = settings.finetune.dtype
    return resolve_dtype(wanted, "cpu") if wanted == "auto" else wanted


def refuse_what_cannot_fit(spark: SparkSession, settings: Settings, base: ResolvedModel) -> None:
    """Compare weights, gradients and optimizer of the runs at a time with the memory there is.

    Raises:
        UserError: they certainly do not fit.
    """
    place = place_of(dict(spark.conf.getAll), settings.measure,
                     model_slots(spark, settings.measure))  # fmt: skip
    if place is None or place.most is None:
        return
    count = parameters_of(base)
    adapter = adapter_of(settings.finetune, count)
    needed = place.copies * training_bytes(count, adapter, place.width)
    if needed > place.most:
        raise UserError(
            f"{place.copies} finetunes of {base.spec.source} at a time ({adapter}) need at least "
            f"{needed / 2**30:.1f} GiB, but {place.words} is {place.most / 2**30:.1f} GiB: "
            "set finetune.adapter=lora, a smaller --base, or fewer tasks at a time"
        )


def planned(
    task: Task, design: Design, candidates: Candidates, repeats: int, seed: int
) -> list[PlannedRun]:
    """The base model as it is, every subset, and some subsets again with another seed."""
    ids = candidates.rows["example_id"].to_numpy()
    subsets = [tuple(ids[rows]) for rows in design.subsets]
    drawn = [(i, seed) for i in range(len(subsets))]
    drawn += [(i, seed + 1) for i in range(min(repeats, len(subsets)))]
    runs = [PlannedRun(task.key("base", seed), "base", (), seed, {}, {})]
    for i, each in drawn:
        subset = ids_hash(subsets[i])
        runs.append(PlannedRun(
            task.key(subset, each), subset, subsets[i], each,
            {str(k): float(v) for k, v in design.means.iloc[i].items()},
            {str(k): float(v) for k, v in design.mix.iloc[i].items()},
        ))  # fmt: skip
    return runs


def store_subsets(
    store: Store, plan: Sequence[PlannedRun], settings: Settings, run_id: str
) -> None:
    """Write the members of the subsets that the store does not have yet."""
    known = {row.subset for row in store.read("subsets").select("subset").distinct().collect()}
    new = {run.subset: run.ids for run in plan if run.ids and run.subset not in known}
    if not new:
        return
    recipe = settings.fit.model_dump_json(
        include={"design", "pools", "seed", "size", "subsets", "candidates"}
    )
    rows = pd.DataFrame(
        [(subset, recipe, rank, each, run_id) for subset, ids in new.items()
         for rank, each in enumerate(ids, start=1)],
        columns=["subset", "recipe", "rank", "example_id", "run_id"],
    )  # fmt: skip
    store.append(store.spark.createDataFrame(rows), "subsets", f"{run_id}/subsets",
                 {"run_id": run_id})  # fmt: skip


def refuse_failures(spent: Spent, plan: Sequence[PlannedRun], limit: float) -> None:
    """Fail where too many finetunes did.

    Raises:
        FailedRowsError: with the first reason.
    """
    if len(spent.failed) > limit * len(plan):
        raise FailedRowsError(
            f"{len(spent.failed)} of {len(plan)} finetunes failed, more than fit."
            f"max_failed_fraction={limit:g}; the first: {next(iter(spent.failed.values()))}; mend "
            "the cause and run again, finished runs are kept"
        )


def rivals(settings: Settings) -> dict[str, list[str]]:
    """Terms of the published rules, and of the champion if there is one."""
    terms = {name: list(rule.coefficients) for name, rule in built_in_rules().items()
             if name.startswith("paper-")}  # fmt: skip
    tracking = settings.tracking
    if tracking.uri != "none":
        for found in list_rules(tracking):
            if CHAMPION in found.aliases:
                terms[found.uri] = list(load_rule(found.uri, tracking).coefficients)
    return terms


def fitted_name(pools: Sequence[str]) -> str:
    """`fitted-POOL+POOL`."""
    return f"fitted-{'+'.join(pools)}"


def fitted_models(
    measured: Measured, resolved: Mapping[str, ResolvedModel]
) -> dict[str, FittedModel]:
    """By indicator, the model that measured it: the rule holds for these alone."""
    stages = dict(measured.stage_of)
    if "embed" in resolved:
        stages[f"knn_{measured.knn.neighbors}"] = "embed"
    return {name: FittedModel(sources=(resolved[stage].spec.source or stage,),
                              fingerprint=resolved[stage].fingerprint)
            for name, stage in stages.items()}  # fmt: skip


def ranges(candidates: Candidates) -> dict[str, tuple[float, float]]:
    """By indicator, the lowest and highest value among the candidates."""
    rows = candidates.rows
    return {name: (float(rows[name].min()), float(rows[name].max()))
            for name in candidates.indicators}  # fmt: skip


def provenance(
    base: ResolvedModel, sets: Sequence[EvaluationSet], design: Design, settings: Settings
) -> dict[str, Any]:
    """What a rule's number depend on beside the indicators' models."""
    return {
        "base_model": base.spec.source, "base_fingerprint": base.fingerprint,
        "evaluation": {each.name: each.version for each in sets},
        "subsets": len(design.subsets), "examples_per_subset": len(design.subsets[0]),
        "pools": list(settings.fit.pools or (settings.pool,)), "seed": settings.fit.seed,
        "finetune": settings.finetune.model_dump(),
    }  # fmt: skip


def record(
    tracked: Run, runs: pd.DataFrame, learned: Learned, page: str, indicators: Sequence[str]
) -> None:
    """One child run per finetune, the page, the fit table and the plots."""
    if not tracked.records:
        return
    for each in runs.to_dict("records"):
        losses = {f"loss_{name}": value for name, value in dict(each["losses"]).items()}
        tracked.log_child(f"{each['subset'][:8]} seed {each['seed']}",
                          {key: each[key] for key in ("run_key", "subset", "seed")},
                          losses | {key: each[key] for key in ("seconds", "tokens")})  # fmt: skip
    tracked.log_text(page, "fit.md")
    tracked.log_text(learned.runs.to_csv(index=False), "fit_table.csv")
    tracked.log_figures(fit_plots(learned.runs, learned.fit,
                                  learned.cross_validated.predictions, indicators))  # fmt: skip
    tracked.log_metrics({"cv_rmse": learned.cross_validated.rmse,
                         "cv_r_squared": learned.cross_validated.r_squared,
                         "cv_rmse_mean_only": learned.mean_only.rmse})  # fmt: skip


def summary(
    store: Store, candidates: Candidates, sets: Sequence[EvaluationSet], runs: pd.DataFrame,
    spent: Spent, learned: Learned, rule: LinearRule | None, settings: Settings,
) -> str:  # fmt: skip
    """The page on the terminal; registers the rule."""
    lines = [f"candidates {len(candidates.rows):,}, indicators {len(candidates.indicators)}: "
             f"{', '.join(candidates.indicators)}", *candidates.sentences]  # fmt: skip
    for each in sets:
        bad = f", {each.unusable} unusable records" if each.unusable else ""
        losses = [dict(row)[each.name] for row in runs.loc[runs["subset"] == "base", "losses"]]
        base = f"; loss of the base model {losses[0]:.4f}" if losses else ""
        lines.append(f"evaluation {each.name}: {len(each.ids)} conversations{bad}{base}")
    lines.append(f"finetunes {spent.runs} run, {spent.found} found finished, "
                 f"{len(spent.failed)} failed, {spent.left} left for want of budget, in "
                 f"{duration(spent.seconds)}")  # fmt: skip
    if spent.estimated:
        thought, took = spent.estimated
        lines.append(f"estimated {duration(thought)} after calibration, took {duration(took)} "
                     f"({took / thought:.2f} of it)")  # fmt: skip
    lines += [f"- {sentence}" for sentence in reading(learned, sets[0].name)]
    lines += registered(rule, learned, settings)
    lines.append(f"tables: {store.location('finetuning_runs')}, {store.location('subsets')}")
    lines.append("SQL to try next: SELECT subset, seed, losses, indicators FROM "  # noqa: S608
                 f"{store.sql_name('finetuning_runs')} WHERE purpose = 'fit'")  # fmt: skip
    return "\n".join(lines)


def registered(rule: LinearRule | None, learned: Learned, settings: Settings) -> list[str]:
    """Register the rule as the candidate, and say what to do with it."""
    if rule is None:
        return ["no rule is registered: keep the one there is, or measure more"]
    if settings.tracking.uri == "none" or not settings.fit.register_rule:
        return [rule.to_sql()]
    found, made = publish_rule(rule, settings.tracking, CANDIDATE)
    gate = ("it passes the gate: instructmining rules promote " + str(found.version)
            if learned.better else "it does not pass the gate of `rules promote`")  # fmt: skip
    return [f"rule {found.uri} {'registered' if made else 'was registered before'} as "
            f"@{CANDIDATE}; {gate}", f"  {rule.to_sql()}"]  # fmt: skip


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
