"""Products of a model's layers in float8 (E4M3), for entries of a model list that ask for it.

Half the bytes of bfloat16 for the weights, and up to twice the operations per second on GPUs with
units for it. The numbers change by more than bfloat16 rounds, so that `float8` is part of the
fingerprint of an entry.

Each token's states and each output's weights have a scale of their own. One scale for a whole
matrix would be quicker, but then a row's number would depend on the rows that it is batched with.
Embeddings, norms, attention's own products and the head stay as they are.
"""

from typing import Any

import torch
from torch import nn

from instructmining.errors import UserError
from instructmining.models.lists import ModelSpec
from udfs.running.compiling import layers_of

_MULTIPLE = 16  # of both widths of a layer, for the product
_UNITS_FROM = (8, 9)  # compute capability: L4, H100
_DTYPE = torch.float8_e4m3fn
_LARGEST = torch.finfo(_DTYPE).max


def use_float8(model: Any, spec: ModelSpec, device: str) -> None:
    """Exchange the linear layers of a model's blocks, in place, where its entry asks for it.

    Raises:
        UserError: torch, the GPU or the model does not allow it.
    """
    if not spec.float8:
        return
    if why := _absent(device):
        raise UserError(f"model {spec.source}: float8 needs {why}; leave `float8` out of its entry")
    exchanged = sum(_exchange(block) for block in layers_of(model) if block is not model)
    if not exchanged:
        raise UserError(
            f"model {spec.source}: no block of it has a linear layer of widths that are multiples "
            f"of {_MULTIPLE}; leave `float8` out of its entry"
        )


def _absent(device: str) -> str:
    """What is missing on this machine, or nothing."""
    if not hasattr(nn.functional, "scaled_mm"):
        return "torch 2.10 or newer"
    if device.startswith("cuda") and torch.cuda.get_device_capability(device) < _UNITS_FROM:
        return "a GPU of compute capability 8.9 or newer, such as an L4 or an H100"
    return ""


def _exchange(module: nn.Module) -> int:
    """Exchange the linear layers below; how many there were."""
    count = 0
    for name, child in module.named_children():
        if isinstance(child, nn.Linear):
            if child.in_features % _MULTIPLE == 0 and child.out_features % _MULTIPLE == 0:
                setattr(module, name, Float8Linear(child))
                count += 1
        else:
            count += _exchange(child)
    return count


class Float8Linear(nn.Module):
    """A linear layer with weights in float8; its states are rounded to it in every call.

    Attributes:
        weight: float8[out, in].
        scale: float32[1, out], of each output.
        bias: bfloat16[out] or None.
    """

    weight: torch.Tensor
    scale: torch.Tensor
    bias: torch.Tensor | None

    def __init__(self, linear: nn.Linear):
        super().__init__()
        weight, scale = _rounded(linear.weight.detach())
        self.register_buffer("weight", weight, persistent=False)
        self.register_buffer("scale", scale.t().contiguous(), persistent=False)
        bias = None if linear.bias is None else linear.bias.detach().to(torch.bfloat16)
        self.register_buffer("bias", bias, persistent=False)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """As of `nn.Linear`; the product is accumulated in float32 and rounded to bfloat16."""
        rounded, scale = _rounded(states.reshape(-1, states.shape[-1]))
        by_row = nn.functional.ScalingType.RowWise
        product = nn.functional.scaled_mm(
            rounded,
            self.weight.t(),
            scale,
            by_row,
            self.scale,
            by_row,
            bias=self.bias,
            output_dtype=torch.bfloat16,
        )
        return product.reshape(*states.shape[:-1], -1).to(states.dtype)


def _rounded(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """float8[n, d] and the scale of each row, float32[n, 1]; rows are their product."""
    scale = (rows.abs().amax(1, keepdim=True).float() / _LARGEST).clamp(min=1e-12)
    return (rows.float() / scale).to(_DTYPE), scale
