"""The network of kind `quality_heads`: the lower layers of a sentence encoder and four heads.

The encoder's embedding layer is taken, unchanged, from the base model's folder and is not stored
again; the folder of the quality model holds the trained transformer layers, the heads
(`model.safetensors`) and `config.json`:

    layers            how many transformer layers run
    max_length        tokens read, special tokens included
    response_room     tokens of the response that stay readable however long the prompt is
    reward_mean, reward_std   of the raw reward on Dolly; the reported reward has 0 and 1 there
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from instructmining.errors import UserError
from instructmining.models.lists import ModelSpec
from udfs.running.measurement import Runtime
from udfs.running.weights import load_model

HEADS = ("reward", "naturalness", "coherence", "understandability")
_HIDDEN = 128


class QualityModel(nn.Module):
    """(ids, types, mask) to float32[rows, 4] logits, in the order of `HEADS`."""

    def __init__(self, encoder: Any):
        super().__init__()
        self.encoder = encoder
        width = 5 * encoder.config.hidden_size
        self.heads = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, _HIDDEN),
            nn.GELU(),
            nn.Linear(_HIDDEN, len(HEADS)),
        )

    def forward(self, ids: torch.Tensor, types: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Right-padded int64[rows, longest]: token ids, 0 prompt / 1 response, 1 real / 0 padding.

        The heads read, in float32, the first token, the mean over the response, how that mean
        agrees with the mean over the prompt (product and distance), and the last token.
        """
        hidden = self.encoder(
            input_ids=ids, token_type_ids=types, attention_mask=mask
        ).last_hidden_state.float()
        prompt = _mean(hidden, mask * (1 - types))
        response = _mean(hidden, mask * types)
        last = hidden[torch.arange(len(ids), device=ids.device), mask.sum(1) - 1]
        read = [hidden[:, 0], response, prompt * response, (prompt - response).abs(), last]
        logits: torch.Tensor = self.heads(torch.cat(read, dim=1))
        return logits


def pair(prompt: Sequence[int], response: Sequence[int], config: dict[str, Any]) -> "Pair":
    """`[CLS] prompt [SEP] response [SEP]`, at most `max_length` long.

    A cut keeps the end of the prompt and the start of the response. The closing [SEP] says that
    the end of the response was seen, so it is left out where the response was cut.
    """
    room = config["max_length"] - 3
    shown_response = list(response[: max(config["response_room"], room - len(prompt))])
    asked = list(prompt[max(0, len(prompt) - (room - len(shown_response))) :])
    closing = [config["sep_id"]] if len(shown_response) == len(response) else []
    first = [config["cls_id"], *asked, config["sep_id"]]
    second = [*shown_response, *closing]
    types = [0] * len(first) + [1] * len(second)
    return Pair(first + second, types, len(asked) + len(shown_response))


class Pair(NamedTuple):
    """One sequence as the model reads it: ids, 0 prompt / 1 response, tokens of text read."""

    ids: list[int]
    types: list[int]
    read: int


def load_base(spec: ModelSpec, runtime: Runtime, layers: int) -> Any:
    """The base encoder, in `runtime.base`, with only its lower `layers` layers."""
    return load_model(
        _auto_model(),
        spec,
        replace(runtime, folder=runtime.base or ""),
        num_hidden_layers=layers,
        add_pooling_layer=False,
    )


def load_quality_model(spec: ModelSpec, runtime: Runtime) -> tuple[QualityModel, dict[str, Any]]:
    """The model in evaluation mode, and its config.

    Raises:
        UserError: no base model is named, or the folder was not written by `save_quality_model`.
    """
    from safetensors.torch import load_file

    folder = Path(runtime.folder)
    weights = folder / "model.safetensors"
    about = folder / "config.json"
    if not runtime.base:
        raise UserError(f"model {spec.source}: kind quality_heads needs `base`, its encoder")
    if not (weights.is_file() and about.is_file()):
        raise UserError(f"model {spec.source}: no model.safetensors and config.json in {folder}")
    config = json.loads(about.read_text(encoding="utf-8"))
    model = QualityModel(load_base(spec, runtime, config["layers"]))
    missing, unexpected = model.load_state_dict(load_file(weights), strict=False)
    missing = [name for name in missing if not name.startswith("encoder.embeddings.")]
    if missing or unexpected:
        name = (missing + unexpected)[0]
        raise UserError(f"model {spec.source}: its weights do not fit the base model ({name})")
    model.heads.float()
    return model.eval().to(runtime.device), config


def save_quality_model(model: QualityModel, config: dict[str, Any], folder: Path) -> None:
    """Write everything but the base encoder's embedding layer: layers bf16, heads float32."""
    from safetensors.torch import save_file

    stored = {
        name: (tensor.float() if name.startswith("heads.") else tensor.bfloat16()).contiguous()
        for name, tensor in model.state_dict().items()
        if not name.startswith("encoder.embeddings.")
    }
    folder.mkdir(parents=True, exist_ok=True)
    save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


def _mean(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)


def _auto_model() -> Any:
    from transformers import AutoModel

    return AutoModel
