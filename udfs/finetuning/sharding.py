"""One finetune spread over several processes, none of which holds the whole model; no Spark.

Every process keeps a share of each weight, of its gradient and of the optimizer's numbers, and
gathers a layer whole only while it is at work (Zhao et al. 2023, arXiv 2304.11277, by PyTorch's
`fully_shard`). The examples of a step are dealt to the processes, the loss is divided by the
step's response tokens in all of them together: the run is that of one process, in another order of
adding.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import distributed, nn

from instructmining.models.lists import ModelSpec
from instructmining.settings.learning import Finetune
from udfs.finetuning.finetuner import Evaluated, Finetuner
from udfs.indicators.perplexity import Counted, TokenLogLoss
from udfs.running.batching import Rows, token_batches
from udfs.running.on_device import kernel_order


class Share(NamedTuple):
    """Rows that one process reads in one call; what `counts` is not is read for company only."""

    rows: Rows
    counts: bool


def shares(lengths: ArrayLike, token_budget: int, processes: int) -> list[list[Share]]:
    """Deal sequences to processes, each the same number of calls.

    Gathering a layer is a call that all processes have to make together: one that has fewer batches
    than another reads the shortest sequence again, and leaves it out of the sums.

    Args:
        lengths: int[n], tokens per sequence, n > 0.
        token_budget: upper limit of rows x longest in a call.
        processes: how many there are.

    Returns:
        By process its calls; together they count every row once.
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    order = np.argsort(-sizes, kind="stable")
    hands = [order[rank::processes] for rank in range(processes)]
    dealt = [
        [Share(hand[batch], True) for batch in token_batches(sizes[hand], token_budget)]
        for hand in hands
    ]
    calls = max(map(len, dealt))
    company = Share(order[-1:], False)
    return [share + [company] * (calls - len(share)) for share in dealt]


class ShardedFinetuner(Finetuner):
    """A finetuner that is one of several processes, good for one run.

    Made on the CPU, where the whole model is for a moment; after `shard` every process has to make
    the same calls.
    """

    def __init__(
        self, spec: ModelSpec, folder: str, dtype: str, token_budget: int, recipe: Finetune
    ):
        super().__init__(spec, folder, "cpu", dtype, token_budget, recipe)

    def shard(self, device: str) -> None:
        """Keep this process's share of the weights on the device; needs a process group."""
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

        self.rank, self.processes = distributed.get_rank(), distributed.get_world_size()
        mesh = init_device_mesh(device.partition(":")[0], (self.processes,))
        policy = MixedPrecisionPolicy(reduce_dtype=torch.float32)  # bfloat16 loses in the adding
        blocks = set(self.model._no_split_modules or ())  # what its authors keep on one device
        whole = _Losses(self.model, self.log_loss.to(device))
        for module in [m for m in whole.modules() if type(m).__name__ in blocks]:
            fully_shard(module, mesh=mesh, mp_policy=policy)
        fully_shard(whole, mesh=mesh, mp_policy=policy)  # in place
        self.losses = whole
        self.device = device

    def _restore(self) -> None:
        """The weights are the base model's: the run is the first."""

    def _evaluated(self, texts: Sequence[Counted], tokens: list[int]) -> Evaluated:
        """The loss alone: no process sees every conversation."""
        summed = torch.zeros((), dtype=torch.float64, device=self.device)
        with torch.no_grad(), kernel_order(self.device):
            for part, counts in self._shares(texts):
                summed += counts * self.losses(part).double().sum()
        return Evaluated(float(self._together(summed)) / sum(tokens), [], tokens)

    def _backward(self, texts: list[Counted]) -> torch.Tensor:
        total = sum(sum(text.counted) for text in texts)
        summed = torch.zeros((), dtype=torch.float64, device=self.device)
        for part, counts in self._shares(texts):
            loss = counts * self.losses(part).sum() / total
            (loss * self.processes).backward()  # the processes' gradients are averaged
            summed += loss.detach()
        return self._together(summed)

    def _shares(self, texts: Sequence[Counted]) -> Iterator[tuple[list[Counted], bool]]:
        """This process's calls."""
        dealt = shares([len(text.ids) for text in texts], self.token_budget, self.processes)
        for share in dealt[self.rank]:
            yield [texts[i] for i in share.rows], share.counts

    def _together(self, summed: torch.Tensor) -> torch.Tensor:
        """The sum over the processes."""
        distributed.all_reduce(summed)
        return summed


class _Losses(nn.Module):
    """What is gathered together: the model and the loss that is taken of it."""

    def __init__(self, model: Any, log_loss: TokenLogLoss):
        super().__init__()
        self.model, self.log_loss = model, log_loss

    def forward(self, texts: Sequence[Counted]) -> torch.Tensor:
        """NLL of every counted token, float32[t]."""
        return self.log_loss.of_tokens(texts)[0]
