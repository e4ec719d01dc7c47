"""Rows one after another in one long row, so that nothing is padded and shapes repeat.

Each row keeps its own positions and sees only itself. A model reads such a pack as a batch of one;
its attention learns where rows begin from `cu_seq_lens_q`, as transformers names it. On a GPU the
attention of torch over rows of varying length computes it; elsewhere a mask of blocks gives the
same numbers.
"""

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from udfs.running.batching import device_is_lost, packed_tokens, pad
from udfs.running.on_device import inference, is_causal
from udfs.running.weights import to_device

Ids = Sequence[Sequence[int]]
_NAME = "sdpa_packed"
_REFUSED = ("sliding_window", "softcap", "s_aux", "position_bias")
_VARLEN: Any = None  # torch's attention over rows of varying length, from 2.10 on
with suppress(ImportError):
    from torch.nn.attention.varlen import varlen_attn

    _VARLEN = varlen_attn
# Later versions want to be told that queries share keys; earlier ones find out.
_SAYS_SHARED_HEADS = _VARLEN and "enable_gqa" in inspect.signature(_VARLEN).parameters
_BLOCK = 128  # queries that the kernel takes together: a longer bound would start empty blocks


class Pack(NamedTuple):
    """Rows in one, as a model reads them.

    Attributes:
        ids: int64[1, t], rows one after another, then padding.
        positions: int64[1, t], of each token in its row.
        bounds: int32[b], where rows begin and the last ends; the rest are empty rows at the end.
        longest: tokens of the longest row, rounded up to a multiple of 128.
        starts: int64[rows], where each row begins.
    """

    ids: NDArray[np.int64]
    positions: NDArray[np.int64]
    bounds: NDArray[np.int32]
    longest: int
    starts: NDArray[np.int64]


def pack(rows: Ids, size: int) -> Pack:
    """Rows in one, of as many tokens as `packed_tokens` says.

    Args:
        rows: token ids of each row, none empty.
        size: tokens of a full pack; rows of more tokens are not cut.
    """
    lengths = np.array([len(row) for row in rows])
    longest = -(-int(lengths.max()) // _BLOCK) * _BLOCK
    total = int(lengths.sum())
    ends = np.cumsum(lengths)
    tokens = packed_tokens(total, size)
    padding = np.arange(total, tokens, longest)[1:]  # rows of padding are no longer than others
    edges = np.unique(np.concatenate([[0], ends, padding, [tokens]]))
    positions = np.arange(tokens) - np.repeat(edges[:-1], np.diff(edges))
    ids = np.zeros((1, tokens), np.int64)
    ids[0, :total] = np.concatenate([np.asarray(row, np.int64) for row in rows])
    bounds = np.full(_power(edges.size), tokens, np.int32)
    bounds[: edges.size] = edges
    return Pack(ids, positions[None], bounds, longest, ends - lengths)


class States(NamedTuple):
    """Last hidden states [tokens, width] of rows, and int64[rows] where each row's begin."""

    hidden: torch.Tensor
    starts: NDArray[np.int64]


def padded_states(body: Any, rows: Ids, device: str) -> States:
    """Of rows padded on the right, without a mask: for causal models."""
    ids, _ = pad(rows, 0)
    hidden = body(input_ids=to_device(ids, device), use_cache=False).last_hidden_state
    return States(hidden.flatten(0, 1), np.arange(len(rows)) * ids.shape[1])


def packed_states(body: Any, rows: Ids, device: str, size: int) -> States:
    """The hidden states of rows in one pack, from a body that `packs`."""
    packed = pack(rows, size)
    bounds = to_device(packed.bounds, device)
    hidden = body(
        input_ids=to_device(packed.ids, device),
        position_ids=to_device(packed.positions, device),
        use_cache=False,
        cu_seq_lens_q=bounds,
        cu_seq_lens_k=bounds,
        max_length_q=packed.longest,
        max_length_k=packed.longest,
    ).last_hidden_state
    return States(hidden[0], packed.starts)


def packs(body: Any, device: str) -> bool:
    """Make a causal model's body ready for packs; whether it gives the numbers of padded rows.

    Models whose attention is of another kind, or that do not hand on where rows begin, stay as
    they are.
    """
    before = str(body.config._attn_implementation)
    without = device.startswith("cuda") and _VARLEN is None
    if without or not before.startswith("sdpa") or not is_causal(body):
        return False
    vocabulary = int(body.get_input_embeddings().num_embeddings)
    rows = [[i % vocabulary for i in range(first, first + 9)] for first in (1, 5, 3)]
    with inference(device):
        expected = padded_states(body, rows, device).hidden.float()
        body.set_attn_implementation(_NAME)
        try:
            computed = packed_states(body, rows, device, 64).hidden[: len(expected)].float()
        except (RuntimeError, TypeError, ValueError) as error:
            # Arguments that the model does not take, attention or a precision without a kernel.
            if device_is_lost(error):
                raise
            computed = torch.full_like(expected, torch.nan)
    off = float((computed - expected).abs().max() / expected.std())
    if off < (1e-3 if expected.dtype == body.dtype else 0.2):
        return True
    body.set_attn_implementation(before)
    return False


@contextmanager
def reading_masks(body: Any) -> Iterator[None]:
    """A body that reads packs computes attention as before in it: packs have no use for a mask.

    Without it a model that `packs` sees the padding on the left of prompts that it continues.
    """
    name = str(body.config._attn_implementation)
    if name != _NAME:
        yield
        return
    body.set_attn_implementation("sdpa")
    try:
        yield
    finally:
        body.set_attn_implementation(name)


def packed_attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    cu_seq_lens_q: torch.Tensor | None = None,
    max_length_q: int = 0,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention inside the rows of a pack; transformers' `sdpa` where there is none.

    Args:
        module: the attention layer.
        query: [1, heads, t, d]; `key` and `value` may have fewer heads.
        key: see `query`.
        value: see `query`.
        attention_mask: None in a pack.
        scaling: of the scores.
        cu_seq_lens_q: int32[b], the bounds of a pack.
        max_length_q: no row of it is longer.
        options: what transformers passes on.

    Raises:
        ValueError: the layer asks for something that this does not compute.
    """
    if asked := [name for name in _REFUSED if options.get(name) is not None]:
        raise ValueError(f"packed attention knows no {asked[0]}")
    if cu_seq_lens_q is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **options
        )
    if query.device.type != "cuda":
        mask = _blocks(cu_seq_lens_q, query.shape[2])
        return sdpa_attention_forward(module, query, key, value, mask, scaling=scaling, **options)
    lying = (states[0].transpose(0, 1) for states in (query, key, value))
    bounds, longest = cu_seq_lens_q, max_length_q
    how: dict[str, Any] = {"scale": scaling, "window_size": (-1, 0)}
    if _SAYS_SHARED_HEADS:
        how["enable_gqa"] = True
    output = _VARLEN(*lying, bounds, bounds, longest, longest, **how)
    return output[None], None


def _blocks(bounds: torch.Tensor, tokens: int) -> torch.Tensor:
    """bool[1, 1, t, t]: what is before a token in its own row, and the token itself."""
    places = torch.arange(tokens, device=bounds.device)
    row = torch.searchsorted(bounds, places.to(bounds.dtype), right=True)
    return ((row[:, None] == row) & (places[:, None] >= places))[None, None]


def _power(count: int) -> int:
    return 1 << max(0, count - 1).bit_length()


AttentionInterface.register(_NAME, packed_attention)
