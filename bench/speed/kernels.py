"""What we do below transformers on a CPU, alone, beside what it replaced and what was refused.

    python -m bench.speed.kernels

One thread; microseconds of CPU per token, the best of several tries.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch.nn.functional import scaled_dot_product_attention

from udfs.running.cpu import ReorderedLinear, aligned_attention, can_reorder
from udfs.running.device import limit_threads

LENGTHS = (32, 40, 63, 64, 65, 73, 80, 127, 128, 255, 256)
LAYERS = ((384, 1152), (384, 1536), (1536, 384), (192, 8192), (512, 50_304))
_TOKENS, _HEADS, _SIZE = 2048, 12, 32
_HEAD_ROWS = 83  # rows of hidden states that meet 50,304 words at a time
_TRY = 0.03  # seconds: the clock may be coarse


def main() -> None:
    """Measure and print: attention by length, linear layers, and what follows the head."""
    limit_threads(1)
    console = Console(width=120)
    with torch.inference_mode():
        console.print(attention())
        if can_reorder():
            console.print(products())
        console.print(losses())


def attention() -> Table:
    """12 heads of 32 on about 2,048 tokens without a mask, as torch has it and as we call it."""
    table = _table("attention, µs per token", "keys", *map(str, LENGTHS))
    layer = torch.nn.Module()
    layer.is_causal = False  # type: ignore[assignment]
    for dtype in ("bfloat16", "float32"):
        plain = []
        aligned = []
        products = []
        for length in LENGTHS:
            rows = max(1, _TOKENS // length)
            states = torch.randn(3, rows, length, _HEADS, _SIZE).to(getattr(torch, dtype))
            query, key, value = states.transpose(2, 3).unbind()
            per_token = 1e6 / (rows * length)
            plain.append(per_token * best(partial(scaled_dot_product_attention, query, key, value)))
            aligned.append(
                per_token * best(partial(aligned_attention, layer, query, key, value, None))
            )
            products.append(per_token * best(partial(_two_products, query, key, value)))
        for name, row in (("torch", plain), ("ours", aligned), ("two products", products)):
            table.add_row(f"{dtype}, {name}", *(f"{each:.2f}" for each in row))
    return table


def _two_products(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    scores = query @ key.transpose(2, 3) * query.shape[3] ** -0.5
    return scores.softmax(3) @ value


def products() -> Table:
    """Linear layers in bfloat16; 83 rows meet a head, 2,048 the others, which have a bias."""
    names = [f"{into} → {out}" for into, out in LAYERS]
    table = _table("linear layers in bfloat16, µs per token", "", *names)
    plain = []
    reordered = []
    for into, out in LAYERS:
        head = out > 4 * into
        rows = _HEAD_ROWS if head else _TOKENS
        layer = torch.nn.Linear(into, out, bias=not head).to(torch.bfloat16)
        ours = ReorderedLinear(layer)
        states = torch.randn(rows, into).to(torch.bfloat16)
        plain.append(1e6 / rows * best(partial(layer, states)))
        reordered.append(1e6 / rows * best(partial(ours, states)))
    table.add_row("torch", *(f"{each:.2f}" for each in plain))
    table.add_row("reordered", *(f"{each:.2f}" for each in reordered))
    states = torch.randn(_TOKENS, 384).to(torch.bfloat16)
    layer = torch.nn.Linear(384, 1536).to(torch.bfloat16)
    ours = ReorderedLinear(layer)
    fused = torch.ops.mkldnn._linear_pointwise
    apart = best(lambda: torch.nn.functional.gelu(ours(states)))
    inside = best(lambda: fused(states, ours.reordered, ours.bias, "gelu", [], "none"))
    for name, seconds in (("reordered, then GELU", apart), ("GELU in the product", inside)):
        table.add_row(name, "", f"{1e6 / _TOKENS * seconds:.2f}")
    return table


def losses() -> Table:
    """From bfloat16 logits of 50,304 words to the loss of each row, 166 rows at a time."""
    table = _table("from logits to losses, µs per row", "", "50,304 words")
    rows, words = 166, 50_304
    logits = torch.randn(rows, words).to(torch.bfloat16)
    targets = torch.arange(rows)
    one, other = torch.empty(2, rows, words).unbind()

    def in_room() -> torch.Tensor:
        return torch.log_softmax(one.copy_(logits), 1, out=other).gather(1, targets[:, None])

    def of_exponentials() -> torch.Tensor:
        return torch.logsumexp(logits.float(), 1)

    entropy = torch.nn.functional.cross_entropy
    ways = {
        "cross_entropy on new memory": lambda: entropy(logits.float(), targets),
        "ours, memory used again": in_room,
        "logsumexp": of_exponentials,
        "log_softmax in bfloat16": lambda: logits.log_softmax(1),
    }
    for name, way in ways.items():
        table.add_row(name, f"{1e6 / rows * best(way):.1f}")
    return table


def best(work: Callable[[], Any], tries: int = 4) -> float:
    """CPU seconds of one call."""
    work()
    found = float("inf")
    for _ in range(tries):
        started = time.process_time()
        calls = 0
        while time.process_time() - started < _TRY:
            work()
            calls += 1
        found = min(found, (time.process_time() - started) / calls)
    return found


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="left" if column == columns[0] else "right")
    return table


if __name__ == "__main__":
    main()
