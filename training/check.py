"""Recompute the figures of the model cards: `python -m training.check [--write | --share 0.1]`.

Without `--write` it fails when a figure of `figures.json` does not hold within its tolerance, or
when a gate is missed that the recorded figures had met. `--share` measures a seeded part of the
held-out data in less time, and allows for what chance can do to so small a sample:
it notices weights or code that are broken, not weights that are a little worse.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from training.data import data_folder
from training.lm import EMBEDDED
from training.lm_figures import baseline_figures, lm_figures
from training.quality_figures import corruption_figures, human_figures, measure_with

RESPONSES = 400  # held-out responses behind the figures of a language model
CORRUPTED = 300  # held-out examples behind the corruption figures
# bf16 and fp32, and other machines, differ by rounding: pairs that nearly tie may fall either way,
# and one pair of the smallest length-matched group is 2 %.
TOLERANCE = 0.03
# Standard error of bits per byte (a ratio of sums) times the root of the number of responses; on
# the 400 it is 0.51 to 0.53, of both models, after prompts and alone.
BITS_SPREAD = 0.53


def figures(data: Path, name: str) -> dict[str, Any]:
    """Everything the card of one model states."""
    now = measured(data, name, 1.0)
    if name != "quality":
        return now | {"baseline_bits_per_byte": baseline_figures(data, RESPONSES)}
    return now | {"gates": gates(now["human"], now["corruptions"])}


def measured(data: Path, name: str, share: float) -> dict[str, Any]:
    """What one model scores on a share of the held-out data; the same share, the same part."""
    if name != "quality":
        return lm_figures(data, EMBEDDED / name, round(RESPONSES * share))
    measure = measure_with(EMBEDDED / name)
    return {
        "human": human_figures(data, measure, share),
        "corruptions": corruption_figures(data, measure, round(CORRUPTED * share)),
    }


def gates(human: dict[str, Any], corruptions: dict[str, Any]) -> dict[str, bool]:
    """Which of the stated aims hold."""
    passed = {}
    for name, figure in corruptions.items():
        least = 0.8 if name == "truncated" else 0.9
        parts = [figure["reward"], figure["reward_length_matched"] or figure["reward"]]
        passed[f"{name} >= {least}"] = all(part["accuracy"] >= least for part in parts)
    macro = human["macro_without_politeness"]
    better = max(macro["longest"], macro["shortest"])
    passed["human, length-matched, pooled > 0.5"] = (
        human["length_matched_pooled"]["interval"][0] > 0.5
    )
    passed["human macro 5 points above length"] = macro["accuracy"] >= better + 0.05
    return passed


def differences(recorded: Any, now: Any, path: str = "") -> Iterator[str]:
    """One line per number that moved by more than the tolerance, or appeared, or vanished."""
    if isinstance(recorded, dict) and isinstance(now, dict):
        for key in sorted(recorded.keys() | now.keys()):
            yield from differences(recorded.get(key), now.get(key), f"{path}/{key}")
    elif isinstance(recorded, list) and isinstance(now, list):
        for i, (old, new) in enumerate(zip(recorded, now, strict=True)):
            yield from differences(old, new, f"{path}[{i}]")
    elif isinstance(recorded, bool) or not isinstance(recorded, int | float):
        if recorded != now:
            yield f"{path}: recorded {recorded}, found {now}"
    elif not isinstance(now, int | float) or abs(recorded - now) > TOLERANCE:
        yield f"{path}: recorded {recorded}, found {now}"


def chance_differences(recorded: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    """One line per figure of a sample that is further from the recorded one than chance explains.

    Further means more than four standard errors of the difference, and 0.005 for rounding. Means
    of sets follow from the sets; groups that the sample is too small for are not in it.
    """
    card = {path: (value, n) for path, value, n in _counted(recorded)}
    for path, new, drawn in _counted(now):
        old, n = card.get(path, (math.nan, drawn))
        error = math.hypot(_standard_error(path, old, n), _standard_error(path, old, drawn))
        if not abs(new - old) <= 4 * error + 0.005:
            yield f"{path}: recorded {old}, found {new} in {drawn}, standard error {error:.3f}"


def _counted(part: Any, path: str = "", n: int = 0) -> Iterator[tuple[str, float, int]]:
    """(path, figure, number of pairs or responses) of everything that rests on such a number."""
    if isinstance(part, dict):
        n = part.get("pairs") or part.get("responses") or part.get("reward", {}).get("pairs", n)
        for key in part.keys() - {"pairs", "clusters", "responses"}:
            yield from _counted(part[key], f"{path}/{key}", n)
    elif isinstance(part, float) and n:
        yield path, part, n


def _standard_error(path: str, figure: float, n: int) -> float:
    """Of a share of `n` pairs; an AUC's is at most that (Birnbaum and Klose 1957).

    Two wins and two losses are added, so that a share of 1 is not taken for certain.
    """
    if "bits_per_byte" in path:
        return BITS_SPREAD / math.sqrt(n)
    smoothed = (figure * n + 2) / (n + 4)
    return math.sqrt(smoothed * (1 - smoothed) / n)


def main(argv: list[str] | None = None) -> None:
    """Check, or with `--write` record, the figures of the named models."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data")
    parser.add_argument("--models", default="lm,lm-small,quality")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--share", type=float, help="of the held-out data: 0.05 to 1")
    arguments = parser.parse_args(argv)
    data = data_folder(arguments.data)
    share = arguments.share
    if share is not None and (arguments.write or not 0.05 <= share <= 1):
        parser.error("--share is 0.05 to 1, without --write: a card states the full figures")
    torch.use_deterministic_algorithms(True)
    wrong = []
    for name in arguments.models.split(","):
        path = EMBEDDED / name / "figures.json"
        started = time.monotonic()
        now = measured(data, name, share) if share else figures(data, name)
        if arguments.write:
            path.write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8")
        recorded = json.loads(path.read_text(encoding="utf-8"))
        compare = chance_differences if share else differences
        lines = [f"{name}{line}" for line in compare(recorded, now)]
        seconds = time.monotonic() - started
        print(f"{name}: {'does not hold' if lines else 'holds'} ({seconds:.0f} s)", flush=True)
        wrong += lines
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
