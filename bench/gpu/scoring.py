"""Reward, perplexity and sentence vectors: each setting off and on, beside plain transformers."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.gpu.shapes import FAMILIES, Model, flop, save
from bench.gpu.timing import Arm, GpuSuite, each
from bench.harness.arms import LIMIT, Gate
from bench.harness.texts import bpe
from bench.speed import embedding
from instructmining.models.lists import ModelSpec, load_model_list, locate
from instructmining.settings.sections import Measure
from udfs.indicators import resolve
from udfs.running.prefetch import prepared_ahead
from udfs.running.scorers import load_scorer

Values = NDArray[np.float64]
Window = list[str]
_MEMORY = "MiB above the weights"


def scored(
    model: Model,
    reward: bool,
    folder: Path,
    windows: Sequence[Window],
    device: str,
    code: str | None,
    gate: float,
) -> GpuSuite:
    """A reward model, or a language model with texts after their prompts alone.

    Args:
        model: the shape.
        reward: which of the two.
        folder: for its weights.
        windows: of texts.
        device: of torch.
        code: folder for compiled code; None: compiled models are not measured.
        gate: share of the product of matrices that packed and compiled models must reach.
    """
    spec = _entry(model, reward, folder, device)
    arms = {name: Arm(_ours(spec, how, device)) for name, how in compared(code).items()}
    plain = _Plain(model, reward, folder, device)
    best = list(arms)[-1]
    return GpuSuite(
        name=f"{'reward' if reward else 'perplexity'}, {model.name}",
        about=f"windows of {len(windows[-1]):,} rows, never seen before, tokenising included",
        arms={
            "batch 1": each(lambda texts: plain.values(texts, 1), 1 / 160),
            "file order, 32 rows": each(lambda texts: plain.values(texts, 32), 1 / 32),
            **arms,
        },
        windows=windows,
        tokens=lambda texts: sum(map(len, token_ids(texts))),
        flop=lambda texts: flop(model, token_ids(texts), head=not reward),
        reference="padded",
        same=ranked if reward else near,
        gates=[Gate(best, "batch 1", 20), Gate(best, LIMIT, gate)],
        figures=lambda: _memory(arms[best], windows[0], device),
    )


def in_float8(
    model: Model, folder: Path, windows: Sequence[Window], device: str, code: str | None
) -> GpuSuite:
    """A reward model with `float8` in its entry beside the same without.

    How well a trained model keeps its order is told by `python -m bench.float8 --device cuda`.
    """
    plain = _entry(model, True, folder, device)
    how = list(compared(code).values())[-1]
    rounded = plain.model_copy(update={"float8": True})
    return GpuSuite(
        name=f"reward in float8, {model.name}",
        about=f"windows of {len(windows[-1]):,} rows, never seen before, tokenising included",
        arms={
            "bfloat16": Arm(_ours(plain, how, device)),
            "float8": Arm(_ours(rounded, how, device)),
        },
        windows=windows,
        tokens=lambda texts: sum(map(len, token_ids(texts))),
        flop=lambda texts: flop(model, token_ids(texts), head=False),
        reference="bfloat16",
        same=lambda answer, reference: ranked(answer, reference, 0.9),
        gates=[Gate("float8", "bfloat16", 1.2)],
    )


def _entry(model: Model, reward: bool, folder: Path, device: str) -> ModelSpec:
    """The model as a list names it; its weights are written where they are not there yet."""
    if not folder.exists():
        save(model, reward, folder, device)
    kind, indicator = "causal_lm", "nll"
    if reward:
        kind = "gpt_neox_reward" if model.family == "neox" else "sequence_classifier"
        indicator = "reward"
    return ModelSpec(
        kind=kind,
        source=str(folder),
        template="response",
        max_length=2048,
        indicators=(indicator,),
    )


def compared(code: str | None) -> dict[str, Measure]:
    """Settings by name: all off, then all on, compiled where there is a folder for it."""
    off = Measure(packing=False, compile=False, fused_optimizer=False)
    on = Measure(packing=True, compile=code is not None, fused_optimizer=True, compiled_code=code)
    return {"padded": off, "packed, compiled" if code else "packed": on}


def _ours(spec: ModelSpec, how: Measure, device: str) -> Any:
    """Our scorer by the settings, each window prepared while another is computed, as in a job.

    It is loaded when it is first asked, as a process holds one model.
    """
    model = resolve(spec)

    def answers(windows: Sequence[Window]) -> Iterator[Values]:
        scorer: Any = load_scorer(model, device, "bfloat16", measure=how)
        if how.packing and not scorer.packed:
            raise RuntimeError(f"{spec.source}: its numbers change where it reads packs")
        for ready in prepared_ahead(map(talks, windows), scorer.prepare):
            yield scorer.compute(ready).values[spec.indicators[0]]

    return answers


class _Plain:
    """transformers as its documentation shows it."""

    def __init__(self, model: Model, reward: bool, folder: Path, device: str):
        family = FAMILIES[model.family]
        made = (family.reward if reward else family.language).from_pretrained(
            folder, dtype=torch.bfloat16
        )
        self.model = made.eval().to(device)
        self.reward, self.device = reward, device

    @torch.inference_mode()
    def values(self, texts: Window, size: int) -> Values:
        """Rewards, or mean losses, of texts in their order, `size` at a time."""
        measured = []
        for start in range(0, len(texts), size):
            ids, mask = self._padded(token_ids(texts[start : start + size]))
            logits = self.model(input_ids=ids, attention_mask=mask).logits
            measured.append(logits[:, 0] if self.reward else _losses(logits, ids, mask))
        return torch.cat(measured).double().cpu().numpy()

    def _padded(self, rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        # Perplexity reads a start token first and the end of the turn last.
        mark = [] if self.reward else [int(bpe().eos_token_id)]
        read = [[*mark, *row, *mark] for row in rows]
        width = max(map(len, read))
        ids = [row + [0] * (width - len(row)) for row in read]
        mask = [[1] * len(row) + [0] * (width - len(row)) for row in read]
        return torch.tensor(ids, device=self.device), torch.tensor(mask, device=self.device)


def _losses(logits: torch.Tensor, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    losses = torch.nn.functional.cross_entropy(
        logits[:, :-1].float().transpose(1, 2), ids[:, 1:], reduction="none"
    )
    return (losses * mask[:, 1:]).sum(1) / mask[:, 1:].sum(1)


def sentences(windows: Sequence[Window], device: str) -> GpuSuite:
    """MiniLM beside sentence-transformers, both in bfloat16."""
    spec = load_model_list("embedded").stages["embed"]
    folder = str(locate(spec.source))
    model = resolve(spec)

    def ours(windows: Sequence[Window]) -> Iterator[Any]:
        scorer: Any = load_scorer(model, device, "bfloat16")
        for ready in prepared_ahead(map(talks, windows), scorer.prepare):
            yield scorer.compute(ready).vectors

    library = embedding.library_of(folder, "bfloat16", device)
    return GpuSuite(
        name="embedding, MiniLM-L6",
        about=f"windows of {len(windows[-1]):,} rows, never seen before, tokenising included",
        arms={"sentence-transformers": each(library), "ours": Arm(ours)},
        windows=windows,
        tokens=lambda texts: sum(min(256, len(ids) + 2) for ids in token_ids(texts)),
        flop=lambda texts: embedding.flop([min(256, len(i) + 2) for i in token_ids(texts)]),
        reference="sentence-transformers",
        same=embedding.like(0.99),
        gates=[Gate("ours", "sentence-transformers", 3)],
    )


def ranked(answer: Values, reference: Values, least: float = 0.99) -> str | None:
    """Rounded numbers in the reference's order."""
    from scipy.stats import spearmanr

    if len(answer) < 3:
        return None
    rank = float(spearmanr(answer, reference).statistic)
    return None if rank >= least else f"rank correlation {rank:.4f}"


def near(answer: Values, reference: Values) -> str | None:
    """Losses that differ by what bfloat16 rounds; plain transformers rounds the logits too."""
    off = np.abs(answer - reference)
    usual, worst = float(np.quantile(off, 0.9)), float(off.max())
    alike = usual <= 2e-2 and worst <= 0.1
    return None if alike else f"a tenth of the losses off by {usual:.1e}, one by {worst:.1e}"


def token_ids(texts: Window) -> list[list[int]]:
    """Of every text."""
    ids: list[list[int]] = bpe()(texts, verbose=False)["input_ids"]
    return ids


def talks(texts: Window) -> list[list[dict[str, str]]]:
    """Each text as an answer."""
    return [[{"role": "assistant", "content": text}] for text in texts]


def _memory(arm: Arm, window: Window, device: str) -> Mapping[str, float]:
    if device == "cpu":
        return {}
    list(arm.answers([window]))
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    list(arm.answers([window]))
    return {_MEMORY: (torch.cuda.max_memory_allocated(device) - before) / 2**20}
