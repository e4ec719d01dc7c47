"""Models in the shapes of published ones with random weights, and the arithmetic that they need.

Times do not depend on the weights, so nothing is downloaded.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from transformers import (
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3ForSequenceClassification,
)

from bench.harness.texts import bpe
from udfs.indicators.reward import GPTNeoXRewardConfig, GPTNeoXRewardModel

Ids = Sequence[Sequence[int]]


class Kind(NamedTuple):
    """How a family of models is made.

    Attributes:
        config: of the language model.
        language: the language model.
        reward_config: of the reward model.
        reward: the reward model.
        gated: whether its feed-forward layers have three matrices instead of two.
    """

    config: Any
    language: Any
    reward_config: Any
    reward: Any
    gated: bool


FAMILIES = {
    "neox": Kind(GPTNeoXConfig, GPTNeoXForCausalLM, GPTNeoXRewardConfig, GPTNeoXRewardModel, False),
    "qwen3": Kind(Qwen3Config, Qwen3ForCausalLM, Qwen3Config, Qwen3ForSequenceClassification, True),
    "llama": Kind(LlamaConfig, LlamaForCausalLM, LlamaConfig, LlamaForSequenceClassification, True),
}


class Model(NamedTuple):
    """A published shape: its family and the config of the layers that are timed."""

    name: str
    family: str
    config: dict[str, Any]


NEOX = Model(
    "GPT-NeoX 1.4B (Pythia)",
    "neox",
    {
        "hidden_size": 2048,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "intermediate_size": 8192,
        "rotary_pct": 0.25,
        "vocab_size": 50_304,
        "max_position_embeddings": 2048,
        "use_parallel_residual": True,
    },
)
QWEN = Model(
    "Qwen3-0.6B",
    "qwen3",
    {
        "hidden_size": 1024,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "intermediate_size": 3072,
        "vocab_size": 151_936,
        "max_position_embeddings": 4096,
        "pad_token_id": 0,
    },
)
LLAMA = Model(  # two layers are timed: a share of the peak does not depend on how many there are
    "Llama-3.1-8B, 2 of 32 layers",
    "llama",
    {
        "hidden_size": 4096,
        "num_hidden_layers": 2,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "intermediate_size": 14_336,
        "vocab_size": 128_256,
        "max_position_embeddings": 8192,
        "pad_token_id": 0,
    },
)
_TINY = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "head_dim": 16}
_TINY |= {"intermediate_size": 256}


def tiny(model: Model) -> Model:
    """The same family, small enough for a CPU."""
    return model._replace(config=model.config | _TINY | {"num_key_value_heads": 4})


def save(model: Model, reward: bool, folder: Path, device: str) -> None:
    """Write random weights in bfloat16 and a tokenizer, as a hub's folder is."""
    family = FAMILIES[model.family]
    config = (family.reward_config if reward else family.config)(**model.config)
    if reward:
        config.num_labels = 1
    torch.manual_seed(0)
    with torch.device(device):
        made = (family.reward if reward else family.language)(config).to(torch.bfloat16)
    made.save_pretrained(folder)
    bpe().save_pretrained(folder)


def parameters(model: Model) -> int:
    """Of the layers that are timed, without embeddings and head."""
    config = model.config
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    size = config.get("head_dim", hidden // heads)
    shared = config.get("num_key_value_heads", heads)
    attention = 2 * hidden * heads * size + 2 * hidden * shared * size
    matrices = 3 if FAMILIES[model.family].gated else 2
    layer = attention + matrices * hidden * config["intermediate_size"]
    return int(config["num_hidden_layers"] * layer)


def flop(model: Model, ids: Ids, head: bool) -> float:
    """Of real tokens: linear layers, causal attention, and the head where every token has one."""
    config = model.config
    size = np.array([len(row) for row in ids], dtype=float)
    heads = config["num_attention_heads"]
    width = heads * config.get("head_dim", config["hidden_size"] // heads)
    attention = config["num_hidden_layers"] * 2 * size**2 * width
    made = 2 * size * config["hidden_size"] * config["vocab_size"] * head
    return float((2 * size * parameters(model) + attention + made).sum())
