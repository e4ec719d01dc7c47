"""Train the two causal language models that ship: `python -m training.lm`.

A byte-level BPE of 8,192 tokens and two Llama decoders with tied embeddings learn from half 0 of
the free pools. A conversation is read as the scorer reads it (template `tags`): `<|begin|>`, then
for each message its role tag and its text, `<|end|>` after every assistant turn. One example in
four is also shown as its bare response, because `perplexity_alone` asks for that.
"""

import argparse
import json
import math
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from training.allocator import keep_freed_memory
from training.data import POOLS, Example, data_folder, digest, half_examples
from udfs.finetuning.master_weights import Masters, Optimizers
from udfs.running.device import resolve_dtype

EMBEDDED = Path(__file__).resolve().parent.parent / "conf" / "models" / "embedded"
SPECIAL = ["<|pad|>", "<|begin|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>"]
PAD, BEGIN, END = 0, 1, 2
VOCABULARY = 8192
CONTEXT = 1024
SEED = 20240607


@dataclass(frozen=True)
class Size:
    """Shape and schedule of one model."""

    hidden: int
    layers: int
    heads: int
    feed_forward: int
    epochs: float
    rate: float
    batch_tokens: int = 4096


SIZES = {
    "lm": Size(hidden=192, layers=5, heads=3, feed_forward=512, epochs=1.6, rate=1e-2),
    "lm-small": Size(hidden=96, layers=4, heads=3, feed_forward=256, epochs=2.0, rate=1.2e-2),
}


def train_tokenizer(texts: Iterator[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE: no unknown characters, digits apart, so that numbers stay comparable."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=SPECIAL[PAD],
        bos_token=SPECIAL[BEGIN],
        eos_token=SPECIAL[END],
        additional_special_tokens=SPECIAL[3:],
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )


def sequences(
    tokenizer: PreTrainedTokenizerFast, examples: tuple[Example, ...], generator: random.Random
) -> list[np.ndarray]:
    """Token ids of every conversation, and of the bare response of one example in four."""
    contents = [m["content"] for e in examples for m in e.messages]
    ids = iter(tokenizer(contents, add_special_tokens=False)["input_ids"])
    vocabulary = tokenizer.get_vocab()
    tags = {role: vocabulary[f"<|{role}|>"] for role in ("user", "assistant", "system")}
    rows = []
    for example in examples:
        sequence: list[int] = [BEGIN]
        response: list[int] = []
        for message in example.messages:
            response = next(ids)
            closing = [END] if message["role"] == "assistant" else []
            sequence += [tags[message["role"]], *response, *closing]
        rows.append(np.array(sequence[:CONTEXT], dtype=np.int64))
        if generator.random() < 0.25:
            rows.append(np.array([BEGIN, *response, END][:CONTEXT], dtype=np.int64))
    return rows


def batches(
    rows: list[np.ndarray], budget: int, generator: random.Random
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """One epoch of (inputs, labels) with rows x longest <= budget, like lengths together."""
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]) + generator.random() * 8)
    groups: list[list[int]] = [[]]
    for i in order:
        if groups[-1] and (len(groups[-1]) + 1) * len(rows[i]) > budget:
            groups.append([])
        groups[-1].append(i)
    generator.shuffle(groups)
    return [_padded([rows[i] for i in group]) for group in groups]


