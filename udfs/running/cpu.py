"""Where transformers' models lose time on a CPU, corrected without changing a result.

Attention. The softmax of torch's CPU kernel computes the remainder of a row after its last 16
scores one by one: 73 keys take twice as long as 80. Where more than a few are left, keys are
padded to a multiple of 16, and masked. Only attention sees that padding: all other layers compute
the tokens there are.

Linear layers in bfloat16. oneDNN wants the weights in an order of its own and makes that order
again in every call, and torch adds the bias apart. Here the order is made once, in place of the
weights that were loaded, and the bias is part of the product.

GELU after such a layer. On its own it reads and writes the widest states of the model once more;
here the product applies it to each number before that is rounded and stored.

The operators that the last two use are not part of torch's interface. They are tried on a small
layer, and where they are missing or answer otherwise the model keeps its layers.
"""

from typing import Any

import torch
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.activations import GELUActivation
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

_NAME = "sdpa_aligned"
_LANES = 16  # float32 numbers of one AVX-512 register; of no harm where there are 8
_FEW = 4  # scores after the last 16 that take less time than padding does
# A linear layer and the function that its block applies next: BERT's family, GPT-NeoX.
_FOLLOWED = (("dense", "intermediate_act_fn"), ("dense_h_to_4h", "act"))


def tuned(model: Any, device: str) -> Any:
    """The model for inference on its device: as it is on a GPU, changed in place on a CPU."""
    if device != "cpu":
        return model
    if getattr(model.config, "_attn_implementation", None) == "sdpa":
        model.set_attn_implementation(_NAME)
    if can_reorder():
        _reorder(model)
        _join_activations(model)
    return model


def can_reorder() -> bool:
    """Whether this torch and this CPU compute bfloat16 layers in oneDNN's order, with GELU."""
    if not torch.backends.mkldnn.is_available():
        return False
    plain = nn.utils.skip_init(nn.Linear, 16, 16, dtype=torch.bfloat16)  # draws no random numbers
    states = torch.linspace(-1, 1, 64).reshape(4, 16).to(torch.bfloat16)
    try:
        if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
            return False
        with torch.inference_mode():
            plain.weight.copy_(torch.linspace(-1, 1, 256).reshape(16, 16))
            plain.bias.fill_(0.5)
            layer = ReorderedLinear(plain)
            layer.then = "gelu"
            computed = layer(states)
            expected = nn.functional.gelu(plain(states))
    except (AttributeError, RuntimeError, TypeError, ValueError):  # renamed, or called otherwise
        return False
    return torch.allclose(computed, expected, rtol=0.05, atol=0.05)


def aligned_attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """transformers' `sdpa`, on keys and values padded to a multiple of 16.

    Args:
        module: the attention layer.
        query: [rows, heads, n, d].
        key: [rows, heads, m, d], as `value`.
        value: see `key`.
        attention_mask: [rows or 1, heads or 1, n, m], boolean or added to the scores; None: causal
            or none, as the layer says.
        options: what transformers passes on.
    """
    extra = -key.shape[2] % _LANES
    length = query.shape[2]
    if key.shape[2] % _LANES <= _FEW or options.get("position_bias") is not None:
        return _plain(module, query, key, value, attention_mask, options)
    causal = options.get("is_causal")
    causal = getattr(module, "is_causal", True) if causal is None else causal
    if attention_mask is not None:
        attention_mask = _masked(attention_mask, extra)
    elif causal and length == key.shape[2]:
        query = _longer(query, extra)  # no real token sees what follows it
    elif causal:
        return _plain(module, query, key, value, None, options)
    else:
        seen = torch.ones(1, 1, 1, key.shape[2], dtype=torch.bool)
        attention_mask = _masked(seen, extra).expand(-1, -1, length, -1)
    output, _ = _plain(
        module, query, _longer(key, extra), _longer(value, extra), attention_mask, options
    )
    return output[:, :length], None


def _plain(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    options: dict[str, Any],
) -> tuple[torch.Tensor, None]:
    output: tuple[torch.Tensor, None] = sdpa_attention_forward(
        module, query, key, value, attention_mask, **options
    )
    return output


def _longer(states: torch.Tensor, extra: int) -> torch.Tensor:
    return nn.functional.pad(states, (0, 0, 0, extra))


def _masked(mask: torch.Tensor, extra: int) -> torch.Tensor:
    unseen = False if mask.dtype == torch.bool else torch.finfo(mask.dtype).min
    return nn.functional.pad(mask, (0, extra), value=unseen)


class ReorderedLinear(nn.Module):
    """A bfloat16 linear layer whose weights lie as oneDNN wants them; for inference only."""

    def __init__(self, linear: nn.Linear):
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight = torch.empty(0, dtype=linear.weight.dtype)  # some models ask for its dtype
        self.bias = linear.bias
        self.then = "none"  # what the product applies to its results
        self.reordered = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), None)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """As that of the layer it was made of, and of the function that was joined to it."""
        output: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            states, self.reordered, self.bias, self.then, [], "none"
        )
        return output


def _reorder(model: nn.Module) -> None:
    linears = [
        (name, layer)
        for name, layer in model.named_modules()
        if type(layer) is nn.Linear and layer.weight.dtype == torch.bfloat16
    ]
    for name, layer in linears:
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, ReorderedLinear(layer))


def _join_activations(model: nn.Module) -> None:
    for block in model.modules():
        for linear, function in _FOLLOWED:
            layer = getattr(block, linear, None)
            exact = isinstance(getattr(block, function, None), GELUActivation)  # not by tanh
            if isinstance(layer, ReorderedLinear) and exact:
                layer.then = "gelu"
                setattr(block, function, nn.Identity())


AttentionInterface.register(_NAME, aligned_attention)
AttentionMaskInterface.register(_NAME, sdpa_mask)
