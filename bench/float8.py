"""What float8 does to the numbers of a model: `python -m bench.float8 --stage perplexity`.

    python -m bench.float8 --models mine.yml --stage reward --device cuda

The model measures the same rows in float32, in bfloat16 and with `float8: true` in its entry.
Prints how well the last two keep the order of the first: the rank correlation, the share of the
best tenth that stays, and how far numbers move, in standard deviations of all rows. Random weights
rank rows by chance, so a trained model is needed. On a CPU the products are computed as on a GPU,
but slowly; how fast they are there is told by `python -m bench.gpu --suites float8-llama`.
"""

import argparse
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr

from bench.harness.arms import machine
from bench.harness.texts import records
from instructmining.models.lists import load_model_list
from udfs.indicators import resolve
from udfs.running.device import choose_device
from udfs.running.scorers import load_scorer

Values = NDArray[np.float64]
_BEST = 0.1


class Kept(NamedTuple):
    """How well numbers keep the order of others: rank correlation, best tenth, moves."""

    rank: float
    best: float
    middle: float
    worst: float


def main(argv: Sequence[str] | None = None) -> None:
    """Measure three times, print a line for each indicator and precision."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--models", default="embedded", help="a list's name or file")
    parser.add_argument("--stage", default="perplexity")
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    chosen = parser.parse_args(argv)
    found = measured(chosen.models, chosen.stage, chosen.rows, choose_device(chosen.device))
    console = Console(width=120)
    console.print("; ".join(f"{name} {value}" for name, value in machine().items()))
    table = Table(title=f"{chosen.stage} of {chosen.models}, {chosen.rows:,} rows")
    headings = ("rank correlation", "best tenth kept", "moves, median SD", "99 of 100 below, SD")
    for heading in ("indicator", "precision", *headings):
        table.add_column(heading, justify="left" if heading == "indicator" else "right")
    for indicator, exact in found["float32"].items():
        for precision in ("bfloat16", "float8"):
            kept = compared(found[precision][indicator], exact)
            table.add_row(indicator, precision, *(f"{value:.4f}" for value in kept))
    console.print(table)


def measured(models: str, stage: str, rows: int, device: str) -> dict[str, dict[str, Values]]:
    """By precision, the stage's indicators of the same rows."""
    spec = load_model_list(models).stages[stage]
    talks = [
        [
            {"role": "user", "content": record["instruction"]},
            {"role": "assistant", "content": record["output"]},
        ]
        for record in records(0, rows)
    ]
    found = {}
    for name, dtype, float8 in (
        ("float32", "float32", False),
        ("bfloat16", "bfloat16", False),
        ("float8", "bfloat16", True),
    ):
        model = resolve(spec.model_copy(update={"float8": float8}))
        found[name] = load_scorer(model, device, dtype).measure(talks).values
    return found


def compared(values: Values, exact: Values) -> Kept:
    """Of the rows that both have."""
    both = np.isfinite(values) & np.isfinite(exact)
    values, exact = values[both], exact[both]
    count = max(1, int(_BEST * len(exact)))
    best = [set(np.argsort(each, kind="stable")[:count]) for each in (values, exact)]
    moved = np.abs(values - exact) / (exact.std() or 1.0)
    rank = 1.0 if np.array_equal(values, exact) else float(spearmanr(values, exact).statistic)
    middle, worst = np.quantile(moved, [0.5, 0.99])
    return Kept(rank, len(best[0] & best[1]) / count, float(middle), float(worst))


if __name__ == "__main__":
    main()