def _padded(group: list[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.full((len(group), max(map(len, group))), PAD)
    labels = torch.full_like(ids, -100)
    for row, sequence in enumerate(group):
        ids[row, : len(sequence)] = torch.from_numpy(sequence)
        labels[row, : len(sequence) - 1] = torch.from_numpy(sequence[1:])
    return ids, labels


def build(size: Size) -> LlamaForCausalLM:
    """A fresh plain Llama decoder."""
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=size.hidden,
        intermediate_size=size.feed_forward,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.heads,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=BEGIN,
        eos_token_id=END,
        pad_token_id=PAD,
        initializer_range=0.02,
    )
    return LlamaForCausalLM(config)


def backward(model: LlamaForCausalLM, ids: torch.Tensor, labels: torch.Tensor) -> float:
    """Mean next-token loss over real tokens, gradients added to the model's parameters.

    Right padding under a causal mask needs no mask. The loss is taken 512 tokens at a time: the
    full logits of a batch (4,096 x 8,192) cost more memory traffic than the rest of the step.
    """
    wanted = labels != -100
    hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state[wanted]
    labels = labels[wanted]
    leaf = hidden.detach().requires_grad_()
    total = 0.0
    for start in range(0, len(labels), 512):
        chunk = slice(start, start + 512)
        logits = model.lm_head(leaf[chunk]).float()
        loss = cross_entropy(logits, labels[chunk], reduction="sum") / len(labels)
        loss.backward()
        total += loss.item()
    hidden.backward(leaf.grad)
    return total


def train(model: LlamaForCausalLM, rows: list[np.ndarray], size: Size) -> dict[str, Any]:
    """Train in place and return what was seen.

    Weights and activations are bf16 where the device has units for it: on a CPU with AVX512-BF16
    that was the fastest of the three ways tried. On a CPU without them bf16 takes ten times as
    long as fp32, which is taken there. Masters and optimizer states are fp32. Muon for matrices,
    AdamW for the rest.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = resolve_dtype("auto", device)
    model.to(device).train()  # type: ignore[arg-type]
    generator = random.Random(SEED)
    epochs = [batches(rows, size.batch_tokens, generator) for _ in range(math.ceil(size.epochs))]
    steps = [batch for epoch in epochs for batch in epoch][: int(size.epochs * len(epochs[0]))]
    masters = Masters(model, lambda m: _optimizers(m, size.rate), len(steps), warm_up=60)
    model.to(getattr(torch, dtype))
    tokens = 0
    started = time.monotonic()
    recent: list[float] = []
    for step, (ids, labels) in enumerate(steps):
        recent = [*recent[-49:], backward(model, ids.to(device), labels.to(device))]
        masters.step()
        tokens += int((labels != -100).sum())
        if step % 50 == 0:
            rate = tokens / (time.monotonic() - started)
            print(f"{step}/{len(steps)} loss {np.mean(recent):.3f} {rate:.0f} tokens/s", flush=True)
    seconds = time.monotonic() - started
    return {
        "tokens_seen": tokens,
        "steps": len(steps),
        "seconds": round(seconds),
        "device": device,
        "dtype": dtype,
    }


def _optimizers(masters: dict[str, torch.Tensor], rate: float) -> Optimizers:
    matrices = [p for n, p in masters.items() if p.ndim == 2 and "embed" not in n]
    others = [p for n, p in masters.items() if p.ndim != 2 or "embed" in n]
    return [
        torch.optim.Muon(matrices, lr=rate, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def main(argv: list[str] | None = None) -> None:
    """Train the tokenizer and the named sizes, and write their folders."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data")
    parser.add_argument("--sizes", default=",".join(SIZES))
    parser.add_argument("--out", type=Path, default=EMBEDDED)
    parser.add_argument(
        "--without", nargs="*", default=[], choices=POOLS, help="pools that it must not see"
    )
    parser.add_argument(
        "--share-of-steps", type=float, default=1.0, help="of the usual steps, for a model in less"
    )
    arguments = parser.parse_args(argv)
    keep_freed_memory()
    half_0 = half_examples(data_folder(arguments.data), 0)
    examples = tuple(e for e in half_0 if e.pool not in arguments.without)
    tokenizer = train_tokenizer(m["content"] for e in examples for m in e.messages)
    rows = sequences(tokenizer, examples, random.Random(SEED))
    for name in arguments.sizes.split(","):
        torch.manual_seed(SEED)
        size = SIZES[name]
        size = replace(size, epochs=size.epochs * arguments.share_of_steps)
        model = build(size)
        recipe = train(model, rows, size) | {
            "seed": SEED,
            "parameters": model.num_parameters(),
            "without": arguments.without,
            "examples": len(examples),
            "examples_digest": digest([e.identifier for e in examples]),
        }
        folder = arguments.out / name
        model.cpu().to(torch.bfloat16).save_pretrained(folder)  # type: ignore[arg-type]
        tokenizer.save_pretrained(folder)
        (folder / "recipe.json").write_text(json.dumps(recipe, indent=1) + "\n")


if __name__ == "__main__":
    main()
