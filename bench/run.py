"""`make bench`: every suite, its table, and the gates; exits 1 where a gate is missed.

    python -m bench.run [--suites padding,embedding | all] [--repeats 5]

`all` adds the long suites, as `make bench-full` does. A miss that `bench/known.yml` lists, with the
figure and the reason, does not fail the run. What was measured is written to `bench/out/` as JSON
and as one plot.
"""

import argparse
import importlib
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from bench.harness.arms import LIMIT, Outcome, Suite, Verdict, machine, run
from udfs.running.device import limit_threads

HERE = Path(__file__).parent
# Name -> module with a `suite`, and its options.
SUITES: dict[str, tuple[str, dict[str, Any]]] = {
    "padding": ("padding", {}),
    "embedding": ("embedding", {}),
    "perplexity": ("perplexity", {}),
    "knn-10k": ("knn", {"rows": 10_000}),
    "knn-20k": ("knn", {"rows": 20_000}),
    "cost": ("cost", {}),
    "executors": ("executors", {}),
    "workers": ("workers", {}),
    "resume": ("resume", {}),
    "overhead": ("overhead", {}),
}
LONG: dict[str, tuple[str, dict[str, Any]]] = {
    "knn-50k": ("knn", {"rows": 50_000}),
    "cost-50k": ("cost", {"sizes": (5_000, 15_000, 50_000)}),
    "packed-adapters": ("packed_adapters", {}),
}


def main() -> None:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--suites", default=",".join(SUITES))
    parser.add_argument("--repeats", type=int, default=5)
    chosen = parser.parse_args()
    known_suites = SUITES | LONG
    names = list(known_suites) if chosen.suites == "all" else chosen.suites.split(",")
    if set(names) - set(known_suites) or chosen.repeats < 1:
        parser.error(f"suites are {', '.join(known_suites)}, or all; at least one repeat")
    limit_threads(1)
    console = Console(width=120)
    console.print("; ".join(f"{name} {value}" for name, value in machine().items()))
    judge([_made(name, chosen.repeats) for name in names], console)


def _made(name: str, repeats: int) -> Callable[[], Suite]:
    module, options = (SUITES | LONG)[name]

    def make() -> Suite:
        suite = importlib.import_module(f"bench.speed.{module}").suite
        return replace(suite(1 if name in LONG else repeats, **options), name=name)

    return make


def judge(suites: Sequence[Callable[[], Suite]], console: Console) -> None:
    """Run suites one after another, print and write them; exit 1 where a gate was missed."""
    outcomes = []
    took: dict[str, float] = {}
    for make in suites:
        started = time.monotonic()
        outcomes.append(run(make()))
        for table in tables(outcomes[-1]):
            console.print(table)
        took[outcomes[-1].suite.name] = time.monotonic() - started
    console.print(_times(took))
    write(outcomes, HERE / "out")
    missed = missed_gates([v for outcome in outcomes for v in outcome.verdicts()], known())
    sys.exit("gates missed: " + "; ".join(missed) if missed else 0)


def _times(took: Mapping[str, float]) -> str:
    """What each suite took, and all of them."""
    parts = ", ".join(f"{name} {seconds:,.0f} s" for name, seconds in took.items())
    return f"{parts}; all {sum(took.values()) / 60:.1f} minutes"


def tables(outcome: Outcome) -> list[Table]:
    """Times with what they mean, figures, and gates; those that have rows."""
    suite = outcome.suite
    times = _table(
        f"{suite.name}: {suite.about}",
        "arm",
        "CPU s: least",
        "median",
        "wall s",
        f"times as fast as {suite.reference}",
        "share of the limit",
    )
    for arm in suite.arms:
        if arm in outcome.wrong:
            times.add_row(arm, "-", "-", "-", outcome.wrong[arm], "-")
            continue
        cpu = sorted(outcome.cpu[arm])
        wall = sorted(outcome.wall[arm])
        against = "-" if suite.reference in outcome.wrong else outcome.faster(arm, suite.reference)
        times.add_row(
            arm,
            f"{cpu[0]:.2f}",
            f"{cpu[len(cpu) // 2]:.2f}",
            f"{wall[len(wall) // 2]:.2f}",
            str(against),
            str(outcome.of_limit(arm)),
        )
    for dtype, peaks in outcome.peaks.items():
        times.add_row(f"peak {dtype}", "", "", "", "", f"{max(peaks):.0f} GFLOP/s")
    figures = _table(f"{suite.name}: {suite.about}", "figure", "value")
    for name, value in suite.figures.items():
        figures.add_row(name, f"{value:.3f}")
    gates = _table(f"{suite.name}: gates", "gate", "measured", "wanted", "")
    for verdict in outcome.verdicts():
        figure = "-" if verdict.figure is None else f"{verdict.figure:.3g}"
        said = "ok" if verdict.ok else "MISSED"
        said = said if verdict.judged else "not on this machine"
        gates.add_row(verdict.gate, figure, f"{verdict.wanted:g}", said)
    return [table for table in (times, figures, gates) if table.row_count]


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="left" if column == columns[0] else "right")
    return table


def known() -> dict[str, dict[str, Any]]:
    """Gate to figure and reason, of the misses that are understood."""
    listed = yaml.safe_load((HERE / "known.yml").read_text(encoding="utf-8"))
    return {entry["gate"]: entry for entry in listed or []}


def missed_gates(verdicts: list[Verdict], understood: dict[str, dict[str, Any]]) -> list[str]:
    """Gates that fail the run; a wrong answer always does."""
    return [v.gate for v in verdicts if not v.ok and (v.figure is None or v.gate not in understood)]


def write(outcomes: list[Outcome], folder: Path) -> None:
    """The measurements as JSON, and one plot of the share of the limit."""
    folder.mkdir(exist_ok=True)
    name = datetime.now().astimezone().strftime("%Y-%m-%d-%H%M")
    record = {"machine": machine(), "suites": [_record(outcome) for outcome in outcomes]}
    (folder / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    timed = [outcome for outcome in outcomes if outcome.cpu]
    if timed:
        plot(timed, folder / f"{name}.png")


def _record(outcome: Outcome) -> dict[str, Any]:
    suite = outcome.suite
    return {
        "suite": suite.name,
        "about": suite.about,
        "flop": suite.flop,
        "cpu_seconds": outcome.cpu,
        "wall_seconds": outcome.wall,
        "gflops": outcome.peaks,
        "wrong": outcome.wrong,
        "figures": dict(suite.figures),
        "gates": [v._asdict() for v in outcome.verdicts()],
    }


def plot(outcomes: list[Outcome], file: Path) -> None:
    """One panel per suite: median CPU seconds per arm, and the time that the limit would take."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 2.6 * len(outcomes)), layout="constrained")
    panels = figure.subplots(len(outcomes), squeeze=False)[:, 0]
    for panel, outcome in zip(panels, outcomes, strict=True):
        arms = list(outcome.cpu)[::-1]
        times = [sorted(outcome.times[arm]) for arm in arms]
        medians = [seconds[len(seconds) // 2] for seconds in times]
        shares = [outcome.of_limit(arm).median for arm in arms]
        panel.barh(arms, medians, color="0.8", label="measured")
        panel.barh(arms, [m * s for m, s in zip(medians, shares, strict=True)], label=LIMIT)
        panel.set_title(f"{outcome.suite.name}: {outcome.suite.about}", fontsize=8)
        cpu = outcome.suite.device == "cpu"
        panel.set_xlabel("CPU seconds, one thread" if cpu else "seconds")
        panel.legend()
    figure.savefig(file, dpi=110)


if __name__ == "__main__":
    main()
