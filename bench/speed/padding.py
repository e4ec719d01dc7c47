"""Tokens computed per token wanted, counted exactly: no clock, no model."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from bench.harness.arms import Suite
from bench.harness.texts import bpe, window
from udfs.running.batching import for_each_batch
from udfs.running.budget import default_token_budget

Rows = NDArray[np.int64]
_ALLOWED = 1.03


def suite(repeats: int) -> Suite:
    """Every policy on the same lengths; `repeats` changes nothing, counts do not vary."""
    about, texts = window()
    lengths = np.array([len(ids) for ids in bpe()(list(texts), verbose=False)["input_ids"]])
    figures = policies(lengths)
    return Suite(
        name="padding",
        about=f"{len(lengths):,} {about}, {lengths.mean():.0f} tokens on average, the longest "
        f"{lengths.max()}",
        figures=figures,
        at_most={name: _ALLOWED for name in figures if name.startswith("ours")},
    )


def policies(lengths: Rows) -> dict[str, float]:
    """Tokens computed / tokens wanted of each way to form batches."""
    falling = np.sort(lengths)[::-1]
    found = {
        "all padded to the longest": padded(lengths, [np.arange(lengths.size)]),
        "file order, 8 rows": padded(lengths, _chunks(np.arange(lengths.size), 8)),
        "file order, 32 rows": padded(lengths, _chunks(np.arange(lengths.size), 32)),
        "sorted, 32 rows": padded(falling, _chunks(np.arange(lengths.size), 32)),
    }
    for budget in (default_token_budget("cpu"), 8_192, default_token_budget("cuda")):
        batches: list[Rows] = []
        for_each_batch(lengths, budget, batches.append, [None] * lengths.size)
        found[f"ours, {budget:,} tokens"] = padded(lengths, batches)
    for rows in (1024, 256):  # what decision 8 refuses
        found[f"fixed groups of {rows:,} rows, {budget:,} tokens"] = padded(
            lengths, _within_groups(lengths, rows, budget)
        )
    return found


def padded(lengths: Rows, batches: Iterable[Rows]) -> float:
    """Rows x longest of all batches, over the sum of the lengths."""
    return float(sum(rows.size * lengths[rows].max() for rows in batches) / lengths.sum())


def _chunks(rows: Rows, size: int) -> list[Rows]:
    return [rows[i : i + size] for i in range(0, rows.size, size)]


def _within_groups(lengths: Rows, size: int, token_budget: int) -> list[Rows]:
    """Our batches where rows are sorted within groups of consecutive rows only."""
    batches: list[Rows] = []
    for group in _chunks(np.arange(lengths.size), size):
        for_each_batch(lengths, token_budget, batches.append, [None] * lengths.size, group)
    return batches
