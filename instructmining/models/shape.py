"""The shape of a transformer, read from its config.json; no torch."""

import json
from pathlib import Path
from typing import Any, NamedTuple


class Shape(NamedTuple):
    """Of a transformer.

    Attributes:
        layers: how many.
        hidden: width of a token's state.
        inner: width inside a feed-forward layer.
        heads: of attention.
        biased: whether a bias is added to every attention score, which then lie in memory (T5).
    """

    layers: int
    hidden: int
    inner: int = 0
    heads: int = 1
    biased: bool = False


_NAMES = {
    "layers": ("num_hidden_layers", "n_layer", "num_layers"),
    "hidden": ("hidden_size", "d_model", "n_embd"),
    "inner": ("intermediate_size", "d_ff", "n_inner"),
    "heads": ("num_attention_heads", "num_heads", "n_head"),
}


def shape_of(folder: str) -> Shape:
    """The shape of the model in a folder; 1 layer of width 1,024 where it does not say."""
    config = _config(folder)
    hidden = _number(config, "hidden", 1024)
    return Shape(
        _number(config, "layers", 1),
        hidden,
        _number(config, "inner", 4 * hidden),
        _number(config, "heads", 1),
        "relative_attention_num_buckets" in config,
    )


def _config(folder: str) -> dict[str, Any]:
    path = Path(folder) / "config.json"
    config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return config.get("text_config") or config


def _number(config: dict[str, Any], what: str, otherwise: int) -> int:
    return next((int(config[name]) for name in _NAMES[what] if config.get(name)), otherwise)
