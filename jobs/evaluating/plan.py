"""What is written down before the first run: recipe, hashes, and what the seeds can see."""

from collections.abc import Iterator, Sequence

import pandas as pd
from pyspark.sql import functions as F

from instructmining.evaluating.arms import pairs_of
from instructmining.evaluating.power import LEVEL, detectable
from instructmining.fitting.page import markdown
from instructmining.fitting.terms import noise_floor
from jobs.evaluating.arm_runs import ArmRun, Experiment


def plan_lines(experiment: Experiment, runs: Sequence[ArmRun]) -> list[str]:
    """The plan in Markdown, printed before the finetunes and kept on the page.

    Args:
        experiment: base, recipe, evaluation sets.
        runs: every arm at every seed.
    """
    return [*_facts(experiment), *_arms(runs), "", *_detectable(experiment)]


def _facts(experiment: Experiment) -> Iterator[str]:
    task = experiment.task
    facts = {
        "base model": f"{task.base} ({task.fingerprint[:12]})",
        "recipe": task.recipe_json(),
        "metric": "mean NLL of the reference tokens, nats per token, lower is better",
        **{
            f"evaluation {one.name}": f"{len(one.ids)} conversations ({one.version[:12]})"
            for one in experiment.sets
        },
    }
    yield from markdown(pd.DataFrame({"value": facts}), "what")


def _arms(runs: Sequence[ArmRun]) -> Iterator[str]:
    rows = pd.DataFrame(
        [(one.arm.name, len(one.arm.ids), one.arm.seed, one.run.subset[:12]) for one in runs],
        columns=["arm", "examples", "seed", "subset"],
    )
    table = rows.groupby("arm", sort=False).agg(
        examples=("examples", "max"),
        seeds=("seed", lambda column: ", ".join(map(str, sorted(column)))),
        subsets=("subset", lambda column: ", ".join(dict.fromkeys(column))),
    )
    yield ""
    yield from markdown(table, "arm")


def _detectable(experiment: Experiment) -> Iterator[str]:
    """The smallest true difference that these seeds find in 80 of 100 evaluations."""
    evaluate = experiment.settings.evaluate
    count = len(pairs_of(evaluate)) * len(experiment.sets)
    spreads = detectable(1.0, evaluate.seeds, LEVEL / count)
    yield (
        f"{evaluate.seeds} seeds see a difference of {spreads:.1f} of its standard deviations "
        f"between seeds (80 % power, {count} comparisons, before the spread over prompts)"
    )
    for one in experiment.sets:
        noise = _seed_noise(experiment, one.name)
        if noise is not None:
            yield (
                f"on {one.name} earlier runs of this recipe differ by {noise:.4f} between seeds, "
                f"so about {spreads * noise * 2**0.5:.4f} nats per token can be seen"
            )


def _seed_noise(experiment: Experiment, name: str) -> float | None:
    """Standard deviation of the loss between seeds of one subset, of runs that are stored."""
    task = experiment.task
    rows = (
        experiment.store.read("finetuning_runs")
        .where(
            (F.col("status") == "ok")
            & (F.col("subset") != "base")
            & (F.col("base_fingerprint") == task.fingerprint)
            & (F.col("recipe") == task.recipe_json())
        )
        .select("run_key", "subset", F.col("losses")[name].alias("log_loss"))
        .dropna()
        .dropDuplicates(["run_key"])
        .toPandas()
    )
    return noise_floor(rows) if len(rows) else None
