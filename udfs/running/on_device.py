"""What a forward pass needs on a GPU: which attention kernels, no mask in vain, one copy back."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.attention import SDPBackend, sdpa_kernel

from udfs.running.batching import for_each_batch
from udfs.running.measurement import Measurement

# cuDNN's attention plans for every new batch shape, which takes seconds in each window; the others
# do not. It comes last, after a kernel that always works: docs/performance.md, On a GPU.
_KERNELS = [
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
    SDPBackend.MATH,
    SDPBackend.CUDNN_ATTENTION,
]


def kernel_order(device: str) -> AbstractContextManager[Any]:
    """Within it, attention on a GPU uses the first kernel of our order that can; nothing on a CPU.

    A backward pass that recomputes activations has to be within it too.
    """
    if not device.startswith("cuda"):
        return nullcontext()
    return sdpa_kernel(_KERNELS, set_priority=True)


@contextmanager
def inference(device: str) -> Iterator[None]:
    """torch's inference mode, and the order of the attention kernels."""
    with torch.inference_mode(), kernel_order(device):
        yield


def is_causal(model: Any) -> bool:
    """Whether every attention layer of the model sees only what comes before a token.

    Then no token of a right-padded row sees the padding, and the model needs no mask. Models whose
    layers do not say it are not.
    """
    said = {bool(layer.is_causal) for layer in model.modules() if hasattr(layer, "is_causal")}
    return said == {True}


class Results:
    """What batches computed, left on the device and copied to the host together.

    A copy waits until the device has done all that it was asked: one for each batch would leave
    the device idle while the host prepares the next.
    """

    def __init__(self) -> None:
        self._rows: list[NDArray[np.int64]] = []
        self._values: list[torch.Tensor] = []

    def add(self, rows: NDArray[np.int64], values: torch.Tensor) -> None:
        """Values [n, …] of n rows; a row may come several times."""
        self._rows.append(rows)
        self._values.append(values)

    def into(self, target: NDArray[Any]) -> None:
        """Store the values in the rows of an array; other rows stay as they are."""
        rows, values = self._on_host()
        target[rows] = values

    def means(self, count: int) -> NDArray[np.float64]:
        """Mean of each row's values, float64[count]; NaN where a row has none."""
        rows, values = self._on_host()
        sums = np.bincount(rows, values, minlength=count)
        with np.errstate(invalid="ignore"):
            return np.asarray(sums / np.bincount(rows, minlength=count), dtype=np.float64)

    def _on_host(self) -> tuple[NDArray[np.int64], NDArray[Any]]:
        if not self._values:
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        return np.concatenate(self._rows), torch.cat(self._values).cpu().numpy()


def measured(
    measurement: Measurement,
    lengths: Sequence[int],
    token_budget: int,
    values_of: Callable[[list[int]], torch.Tensor],
    packed: bool = False,
) -> Results:
    """What a model computes of every row without a reason, batch by batch.

    Args:
        measurement: gets the work done, and the reasons of rows that fail.
        lengths: int[n], tokens of each row.
        token_budget: as for `for_each_batch`.
        values_of: rows to their values [rows, …].
        packed: as for `for_each_batch`.
    """
    results = Results()

    def compute(rows: NDArray[np.int64]) -> None:
        results.add(rows, values_of(rows.tolist()))

    measurable = [row for row, reason in enumerate(measurement.reasons) if reason is None]
    measurement.work = for_each_batch(
        lengths, token_budget, compute, measurement.reasons, measurable, packed
    )
    return results
