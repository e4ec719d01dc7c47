"""What a finetune holds in memory, from plain values; no torch."""

from instructmining.models.shape import Shape

_LEAST_TOKENS, _MOST_TOKENS = 1_024, 65_536  # of a forward pass in a step


def training_bytes(parameters: int, adapter: str, width: int, processes: int = 1) -> int:
    """Weights, gradients, masters and AdamW's two moments of one run, without activations.

    Args:
        parameters: of the base model.
        adapter: `full` or `lora`, whose own parameters are taken as 1 % of the model's.
        width: bytes of one weight.
        processes: that share the run; then of one of them.
    """
    trained = parameters if adapter == "full" else parameters // 100
    # A gradient in the weights' width; master, its gradient and two moments in float32; and, in a
    # process that runs more than once, the start of the next run.
    per_layer = trained * (width + 16) + parameters * width
    return per_layer + trained * width if processes == 1 else per_layer // processes


def activation_bytes(shape: Shape, tokens: int, adapter: str, width: int) -> int:
    """What the layers keep for the way back, for one forward pass of this many tokens.

    17 numbers per token, layer and unit of width with fused attention (Korthikanti et al. 2022,
    arXiv 2205.05198, 34 bytes in 16 bits); with LoRA we checkpoint: each layer's input, and one
    layer whole.
    """
    whole = 17 * shape.hidden * tokens * width
    if adapter == "full":
        return shape.layers * whole
    return shape.layers * shape.hidden * tokens * width + whole


def training_budget(shape: Shape, adapter: str, width: int, room: int) -> int:
    """Tokens of one forward pass of a training step on a GPU: as many as the memory has room for.

    Args:
        shape: of the model.
        adapter: `full` or `lora`.
        width: bytes of one weight.
        room: bytes of the memory beside what `training_bytes` counts and the logits.
    """
    fitting = int(0.8 * room) // activation_bytes(shape, 1, adapter, width)
    return max(_LEAST_TOKENS, min(_MOST_TOKENS, fitting))
