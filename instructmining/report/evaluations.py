"""The pool's last evaluation: what each arm lost, and what the comparisons say."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
from pyspark.sql import functions as F

from instructmining.report.charts import Scale
from instructmining.store.tables import Store


@dataclass(frozen=True)
class ArmLoss:
    """Mean loss of one arm over its seeds; the interval is 95 %, None below two seeds."""

    arm: str
    n: int
    loss: float
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class EvaluationSetLosses:
    """The arms on one evaluation set, the best first, and a scale that holds them all."""

    name: str
    arms: tuple[ArmLoss, ...]
    scale: Scale


@dataclass(frozen=True)
class Evaluation:
    """The last evaluation of a pool.

    Attributes:
        run_id: of it.
        recipes: how each arm's examples were chosen, as JSON.
        sets: losses by evaluation set.
        verdicts: one sentence per comparison, a null result as one.
    """

    run_id: str
    recipes: Mapping[str, str]
    sets: tuple[EvaluationSetLosses, ...]
    verdicts: tuple[str, ...]


def last_evaluation(store: Store, pool: str) -> Evaluation | None:
    """The last evaluation that was written for the pool; None where there was none."""
    compared = store.read("comparisons").where(F.col("pool") == pool)
    names = ("run_id", "evaluation", "arm", "rival", "verdict", "written_at")
    rows = compared.select(*names).toPandas()
    if rows.empty:
        return None
    # Rows of older versions have no time and stand first.
    run_id = rows.sort_values(["written_at", "run_id"], na_position="first")["run_id"].iloc[-1]
    arms = store.read("arms").where((F.col("pool") == pool) & (F.col("run_id") == run_id))
    runs = store.read("finetuning_runs").where(F.col("status") == "ok")
    # The run of a key may be an earlier evaluation's: equal subsets share one.
    joined = arms.join(runs.select("run_key", "losses").dropDuplicates(["run_key"]), "run_key")
    losses = joined.select("arm", "seed", "recipe", "losses").toPandas()
    said = rows[rows["run_id"] == run_id].sort_values(["evaluation", "arm", "rival"])
    return Evaluation(
        run_id,
        dict(zip(losses["arm"], losses["recipe"], strict=True)),
        tuple(_sets(losses)),
        tuple(said["verdict"].dropna()),
    )


def _sets(runs: pd.DataFrame) -> list[EvaluationSetLosses]:
    from instructmining.evaluating.comparison import means  # SciPy, and only evaluations need it

    losses = pd.DataFrame(
        [
            (name, row["arm"], row["seed"], loss)
            for row in runs.to_dict("records")
            for name, loss in dict(row["losses"]).items()
        ],
        columns=["evaluation", "arm", "seed", "loss"],
    )
    return [
        _losses(str(name), group) for name, group in means(losses).groupby("evaluation", sort=True)
    ]


def _losses(name: str, group: pd.DataFrame) -> EvaluationSetLosses:
    arms = [
        ArmLoss(
            row["arm"],
            row["n"],
            row["loss"],
            None if pd.isna(row["low"]) else (row["low"], row["high"]),
        )
        for row in group.sort_values("loss").to_dict("records")
    ]
    ends = [value for arm in arms for value in (arm.loss, *(arm.interval or ()))]
    margin = 0.05 * (max(ends) - min(ends) or 1.0)
    return EvaluationSetLosses(name, tuple(arms), Scale(min(ends) - margin, max(ends) + margin))
