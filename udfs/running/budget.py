"""How many tokens one forward pass reads: by the model's width and the memory beside its weights.

Measured on an H200 with rows of 73 tokens (docs/performance.md, On a GPU): 64 k tokens are faster
than 16 k at widths of 1,024 and 2,048. A wider model has work enough in fewer. Nothing here
imports torch.
"""

from instructmining.models.shape import Shape

_LEAST = 1_024
_WORK = 2**27  # tokens x width from which on a GPU gains nothing
_RANGE = (16_384, 65_536)  # tokens
_CPU = 4_096  # near the caches
LIBRARIES = 512 * 2**20  # bytes of a Python worker with torch; a CUDA context is as large
# Bytes of a causal LM's logits at a time with what is computed of them: bounded by its scorer.
LOGITS = {"cpu": 96 * 2**20, "cuda": 2**30}
_USED = 0.8  # of the memory beside the weights: allocators leave gaps


def token_budget(
    device: str, shape: Shape, longest: int, parameters: int, width: int, memory: int
) -> int:
    """Tokens of one forward pass (rows x longest) that suit the device.

    Args:
        device: `cpu`, `cuda` or `cuda:INDEX`.
        shape: of the model.
        longest: tokens of the longest text that it reads.
        parameters: of the model.
        width: bytes of one of them.
        memory: bytes of the device that this copy of the model may use.
    """
    if not device.startswith("cuda"):
        return _CPU
    wanted = min(max(_WORK // shape.hidden, _RANGE[0]), _RANGE[1])
    beside = memory - parameters * width - LIBRARIES - LOGITS["cuda"]
    fitting = int(_USED * beside) // bytes_per_token(shape, longest, width)
    return max(_LEAST, min(wanted, fitting))


def bytes_per_token(shape: Shape, longest: int, width: int) -> int:
    """What a layer at work holds for each token: states, the feed-forward layer, maybe scores."""
    scores = 2 * shape.heads * longest if shape.biased else 0
    return (8 * shape.hidden + 3 * shape.inner + scores) * width


def default_token_budget(device: str) -> int:
    """Tokens of one forward pass where the model's shape is unknown, and of a training step."""
    return _RANGE[0] if device.startswith("cuda") else _CPU
