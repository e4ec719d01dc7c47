"""What came of the finetunes of an evaluation: runs, losses, comparisons that are stored."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from instructmining.errors import FailedRowsError
from instructmining.evaluating.arms import BASE
from instructmining.evaluating.comparison import verdicts
from instructmining.evaluating.seeds_and_prompts import PromptLosses
from instructmining.finetunes.evaluation_sets import EvaluationSet
from instructmining.finetunes.runs import finished
from instructmining.spark.frames import small_frame
from instructmining.store.schemas import TABLES
from instructmining.store.tables import Store
from jobs.evaluating.arm_runs import ArmRun, Experiment
from jobs.finetuning.waves import Spent

_STORED = [
    "examples",
    "steps",
    "tokens",
    "train_loss",
    "losses",
    "prompt_losses",
    "prompt_tokens",
]


def refuse_without_result(results: pd.DataFrame, spent: Spent, what: str) -> None:
    """Fail where there is nothing to compare.

    Args:
        results: of `outcomes`.
        spent: of the same runs.
        what: was finetuned.

    Raises:
        FailedRowsError: no run has a result; with the first reason.
    """
    if results.empty:
        why = next(iter(spent.failed.values()), "none was begun")
        raise FailedRowsError(f"no finetune of {what} has a result: {why}")


def outcomes(store: Store, runs: Sequence[ArmRun]) -> pd.DataFrame:
    """The finished runs, one row per arm and seed.

    Returns:
        `arm`, `seed`, `run_key`, `examples`, `steps`, `tokens` (response tokens, all epochs),
        `train_loss`, `losses`, `prompt_losses`, `prompt_tokens`; runs that failed are not there.
    """
    done = finished(store, list({arm_run.run.key for arm_run in runs})).set_index("run_key")
    done = done.reindex(columns=_STORED)  # a store of an older version has no losses of prompts
    rows = [
        {
            "arm": arm_run.arm.name,
            "seed": arm_run.arm.seed,
            "run_key": arm_run.run.key,
            **done.loc[arm_run.run.key, _STORED],
        }
        for arm_run in runs
        if arm_run.run.key in done.index
    ]
    return pd.DataFrame(rows, columns=["arm", "seed", "run_key", *_STORED])


def losses_of(results: pd.DataFrame, sets: Sequence[EvaluationSet]) -> pd.DataFrame:
    """`evaluation`, `arm`, `seed`, `loss` of every finished run."""
    rows = [
        (evaluation.name, row["arm"], row["seed"], dict(row["losses"])[evaluation.name])
        for evaluation in sets
        for row in results.to_dict("records")
    ]
    return pd.DataFrame(rows, columns=["evaluation", "arm", "seed", "loss"])


def prompts_of(results: pd.DataFrame, sets: Sequence[EvaluationSet]) -> dict[str, PromptLosses]:
    """Losses of single prompts by evaluation set, of the runs that stored them.

    Args:
        results: of `outcomes`, with `prompt_losses` and `prompt_tokens`.
        sets: evaluation sets.
    """
    prompts = {}
    for evaluation in sets:
        losses, weights = {}, np.empty(0)
        for row in results.to_dict("records"):
            stored = row["prompt_losses"]
            if isinstance(stored, dict) and evaluation.name in stored:
                known = stored[evaluation.name]
                losses[row["arm"], row["seed"]] = np.asarray(known, float)
                weights = np.asarray(dict(row["prompt_tokens"])[evaluation.name], float)
        prompts[evaluation.name] = PromptLosses(losses, weights)
    return prompts


def with_base(experiment: Experiment, results: pd.DataFrame) -> pd.DataFrame:
    """The outcomes with the base model as an arm that is the same at every seed."""
    done = finished(experiment.store, [experiment.base_run().key])
    if done.empty:
        return results
    row = done.reindex(columns=list(results.columns)).iloc[0].to_dict()
    seeds = sorted(results["seed"].unique())
    base = pd.DataFrame([{**row, "arm": BASE, "seed": seed} for seed in seeds])
    return pd.concat([results, base[results.columns]], ignore_index=True)


def base_losses(experiment: Experiment) -> dict[str, float]:
    """Loss of the base model by evaluation set; empty where its run failed."""
    done = finished(experiment.store, [experiment.base_run().key])
    return dict(done["losses"][0]) if len(done) else {}


def store_comparisons(experiment: Experiment, compared: pd.DataFrame) -> None:
    """Append the differences and their verdicts; what is not known is null."""
    store = experiment.store
    run_id = experiment.run_id
    comparisons = compared.assign(
        pool=experiment.settings.pool, run_id=run_id, verdict=verdicts(compared)
    )
    table = TABLES["comparisons"].given
    rows = [
        tuple(None if pd.isna(value) else value for value in row.values())
        for row in comparisons[table.names].astype({"n": int}).to_dict("records")
    ]
    frame = small_frame(store.spark, rows, table.ddl)
    store.append(frame, "comparisons", {"run_id": run_id})
