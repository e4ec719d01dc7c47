"""How clean is what each selector takes from a dirty pool? `python -m bench.dirty_pool`.

Pools of a free data set (half 1, which no embedded model trained on) in which a known share of the
rows is spoiled by ten kinds of dirt, four of which no model was trained against. One pool per seed,
scored by the product; printed is the share of clean rows among the best of each selector, as mean
and 95 % interval (t) over the seeds, and how much of the clean rows the floor leaves out.
"""

import argparse
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from scipy.stats import t as student

from bench.harness.dirty_rows import CLEAN, sound_examples, write_pool
from bench.harness.stored import markdown
from instructmining.rules.rule import read_rule
from instructmining.selecting.selection import candidates, pick
from instructmining.settings.learning import Select
from instructmining.settings.loading import load_settings
from instructmining.spark.session import get_session
from instructmining.store.tables import Store
from jobs.scoring import run as score
from jobs.selecting.marks import marks
from training.data import data_folder

RULE = "paper-v1"
STRATEGIES = ("random", "longest", "ifd", "lowest_perplexity", "highest_reward", "rule", "quality")


def main(argv: Sequence[str] | None = None) -> None:
    """Make the pools, score them, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data")
    parser.add_argument("--source", choices=["dolly", "alpaca"], default="dolly")
    parser.add_argument("--rows", type=int, default=300, help="of each pool")
    parser.add_argument("--dirty", type=float, default=0.4, help="share of spoiled rows")
    parser.add_argument("--seeds", type=int, default=3, help="number of pools")
    parser.add_argument("--top", type=float, default=0.1, help="share of the pool that is chosen")
    parser.add_argument("--store", type=Path, help="keep the scores here, to continue")
    arguments = parser.parse_args(argv)
    spark, _ = get_session()
    with tempfile.TemporaryDirectory() as folder:
        store = arguments.store or Path(folder) / "store"
        examples = sound_examples(data_folder(arguments.data), arguments.source)
        measured = []
        for seed in range(arguments.seeds):
            pool = f"{arguments.source}-{arguments.rows}-{arguments.dirty}-{seed}"
            file = Path(folder) / f"{pool}.jsonl"
            write_pool(examples, file, arguments.rows, arguments.dirty, seed)
            measured.append(clean_shares(spark, file, store, pool, arguments))
    print(table(measured, arguments))


def clean_shares(
    spark: SparkSession, file: Path, store: Path, pool: str, arguments: argparse.Namespace
) -> dict[str, tuple[float, Counter[str]]]:
    """By selector: the share of clean rows among its best, and what else slips in."""
    settings = load_settings(
        options={
            "input": (str(file),),
            "store": str(store),
            "pool": pool,
            "read": {"keep": ("label",)},
            "rule": {"source": RULE},
            "measure": {"chunk_rows": 128},  # a run that is broken off goes on where it was
            "canary": {"rows": 0},
            "tracking": {"uri": "none"},
        }
    )
    score.run(spark, settings)
    opened = Store.open(spark, str(store))
    occurrences = opened.read("occurrences").where(F.col("pool") == pool)
    labels = occurrences.select("example_id", F.col("kept")["label"].alias("label"))
    rows = marks(opened, candidates(opened, pool, read_rule(RULE)), settings).persist()
    count = max(1, round(arguments.top * arguments.rows))
    shares = {}
    for strategy in STRATEGIES:
        for floor in ("off", "on"):
            select = Select(strategy=strategy, floor=floor, top=count, seed=count)
            name = ("floor, then " if floor == "on" else "") + strategy
            shares[name] = _share(pick(rows, select), labels)
    kept = rows.where("floor_reason IS NULL").join(labels, "example_id")
    everything = Counter(row.label for row in labels.collect())
    stays = Counter(row.label for row in kept.select("label").collect())
    gone = {label: 1 - stays[label] / number for label, number in everything.items()}
    shares["_floor"] = (gone[CLEAN], Counter({k: round(100 * v) for k, v in gone.items()}))
    rows.unpersist()
    return shares


def table(
    measured: Sequence[dict[str, tuple[float, Counter[str]]]], arguments: argparse.Namespace
) -> str:
    """The shares, and what the floor leaves out of each kind."""
    rows = []
    for name in (name for name in measured[0] if name != "_floor"):
        dirt = sum((shares[name][1] for shares in measured), Counter())
        del dirt[CLEAN]
        worst = ", ".join(f"{kind} {number}" for kind, number in dirt.most_common(3))
        rows.append([name, interval([shares[name][0] for shares in measured]), worst])
    floors = [shares["_floor"] for shares in measured]
    kinds = [kind for kind in floors[0][1] if kind != CLEAN]
    dropped = [f"{kind} {np.mean([counts[kind] for _, counts in floors]):.0f} %" for kind in kinds]
    return "\n".join(
        [
            f"{arguments.seeds} pools of {arguments.rows} rows of {arguments.source}, "
            f"{100 * arguments.dirty:.0f} % spoiled; the best {100 * arguments.top:.0f} %",
            markdown(["selector", "clean %", "what slips in"], rows),
            f"the floor leaves out of the clean rows {interval([share for share, _ in floors])} %",
            "and of the spoiled ones " + ", ".join(dropped),
        ]
    )


def interval(shares: Sequence[float]) -> str:
    """Mean and half-width of the 95 % t interval, in percent."""
    percent = 100 * np.asarray(shares)
    if len(percent) < 2:
        return f"{percent.mean():.1f}"
    half = student.ppf(0.975, len(percent) - 1) * percent.std(ddof=1) / len(percent) ** 0.5
    return f"{percent.mean():.1f} ± {half:.1f}"


def _share(picked: DataFrame, labels: DataFrame) -> tuple[float, Counter[str]]:
    chosen = Counter(row.label for row in picked.join(labels, "example_id").collect())
    return chosen[CLEAN] / max(1, sum(chosen.values())), chosen


if __name__ == "__main__":
    main()
