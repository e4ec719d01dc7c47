"""What finetuning runs of the store say: how the rule was fitted, and whether its choice won."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import functions as F

from instructmining.report.scored import Scored
from instructmining.rules.rule import LinearRule
from instructmining.store.tables import Store

_BASE = "base"  # the subset of a run that trains nothing


@dataclass(frozen=True)
class Losses:
    """Loss on one evaluation set, nats per token, over the finetuned models."""

    name: str
    base: float | None  # of the model before finetuning
    best: float
    median: float
    worst: float


@dataclass(frozen=True)
class Experiment:
    """Runs that share base model, recipe and evaluation sets.

    Attributes:
        base: the model.
        recipe: of the finetuning, in words.
        runs: finished, without the base model's own.
        failed: runs without a loss.
        subsets: distinct ones.
        tokens: of responses trained on, all runs.
        seconds: of all runs.
        losses: by evaluation set.
    """

    base: str
    recipe: str
    runs: int
    failed: int
    subsets: int
    tokens: int
    seconds: float
    losses: tuple[Losses, ...]


@dataclass(frozen=True)
class Fit:
    """What the rule's own record says of its fit, and its runs where the store has them.

    Attributes:
        facts: name and value, in words.
        gate: error out of fold, of the rule, the mean alone and other rules; empty if unknown.
        target: evaluation set of the points.
        points: predicted and measured log loss of each finetuned subset, in sample.
    """

    facts: tuple[tuple[str, str], ...]
    gate: tuple[tuple[str, float], ...]
    target: str
    points: tuple[tuple[float, float], ...]


def runs_for(store: Store, purpose: str) -> pd.DataFrame:
    """Runs of one purpose, each key once: the finished one, where there is one."""
    rows = store.read("finetuning_runs").where(F.col("purpose") == purpose)
    runs = rows.drop("mix", "device", "run_id").toPandas()
    runs = runs.sort_values(["status", "run_key"], ascending=[False, True])  # ok before failed
    return runs.drop_duplicates("run_key").reset_index(drop=True)


def experiments(runs: pd.DataFrame) -> list[Experiment]:
    """The runs by what they share, the largest experiment first."""
    keys = ["base", "base_fingerprint", "recipe", "evaluation"]
    made = [_experiment(group) for _, group in runs.groupby(keys, sort=False)]
    return sorted(made, key=lambda group: -group.runs)


def fit_of(scored: Scored, runs: pd.DataFrame) -> Fit | None:
    """How the rule was fitted; None for a rule that says nothing of it."""
    rule = scored.rule
    if rule is None or not rule.provenance:
        return None
    provenance = dict(rule.provenance)
    gate = provenance.pop("cross_validation", None) or {}
    errors = [
        ("this rule", gate.get("rmse")),
        ("the mean alone", gate.get("rmse_mean_only")),
        *(gate.get("rmse_others") or {}).items(),
    ]
    facts = [(key.replace("_", " "), _words(value)) for key, value in provenance.items()]
    proof = {
        "cross-validated R²": "r_squared",
        "cross-validated rank correlation": "rank_correlation",
    }
    facts += [(name, _words(gate[key])) for name, key in proof.items() if gate.get(key) is not None]
    target, points = _points(rule, runs)
    return Fit(
        tuple(facts),
        tuple((name, float(e)) for name, e in errors if e is not None),
        target,
        tuple(points),
    )


def _experiment(group: pd.DataFrame) -> Experiment:
    ok = group[group["status"] == "ok"]
    trained = ok[ok["subset"] != _BASE]
    base = ok[ok["subset"] == _BASE]
    measured = pd.DataFrame([dict(losses) for losses in trained["losses"]])
    before = dict(base["losses"].iloc[0]) if len(base) else {}
    losses = [
        Losses(
            str(name),
            before.get(name),
            float(values.min()),
            float(values.median()),
            float(values.max()),
        )
        for name, values in measured.items()
    ]
    first = group.iloc[0]
    return Experiment(
        first["base"],
        _words(json.loads(first["recipe"])),
        len(trained),
        len(group) - len(ok),
        int(trained["subset"].nunique()),
        int(trained["tokens"].fillna(0).sum()),
        float(ok["seconds"].fillna(0).sum()),
        tuple(losses),
    )


def _points(rule: LinearRule, runs: pd.DataFrame) -> tuple[str, list[tuple[float, float]]]:
    """Of the runs that the rule's record names by base model and evaluation sets."""
    sets = rule.provenance.get("evaluation")
    if not isinstance(sets, Mapping) or not sets:
        return "", []
    target = str(rule.provenance.get("target") or next(iter(sets)))
    points = []
    for row in runs[(runs["status"] == "ok") & (runs["subset"] != _BASE)].to_dict("records"):
        values = dict(row["indicators"] or {})
        losses = dict(row["losses"] or {})
        same = row["base_fingerprint"] == rule.provenance.get("base_fingerprint") and json.loads(
            row["evaluation"]
        ) == dict(sets)
        if same and target in losses and set(rule.coefficients) <= set(values):
            terms = (factor * values[name] for name, factor in rule.coefficients.items())
            points.append((float(rule.intercept + sum(terms)), float(np.log(losses[target]))))
    return target, points


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(
            f"{key} {_words(inner)}" for key, inner in value.items() if inner is not None
        )
    if isinstance(value, list | tuple):
        return ", ".join(map(_words, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
