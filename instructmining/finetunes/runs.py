"""Finetuning runs as records: what is to be run, its key, and the table as a frame for fitting."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import functions as F

from instructmining.errors import FailedRowsError
from instructmining.fitting.shared_examples import with_shares
from instructmining.settings.learning import Finetune
from instructmining.spark.frames import small_frame
from instructmining.store.tables import Store


@dataclass(frozen=True)
class Task:
    """What all runs of one experiment share: base model, recipe, evaluation sets.

    Attributes:
        base: source of the model.
        fingerprint: what the model is.
        recipe: how it is finetuned.
        evaluation: by name, a hash of the set's example ids.
        dtype: of the weights while training; it decides the numbers, so it is part of the key.
    """

    base: str
    fingerprint: str
    recipe: Finetune
    evaluation: Mapping[str, str]
    dtype: str

    def key(self, subset: str, seed: int) -> str:
        """32 hex digits; equal keys stand for equal runs."""
        return _hash([self.fingerprint, self.recipe_json(), dict(self.evaluation), subset, seed])

    def recipe_json(self) -> str:
        """The settings of the finetuning as they are stored; not over how many processes it ran."""
        settings = self.recipe.model_dump(exclude={"gpus_per_run"}) | {"dtype": self.dtype}
        return json.dumps(settings, sort_keys=True)


@dataclass(frozen=True)
class PlannedRun:
    """One run that is wanted.

    Attributes:
        key: of `Task.key`.
        subset: hash of the ids; `base` for the base model as it is.
        ids: example ids; none for the base model.
        seed: of the order of the examples.
        indicators: mean over the subset.
        mix: share of each source.
    """

    key: str
    subset: str
    ids: tuple[str, ...]
    seed: int
    indicators: dict[str, float]
    mix: dict[str, float]


def ids_hash(ids: Sequence[str]) -> str:
    """32 hex digits of a set of ids, whatever their order."""
    return _hash(sorted(ids))


def finished(store: Store, keys: Sequence[str]) -> pd.DataFrame:
    """The runs of these keys that have a result, one row per key, in the order of the keys."""
    rows = store.read("finetuning_runs").where(F.col("status") == "ok").drop("run_id")
    wanted = small_frame(store.spark, [(key,) for key in keys], "run_key STRING")
    stored = rows.join(wanted, "run_key", "left_semi").dropDuplicates(["run_key"]).toPandas()
    order = {key: place for place, key in enumerate(keys)}
    return stored.sort_values("run_key", key=lambda keys: keys.map(order)).reset_index(drop=True)


def regression_frame(runs: pd.DataFrame, indicators: Sequence[str], target: str) -> pd.DataFrame:
    """One row per finetuned subset, as the regression wants it.

    Args:
        runs: of `finished`; the base model's own row is left out.
        indicators: columns to take from the map.
        target: name of the evaluation set.

    Returns:
        `run_key, subset, seed, mix` (the source with the largest share), the indicators,
        `log_loss`, `log_loss_<name>` for every evaluation set, and `share_<source>`.
    """
    trained = runs[runs["subset"] != "base"].reset_index(drop=True)
    names = list(indicators)
    measured = pd.DataFrame([dict(means) for means in trained["indicators"]], columns=names)
    losses = pd.DataFrame([dict(losses) for losses in trained["losses"]]).map(np.log)
    losses = losses.reindex(columns=[target, *losses.columns.drop(target, errors="ignore")])
    frame = pd.concat(
        [
            trained[["run_key", "subset", "seed"]],
            pd.Series([_largest(mix) for mix in trained["mix"]], name="mix"),
            measured,
            losses[target].rename("log_loss"),
            losses.add_prefix("log_loss_"),
        ],
        axis=1,
    )
    return with_shares(frame, trained["mix"].tolist())


def on_other_bases(store: Store, task: Task, target: str) -> dict[str, pd.DataFrame]:
    """By base model, what the same recipe came to on other models than the task's.

    Returns:
        Per base the frames `subset`, `log_loss` of the target, averaged over seeds.
    """
    rows = (
        store.read("finetuning_runs")
        .where(
            (F.col("status") == "ok")
            & (F.col("subset") != "base")
            & (F.col("base_fingerprint") != task.fingerprint)
            & (F.col("recipe") == task.recipe_json())
            & (F.col("evaluation") == json.dumps(dict(task.evaluation)))
        )
        .select("base", "subset", F.log(F.col("losses")[target]).alias("log_loss"))
    )
    means = rows.groupBy("base", "subset").agg(F.avg("log_loss").alias("log_loss")).toPandas()
    return {
        str(base): runs_of_base[["subset", "log_loss"]].sort_values("subset")
        for base, runs_of_base in means.groupby("base")
    }


def refuse_failed(failed: Mapping[str, str], everything: int, limit: float, command: str) -> None:
    """Fail where too many finetunes did.

    Args:
        failed: reason by key.
        everything: finetunes that were wanted.
        limit: share that may fail, `COMMAND.max_failed_fraction`.
        command: `fit` or `evaluate`.

    Raises:
        FailedRowsError: with the first reason.
    """
    if len(failed) > limit * everything:
        raise FailedRowsError(
            f"{len(failed)} of {everything} finetunes failed, more than {command}."
            f"max_failed_fraction={limit:g}; the first: {next(iter(failed.values()))}; remove the "
            "cause and run again, finished runs are kept"
        )


def _largest(mix: Any) -> str:
    shares = dict(mix)
    return max(sorted(shares), key=shares.__getitem__) if shares else ""


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]
