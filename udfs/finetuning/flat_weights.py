"""AdamW over all trained weights at once: on a GPU one kernel reads and writes each number once.

The trained weights, their gradients and AdamW's moments each lie one after another in one vector.
The formulas are those of `torch.optim.AdamW` with gradients clipped to norm 1, as in
`udfs.finetuning.master_weights`, which is for a CPU, for other optimizers and for sharded weights.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from udfs.finetuning.master_weights import share_of_peak
from udfs.running.compiling import compiled
from udfs.running.measurement import Runtime

_BETAS = (0.9, 0.95)
_TINY = 1e-8


class FlatAdamW:
    """The trained weights in float32, the numbers of AdamW, and the schedule of its rate.

    Args:
        model: its trainable parameters are trained.
        rate: after the warm-up.
        decay: weight decay, per unit of the rate.
        total: steps.
        warm_up: steps over which the rate rises.
        fused: compile the update into one kernel.
    """

    def __init__(
        self,
        model: nn.Module,
        rate: float,
        decay: float,
        total: int,
        warm_up: int,
        fused: bool = True,
    ):
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        dtypes = {p.dtype for p in self.parameters}
        dtype = dtypes.pop() if len(dtypes) == 1 else torch.float32
        device = self.parameters[0].device
        size = sum(p.numel() for p in self.parameters)
        self.masters = torch.empty(size, device=device)
        self.means, self.squares = torch.zeros(2, size, device=device)
        self.gradient, self.weights = torch.empty(2, size, device=device, dtype=dtype)
        torch._foreach_copy_(self._parts(self.masters), self._values())
        self.plan = _plan(rate, decay, total, warm_up).to(device)
        self.taken = 0
        self.update: Callable[..., None] = compiled(_update, Runtime(compiled=fused))

    @torch.no_grad()
    def step(self) -> None:
        """One update, gradients clipped to norm 1 and cleared."""
        for parameter in self.parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        torch._foreach_copy_(self._parts(self.gradient), gradients)
        for parameter in self.parameters:
            parameter.grad = None
        norm = torch.linalg.vector_norm(self.gradient, dtype=torch.float32)
        numbers = (self.masters, self.means, self.squares, self.gradient, self.weights)
        self.update(*numbers, norm, self.plan[self.taken])
        torch._foreach_copy_(self._values(), self._parts(self.weights))
        self.taken += 1

    def _values(self) -> list[torch.Tensor]:
        return [parameter.detach() for parameter in self.parameters]

    def _parts(self, flat: torch.Tensor) -> list[torch.Tensor]:
        """A vector's views in the shapes of the weights."""
        parts = flat.split([p.numel() for p in self.parameters])
        return [part.view(p.shape) for part, p in zip(parts, self.parameters, strict=True)]


def _plan(rate: float, decay: float, total: int, warm_up: int) -> torch.Tensor:
    """float32[total, 3] by step: what of a weight is kept, the step's length, √ of a correction."""
    rows: list[Sequence[float]] = []
    for taken in range(total):
        now = rate * share_of_peak(taken, warm_up, total)
        first, second = (1 - beta ** (taken + 1) for beta in _BETAS)
        rows.append((1 - now * decay, now / first, math.sqrt(second)))
    return torch.tensor(rows, dtype=torch.float32)


def _update(
    masters: torch.Tensor,
    means: torch.Tensor,
    squares: torch.Tensor,
    gradient: torch.Tensor,
    weights: torch.Tensor,
    norm: torch.Tensor,
    planned: torch.Tensor,
) -> Any:
    """AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101) in place, and the rounded weights."""
    kept, length, correction = planned.unbind()
    clipped = gradient.float() * (1 / (norm + 1e-6)).clamp(max=1)
    means.mul_(_BETAS[0]).add_(clipped * (1 - _BETAS[0]))
    squares.mul_(_BETAS[1]).add_(clipped.square() * (1 - _BETAS[1]))
    masters.mul_(kept).sub_(length * means / (squares.sqrt() / correction + _TINY))
    weights.copy_(masters)
