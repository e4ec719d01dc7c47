"""`make bench-gpu`: reward and perplexity at 1.4 B parameters, and MiniLM, on a GPU; no Spark.

    python -m bench.gpu [--rows 2000] [--repeats 3]
    python -m bench.gpu --tiny --device cpu        # the same program on a small model, no judgement

The two large models are GPT-NeoX in the shape of Pythia-1.4B with random weights, for the time does
not depend on them. Arms answer the same rows; ours and the plain ones share weights and precision.
The data sheet of an H100 or H200 promises 989 TFLOP/s in bfloat16 without sparsity.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from bench.harness.arms import LIMIT, SHEET, Gate, Suite, machine
from bench.harness.texts import bpe, window
from bench.run import judge
from bench.speed import embedding
from instructmining.models.lists import ModelSpec, load_model_list, locate
from udfs.indicators.perplexity import PerplexityScorer
from udfs.indicators.reward import GPTNeoXRewardConfig, GPTNeoXRewardModel, GPTNeoXRewardScorer
from udfs.running.budget import default_token_budget
from udfs.running.device import choose_device
from udfs.running.measurement import Runtime

Values = NDArray[np.float64]
_SHEET = 989_000.0  # GFLOP/s
_PYTHIA = {
    "hidden_size": 2048,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 8192,
    "rotary_pct": 0.25,
    "vocab_size": 50_304,
    "max_position_embeddings": 2048,
    "use_parallel_residual": True,
}
_TINY = _PYTHIA | {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 256,
}
_MEMORY = "perplexity: MiB above the weights"


def main() -> None:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--tiny", action="store_true", help="a small model, and no gates")
    chosen = parser.parse_args()
    device = choose_device(chosen.device)
    shape = _TINY if chosen.tiny else _PYTHIA
    texts = window()[1]
    rows = list(texts[: chosen.rows])
    named = {"device": torch.cuda.get_device_name(device)} if device != "cpu" else {}
    console = Console(width=120)
    console.print("; ".join(f"{name} {value}" for name, value in (machine() | named).items()))
    with TemporaryDirectory() as folder:
        suites = [
            lambda: reward(Path(folder) / "reward", shape, rows, device, chosen.repeats),
            lambda: perplexity(Path(folder) / "lm", shape, rows, device, chosen.repeats),
            lambda: sentences(rows, device, chosen.repeats),
        ]
        ungated = [lambda make=make: _ungated(make()) for make in suites]
        judge(ungated if chosen.tiny else suites, console)


def _ungated(suite: Suite) -> Suite:
    return replace(suite, gates=())


def reward(
    folder: Path, shape: dict[str, Any], rows: list[str], device: str, repeats: int
) -> Suite:
    """The Open-Assistant reward model: ours, one row at a time, and 32 rows in file order."""
    torch.manual_seed(0)
    model = GPTNeoXRewardModel(GPTNeoXRewardConfig(**shape)).to(torch.bfloat16)  # type: ignore[arg-type]
    _saved(model, folder)
    spec = ModelSpec(
        kind="gpt_neox_reward",
        source=str(folder),
        template="response",
        max_length=2048,
        indicators=("reward",),
    )
    ours = GPTNeoXRewardScorer(spec, _runtime(folder, device))
    model = model.eval().to(device)
    ids = _ids(rows)
    talks = _talks(rows)
    return Suite(
        name="reward",
        about=_about(shape, ids),
        arms={
            "batch 1": lambda: _rewards(model, ids, 1, device),
            "file order, 32 rows": lambda: _rewards(model, ids, 32, device),
            "ours": lambda: ours.measure(talks).values["reward"],
        },
        reference="batch 1",
        same=ranked,
        flop=flop(shape, ids, head=False),
        gates=[
            Gate("ours", "batch 1", 20),
            Gate("ours", "file order, 32 rows", 3),
            Gate("ours", SHEET, 0.5),
            Gate("ours", LIMIT, 0.63),
        ],
        **_common(repeats, device, ("batch 1", "file order, 32 rows", "ours")),
    )


def _runtime(folder: Path, device: str) -> Runtime:
    return Runtime(str(folder), None, device, "bfloat16", default_token_budget(device))


def perplexity(
    folder: Path, shape: dict[str, Any], rows: list[str], device: str, repeats: int
) -> Suite:
    """The language model: ours, one row at a time, and 8 rows in file order with full logits."""
    torch.manual_seed(0)
    model = GPTNeoXForCausalLM(GPTNeoXConfig(**shape)).to(torch.bfloat16)  # type: ignore[arg-type]
    _saved(model, folder)
    spec = ModelSpec(kind="causal_lm", source=str(folder), max_length=2048, indicators=("nll",))
    ours = PerplexityScorer(spec, _runtime(folder, device))
    model = model.eval().to(device)
    talks = _talks(rows)
    mark = bpe().eos_token_id
    ids = [[mark, *each, mark] for each in _ids(rows)]
    return Suite(
        name="perplexity",
        about=_about(shape, ids),
        arms={
            "batch 1": lambda: _losses(model, ids, 1, device),
            "file order, 8 rows": lambda: _losses(model, ids, 8, device),
            "ours": lambda: ours.measure(talks).values["nll"],
        },
        reference="batch 1",
        same=_near,
        flop=flop(shape, [each[1:] for each in ids], head=True),
        gates=[
            Gate("ours", "batch 1", 20),
            Gate("ours", "file order, 8 rows", 4),
            Gate("ours", SHEET, 0.5),
            Gate("ours", LIMIT, 0.63),
        ],
        figures=_memory(lambda: ours.measure(talks), device),
        **_common(repeats, device, ("batch 1", "file order, 8 rows", "ours")),
    )


def sentences(rows: list[str], device: str, repeats: int) -> Suite:
    """MiniLM: ours beside sentence-transformers, both in bfloat16."""
    folder = str(locate(load_model_list("embedded").stages["embed"].source))
    ids = [each[:254] for each in _ids(rows)]
    return Suite(
        name="embedding",
        about=f"MiniLM-L6, {len(rows):,} rows, tokenising included",
        arms={
            "sentence-transformers bf16": embedding.library(folder, "bfloat16", rows, device),
            "ours": embedding.ours(folder, "bfloat16", rows, device),
        },
        reference="sentence-transformers bf16",
        same=embedding.like(0.99),
        flop=embedding.flop([len(each) + 2 for each in ids]),
        gates=[Gate("ours", "sentence-transformers bf16", 3)],
        **_common(repeats, device, ("sentence-transformers bf16", "ours")),
    )


def flop(shape: dict[str, Any], ids: Sequence[Sequence[int]], head: bool) -> float:
    """Of real tokens: linear layers, causal attention, and the head where every token has one."""
    width = shape["hidden_size"]
    layers = shape["num_hidden_layers"]
    size = np.array([len(each) for each in ids], dtype=float)
    each = layers * (2 * size * 12 * width**2 + 2 * size**2 * width)
    return float((each + 2 * size * width * shape["vocab_size"] * head).sum())


def ranked(found: Values, reference: Values) -> str | None:
    """The rewards of bfloat16 in the reference's order."""
    from scipy.stats import spearmanr

    rank = float(spearmanr(found, reference).statistic)
    return None if rank >= 0.999 else f"rank correlation {rank:.4f}"


