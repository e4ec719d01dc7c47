"""bf16 weights with fp32 masters: how small models train fastest on AVX512-BF16 or a GPU.

Weights in float32 are their own masters.
"""

import math
from collections.abc import Callable

import torch
from torch import nn

Optimizers = list[torch.optim.Optimizer]


class Masters:
    """The trainable parameters in fp32, which the optimizers see, and their schedule.

    `step` takes the gradients from the model, updates the masters and copies them back.
    `share_of_peak` says how the learning rates rise over `warm_up` steps and fall.
    """

    def __init__(
        self,
        model: nn.Module,
        make: Callable[[dict[str, torch.Tensor]], Optimizers],
        total: int,
        warm_up: int,
    ):
        self.parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.masters = {n: p.detach().float() for n, p in self.parameters.items()}
        self.optimizers = make(self.masters)
        self.total, self.warm_up, self.taken = total, warm_up, 0
        for group in self._groups():
            group["peak"] = group["lr"]

    def step(self) -> None:
        """One update, gradients clipped to norm 1 and cleared."""
        for name, parameter in self.parameters.items():
            gradient = parameter.grad
            self.masters[name].grad = None if gradient is None else gradient.float()
            parameter.grad = None
        torch.nn.utils.clip_grad_norm_(self.masters.values(), 1.0)
        for group in self._groups():
            group["lr"] = group["peak"] * share_of_peak(self.taken, self.warm_up, self.total)
        for optimizer in self.optimizers:
            optimizer.step()
        self._copy_back()
        self.taken += 1

    @torch.no_grad()
    def _copy_back(self) -> None:
        """The masters into weights of another precision; in float32 they are the same numbers."""
        rounded = [n for n, p in self.parameters.items() if p.dtype != torch.float32]
        if rounded:
            weights = [_own(self.parameters[name]) for name in rounded]
            torch._foreach_copy_(weights, [_own(self.masters[name]) for name in rounded])

    def _groups(self) -> list[dict[str, float]]:
        return [group for optimizer in self.optimizers for group in optimizer.param_groups]


def share_of_peak(taken: int, warm_up: int, total: int) -> float:
    """The learning rate of a step after `taken` others: up in a line, down in a cosine to 5 %."""
    if taken < warm_up:
        return (taken + 1) / warm_up
    progress = (taken - warm_up) / max(1, total - warm_up)
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * progress))


def _own(tensor: torch.Tensor) -> torch.Tensor:
    """What this process holds of a tensor that may be shared."""
    share: torch.Tensor = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return share
