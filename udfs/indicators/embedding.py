"""Sentence vectors of whole conversations, for the distance to the k-th neighbour.

The text is the contents of all messages, one after another with a line break between (for a
single turn: prompt, line break, response), cut after the encoder's limit. Vectors are pooled and
scaled to unit length in float32, whatever the weights are: vectors normalised in bfloat16 are not
of unit length, and the sixth distance would show it.

A folder written by sentence-transformers says itself how it pools and where it cuts, and is
believed; a folder with further layers (Dense, WordWeights) runs through that library.
Reference: sentence-transformers, modules Transformer, Pooling, Normalize.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from instructmining.errors import UserError
from instructmining.models.lists import ModelSpec
from udfs.running.batching import pad
from udfs.running.compiling import compile_in_place
from udfs.running.cpu import tuned
from udfs.running.measurement import Conversation, Measurement, Runtime, TwoSteps
from udfs.running.on_device import inference, is_causal, measured
from udfs.running.weights import load_model, load_tokenizer, position_limit, to_device
from udfs.texts.conversations import defects, joined
from udfs.texts.rendering import record_lengths, tokenize
from udfs.texts.templates import special_tokens

# (token ids, attention mask) -> float[rows, d], not yet of unit length
Encode = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Encoder(NamedTuple):
    """How to encode, the width of the vectors, and how many tokens there are positions for."""

    encode: Encode
    width: int
    limit: int


class EmbeddingScorer(TwoSteps):
    """Kind `sentence_encoder`: any encoder of transformers or sentence-transformers."""

    def __init__(self, spec: ModelSpec, runtime: Runtime):
        self.indicators = spec.indicators
        self.tokenizer = load_tokenizer(runtime.folder, spec)
        self.closing = len(special_tokens(self.tokenizer)[2])
        self.encoder = _load_encoder(spec, runtime)
        self.max_length = min(
            spec.max_length,
            self.encoder.limit,
            self.tokenizer.model_max_length,
            _own_limit(runtime.folder),
        )
        self.device = runtime.device
        self.token_budget = runtime.token_budget

    def prepare(self, conversations: Sequence[Conversation]) -> tuple[Measurement, list[list[int]]]:
        """The token ids of every text."""
        measurement = Measurement.empty((), len(conversations))
        measurement.reasons = defects(conversations)
        texts = [
            [] if reason else [joined(conversation)]
            for reason, conversation in zip(measurement.reasons, conversations, strict=True)
        ]
        full = [
            ids[0] if ids else [] for ids in tokenize(self.tokenizer, texts, measurement.reasons)
        ]
        cut_rows = [self._cut(ids) for ids in full]
        record_lengths(measurement, [len(ids) for ids in full], [len(ids) for ids in cut_rows])
        return measurement, cut_rows

    def compute(self, prepared: tuple[Measurement, list[list[int]]]) -> Measurement:
        """Unit vectors float32[n, d]; a row that could not be encoded is NaN throughout."""
        measurement, cut_rows = prepared
        vectors = np.full((len(cut_rows), self.encoder.width), np.nan, dtype=np.float32)
        encoded = measured(
            measurement,
            [len(ids) for ids in cut_rows],
            self.token_budget,
            lambda rows: self._encode([cut_rows[row] for row in rows]),
        )
        encoded.into(vectors)
        measurement.vectors = vectors
        return measurement.explained()

    def _cut(self, ids: list[int]) -> list[int]:
        if len(ids) <= self.max_length:
            return ids
        return ids[: self.max_length - self.closing] + ids[len(ids) - self.closing :]

    def _encode(self, texts: list[list[int]]) -> torch.Tensor:
        pad_id = int(self.tokenizer.pad_token_id or 0)
        ids, mask = (to_device(array, self.device) for array in pad(texts, pad_id))
        with inference(self.device):
            return torch.nn.functional.normalize(self.encoder.encode(ids, mask).float(), dim=1)


def _load_encoder(spec: ModelSpec, runtime: Runtime) -> Encoder:
    modules = _modules(runtime.folder, spec)
    pooling = _own_pooling(runtime.folder) or spec.pooling
    if set(modules) - {"Transformer", "Pooling", "Normalize"} or pooling not in _POOLINGS:
        return _load_with_library(spec, runtime)
    from transformers import AutoModel

    model = tuned(load_model(AutoModel, spec, runtime), runtime.device)
    compile_in_place(model, runtime)
    pool = _POOLINGS[pooling]
    # A model's own code may see both ways whatever its layers say.
    causal = is_causal(model) and not spec.trust_remote_code

    def encode(ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        hidden = model(input_ids=ids, attention_mask=None if causal else mask).last_hidden_state
        return pool(hidden.float(), mask)

    return Encoder(encode, int(model.config.hidden_size), position_limit(model))


def _load_with_library(spec: ModelSpec, runtime: Runtime) -> Encoder:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(
        runtime.folder,
        device=runtime.device,
        local_files_only=True,
        trust_remote_code=spec.trust_remote_code,
        model_kwargs={"dtype": getattr(torch, runtime.dtype), "use_safetensors": True},
    ).eval()

    def encode(ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        vectors: torch.Tensor = model({"input_ids": ids, "attention_mask": mask})[
            "sentence_embedding"
        ]
        return vectors

    width = model.get_embedding_dimension()
    if width is None:
        raise UserError(f"model {spec.source}: its layers do not say how long its vectors are")
    return Encoder(encode, width, int(model.max_seq_length or 10**9))


def _mean(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)


def _cls(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return hidden[:, 0]


def _last(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return hidden[torch.arange(len(hidden), device=hidden.device), mask.sum(1) - 1]


_POOLINGS: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "mean": _mean,
    "cls": _cls,
    "last": _last,
}


def _modules(folder: str, spec: ModelSpec) -> list[str]:
    """Class names of the layers that sentence-transformers put one after the other.

    Raises:
        UserError: one of them is code of the folder, which before 6.0 the library runs unasked.
    """
    types = [str(module["type"]) for module in _read(folder, "modules.json", [])]
    foreign = [name for name in types if not name.startswith("sentence_transformers.")]
    if foreign and not spec.trust_remote_code:
        raise UserError(
            f"model {spec.source}: {foreign[0]} is Python code of the model's own; "
            "set trust_remote_code: true in its entry if you trust it"
        )
    return [name if name in foreign else name.rpartition(".")[2] for name in types]


def _own_pooling(folder: str) -> str | None:
    settings = _read(folder, "1_Pooling/config.json", {})
    names = {"lasttoken": "last", "cls_token": "cls", "mean_tokens": "mean"}
    modes = [
        key.removeprefix("pooling_mode_")
        for key, on in settings.items()
        if key.startswith("pooling_mode_") and on
    ]
    chosen = "+".join(modes) or settings.get("pooling_mode")
    return names.get(chosen, chosen)


def _own_limit(folder: str) -> int:
    limit = _read(folder, "sentence_bert_config.json", {}).get("max_seq_length")
    return int(limit or 10**9)


def _read(folder: str, name: str, otherwise: Any) -> Any:
    path = Path(folder) / name
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else otherwise