def _near(found: Values, reference: Values) -> str | None:
    worst = float(np.abs(found - reference).max())
    return None if worst <= 2e-2 else f"ln perplexity off by {worst:.1e}"


@torch.inference_mode()
def _rewards(model: Any, ids: list[list[int]], size: int, device: str) -> Values:
    found = [model(*given).logits[:, 0].double().cpu() for given in _batches(ids, size, device)]
    return torch.cat(found).numpy()


@torch.inference_mode()
def _losses(model: Any, ids: list[list[int]], size: int, device: str) -> Values:
    found = []
    for given, mask in _batches(ids, size, device):
        logits = model(given, attention_mask=mask).logits[:, :-1].float()
        each = torch.nn.functional.cross_entropy(
            logits.transpose(1, 2), given[:, 1:], reduction="none"
        )
        found.append(((each * mask[:, 1:]).sum(1) / mask[:, 1:].sum(1)).double().cpu())
    return torch.cat(found).numpy()


def _batches(ids: list[list[int]], size: int, device: str) -> Any:
    for start in range(0, len(ids), size):
        rows = ids[start : start + size]
        width = max(map(len, rows))
        given = torch.tensor([row + [0] * (width - len(row)) for row in rows], device=device)
        mask = torch.tensor([[1] * len(r) + [0] * (width - len(r)) for r in rows], device=device)
        yield given, mask


def _ids(rows: list[str]) -> list[list[int]]:
    found: list[list[int]] = bpe()(rows, verbose=False)["input_ids"]
    return found


def _talks(rows: list[str]) -> list[list[dict[str, str]]]:
    return [[{"role": "assistant", "content": text}] for text in rows]


def _saved(model: Any, folder: Path) -> None:
    model.save_pretrained(folder)
    bpe().save_pretrained(folder)


def _about(shape: dict[str, Any], ids: Sequence[Sequence[int]]) -> str:
    return (
        f"GPT-NeoX {shape['num_hidden_layers']} x {shape['hidden_size']}, bfloat16, "
        f"{len(ids):,} rows, {sum(map(len, ids)):,} tokens, tokenising included"
    )


def _common(repeats: int, device: str, arms: Sequence[str]) -> dict[str, Any]:
    return {
        "repeats": repeats,
        "device": device,
        "sheet": _SHEET,
        "dtypes": dict.fromkeys(arms, "bfloat16"),
    }


def _memory(measure: Callable[[], Any], device: str) -> dict[str, float]:
    if device == "cpu":
        return {_MEMORY: 0.0}
    measure()
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    measure()
    return {_MEMORY: (torch.cuda.max_memory_allocated(device) - before) / 2**20}


if __name__ == "__main__":
    main()
