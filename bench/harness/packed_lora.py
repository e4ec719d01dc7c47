"""LoRA runs of one frozen base in one batch: rows grouped by run, each group with its own adapters.

    y = x Wᵀ + scale · (x Aᵀ) Bᵀ,   W of all runs, A and B of the row's run

The base's product is made once for all rows; the adapters' are batched over the runs. Run k has the
rows k·n … (k+1)·n − 1 of a batch, so all runs bring the same number of rows.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn


class PackedLinear(nn.Module):
    """A frozen linear layer with the adapters of several runs.

    Attributes:
        down: A, float[runs, rank, in].
        up: B, float[runs, out, rank].
    """

    def __init__(self, base: nn.Linear, down: torch.Tensor, up: torch.Tensor, scale: float):
        super().__init__()
        self.base, self.scale = base, scale
        self.down, self.up = nn.Parameter(down), nn.Parameter(up)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Float[runs · rows, tokens, in] to float[runs · rows, tokens, out]."""
        of_runs = states.reshape(len(self.down), -1, states.shape[-1])
        own = of_runs @ self.down.transpose(1, 2) @ self.up.transpose(1, 2)
        result: torch.Tensor = self.base(states)
        return result + self.scale * own.reshape(result.shape)


def pack_adapters(model: Any, runs: int) -> None:
    """Exchange peft's layers for packed ones that hold the same adapters once per run."""
    for name, layer in list(_adapted(model)):
        down = layer.lora_A["default"].weight.detach()
        up = layer.lora_B["default"].weight.detach()
        packed = PackedLinear(
            layer.base_layer,
            down.repeat(runs, 1, 1),
            up.repeat(runs, 1, 1),
            layer.scaling["default"],
        )
        model.set_submodule(name, packed)


def clip_each_run(parameters: Sequence[nn.Parameter], largest: float = 1.0) -> None:
    """Clip the gradients of every run to a norm of its own.

    Args:
        parameters: each of the first dimension `runs`.
        largest: norm of a run's gradients.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    squares = torch.stack([g.flatten(1).square().sum(1) for g in gradients])
    factors = (largest / (squares.sum(0).sqrt() + 1e-6)).clamp(max=1.0)  # as torch clips
    for gradient in gradients:
        gradient *= factors[:, None, None]


def _adapted(model: Any) -> Iterator[tuple[str, Any]]:
    return ((name, layer) for name, layer in model.named_modules() if hasattr(layer, "lora_A"))
