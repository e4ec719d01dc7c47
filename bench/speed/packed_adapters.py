"""LoRA runs in one batch against one after another: `python -m bench.speed.packed_adapters`.

What packing could bring at most: steps of four finetunes of one frozen Llama with random weights,
16 rows of 73 tokens each (the recipe's `batch_rows`, the mean of Alpaca), each run with rows and
adapters of its own. All rows are of one length, so that neither arm pads. The arm `one by one`
trains as the product does, with peft's layers; `packed` reads the rows of all runs in one batch
(`bench.harness.packed_lora`). Both recompute activations, and must come to the same losses of every
run and step.
"""

import argparse
import copy
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from transformers import LlamaConfig, LlamaForCausalLM

from bench.harness.arms import Gate, Suite, machine, run
from bench.harness.packed_lora import clip_each_run, pack_adapters
from bench.run import known, missed_gates, tables
from instructmining.settings.learning import Finetune
from udfs.finetuning.adapters import default_rate, inject_lora, recompute_activations
from udfs.indicators.perplexity import Counted, TokenLogLoss
from udfs.running.device import limit_threads

Losses = NDArray[np.float64]  # [runs, steps], nats per token
WANTED = 1.5  # times as many tokens per second
RUNS = 4
STEPS = 2
TOKENS = 73
SHAPE = {
    "hidden_size": 768,
    "intermediate_size": 2048,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "num_key_value_heads": 4,
    "vocab_size": 16_384,
    "max_position_embeddings": 512,
}
_PROMPT = 20  # tokens of a row that have no loss
_SAME = 1e-4  # share of a loss by which the arms may differ, in float32


def main() -> None:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--rows", type=int, default=Finetune().batch_rows, help="of a run's step")
    chosen = parser.parse_args()
    limit_threads(1)
    console = Console(width=120)
    console.print("; ".join(f"{name} {value}" for name, value in machine().items()))
    outcome = run(suite(chosen.repeats, chosen.runs, chosen.rows))
    for table in tables(outcome):
        console.print(table)
    tokens = chosen.runs * STEPS * chosen.rows * TOKENS
    for arm, seconds in outcome.cpu.items():
        console.print(f"{arm}: {tokens / statistics.median(seconds):,.0f} tokens per CPU second")
    missed = missed_gates(outcome.verdicts(), known())
    sys.exit("gates missed: " + "; ".join(missed) if missed else 0)


def suite(repeats: int, runs: int = RUNS, rows: int = Finetune().batch_rows) -> Suite:
    """Both arms on the same rows, from the same first adapters."""
    model = frozen(SHAPE)
    parameters = sum(p.numel() for p in model.parameters())
    tokens = runs * STEPS * rows * TOKENS
    return Suite(
        name="packed-adapters",
        about=f"{runs} runs of {STEPS} steps of {rows} rows of {TOKENS} tokens, LoRA on a Llama "
        f"of {parameters / 1e6:.0f} M",
        arms=arms(model, made_rows(runs, STEPS, rows, SHAPE["vocab_size"])),
        reference="one by one",
        same=differing,
        gates=[Gate("packed", "one by one", WANTED)],
        repeats=repeats,
        flop=4.0 * tokens * _multiplied(SHAPE, parameters),
    )


def _multiplied(shape: Mapping[str, int], parameters: int) -> float:
    """Numbers that a token is multiplied with on the way forward, and again on the way back.

    The base gets no gradient, embeddings are looked up, the head reads the counted tokens alone.
    """
    words = shape["vocab_size"] * shape["hidden_size"]
    return parameters - 2 * words + words * (TOKENS - _PROMPT) / TOKENS


def frozen(shape: Mapping[str, int]) -> Any:
    """A Llama of random weights."""
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig.from_dict(dict(shape)))


def made_rows(runs: int, steps: int, rows: int, vocabulary: int) -> list[list[list[Counted]]]:
    """Texts of every run and step; ids by chance."""
    ids = np.random.default_rng(0).integers(3, vocabulary, (runs, steps, rows, TOKENS))
    counted = [False] * _PROMPT + [True] * (TOKENS - _PROMPT)
    return [[[Counted(row, counted) for row in texts] for texts in run] for run in ids.tolist()]


def arms(
    model: Any, runs: Sequence[Sequence[Sequence[Counted]]]
) -> dict[str, Callable[[], Losses]]:
    """Both ways to train the runs, on models of their own that have the same numbers."""
    inject_lora(model, Finetune().lora_rank)
    together = copy.deepcopy(model)
    pack_adapters(together, len(runs))
    one = _Trainer(model)
    all_runs = _Trainer(together)

    def one_by_one() -> Losses:
        return np.concatenate([one.losses([run]) for run in runs])

    return {"one by one": one_by_one, "packed": lambda: all_runs.losses(runs)}


def differing(answer: Losses, reference: Losses) -> str | None:
    """Why the losses are not the same; None where they are."""
    most = float(np.abs(answer / reference - 1).max())
    return None if most <= _SAME else f"losses differ by {most:.1e} of themselves"


class _Trainer:
    """A model with adapters, trained again and again from the same ones."""

    def __init__(self, model: Any):
        recompute_activations(model)
        self.model = model.train()
        self.adapters = [p for p in model.parameters() if p.requires_grad]
        self.first = [p.detach().clone() for p in self.adapters]
        self.log_loss = TokenLogLoss(model, "cpu")

    def losses(self, runs: Sequence[Sequence[Sequence[Counted]]]) -> Losses:
        """Train all runs, the rows of a step in one batch."""
        with torch.no_grad():
            for parameter, value in zip(self.adapters, self.first, strict=True):
                parameter.copy_(value)
        optimizer = torch.optim.AdamW(
            self.adapters, lr=default_rate("lora", 0), betas=(0.9, 0.95), weight_decay=0.0
        )
        seen = []
        for step in zip(*runs, strict=True):
            seen.append(self._backward(step))
            if len(runs) > 1:
                clip_each_run(self.adapters)
            else:
                torch.nn.utils.clip_grad_norm_(self.adapters, 1.0)
            optimizer.step()
            optimizer.zero_grad()
        return np.stack(seen, axis=1)

    def _backward(self, step: Sequence[Sequence[Counted]]) -> NDArray[np.float64]:
        """Mean loss of every run; each is differentiated by its own adapters alone."""
        losses, rows = self.log_loss.of_tokens([text for texts in step for text in texts])
        run = torch.from_numpy(rows // len(step[0]))
        means = torch.stack([losses[run == k].mean() for k in range(len(step))])
        means.sum().backward()
        return means.detach().double().numpy()


if __name__ == "__main__":
    main()
