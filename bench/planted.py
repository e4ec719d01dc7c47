"""Do planted bad rows of the sample rank below planted good ones? `python -m bench.planted`.

AUC of every indicator and of each rule that ships: the probability that a random good row
(excellent, good) has the better value than a random bad one, ties counting half; 0.5 is chance.
Which direction is better is fixed here and not chosen by the outcome: the sign of the paper's
first rule where the indicator is in it, else what its definition says. A copy is left out
because the record it repeats carries its own label, and so is what could not be read.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import bootstrap, mannwhitneyu

from bench.harness.rows import SAMPLE
from bench.harness.stored import markdown, prediction, table
from instructmining.rules.rule import LinearRule, built_in_rules, read_rule
from instructmining.scoring.scores import indicator_names
from instructmining.settings.loading import load_settings
from instructmining.spark.session import with_session
from jobs.scoring.run import run

GOOD = ("excellent", "good")
LOWER_IS_BETTER = {"output_length", "perplexity", "perplexity_alone", "ifd"}
PREDICTED = "predicted log loss, "
SEED, RESAMPLES = 0, 2000


def labelled_scores(
    store: Path, rules: Sequence[LinearRule], pool: str = "default"
) -> tuple[pd.DataFrame, list[str]]:
    """One row per labelled example: `quality`, every indicator, one column per rule.

    Returns:
        The rows, and the names of the columns to judge.
    """
    occurrences = table(store, "occurrences")
    occurrences = occurrences[occurrences["pool"] == pool]
    labels = occurrences["kept"].map(lambda cells: (cells or {}).get("quality"))
    labels = pd.Series(labels.values, index=occurrences["example_id"], name="quality")
    labels = labels[labels.notna() & (labels != "duplicated")]
    scores = table(store, "scores")
    scores = scores[scores["pool"] == pool].drop_duplicates("example_id").set_index("example_id")
    names = [name for name in indicator_names(scores.columns) if scores[name].notna().any()]
    names = [name for name in names if not name.startswith("nll")]  # ranks as perplexity does
    known = [rule for rule in rules if set(rule.indicators) <= set(indicator_names(scores.columns))]
    for rule in known:
        scores[PREDICTED + rule.name] = prediction(rule, scores)
    return scores.join(labels, how="inner"), names + [PREDICTED + rule.name for rule in known]


def auc_with_interval(good: np.ndarray, bad: np.ndarray) -> tuple[float, float, float]:
    """AUC of good over bad, higher values better, with its 95 % percentile bootstrap interval."""

    def auc(x: np.ndarray, y: np.ndarray, axis: int) -> np.ndarray:
        wins = mannwhitneyu(x, y, axis=axis, method="asymptotic").statistic
        return wins / (x.shape[axis] * y.shape[axis])

    interval = bootstrap(
        (good, bad),
        auc,
        n_resamples=RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    return float(auc(good, bad, 0)), float(interval.low), float(interval.high)


def lower_is_better(name: str) -> bool:
    """The direction of a column, which is fixed and not chosen by the outcome."""
    return name in LOWER_IS_BETTER or name.startswith(PREDICTED)


def judged(rows: pd.DataFrame, name: str, label: str | None = None) -> list[str]:
    """AUC, interval, and how many good and bad rows have the value; of one label or of all."""
    sign = -1 if lower_is_better(name) else 1
    values = sign * rows[name].dropna()
    quality = rows.loc[values.index, "quality"]
    good = values[quality.isin(GOOD)].to_numpy()
    bad = values[quality == label if label else ~quality.isin(GOOD)].to_numpy()
    if min(len(good), len(bad)) < 2:
        return ["–", "–", str(len(good)), str(len(bad))]
    auc, low, high = auc_with_interval(good, bad)
    return [f"{auc:.3f}", f"{low:.3f}–{high:.3f}", str(len(good)), str(len(bad))]


def report(rows: pd.DataFrame, names: list[str]) -> str:
    """The two tables: against all bad rows, and against each kind of them."""
    labels = [label for label in rows["quality"].value_counts().index if label not in GOOD]
    overall = [
        [
            name,
            "lower" if lower_is_better(name) else "higher",
            *judged(rows, name),
        ]
        for name in names
    ]
    kinds = []
    for name in names:
        cells = (judged(rows, name, label) for label in labels)
        kinds.append([name, *(f"{auc} ({span}) {n}" for auc, span, _, n in cells)])
    good = int(rows["quality"].isin(GOOD).sum())
    return (
        f"{good} good rows (excellent, good), {len(rows) - good} bad ones; AUC with a 95 % "
        f"bootstrap interval ({RESAMPLES:,} resamples, seed {SEED}); 0.5 is chance\n\n"
        + markdown(["indicator", "better is", "AUC", "95 %", "n good", "n bad"], overall)
        + "\n\nagainst each kind of bad row: AUC (95 %) n bad\n\n"
        + markdown(["indicator", *labels], kinds)
    )


def main() -> None:
    """Score the sample (or read a store that holds it) and print the tables."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--store", type=Path, help="a store of the sample, with --keep quality")
    options.add_argument("--models", default="embedded")
    options.add_argument(
        "--rules", nargs="+", default=list(built_in_rules()), help="by name, or JSON files"
    )
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        store = chosen.store or Path(scratch)
        if not chosen.store:
            with_session(
                run,
                load_settings(
                    options={
                        "input": (str(SAMPLE),),
                        "store": str(store),
                        "models": chosen.models,
                        "read": {"keep": ("quality",)},
                        "tracking": {"uri": "none"},
                    }
                ),
            )
        rules = [read_rule(source) for source in chosen.rules]
        print(report(*labelled_scores(store, rules)))


if __name__ == "__main__":
    main()
