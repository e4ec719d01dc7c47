"""Small runs that chose the quality model: `python -m training.compare --runs NAME,…`.

Every run sees the same shuffled pairs (or a prefix of them) and is measured on the same held-out
pairs. The figures are kept in `comparison.json` beside the weights; they are noisier than the
card's and say which way to go, not how good the shipped model is.
"""

import argparse
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from instructmining.spoiling.corruptions import CORRUPTIONS
from training.allocator import keep_freed_memory
from training.data import data_folder
from training.lm import EMBEDDED
from training.preferences import SETS
from training.quality import Recipe, new_model, train, training_pairs
from training.quality_figures import Measure, corruption_figures, human_figures
from udfs.indicators.quality_model import HEADS, QualityModel, pair
from udfs.running.batching import token_batches
from udfs.texts.conversations import last_reply

WORD_PIECES = 73  # of an Alpaca row, mean
SMALL = 0.08


@dataclass(frozen=True)
class Run:
    """One trained variant: which part of the encoder learns, from which pairs."""

    trained: str = "all"  # all | frozen | top2 | low_rank
    layers: int = 3
    share: float = SMALL
    only: str = "both"  # both | human | corrupted

    @property
    def gigaflop(self) -> float:
        """Of one forward pass over an Alpaca row: two per weight of a layer and token."""
        return round(2 * 12 * 384**2 * self.layers * (WORD_PIECES + 3) / 1e9, 2)


RUNS = {
    "frozen 6 layers, heads": Run("frozen", 6),
    "low-rank updates of 6 layers": Run("low_rank", 6),
    "top 2 of 6 layers": Run("top2", 6),
    "lower 3 layers": Run(),
    "lower 3 layers, half the pairs": Run(share=SMALL / 2),
    "lower 3 layers, twice the pairs": Run(share=SMALL * 2),
    "lower 3 layers, human pairs only": Run(only="human"),
    "lower 3 layers, spoiled pairs only": Run(only="corrupted"),
}


class LowRank(nn.Module):
    """A frozen linear layer plus a trained product of two thin matrices."""

    def __init__(self, linear: nn.Linear, rank: int = 8):
        super().__init__()
        self.linear = linear
        kind: dict[str, Any] = {"dtype": linear.weight.dtype, "device": linear.weight.device}
        self.down = nn.Parameter(torch.randn(rank, linear.in_features, **kind) * 0.02)
        self.up = nn.Parameter(torch.zeros(linear.out_features, rank, **kind))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The layer's output, corrected."""
        corrected: torch.Tensor = self.linear(x) + (x @ self.down.T) @ self.up.T
        return corrected


def restrict(model: QualityModel, trained: str) -> None:
    """Freeze all of the encoder but what the variant trains."""
    layers = model.encoder.encoder.layer
    for parameter in layers.parameters():
        parameter.requires_grad_(trained == "all")
    if trained == "top2":
        for parameter in layers[-2:].parameters():
            parameter.requires_grad_(True)
    if trained == "low_rank":
        for module in list(layers.modules()):
            for name, child in list(module.named_children()):
                if isinstance(child, nn.Linear):
                    setattr(module, name, LowRank(child))


def measure_in_memory(model: QualityModel, config: dict[str, Any], tokenizer: Any) -> Measure:
    """Logits of a model that was not saved, in bf16; ranks are all that a comparison needs."""

    @torch.inference_mode()
    def measure(conversations: Any) -> dict[str, Any]:
        texts = [text for c in conversations for text in last_reply(c)]
        ids = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
        pairs = [pair(p, r, config) for p, r in zip(ids[::2], ids[1::2], strict=True)]
        logits = np.zeros((len(pairs), len(HEADS)))
        for rows in token_batches([len(p.ids) for p in pairs], 4096):
            longest = max(len(pairs[i].ids) for i in rows)
            batch = [
                [x + [0] * (longest - len(x)) for x in column]
                for column in zip(
                    *((pairs[i].ids, pairs[i].types, [1] * len(pairs[i].ids)) for i in rows),
                    strict=True,
                )
            ]
            logits[rows] = model.eval()(*map(torch.tensor, batch)).numpy()
        return dict(zip(HEADS, logits.T, strict=True))

    return measure


def run(data: Path, how: Run, spoiled: int) -> dict[str, Any]:
    """Train one variant and measure it."""
    recipe = replace(Recipe(), layers=how.layers, share=1.0)
    model, config, tokenizer = new_model(recipe, "cpu")
    restrict(model, how.trained)
    pairs = training_pairs(data, recipe)
    pairs = pairs[: int(len(pairs) * how.share)]
    if how.only != "both":
        pairs = [p for p in pairs if (p.source in SETS) == (how.only == "human")]
    started = time.monotonic()
    train(model, config, tokenizer, pairs, recipe)
    seconds = time.monotonic() - started
    measure = measure_in_memory(model, config, tokenizer)
    human = human_figures(data, measure, share=0.25)
    corruptions = corruption_figures(data, measure, spoiled)
    return {
        "gigaflop_per_row": how.gigaflop,
        "pairs": len(pairs),
        "training_seconds": round(seconds),
        "human_macro": human["macro_without_politeness"]["accuracy"],
        "human_length_matched": human["length_matched_pooled"],
        **{f"reward_{name}": corruptions[name]["reward"]["accuracy"] for name in CORRUPTIONS},
    }


def main(argv: list[str] | None = None) -> None:
    """Run the named variants and add their figures to the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data")
    parser.add_argument("--runs", default=",,".join(RUNS), help="names, separated by two commas")
    parser.add_argument("--spoiled", type=int, default=120)
    arguments = parser.parse_args(argv)
    keep_freed_memory()
    path = EMBEDDED / "quality" / "comparison.json"
    for name in arguments.runs.split(",,"):
        figures = run(data_folder(arguments.data), RUNS[name], arguments.spoiled)
        known = json.loads(path.read_text()) if path.is_file() else {}
        path.write_text(json.dumps(known | {name: figures}, indent=1) + "\n")
        print(name, figures, flush=True)


if __name__ == "__main__":
    main()
