"""What do 5, 10 and 20 % measured give for the rest? `python -m bench.cascade`.

Rows of Alpaca that no embedded model was trained on are measured in full, without Spark. Then each
share is drawn several times, fitted as `score --cascade` fits it, and compared with what was
measured for the other rows: R² and rank correlation as the cascade states them from its sample
alone, and for the rest; how many of the rest the 90 % interval holds; and how much of the best
tenth stays the same when predicted values stand in for the rest.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.harness.dirty_rows import draw, sound_examples
from bench.harness.stored import markdown
from instructmining.cascading.predictor import Inputs
from instructmining.cascading.ridge import Numbers, cross_fitted, fit_ridge, quality_of
from udfs.indicators import load_model_list, resolve
from udfs.running.scorers import load_scorer

SHARES = (0.05, 0.1, 0.2)
SEEDS = 5
CONFIDENCE = 0.9
TARGETS = ("reward", "naturalness", "coherence", "understandability", "ifd", "perplexity")
LOW_IS_BEST = ("ifd", "perplexity")
VECTOR = "vector"


def measured(data: Path, rows: int, stages: Sequence[str]) -> dict[str, Numbers]:
    """By `STAGE indicator` [n], the lengths of the texts among them; `vector` [n, d]."""
    examples = draw(sound_examples(data, "alpaca"), rows, 0, seed=0).clean
    talks = [example.messages for example in examples]
    numbers: dict[str, Numbers] = {}
    models = load_model_list("embedded").stages
    for stage in stages:
        measurement = load_scorer(resolve(models[stage]), "cpu").measure(talks)
        numbers |= {f"{stage} {name}": values for name, values in measurement.values.items()}
        if measurement.vectors is not None:
            numbers[VECTOR] = measurement.vectors.astype(np.float64)
    for name, place in (("prompt", 0), ("response", -1)):
        lengths = [len(talk[place]["content"]) for talk in talks]
        numbers[f"text {name}_characters"] = np.array(lengths, dtype=np.float64)
    return numbers


def figures(
    vectors: Numbers,
    names: list[str],
    numbers: Numbers,
    y: Numbers,
    drawn: NDArray[np.bool_],
    seed: int,
    sign: int,
) -> list[float]:
    """Stated R² and rank correlation, those of the rest, share held, same in the best tenth.

    Args:
        vectors: [n, d].
        names: of the numbers.
        numbers: [n, k], damped, NaN where absent.
        y: [n], as measured.
        drawn: which rows are in the sample.
        seed: of the folds.
        sign: 1 where a high value is the best, else -1.
    """
    inputs = Inputs.of(names, numbers[drawn])
    x = inputs.matrix(vectors, names, numbers)
    stated = quality_of(y[drawn], cross_fitted(x[drawn], y[drawn], seed), CONFIDENCE)
    predicted = fit_ridge(x[drawn], y[drawn]).predict(x[~drawn])
    rest = quality_of(y[~drawn], predicted, CONFIDENCE)
    held = np.mean(np.abs(y[~drawn] - predicted) <= stated.half_width)
    filled = y.copy()
    filled[~drawn] = predicted
    tenth = len(y) // 10
    tops = [set(np.argsort(-sign * values)[:tenth].tolist()) for values in (filled, y)]
    same = len(tops[0] & tops[1]) / tenth
    return [stated.r2, stated.rank_correlation, rest.r2, rest.rank_correlation, float(held), same]


def key_of(numbers: dict[str, Numbers], indicator: str) -> str | None:
    """As `found` calls the indicator; None where its stage was not measured."""
    return next((name for name in numbers if name.endswith(f" {indicator}")), None)


def table_of(columns: dict[str, Numbers], key: str) -> str:
    """A row for each share: mean over the seeds and, in brackets, the lowest and the highest."""
    stage, indicator = key.split()
    names = [n for n in columns if n != VECTOR and n.split()[0] != stage]
    known = np.isfinite(columns[key])
    numbers = np.column_stack([columns[name][known] for name in names])
    damped = np.sign(numbers) * np.log1p(np.abs(numbers))
    y = columns[key][known]
    sign = -1 if indicator in LOW_IS_BEST else 1
    rows = []
    for share in SHARES:
        draws = [np.random.default_rng(seed).random(len(y)) < share for seed in range(SEEDS)]
        got = np.array(
            [
                figures(columns[VECTOR][known], names, damped, y, drawn, seed, sign)
                for seed, drawn in enumerate(draws)
            ]
        )
        cells = [f"{c.mean():.2f} ({c.min():.2f} to {c.max():.2f})" for c in got.T]
        rows.append([f"{share:.0%}", f"{np.mean([d.sum() for d in draws]):,.0f}", *cells])
    header = ["measured", "rows", "stated R²", "stated rank", "R² of the rest"]
    header += ["rank of the rest", "interval holds", "same best tenth"]
    return f"{indicator} (stage {stage})\n\n{markdown(header, rows)}"


def main() -> None:
    """Measure and print the tables."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rows", type=int, default=3000)
    options.add_argument("--stages", nargs="+", default=["reward", "embed", "mtld"])
    options.add_argument("--keep", type=Path, help="FILE.npz: measurements, made where not there")
    chosen = options.parse_args()
    if chosen.keep and chosen.keep.exists():
        with np.load(chosen.keep) as archive:
            numbers = {name: archive[name] for name in archive.files}
    else:
        numbers = measured(Path(os.environ["INSTRUCTMINING_DATA"]), chosen.rows, chosen.stages)
        if chosen.keep:
            np.savez(chosen.keep, allow_pickle=False, **numbers)
    size = len(numbers[VECTOR])
    print(f"{size:,} examples of Alpaca; {SEEDS} draws of each share: mean (lowest to highest)")
    keys = [key for name in TARGETS if (key := key_of(numbers, name))]
    print("".join(f"\n{table_of(numbers, key)}\n" for key in keys), end="")


if __name__ == "__main__":
    main()
