"""Does a selection for a target help, at equal tokens, whichever source is the target?

    python -m bench.target_proof                 # five targets, five seeds
    python -m bench.target_proof --targets sgd   # one of them

A pool of equal parts of several free sources (half 1). Each of them is the target in turn: 20 of
its examples, which are not in the pool, say what is wanted, and others measure the loss. Every
arm gets the same number of tokens: the choice for the target behind the floor, random rows, the
longest responses, random rows behind the floor, and, as what could be had, random rows of the
target's own source. Printed are the loss of every arm with a 95 % interval over the seeds, and the
difference to random and to longest over seeds and prompts, with p after Holm's correction over all
comparisons of all targets. Exits 1 where fewer than four fifths of the targets beat longest.

The embedded language model has seen other rows of all sources but Alpaca: what is measured is what
rows of the right kind are worth to it. A base that knows Dolly alone: `python -m training.lm
--without gpteacher_codegen gpteacher_roleplay cot_ecqa cot_sensemaking sgd --sizes lm --out FOLDER`
and `--base FOLDER`. With `--store` a broken-off run goes on.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from pathlib import Path

import pandas as pd

from bench.harness.proof_page import against
from bench.harness.stored import markdown
from bench.harness.target_arms import (
    ARMS,
    PAIRS,
    TARGET,
    Measured,
    Shape,
    held_out_file,
    measured,
    write_files,
)
from bench.proof import folder_of
from instructmining.evaluating.arms import BASE
from instructmining.evaluating.comparison import differences, means, verdicts
from instructmining.settings.loading import load_settings
from instructmining.settings.sections import Settings
from instructmining.spark.session import get_session
from training.data import data_folder

TARGETS = ("gpteacher_codegen", "gpteacher_roleplay", "cot_ecqa", "cot_sensemaking", "sgd")
OTHERS = ("dolly", "alpaca")
_HEADER = [
    "arm",
    "of the source %",
    "examples",
    "response tokens",
    "loss",
    "minus random",
    "p",
    "minus longest",
    "p",
]
_WON = 0.8  # share of the targets that must beat longest
_OVERLAP = 50  # words in a row: rows of one source share the sentences of their prompts


def main(argv: Sequence[str] | None = None) -> None:
    """Make the pool, score it, finetune the arms, print what came of it, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data")
    parser.add_argument("--base", help="model to finetune; default: the embedded language model")
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--rows", type=int, default=200, help="of each source in the pool")
    parser.add_argument("--prompts", type=int, default=60, help="of each source, held out")
    parser.add_argument("--tokens", type=int, default=12_000, help="of every arm")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--store", type=Path, help="folder to continue a broken-off run in")
    arguments = parser.parse_args(argv)
    spark, _ = get_session()
    everything = (*TARGETS, *OTHERS)
    chosen = tuple(arguments.targets)
    others = tuple(source for source in everything if source not in chosen)
    shape = Shape(chosen, others, arguments.rows, examples=20, prompts=arguments.prompts)
    with folder_of(arguments.store) as folder, redirect_stdout(sys.stderr):
        pool = write_files(data_folder(arguments.data), folder, shape, seed=0)
        found = measured(spark, settings_of(arguments, folder, pool, shape), folder, shape)
    compared = differences(found.losses, PAIRS, found.prompts)
    print(
        f"# {arguments.tokens:,} tokens of {arguments.rows:,} rows of each of "
        f"{len(everything)} sources, {arguments.seeds} seeds, 20 examples of the target, base "
        f"{arguments.base or 'embedded:lm'}\n"
    )
    for source in chosen:
        print(f"## Target {source}\n\n{markdown(_HEADER, list(rows(found, compared, source)))}\n")
    print("\n".join(f"- {sentence}" for sentence in verdicts(compared)))
    won = better(compared, "longest")
    said = ", ".join(won) or "none"
    print(f"\n`target` is better than longest, p ≤ 0.05 after the correction: {said}")
    sys.exit(len(won) < _WON * len(chosen))


def settings_of(arguments: argparse.Namespace, folder: Path, pool: Path, shape: Shape) -> Settings:
    """The product's defaults, but for what makes runs short."""
    sets = tuple(f"{name}={held_out_file(folder, name)}" for name in shape.targets)
    return load_settings(
        options={
            "input": (str(pool),),
            "store": str(folder / "store"),
            "pool": pool.stem,
            "read": {"keep": ("label",)},
            "canary": {"rows": 0},
            "fit": {"base": arguments.base},
            "evaluate": {
                "evaluation": sets,
                "tokens": arguments.tokens,
                "seeds": arguments.seeds,
                "overlap": _OVERLAP,
            },
            "judge": {"kind": "none"},
            "tracking": {"uri": "none"},
        }
    )


def rows(found: Measured, compared: pd.DataFrame, source: str) -> Iterator[list[str]]:
    """The table of one target."""
    average = means(found.losses)
    average = average[average["evaluation"] == source].set_index("arm")
    facts = found.facts[found.facts["evaluation"] == source].set_index("arm")
    here = compared[compared["evaluation"] == source]
    pairs = {(row["arm"], row["rival"]): row for row in here.to_dict("records")}
    for arm in (*ARMS, BASE):
        loss = average.loc[arm].to_dict()
        size = ["–", "0", "0"]
        if arm != BASE:
            one = facts.loc[arm].to_dict()
            size = [
                f"{100 * one['own']:.1f}",
                f"{one['examples']:.0f}",
                f"{one['tokens']:,.0f}",
            ]
        yield [
            arm,
            *size,
            f"{loss['loss']:.4f}" + f" ± {loss['high'] - loss['loss']:.4f}" * (arm != BASE),
            *against(pairs.get((arm, "random"))),
            *against(pairs.get((arm, "longest"))),
        ]


def better(compared: pd.DataFrame, rival: str) -> list[str]:
    """The targets whose choice is surely better than a rival."""
    mine = compared[(compared["arm"] == TARGET) & (compared["rival"] == rival)]
    surely = mine[(mine["p_adjusted"] <= 0.05) & (mine["difference"] < 0)]
    return list(surely["evaluation"])


if __name__ == "__main__":
    main()
