"""Which selector beats random, on 6,000 public finetunes? `python -m bench.public_runs [FOLDER]`.

Nayak et al. (2026, arXiv 2602.14696) finetuned five base models on subsets of two pools, chosen
by seven selectors and at random for five tasks at five budgets, three seeds each, and published
loss and task metric of every model (github.com/dcml-lab/targeted-instruction-selection,
Apache-2.0). This reads their files and judges every comparison as `evaluate` does: differences
paired by seed, an interval of the t distribution, and the sign of the loss beside the metric's.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from bench.harness.rows import DATA
from bench.harness.stored import markdown
from instructmining.evaluating.comparison import interval
from instructmining.evaluating.power import seeds_for

FOLDER = DATA / "runs" / "targeted-instruction-selection"
POOLS = {"plot_data": "Tulu-2", "dolci_plot_data": "Dolci"}
CELL = ["pool", "base", "task"]
RANDOM = "Random"
LOSSES = {"dev": "loss on the target examples", "test": "loss on the test set"}
_STEM = "-budget_true_metric_budget.csv"
_SIZES = (1.0, 2.0, 3.0)  # points for which the seeds of 80 % power are printed
_AGAINST_RANDOM = (
    "Mean over base × task × budget [95 % interval over the bases]; base × task cells won; "
    "comparisons of three seeds whose 95 % interval is above / below zero (2.5 % each by chance); "
    "the mean without the task that carries most."
)
_BEST = (
    "The best of seven, so its figure flatters; * where the interval over budgets and seeds "
    "excludes 0."
)
_LOSS = (
    "Means of three seeds against random. Rank correlation of −loss and metric over methods and "
    "budgets, mean over base × task."
)


def public_runs(folder: Path) -> pd.DataFrame:
    """One row per finetune.

    Returns:
        `pool`, `base`, `task`, `method`, `budget`, `seed`, `metric` (points, higher is better),
        `dev` and `test` (nats per token), `untouched` (metric of the base model).

    Raises:
        SystemExit: the folder does not hold the files.
    """
    files = sorted(folder.glob(f"*{_STEM}"))
    if not files:
        sys.exit(
            f"{folder} holds no file *{_STEM}: download plot_data and dolci_plot_data of "
            "github.com/dcml-lab/targeted-instruction-selection into it"
        )
    return pd.concat([_one_base(file) for file in files], ignore_index=True)


def differences_from_random(runs: pd.DataFrame) -> pd.DataFrame:
    """Metric and losses of every selector minus those of random subsets at the same seed.

    Losses change their sign, so that more is better in all of them.
    """
    keys = [*CELL, "budget", "seed"]
    values = runs.assign(dev=-runs["dev"], test=-runs["test"]).set_index([*keys, "method"])
    values = values[["metric", "dev", "test"]]
    rival = values.xs(RANDOM, level="method")
    chosen = values.drop(RANDOM, level="method").reset_index("method")
    return chosen.set_index("method", append=True).sub(rival).reset_index()


def verdicts(differences: pd.DataFrame, keys: Sequence[str], value: str) -> pd.DataFrame:
    """Mean and 95 % interval of a difference by group.

    Returns:
        `n`, `mean`, `low`, `high`, indexed by the keys.
    """
    rows = {}
    for name, group in differences.groupby(list(keys))[value]:
        low, high = interval(group.to_numpy(float))
        rows[name] = {"n": len(group), "mean": group.mean(), "low": low, "high": high}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(list(keys))


def by_method(differences: pd.DataFrame) -> Iterator[list[str]]:
    """Per pool and method: mean, cells won, and comparisons sure in either direction."""
    single = verdicts(differences, [*CELL, "budget", "method"], "metric")
    cells = differences.groupby([*CELL, "method"])["metric"].mean()
    for (pool, method), means in cells.groupby(["pool", "method"]):
        here = single.xs((pool, method), level=("pool", "method"))
        tasks = means.groupby("task").mean()
        carries = tasks.idxmax()
        low, high = interval(means.groupby("base").mean().to_numpy(float))
        yield [
            str(pool),
            str(method),
            f"{means.mean():+.2f} [{low:+.2f}, {high:+.2f}]",
            f"{(means > 0).sum()} of {len(means)}",
            f"{100 * (here['low'] > 0).mean():.0f} % / {100 * (here['high'] < 0).mean():.0f} %",
            f"{tasks.drop(carries).mean():+.2f} ({carries})",
        ]


def by_task(differences: pd.DataFrame) -> Iterator[list[str]]:
    """Per pool, method and task the mean over bases and budgets, with its interval over bases."""
    bases = differences.groupby([*CELL, "method"])["metric"].mean().reset_index()
    table = verdicts(bases, ["pool", "method", "task"], "metric")
    for (pool, method), rows in table.groupby(["pool", "method"]):
        yield [str(pool), str(method), *(_marked(row) for row in rows.itertuples())]


def by_base(differences: pd.DataFrame) -> Iterator[list[str]]:
    """Per pool, base and task: the best method, its interval over budgets and seeds."""
    table = verdicts(differences, [*CELL, "method"], "metric")
    for (pool, base), rows in table.groupby(["pool", "base"]):
        best = rows.loc[rows.groupby("task")["mean"].idxmax()].reset_index()
        yield [str(pool), str(base), *(f"{row.method} {_marked(row)}" for row in best.itertuples())]


def by_budget(runs: pd.DataFrame, differences: pd.DataFrame) -> Iterator[list[str]]:
    """Per pool and budget: random against the untouched base, and every method against random."""
    drawn = runs[runs["method"] == RANDOM]
    gained = (drawn["metric"] - drawn["untouched"]).groupby([drawn["pool"], drawn["budget"]]).mean()
    table = differences.pivot_table(
        index=["pool", "budget"], columns="method", values="metric", aggfunc="mean"
    )
    for pool, budget, *points in table.reset_index().itertuples(index=False):
        gain = f"{gained.loc[(pool, budget)]:+.2f}"
        yield [pool, f"{budget:,}", gain, *(f"{value:+.2f}" for value in points)]


def by_loss(differences: pd.DataFrame, runs: pd.DataFrame) -> Iterator[list[str]]:
    """Per pool: how often the metric and the losses say better, and how often they agree."""
    means = differences.groupby([*CELL, "budget", "method"])[["metric", "dev", "test"]].mean()
    for pool, rows in means.groupby("pool"):
        yield [str(pool), "task metric", f"{100 * (rows['metric'] > 0).mean():.0f} %", "–", "–"]
        for loss, name in LOSSES.items():
            agree = ((rows[loss] > 0) == (rows["metric"] > 0)).mean()
            by_cell = _rank_correlations(runs[runs["pool"] == pool], loss)
            tasks = ", ".join(
                f"{task} {r:+.2f}" for task, r in by_cell.groupby("task").mean().items()
            )
            yield [
                str(pool),
                name,
                f"{100 * (rows[loss] > 0).mean():.0f} %",
                f"{100 * agree:.0f} %",
                f"{by_cell.mean():+.2f} ({tasks})",
            ]


def by_seeds(runs: pd.DataFrame) -> Iterator[list[str]]:
    """Per arm: the spread between seeds, and seeds for 80 % power at differences of some points."""
    chosen = runs["method"] != RANDOM
    spread = {}
    for name, rows in (("random", runs[~chosen]), ("a selector", runs[chosen])):
        sd = rows.groupby([*CELL, "method", "budget"])["metric"].std()
        spread[name] = float(np.sqrt((sd**2).mean()))
        yield [name, f"{spread[name]:.1f}", f"{sd.median():.1f}", *["–"] * len(_SIZES)]
    both = float(np.hypot(spread["random"], spread["a selector"]))
    yield ["their difference", f"{both:.1f}", "–", *(str(seeds_for(d, both)) for d in _SIZES)]


def every_comparison(differences: pd.DataFrame) -> Iterator[list[str]]:
    """One row per pool, base, task, budget and method: metric with interval, and the loss."""
    keys = [*CELL, "budget", "method"]
    table = verdicts(differences, keys, "metric")
    losses = differences.groupby(keys)[list(LOSSES)].mean()
    for row in table.join(losses).reset_index().to_dict("records"):
        shown = f"{row['mean']:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}]"
        said = ("better" if row[loss] > 0 else "worse" for loss in LOSSES)
        names = [row["pool"], row["base"], row["task"], f"{row['budget']:,}", row["method"]]
        yield [*names, shown, *said]


def report(runs: pd.DataFrame) -> Iterator[str]:
    """All tables."""
    differences = differences_from_random(runs)
    tasks = sorted(runs["task"].unique())
    yield (
        f"{len(runs):,} finetunes: {runs['pool'].nunique()} pools × {runs['base'].nunique()} bases "
        f"× {len(tasks)} tasks × {runs['budget'].nunique()} budgets × {runs['method'].nunique()} "
        f"methods × {runs['seed'].nunique()} seeds. Differences are points of the task metric "
        "against random subsets of the same pool, base, task, budget and seed."
    )
    yield f"\n## Against random\n\n{_AGAINST_RANDOM}\n"
    header = ["pool", "method", "points", "cells won", "sure + / −", "without its best task"]
    yield markdown(header, list(by_method(differences)))
    yield "\n## By task\n\nMean over bases and budgets; * where their interval excludes 0.\n"
    yield markdown(["pool", "method", *tasks], list(by_task(differences)))
    yield f"\n## The best method of each base and task\n\n{_BEST}\n"
    yield markdown(["pool", "base", *tasks], list(by_base(differences)))
    methods = sorted(differences["method"].unique())
    yield "\n## By budget\n\nRandom against the base model as it is, then methods against random.\n"
    header = ["pool", "examples", "random − base", *methods]
    yield markdown(header, list(by_budget(runs, differences)))
    yield f"\n## Would loss have said so?\n\n{_LOSS}\n"
    header = ["pool", "what is read", "says better than random", "agrees with metric", "rank"]
    yield markdown(header, list(by_loss(differences, runs)))
    yield "\n## Seeds\n\nStandard deviation between seeds, points; seeds per arm for 80 % power.\n"
    header = ["arm", "root mean square", "median", *(f"{d:g} points" for d in _SIZES)]
    yield markdown(header, list(by_seeds(runs)))


def main(argv: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    parser.add_argument("--all", action="store_true", help="also every single comparison")
    arguments = parser.parse_args(argv)
    runs = public_runs(arguments.folder)
    for text in report(runs):
        print(text)
    if arguments.all:
        header = [*CELL, "budget", "method", "points, three seeds", *LOSSES.values()]
        print("\n## Every comparison\n")
        print(markdown(header, list(every_comparison(differences_from_random(runs)))))


def _one_base(file: Path) -> pd.DataFrame:
    """The runs of one pool and base, from its three files."""
    kind, _, base = file.name.removesuffix(_STEM).partition("-")
    start = str(file).removesuffix("true_metric_budget.csv")
    keys = ["dataset", "method", "num_samples", "seed"]
    metric = pd.read_csv(file).rename(columns={"true_metric": "metric"})
    losses = pd.read_csv(f"{start}ce_loss_budget.csv")
    untouched = pd.read_csv(f"{start}true_metric_zero_shot.csv").set_index("dataset")["true_metric"]
    runs = metric.merge(losses, on=keys, validate="one_to_one")
    runs = runs.assign(untouched=runs["dataset"].map(untouched), pool=POOLS[kind], base=base)
    return runs.rename(columns={"dataset": "task", "num_samples": "budget"})


def _rank_correlations(runs: pd.DataFrame, loss: str) -> pd.Series:
    """Spearman's of −loss and metric over methods and budgets, by base and task."""
    means = runs.groupby(["base", "task", "method", "budget"])[[loss, "metric"]].mean()
    cells = {
        name: spearmanr(-rows[loss], rows["metric"]).statistic
        for name, rows in means.groupby(["base", "task"])
    }
    return pd.Series(cells).rename_axis(["base", "task"])


def _marked(row: Any) -> str:
    sure = row.low > 0 or row.high < 0
    return f"{row.mean:+.1f}" + "*" * sure


if __name__ == "__main__":
    main()
