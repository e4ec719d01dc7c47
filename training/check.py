"""Recompute the figures of the model cards: `python -m training.check [--write]`.

Without `--write` it fails when a figure of `figures.json` does not hold within its tolerance, or
when a gate is missed that the recorded figures had met.
"""

import argparse
import json
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


def figures(data: Path, name: str) -> dict[str, Any]:
    """Everything the card of one model states."""
    folder = EMBEDDED / name
    if name != "quality":
        return lm_figures(data, folder, RESPONSES) | {
            "baseline_bits_per_byte": baseline_figures(data, RESPONSES)
        }
    measure = measure_with(folder)
    human = human_figures(data, measure)
    corruptions = corruption_figures(data, measure, CORRUPTED)
    return {"human": human, "corruptions": corruptions, "gates": gates(human, corruptions)}


def gates(human: dict[str, Any], corruptions: dict[str, Any]) -> dict[str, bool]:
    """Which of the stated aims hold."""
    found = {}
    for name, figure in corruptions.items():
        least = 0.8 if name == "truncated" else 0.9
        parts = [figure["reward"], figure["reward_length_matched"] or figure["reward"]]
        found[f"{name} >= {least}"] = all(part["accuracy"] >= least for part in parts)
    macro = human["macro_without_politeness"]
    better = max(macro["longest"], macro["shortest"])
    found["human, length-matched, pooled > 0.5"] = (
        human["length_matched_pooled"]["interval"][0] > 0.5
    )
    found["human macro 5 points above length"] = macro["accuracy"] >= better + 0.05
    return found


def differences(recorded: Any, found: Any, path: str = "") -> Iterator[str]:
    """One line per number that moved by more than the tolerance, or appeared, or vanished."""
    if isinstance(recorded, dict) and isinstance(found, dict):
        for key in sorted(recorded.keys() | found.keys()):
            yield from differences(recorded.get(key), found.get(key), f"{path}/{key}")
    elif isinstance(recorded, list) and isinstance(found, list):
        for i, (old, new) in enumerate(zip(recorded, found, strict=True)):
            yield from differences(old, new, f"{path}[{i}]")
    elif isinstance(recorded, bool) or not isinstance(recorded, int | float):
        if recorded != found:
            yield f"{path}: recorded {recorded}, found {found}"
    elif not isinstance(found, int | float) or abs(recorded - found) > TOLERANCE:
        yield f"{path}: recorded {recorded}, found {found}"


def main(argv: list[str] | None = None) -> None:
    """Check, or with `--write` record, the figures of the named models."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data")
    parser.add_argument("--models", default="lm,lm-small,quality")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args(argv)
    torch.use_deterministic_algorithms(True)
    wrong = []
    for name in arguments.models.split(","):
        path, started = EMBEDDED / name / "figures.json", time.monotonic()
        found = figures(data_folder(arguments.data), name)
        if arguments.write:
            path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        recorded = json.loads(path.read_text(encoding="utf-8"))
        lines = [f"{name}{line}" for line in differences(recorded, found)]
        seconds = time.monotonic() - started
        print(f"{name}: {'does not hold' if lines else 'holds'} ({seconds:.0f} s)", flush=True)
        wrong += lines
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
