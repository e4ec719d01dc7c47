"""Does what is said of finetunes hold? `python -m bench.speed.estimates [--clock cpu]`.

A pool of Dolly (or of the sample) is scored with the embedded models once. Then the embedded
language model is finetuned as `fit` does it, on subsets spread over the indicators, and as
`evaluate` does it, on the arms, of which `longest` reads several times the tokens of `random`.
Printed is for each what the first estimate said the runs after it would take, what later ones said
of the same runs, and what they took. The gate asks that they took within 30 % of the first.

Other work on the machine makes runs slower or faster after the estimate. With `--clock cpu` all
times are CPU seconds of this process, the JVM and the workers, over the task slots: about what the
clock would say were the cores free.
"""

import argparse
import io
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, redirect_stdout
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession
from rich.console import Console
from rich.table import Table

from bench.harness.arms import machine
from bench.harness.rows import write_real_rows
from bench.harness.scored import cpu_seconds, session
from bench.proof import folder_of
from instructmining.evaluating.arms import recipes, seeds_of, subsets_of
from instructmining.finetunes.runs import PlannedRun
from instructmining.progress import duration
from instructmining.settings.loading import load_settings
from instructmining.settings.sections import Settings
from jobs.evaluating import setup as evaluating
from jobs.evaluating.arm_runs import Experiment, facts_of, planned_arms
from jobs.finetuning.candidates import texts_of
from jobs.finetuning.setup import FinetuneSetup
from jobs.finetuning.waves import Spent, run_finetunes
from jobs.fitting import setup as fitting
from jobs.fitting.run import planned as planned_subsets
from jobs.scoring import run as scoring

OFF = 0.3  # share of the first estimate by which it may be wrong
_SLOTS = 2
_HELD_OUT = 40
_COLUMNS = ("", "runs", "first estimate", "said later", "took", "took / first", "within 30 %")
Clock = Callable[[], float]
CLOCKS: dict[str, Clock] = {"wall": time.monotonic, "cpu": lambda: cpu_seconds() / _SLOTS}


def main(argv: Sequence[str] | None = None) -> None:
    """Finetune as both commands do and print the estimates; exit 1 where one was missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", type=int, default=240, help="of the pool")
    parser.add_argument("--subsets", type=int, default=14)
    parser.add_argument("--size", type=int, default=16, help="examples of a subset or an arm")
    parser.add_argument("--seeds", type=int, default=3, help="of every arm")
    parser.add_argument("--seed", type=int, default=0, help="the first; another makes other runs")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--store", type=Path, help="folder for the scored pool, to use again")
    chosen = parser.parse_args(argv)
    console = Console(width=130)
    with folder_of(chosen.store) as folder, session(_SLOTS) as spark:
        settings = scored(spark, folder, chosen)
        console.print("; ".join(f"{name} {value}" for name, value in machine().items()))
        spent = {
            "fit": finetuned(*runs_of_fit(spark, settings), "fit", CLOCKS[chosen.clock]),
            "evaluate": finetuned(
                *runs_of_evaluate(spark, settings), "evaluate", CLOCKS[chosen.clock]
            ),
        }
    console.print(table(spent, chosen.clock))
    missed = [name for name, each in spent.items() if not holds(each)]
    sys.exit("estimates missed: " + ", ".join(missed) if missed else 0)


def scored(spark: SparkSession, folder: Path, chosen: argparse.Namespace) -> Settings:
    """Write and score a pool; the settings of both commands."""
    pool = folder / "pool.jsonl"
    held_out = folder / "held_out.jsonl"
    write_real_rows(pool, chosen.rows + _HELD_OUT)
    lines = pool.read_text(encoding="utf-8").splitlines(keepends=True)
    step = len(lines) // _HELD_OUT
    held_out.write_text("".join(lines[::step][:_HELD_OUT]), encoding="utf-8")
    sets = (f"held_out={held_out}",)
    options: dict[str, Any] = {
        "input": (str(pool),),
        "store": str(folder / "store"),
        "pool": "pool",
        "tracking": {"uri": "none"},
        "canary": {"rows": 0},
        "finetune": {"epochs": 1, "batch_rows": 8},
        "judge": {"kind": "none"},
        "fit": {
            "evaluation": sets,
            "subsets": chosen.subsets,
            "size": chosen.size,
            "random_subsets": 4,
            "repeats": 2,
            "dirty_subsets": 0,
            "seed": chosen.seed,
        },
        "evaluate": {
            "evaluation": sets,
            "top": chosen.size,
            "seeds": chosen.seeds,
            "seed": chosen.seed,
        },
    }
    settings = load_settings(options=options)
    with redirect_stdout(io.StringIO()):
        scoring.run(spark, settings)
    return settings


def runs_of_fit(
    spark: SparkSession, settings: Settings
) -> tuple[FinetuneSetup, Sequence[PlannedRun]]:
    """The base model, subsets, repeats and random subsets."""
    setup = fitting.prepare(spark, settings)
    return setup.finetunes, planned_subsets(setup, settings.fit.repeats, settings.fit.seed)


def runs_of_evaluate(
    spark: SparkSession, settings: Settings
) -> tuple[FinetuneSetup, Sequence[PlannedRun]]:
    """The base model and the arms of equal size at every seed."""
    with ExitStack() as stack:
        setup = evaluating.prepare(spark, settings, stack)
        experiment = Experiment(setup.finetunes, settings, "estimates")
        chosen = recipes(settings.evaluate, settings.select, settings.finetune)
        rows = setup.pool.rows
        arms = subsets_of(rows, evaluating.picker(setup), chosen, seeds_of(settings.evaluate))
        planned = planned_arms(experiment, arms, facts_of(rows, arms))
        # The whole pool is finetuned apart from the others, with its own number of epochs.
        runs = [one.run for one in planned if one.arm.name != "full"]
    return setup.finetunes, [experiment.base_run(), *{run.key: run for run in runs}.values()]


def finetuned(
    setup: FinetuneSetup, plan: Sequence[PlannedRun], purpose: str, clock: Clock
) -> Spent:
    """Run what the store does not have yet."""
    texts = texts_of(setup.store, sorted({i for run in plan for i in run.ids}))
    return run_finetunes(setup, plan, texts, f"estimates {purpose}", purpose, clock=clock)


def holds(spent: Spent) -> bool:
    """Whether the first estimate was said and was right."""
    compared = spent.estimated
    return compared is not None and abs(compared.ratio - 1) <= OFF


def table(spent: dict[str, Spent], clock: str) -> Table:
    """A row per command."""
    shown = Table(title=f"finetunes from the first estimate to the end, by {clock}")
    for name in _COLUMNS:
        shown.add_column(name, justify="right" if name else "left")
    for name, each in spent.items():
        shown.add_row(name, str(each.runs), *_cells(each), "ok" if holds(each) else "MISSED")
    return shown


def _cells(spent: Spent) -> Iterator[str]:
    compared = spent.estimated
    if compared is None:
        yield from ("none", "", duration(spent.seconds), "")
        return
    yield duration(compared.said[0])
    yield ", ".join(map(duration, compared.said[1:]))
    yield duration(compared.took)
    yield f"{compared.ratio:.2f}"


if __name__ == "__main__":
    main()
