"""A GPT-NeoX of Pythia-70M's shape: perplexity by our scorer and as others compute it.

The weights are random, for the time does not depend on them. All arms score every token of a
text and the end of text after it, so that each gives the same number.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from bench.harness.arms import LIMIT, Gate, Suite
from bench.harness.texts import bpe, spread_out, window
from instructmining.models.lists import ModelSpec
from udfs.indicators.perplexity import PerplexityScorer
from udfs.running.budget import default_token_budget
from udfs.running.device import limit_threads
from udfs.running.measurement import Runtime

Losses = NDArray[np.float64]
_ROWS = 64
_WIDTH, _LAYERS, _VOCABULARY, _POSITIONS = 512, 6, 50_304, 2_048
_MEBIBYTES = 256
_PROCESSES = 3
MEMORY = "MiB above the weights, ours bf16"


def suite(repeats: int) -> Suite:
    """64 texts of all lengths, the longest of the window among them, in file order."""
    about, texts = rows()
    sizes = [len(ids) - 1 for ids in _ids(texts)]  # the start token is not scored
    with TemporaryDirectory() as name:
        folder = write_model(Path(name))
        model = GPTNeoXForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        scorers = {dtype: scorer(folder, dtype) for dtype in ("float32", "bfloat16")}
        # The kernel may give more than was asked for, in large pages: the least is what it takes.
        memory = min(peak_memory(folder) for _ in range(_PROCESSES))
    return Suite(
        name="perplexity",
        about=f"GPT-NeoX 6 x 512, vocabulary 50,304, {_ROWS} {about}, {sum(sizes):,} tokens, "
        f"the longest {max(sizes)}, tokenising included",
        arms={
            "batch 1": lambda: one_by_one(model, texts),
            "evaluate": lambda: as_evaluate(model, texts),
            "file order, 8 rows": lambda: in_file_order(model, texts, 8),
            "ours": lambda: losses(scorers["float32"], texts),
            "ours bf16": lambda: losses(scorers["bfloat16"], texts),
        },
        reference="batch 1",
        same=within(1e-4),
        checks={"ours bf16": within(2e-2)},
        dtypes={"ours bf16": "bfloat16"},
        flop=flop(sizes),
        gates=[
            Gate("ours", "batch 1", 0.95),
            Gate("ours bf16", "batch 1", 2.5),
            Gate("ours bf16", "evaluate", 15),
            Gate("ours", LIMIT, 0.5),
            Gate("ours bf16", LIMIT, 0.18),
        ],
        figures={MEMORY: memory},
        at_most={MEMORY: _MEBIBYTES},
        once=frozenset({"evaluate"}),
        repeats=repeats,
    )


@cache
def rows() -> tuple[str, list[str]]:
    """What the texts are, and the texts."""
    about, texts = window()
    chosen = spread_out([len(ids) for ids in _ids(texts)], _ROWS)
    return about, [texts[i] for i in chosen]


def write_model(folder: Path) -> Path:
    """The model and its tokenizer, as `from_pretrained` reads them."""
    torch.manual_seed(0)
    config = GPTNeoXConfig(
        vocab_size=_VOCABULARY,
        hidden_size=_WIDTH,
        num_hidden_layers=_LAYERS,
        num_attention_heads=8,
        intermediate_size=4 * _WIDTH,
        max_position_embeddings=_POSITIONS,
    )
    GPTNeoXForCausalLM(config).save_pretrained(folder)
    bpe().save_pretrained(folder)
    return folder


def scorer(folder: Path, dtype: str) -> PerplexityScorer:
    """Ours, with the batches that it has on a CPU."""
    spec = ModelSpec(
        kind="causal_lm", source=str(folder), max_length=_POSITIONS, indicators=("nll",)
    )
    budget = default_token_budget("cpu")
    return PerplexityScorer(spec, Runtime(str(folder), None, "cpu", dtype, budget))


def losses(ours: PerplexityScorer, texts: Sequence[str]) -> Losses:
    """A text without a prompt: all of it is the response."""
    return ours.measure([[{"role": "assistant", "content": text}] for text in texts]).values["nll"]


@torch.inference_mode()
def one_by_one(model: Any, texts: Sequence[str]) -> Losses:
    """Data-Juicer, Cherry_LLM: one text, its logits, its loss."""
    given = (torch.tensor([ids]) for ids in _ids(texts))
    return np.array([float(model(input_ids=ids, labels=ids).loss) for ids in given])


def as_evaluate(model: Any, texts: Sequence[str]) -> Losses:
    """The metric of `evaluate`: all texts padded to the longest, batches of 16, full logits."""
    return _padded(model, texts, 16, longest=max(len(ids) for ids in _ids(texts)))


def in_file_order(model: Any, texts: Sequence[str], size: int) -> Losses:
    """OpenDataArena: file order, padded to the longest of each batch, full logits."""
    return _padded(model, texts, size, longest=0)


@torch.inference_mode()
def _padded(model: Any, texts: Sequence[str], size: int, longest: int) -> Losses:
    ids = _ids(texts)
    found = []
    for start in range(0, len(ids), size):
        batch = ids[start : start + size]
        width = max(longest, *(len(row) for row in batch))
        given = torch.tensor([row + row[:1] * (width - len(row)) for row in batch])
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in batch])
        logits = model(given, attention_mask=mask).logits[:, :-1].contiguous()
        each = torch.nn.functional.cross_entropy(
            logits.transpose(1, 2), given[:, 1:], reduction="none"
        )
        found.append((each * mask[:, 1:]).sum(1) / mask[:, 1:].sum(1))
    return torch.cat(found).double().numpy()


def _ids(texts: Sequence[str]) -> list[list[int]]:
    mark = bpe().eos_token_id  # opens a text and closes it, as in Pythia's own training
    return [[mark, *ids, mark] for ids in bpe()(list(texts), verbose=False)["input_ids"]]


def flop(sizes: Sequence[int]) -> float:
    """Of real tokens: linear layers, causal attention, and the head once per token."""
    size = np.array(sizes, dtype=float)
    layers = 2 * size * 12 * _WIDTH**2 + 2 * size**2 * _WIDTH
    return float((_LAYERS * layers + 2 * size * _WIDTH * _VOCABULARY).sum())


def within(tolerance: float) -> Callable[[Losses, Losses], str | None]:
    """ln perplexity of every text as in the reference."""

    def check(found: Losses, reference: Losses) -> str | None:
        worst = float(np.abs(found - reference).max())
        return None if worst <= tolerance else f"ln perplexity off by {worst:.1e}"

    return check


def peak_memory(folder: Path) -> float:
    """MiB of a process of its own, from the loaded model to the peak of measuring."""
    task = [sys.executable, "-m", "bench.speed.perplexity", str(folder)]
    return float(json.loads(subprocess.run(task, capture_output=True, check=True).stdout))


def _measure_peak(folder: Path) -> float:
    limit_threads(1)
    _, texts = rows()
    ours = scorer(folder, "bfloat16")
    losses(ours, texts[:2])  # what libraries set up once belongs to no batch
    # The kernel's high-water mark starts again: loading the weights must not hide the batches.
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _status("VmRSS")
    losses(ours, texts)
    return (_status("VmHWM") - before) / 1024


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


if __name__ == "__main__":
    print(_measure_peak(Path(sys.argv[1])))
