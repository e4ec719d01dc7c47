"""What is written down before the first run: recipe, hashes, what the seeds can see, the cost."""

from collections.abc import Iterator, Sequence

import pandas as pd
from pyspark.sql import functions as F

from instructmining.evaluating.arms import pairs_of
from instructmining.evaluating.power import LEVEL, detectable
from instructmining.finetunes.runs import finished
from instructmining.fitting.page import markdown
from instructmining.fitting.terms import noise_floor
from instructmining.progress import duration
from jobs.evaluating.arm_runs import ArmRun, Experiment
from jobs.evaluating.rates import further_runs, usual_rate


def plan_lines(experiment: Experiment, runs: Sequence[ArmRun]) -> list[str]:
    """The plan in Markdown, printed before the finetunes and kept on the page.

    Args:
        experiment: base, recipe, evaluation sets.
        runs: every arm at every seed.
    """
    stored = _stored_runs(experiment)
    return [
        *_facts(experiment),
        *_arms(runs),
        "",
        *_detectable(experiment, stored),
        *_cost(experiment, runs, stored),
    ]


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
        **_rates(experiment),
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


def _detectable(experiment: Experiment, stored: pd.DataFrame) -> Iterator[str]:
    """The smallest true difference that these seeds find in 80 of 100 evaluations."""
    evaluate = experiment.settings.evaluate
    count = len(pairs_of(evaluate)) * len(experiment.sets)
    spreads = detectable(1.0, evaluate.seeds, LEVEL / count)
    yield (
        f"{evaluate.seeds} seeds see a difference of {spreads:.1f} of its standard deviations "
        f"between seeds (80 % power, {count} comparisons, before the spread over prompts)"
    )
    for one in experiment.sets:
        noise = _seed_noise(stored, one.name)
        if noise is not None:
            yield (
                f"on {one.name} earlier runs of this recipe differ by {noise:.4f} between seeds, "
                f"so about {spreads * noise * 2**0.5:.4f} nats per token can be seen"
            )


def _rates(experiment: Experiment) -> dict[str, str]:
    """The other learning rates in the table of facts; nothing where none are asked for."""
    rates = experiment.settings.evaluate.rates
    if not rates:
        return {}
    times = ", ".join(f"{rate:g}" for rate in rates)
    usual = usual_rate(experiment.setup)
    return {"rates": f"{times} times {usual:g}, for random and the best of the other arms"}


def _cost(experiment: Experiment, runs: Sequence[ArmRun], stored: pd.DataFrame) -> Iterator[str]:
    """How many finetunes there are, and how long they take where some are stored."""
    keys = {experiment.base_run().key, *(one.run.key for one in runs)}
    found = len(finished(experiment.store, list(keys)))
    more = further_runs(experiment)
    said = f"{len(keys)} finetunes are planned, of which {found} are stored"
    if more:
        said += f"; the other learning rates add {more} at most"
    seconds = stored["seconds"].median()
    if pd.isna(seconds):
        yield f"{said}; what they take is said after the first ones"
        return
    left = duration((len(keys) - found + more) * seconds)
    yield (
        f"{said}; stored ones of this recipe took {duration(seconds)} each, so {left} if they run "
        "one after the other"
    )


def _seed_noise(stored: pd.DataFrame, name: str) -> float | None:
    """Standard deviation of the loss on a set between seeds of one subset, of stored runs."""
    losses = stored["losses"].map(lambda own: dict(own).get(name, float("nan")))
    rows = stored.assign(log_loss=losses.astype(float)).dropna(subset="log_loss")
    return noise_floor(rows) if len(rows) else None


def _stored_runs(experiment: Experiment) -> pd.DataFrame:
    """Finished finetunes of this base and recipe: `run_key`, `subset`, `losses`, `seconds`."""
    task = experiment.task
    return (
        experiment.store.read("finetuning_runs")
        .where(
            (F.col("status") == "ok")
            & (F.col("subset") != "base")
            & (F.col("base_fingerprint") == task.fingerprint)
            & (F.col("recipe") == task.recipe_json())
        )
        .select("run_key", "subset", "losses", "seconds")
        .dropDuplicates(["run_key"])
        .toPandas()
    )
