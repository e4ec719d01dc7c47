"""Batches of like length under a token budget, and what happens when one of them fails.

Sequences are sorted by length, so that few padding tokens are computed, and grouped until
`rows x longest` reaches the budget, so that memory is bounded whatever the lengths are, or until
the next one is so much shorter that another batch is cheaper than its padding.
The longest come first: a budget that does not fit the device shows at once.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from udfs.running.measurement import FAILED, Work

Rows = NDArray[np.int64]

# A batch ends before its budget where the next row is shorter than this share of the longest,
# unless the batch is still small: under an eighth of the budget, a call costs more than padding.
_ALIKE = 0.95
_SMALL = 1 / 8
_STEPS = 16  # sizes of packs: one that is not full is not computed as if it were

# What a broken device raises; every later call in this process would fail like it, so the
# task has to die and be tried again elsewhere instead of calling its rows unmeasurable.
_DEVICE_LOST = (
    "device-side assert",
    "illegal memory access",
    "unspecified launch failure",
    "CUDA error: an illegal instruction",
    "CUDA error: misaligned address",
    "CUDA error: uncorrectable ECC error",
    "CUDA error: the launch timed out",
    "CUDA error: unknown error",
)


def token_batches(lengths: ArrayLike, token_budget: int) -> Iterator[Rows]:
    """Yield the indices of `lengths` in batches, longest sequences first.

    Args:
        lengths: int[n], tokens per sequence.
        token_budget: upper limit of rows x longest in a batch; one row is always let through.

    Yields:
        Row numbers, sorted by falling length, ties in their first order; every row once.
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    waiting = _longest_first(sizes)
    while waiting.size:
        rows = waiting[: _fitting(sizes[waiting[0]], token_budget)]
        yield rows
        waiting = waiting[rows.size :]


def token_packs(lengths: ArrayLike, token_budget: int) -> Iterator[Rows]:
    """Yield the indices of `lengths` in packs of at most `token_budget` tokens, as `token_batches`.

    A pack holds its rows one after another: nothing is padded, so their lengths may differ.
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    waiting = _longest_first(sizes)
    while waiting.size:
        rows = waiting[: _packed(sizes[waiting], token_budget)]
        yield rows
        waiting = waiting[rows.size :]


def packed_tokens(total: int, size: int) -> int:
    """Tokens of the pack that rows of `total` tokens become, so that packs have few sizes.

    A multiple of a sixteenth of `size`, below that of an eighth of the next power of two.
    """
    step = max(1, size // _STEPS)
    if total < step:
        step = max(1, (1 << max(0, total - 1).bit_length()) // 8)
    return -(-total // step) * step


def pad(ids: Sequence[Sequence[int]], pad_id: int) -> tuple[Rows, Rows]:
    """Right-pad to the longest sequence; return int64[rows, longest] ids and attention mask."""
    longest = max((len(row) for row in ids), default=0)
    input_ids = np.full((len(ids), longest), pad_id, dtype=np.int64)
    attention_mask = np.zeros((len(ids), longest), dtype=np.int64)
    for i, row in enumerate(ids):
        input_ids[i, : len(row)] = row
        attention_mask[i, : len(row)] = 1
    return input_ids, attention_mask


def for_each_batch(
    lengths: ArrayLike,
    token_budget: int,
    compute: Callable[[Rows], None],
    reasons: list[str | None],
    rows: ArrayLike | None = None,
    packed: bool = False,
) -> Work:
    """Call `compute(rows)` for every batch, so that a failing row costs only itself.

    Out of device memory: the budget is halved for this batch and all later ones, down to one
    row. Any other failure: the rows of the batch are tried one by one. A row that fails alone
    gets its reason; `compute` must store a row's values only when it has them, so they stay NaN.

    Args:
        lengths: int[n], tokens per sequence.
        token_budget: upper limit of rows x longest in a batch.
        compute: measures the rows it is given and stores their values.
        reasons: list of n, written in place.
        rows: which rows to compute; all of them when None.
        packed: `compute` puts rows one after another, see `udfs.running.packing`.

    Returns:
        Tokens and calls of all batches, those tried again included.

    Raises:
        RuntimeError: the device itself is broken, and the task has to be tried elsewhere.
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    waiting = _longest_first(sizes, rows)
    wanted = int(sizes[waiting].sum())
    computed = 0
    batches = 0
    retries = 0
    take = _packed if packed else _worthwhile
    while waiting.size:
        batch = waiting[: take(sizes[waiting], token_budget)]
        total = int(sizes[batch].sum())
        cost = packed_tokens(total, token_budget) if packed else int(batch.size * sizes[batch[0]])
        error = _attempt(compute, batch)
        computed = computed + cost
        batches = batches + 1
        retries += error is not None
        if error is not None and batch.size > 1 and _out_of_memory(error):
            token_budget = cost // 2
            _release_cached_memory()
            continue
        if error is not None:
            _one_by_one(compute, batch, error, reasons)
        waiting = waiting[batch.size :]
    return Work(wanted, computed, batches, retries)


def _longest_first(sizes: Rows, rows: ArrayLike | None = None) -> Rows:
    chosen = np.arange(sizes.size) if rows is None else np.asarray(rows, dtype=np.int64)
    return chosen[np.argsort(-sizes[chosen], kind="stable")]


def _fitting(longest: np.int64, token_budget: int) -> int:
    return max(1, token_budget // max(1, int(longest)))


def _packed(falling: Rows, token_budget: int) -> int:
    """How many of the rows, longest first, fit into one pack."""
    return max(1, int(np.searchsorted(np.cumsum(falling), token_budget, side="right")))


def _worthwhile(falling: Rows, token_budget: int) -> int:
    """How many of the rows, longest first, to compute together with little padding."""
    longest = int(falling[0])
    room = falling[: _fitting(falling[0], token_budget)]
    alike = int((room >= _ALIKE * longest).sum())
    return max(alike, min(room.size, _fitting(falling[0], int(_SMALL * token_budget))))


def _attempt(compute: Callable[[Rows], None], rows: Rows) -> Exception | None:
    try:
        compute(rows)
    except Exception as error:
        if device_is_lost(error):
            raise
        # The traceback holds the tensors of the failed call, which a retry needs the room of.
        return error.with_traceback(None)
    return None


def device_is_lost(error: Exception) -> bool:
    """Whether every later call in this process would fail too: the task has to die."""
    return any(sign in str(error) for sign in _DEVICE_LOST)


def _one_by_one(
    compute: Callable[[Rows], None], rows: Rows, error: Exception, reasons: list[str | None]
) -> None:
    for row in rows:
        alone = error if rows.size == 1 else _attempt(compute, np.array([row]))
        if alone is not None:
            reasons[row] = reason(alone)


def reason(error: Exception) -> str:
    """One line that says why a row could not be measured."""
    text = " ".join(str(error).split())
    return f"{FAILED}{type(error).__name__}: {text}"[:300]


def _out_of_memory(error: Exception) -> bool:
    torch = _torch()
    kinds = (MemoryError,) if torch is None else (MemoryError, torch.OutOfMemoryError)
    return isinstance(error, kinds)


def _release_cached_memory() -> None:
    torch = _torch()
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def _torch() -> Any:
    """torch, where a model has imported it: kinds without weights run where it is not installed."""
    return sys.modules.get("torch")
