"""What a fit leaves behind: its rule in the registry, its runs and pages in MLflow, its summary."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from instructmining.errors import UserError
from instructmining.fitting.drawn_subsets import members_csv
from instructmining.fitting.page import reading
from instructmining.fitting.plots import fit_plots
from instructmining.fitting.rule_fit import Learned, unseen_figures
from instructmining.models.lists import ResolvedModel
from instructmining.rules.canary import (
    Preference,
    canary_lines,
    canary_objection,
    metrics_of,
)
from instructmining.rules.fitted_model import FittedModel
from instructmining.rules.registry import CHAMPION, list_rules, load_rule, publish_rule, unproven
from instructmining.rules.rule import LinearRule, built_in_rules
from instructmining.scoring.scores import Measured
from instructmining.settings.fitting import Fit
from instructmining.settings.sections import Tracking
from instructmining.tracking.mlflow_runs import Input, Run
from jobs.finetuning.waves import Spent
from jobs.fitting.setup import Setup
from jobs.scoring.canary import preferences_in, stored_pairs

CANDIDATE = "candidate"
_UNTRIED = (
    "canary: the store has no spoiled rows of these pools and models (canary.rows=0, or an older "
    "store): score once with the rule before it is promoted"
)
_RANGE_MARGIN = 0.5  # of the width of the subset means, on each side


def rivals(tracking: Tracking) -> dict[str, LinearRule]:
    """The published rules, and the champion if there is one."""
    rules = {name: rule for name, rule in built_in_rules().items() if name.startswith("paper-")}
    if tracking.uri != "none":
        for registered in list_rules(tracking):
            if CHAMPION in registered.aliases:
                rules[registered.uri] = load_rule(registered.uri, tracking)
    return rules


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
    return {
        name: FittedModel(
            sources=(resolved[stage].spec.origin or stage,), fingerprint=resolved[stage].fingerprint
        )
        for name, stage in stages.items()
    }


def ranges(means: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """By indicator, from the lowest to the highest mean of a subset, widened on both sides.

    A rule was fitted on these means: of single candidates it knows nothing, and outliers among them
    would let everything pass.

    Args:
        means: one row per subset, one column per indicator.
    """
    margins = _RANGE_MARGIN * (means.max() - means.min())
    low, high = means.min() - margins, means.max() + margins
    return {str(name): (float(low[name]), float(high[name])) for name in means.columns}


def provenance(setup: Setup, fit: Fit, run_id: str) -> dict[str, Any]:
    """What a rule's numbers depend on, apart from the indicators' models, and their origin."""
    finetunes = setup.finetunes
    return {
        "base_model": finetunes.base.spec.source,
        "base_fingerprint": finetunes.base.fingerprint,
        "evaluation": {one.name: one.version for one in finetunes.given},
        "target": setup.target,
        "subsets": len(setup.design.subsets),
        "examples_per_subset": fit.size,
        "pools": list(setup.pools),
        "seed": fit.seed,
        "design": fit.design,
        "dirt": setup.dirt,
        "finetune": finetunes.recipe.model_dump() | {"dtype": finetunes.task.dtype},
        "table": finetunes.store.location("finetuning_runs"),
        "run_id": run_id,
    }


def record(tracked: Run, setup: Setup, runs: pd.DataFrame, learned: Learned, page: str) -> None:
    """One child run per finetune, what was read, the page, the fit table and the plots."""
    if not tracked.records:
        return
    for run in runs.to_dict("records"):
        losses = {f"loss_{name}": value for name, value in dict(run["losses"]).items()}
        tracked.log_child(
            f"{run['subset'][:8]} seed {run['seed']}",
            {key: run[key] for key in ("run_key", "subset", "seed")},
            losses | {key: run[key] for key in ("seconds", "tokens")},
        )
    store = setup.finetunes.store
    tracked.log_inputs(
        Input(store.location(table), store.version(table), table=not store.is_folder)
        for table in ("examples", "stage_values", "embeddings", "finetuning_runs")
        if store.exists(table)
    )
    tracked.log_text(page, "fit.md")
    tracked.log_text(learned.runs.to_csv(index=False), "fit_table.csv")
    tracked.log_text(drawn(setup), "subsets.csv")
    tracked.log_figures(
        fit_plots(
            learned.runs,
            learned.fit,
            learned.cross_validated.predictions,
            [*setup.candidates.indicators, *learned.hinges],
        )
    )
    tracked.log_metrics(
        {
            "cv_rmse": learned.cross_validated.rmse,
            "cv_r_squared": learned.cross_validated.r_squared,
            "cv_rmse_mean_only": learned.mean_only.rmse,
            **unseen_figures(learned),
        }
    )


def drawn(setup: Setup) -> str:
    """Which examples every subset has, for `fit.drawn` of another fit."""
    ids = [str(i) for i in setup.candidates.rows["example_id"]]
    return members_csv(ids, setup.design, setup.random)


def summary(setup: Setup, runs: pd.DataFrame, spent: Spent, learned: Learned) -> Iterator[str]:
    """The lines for the terminal."""
    candidates = setup.candidates
    store = setup.finetunes.store
    yield (
        f"candidates {len(candidates.real):,}, indicators {len(candidates.indicators)}: "
        f"{', '.join(candidates.indicators)}"
    )
    yield from candidates.sentences
    yield setup.dirt
    for evaluation, given in zip(setup.finetunes.sets, setup.finetunes.given, strict=True):
        bad = f", {evaluation.unusable} unusable records" if evaluation.unusable else ""
        losses = [
            dict(row)[evaluation.name] for row in runs.loc[runs["subset"] == "base", "losses"]
        ]
        base = f"; loss of the base model {losses[0]:.4f}" if losses else ""
        many = f"{len(evaluation.ids):,} conversations"
        many += f" of {len(given.ids):,}" * (len(given.ids) > len(evaluation.ids))
        yield f"evaluation {evaluation.name}: {many}{bad}{base}"
    yield from spent.words()
    yield from (f"- {sentence}" for sentence in reading(learned, setup.target))
    yield f"tables: {store.location('finetuning_runs')}, {store.location('subsets')}"
    yield (
        "SQL to try next: SELECT subset, seed, losses, indicators FROM "  # noqa: S608
        f"{store.sql_name('finetuning_runs')} WHERE purpose = 'fit'"
    )


def write_files(
    folder: str | None, setup: Setup, rule: LinearRule | None, learned: Learned, page: str
) -> Iterator[str]:
    """The rule, the page, the fit table and the subsets as files.

    Raises:
        UserError: the folder cannot be written.
    """
    if folder is None:
        return
    texts = {
        "fit.md": page,
        "fit_table.csv": learned.runs.to_csv(index=False),
        "subsets.csv": drawn(setup),
    }
    texts |= {"rule.json": rule.to_json()} if rule else {}
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"--to {folder}: {error.strerror}") from None
    yield f"written to {folder}: {', '.join(texts)}"


def tried_on_canary(setup: Setup, rule: LinearRule | None) -> list[Preference]:
    """How often the rule prefers real rows to the spoiled ones that `score` stored, by kind."""
    if rule is None:
        return []
    store = setup.finetunes.store
    pairs = [pair for pool in setup.pools for pair in stored_pairs(store, pool, setup.measured)]
    return preferences_in(pairs, rule)


def registered(
    rule: LinearRule | None, canary: Sequence[Preference], tracking: Tracking, register: bool
) -> list[str]:
    """Register the rule as the candidate, and say what to do with it.

    Args:
        rule: what was learned; None where no term predicts.
        canary: of `tried_on_canary`.
        tracking: where rules are registered.
        register: False only prints the rule.
    """
    if rule is None:
        return ["no rule is registered: keep the one there is, or measure more"]
    tried = canary_lines(canary) if canary else [_UNTRIED]
    if tracking.uri == "none" or not register:
        return [*tried, rule.to_sql()]
    version, made = publish_rule(rule, tracking, CANDIDATE)
    why = unproven(str(version.version), tracking) or canary_objection(
        version.uri, metrics_of(canary)
    )
    gate = (
        f"it does not pass the gate of `rules promote`: {why}"
        if why
        else f"it passes the gate: instructmining rules promote {version.version}"
    )
    return [
        *tried,
        f"rule {version.uri} {'registered' if made else 'was registered before'} as "
        f"@{CANDIDATE}; {gate}",
        f"  {rule.to_sql()}",
    ]
