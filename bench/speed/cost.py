"""`score` end to end: what it costs against the rows, and beside a plain Python loop.

The cost is CPU seconds of the driver, the JVM and the Python workers together, which a busy
machine stretches least; what is inside the scorers comes from the audit that every run leaves. All
model stages of the embedded list, then neighbours, rule and tables, in two task slots.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.harness.arms import Suite
from bench.harness.scored import Scored, cpu_seconds, rows_file, run_rows, session
from instructmining.layouts.detection import standardize
from instructmining.layouts.records import Unusable
from udfs.indicator import WINDOW_ROWS
from udfs.indicators import load_model_list, resolve
from udfs.running.measurement import Conversation
from udfs.running.scorers import load_scorer

_SLOTS = 2
_WARM_UP = 200  # rows of a run that is not counted: classes, libraries and models are loaded
AT = 50_000  # rows at which Spark's share is judged

SLOPE = "log-log slope of the model stages"
SHARE = f"share outside the models at {AT:,} rows"


def suite(repeats: int, sizes: Sequence[int] = (1_000, 4_000, 12_000)) -> Suite:
    """A run per size, once: the fit over the sizes shows how far chance goes."""
    with session(_SLOTS) as spark:
        started = cpu_seconds()
        run_rows(spark, _WARM_UP)
        warming = cpu_seconds() - started
        found = {size: run_rows(spark, size) for size in sizes}
    with rows_file(sizes[0]) as file:
        loop = plain_loop(file)
    figures = {"CPU s of the first run, 200 rows, with all that is loaded once": warming}
    figures |= _figures(found)
    figures[f"plain Python loop, {sizes[0]:,} rows: CPU s"] = loop
    figures["Spark run over plain loop, CPU s"] = found[sizes[0]].cpu / loop
    return Suite(
        name="cost",
        about=f"all stages of the embedded models, rows of Alpaca's lengths, {_SLOTS} task slots",
        figures=figures,
        at_most={SLOPE: 1.05, SHARE: 0.15},
        at_least={SLOPE: 0.95},
        repeats=1,
    )


def _figures(found: dict[int, Scored]) -> dict[str, float]:
    figures: dict[str, float] = {}
    for size, each in found.items():
        taken = {
            "CPU s": each.cpu,
            "CPU s inside the models": each.models,
            "wall s": each.wall,
            "wall s of the neighbours": each.took["knn"],
            "share outside the models": 1 - each.models / each.cpu,
        }
        figures |= {f"{size:,} rows: {name}": value for name, value in taken.items()}
    sizes = list(found)
    fixed, slope = line(sizes, [each.cpu for each in found.values()])
    outside_fixed, outside = line(sizes, [each.cpu - each.models for each in found.values()])
    figures |= {
        "intercept, CPU s": fixed,
        "slope, CPU s per 1,000 rows": 1000 * slope,
        SLOPE: slope_after_intercept(sizes, [each.models for each in found.values()]),
        SHARE: (outside_fixed + outside * AT) / (fixed + slope * AT),
    }
    return figures


def line(sizes: Sequence[float], costs: Sequence[float]) -> tuple[float, float]:
    """Intercept and slope of the line with the least relative errors."""
    slope, fixed = np.polyfit(sizes, costs, 1, w=1 / np.asarray(costs))
    return float(fixed), float(slope)


def loglog_slope(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """The power of the size that the cost grows with."""
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def slope_after_intercept(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """The same without what is paid once: kernels are made for shapes that are met first."""
    once = max(0.0, line(sizes, costs)[0])
    return loglog_slope(sizes, [cost - once for cost in costs])


def power_beside_fixed(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """The p of fixed + factor * size ** p with the least relative errors, from 0.1 to 3.

    Three sizes at least. Unlike `slope_after_intercept` it does not take for granted that the cost
    is nearly a line: parts of a run may grow more slowly.
    """
    given = np.asarray(costs)

    def misfit(power: float) -> float:
        design = np.stack([np.ones(len(given)), np.asarray(sizes, float) ** power], axis=1)
        weighted = design / given[:, None]
        factors = np.linalg.lstsq(weighted, np.ones(len(given)), rcond=None)[0]
        return float(((weighted @ factors - 1) ** 2).sum())

    powers = np.linspace(0.1, 3, 291)
    return float(min(powers, key=misfit))


def plain_loop(file: Path) -> float:
    """CPU seconds of the same scorers over the same rows, one after another, without Spark."""
    started = cpu_seconds()
    talks = list(_conversations(file))
    for spec in load_model_list("embedded").stages.values():
        scorer = load_scorer(resolve(spec), "cpu")
        for first in range(0, len(talks), WINDOW_ROWS):
            scorer.measure(talks[first : first + WINDOW_ROWS])
    return cpu_seconds() - started


def _conversations(file: Path) -> Sequence[Conversation]:
    lines = file.read_text(encoding="utf-8").splitlines()
    found = [talk for text in lines for _, talk in standardize(json.loads(text))[1]]
    return [talk for talk in found if not isinstance(talk, Unusable)]
