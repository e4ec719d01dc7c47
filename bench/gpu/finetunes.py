"""A finetune of 1.4 B parameters, full and LoRA: each setting off and on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.gpu.scoring import Window, compared, talks, token_ids
from bench.gpu.shapes import Model, parameters, save
from bench.gpu.timing import GpuSuite, each
from bench.harness.arms import LIMIT, Gate
from instructmining.models.lists import ModelSpec
from instructmining.settings.learning import Finetune
from instructmining.settings.sections import Measure
from udfs.finetuning.loading import loaded_finetuner
from udfs.indicators import resolve


def finetuned(
    model: Model,
    adapter: str,
    folder: Path,
    windows: Sequence[Window],
    device: str,
    code: str | None,
    gate: float,
) -> GpuSuite:
    """One epoch over each window in steps of 32 rows, then the loss of 64 of them."""
    if not folder.exists():
        save(model, False, folder, device)
    spec = ModelSpec(kind="causal_lm", source=str(folder), max_length=1024, indicators=("nll",))
    found = resolve(spec)
    recipe = Finetune(adapter=adapter, epochs=1, max_length=1024, batch_rows=32)

    def run(how: Measure) -> Any:
        def train(texts: Window) -> list[float]:
            finetuner = loaded_finetuner(found, device, "bfloat16", how, recipe)
            outcome = finetuner.run(talks(texts), {"held": talks(texts[:64])}, 0)
            return list(outcome.losses.values())

        return train

    settings = compared(code)
    best = list(settings)[-1]
    work = 6.0 * parameters(model)  # of a token, there and back
    return GpuSuite(
        name=f"finetune, {adapter}, {model.name}",
        about=f"{len(windows[-1]):,} rows, one epoch, steps of 32 rows, restoring included",
        arms={name: each(run(how)) for name, how in settings.items()},
        windows=windows,
        tokens=lambda texts: sum(map(len, token_ids(texts))),
        flop=lambda texts: work * sum(map(len, token_ids(texts))),
        reference="padded",
        same=_near,
        gates=[Gate(best, LIMIT, gate)],
    )


def _near(losses: list[float], reference: list[float]) -> str | None:
    worst = max(abs(a - b) for a, b in zip(losses, reference, strict=True))
    return None if worst <= 0.02 else f"loss off by {worst:.3f}"
