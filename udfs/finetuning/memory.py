"""What a finetune holds in memory, from plain values; no torch."""

from typing import NamedTuple

from instructmining.models.shape import Shape
from udfs.running.budget import LIBRARIES, LOGITS

_LEAST_TOKENS, _MOST_TOKENS = 1_024, 65_536  # of a forward pass in a step
_ENOUGH_TOKENS = 16_384  # more in a pass do not make up for computing activations again


def training_bytes(parameters: int, adapter: str, width: int, processes: int = 1) -> int:
    """Weights, gradients, masters and AdamW's two moments of one run, without activations.

    Args:
        parameters: of the base model.
        adapter: `full` or `lora`, whose own parameters are taken as 1 % of the model's.
        width: bytes of one weight.
        processes: that share the run; then of one of them.
    """
    trained = parameters if adapter == "full" else parameters // 100
    # Master and two moments in float32; in the weights' width the gradients, and gradients and
    # weights as one vector each; and, in a process that runs more than once, the start of the next
    # run.
    per_layer = trained * (12 + 3 * width) + parameters * width
    return per_layer + trained * width if processes == 1 else per_layer // processes


def activation_bytes(shape: Shape, tokens: int, recomputed: bool, width: int) -> int:
    """What the layers keep for the way back, for one forward pass of this many tokens.

    17 numbers per token, layer and unit of width with fused attention (Korthikanti et al. 2022,
    arXiv 2205.05198, 34 bytes in 16 bits); recomputed: each layer's input, and one layer whole.
    """
    whole = 17 * shape.hidden * tokens * width
    if not recomputed:
        return shape.layers * whole
    return shape.layers * shape.hidden * tokens * width + whole


class Plan(NamedTuple):
    """How a finetune uses the memory of its device.

    Attributes:
        token_budget: of one forward pass in a step.
        recomputes: with LoRA, layers compute their activations again on the way back.
        keeps_start: the weights that every run starts from stay on the device.
    """

    token_budget: int
    recomputes: bool
    keeps_start: bool


def planned(
    shape: Shape, parameters: int, adapter: str, width: int, memory: int, tokens: int | None
) -> Plan:
    """What a GPU has room for; layers are recomputed only where their activations do not fit.

    Args:
        shape: of the model.
        parameters: of the model.
        adapter: `full` or `lora`.
        width: bytes of one weight.
        memory: bytes of the device that this run may use.
        tokens: of a forward pass; None: as many as fit.
    """
    room = memory - training_bytes(parameters, adapter, width) - LIBRARIES - LOGITS["cuda"]
    usable = int(0.8 * room)
    recomputes = adapter == "lora" and usable < activation_bytes(
        shape, tokens or _ENOUGH_TOKENS, False, width
    )
    fitting = usable // activation_bytes(shape, 1, recomputes, width)
    budget = tokens or max(_LEAST_TOKENS, min(_MOST_TOKENS, fitting))
    return Plan(budget, recomputes, room > activation_bytes(shape, budget, recomputes, width))
