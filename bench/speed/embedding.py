"""MiniLM: sentence vectors by our scorer, by sentence-transformers, and by plain loops."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from transformers import AutoModel, AutoTokenizer

from bench.harness.arms import LIMIT, Gate, Suite
from bench.harness.texts import spread_out, window
from instructmining.models.lists import load_model_list, locate
from udfs.indicators.embedding import EmbeddingScorer
from udfs.running.budget import default_token_budget
from udfs.running.measurement import Runtime

Vectors = NDArray[np.float32]
Arm = Callable[[], Vectors]
_ROWS = 256
_LIMIT = 256  # tokens, the encoder's own
_WIDTH, _LAYERS = 384, 6


def suite(repeats: int) -> Suite:
    """The real MiniLM on 256 rows of all lengths, in file order."""
    about, texts = window()
    spec = load_model_list("embedded").stages["embed"]
    folder = str(locate(spec.source))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    lengths = [len(i) for i in tokenizer(list(texts), truncation=True, max_length=_LIMIT).input_ids]
    chosen = spread_out(lengths, _ROWS)
    rows = [texts[i] for i in chosen]
    read = [lengths[i] for i in chosen]
    plain = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()

    return Suite(
        name="embedding",
        about=f"MiniLM-L6, {_ROWS} {about}, {sum(read):,} tokens, tokenising included",
        arms={
            "batch 1": lambda: in_file_order(plain, tokenizer, rows, 1),
            "file order, 32 rows": lambda: in_file_order(plain, tokenizer, rows, 32),
            "sentence-transformers": library(folder, "float32", rows),
            "sentence-transformers bf16": library(folder, "bfloat16", rows),
            "ours": ours(folder, "float32", rows),
            "ours bf16": ours(folder, "bfloat16", rows),
        },
        reference="batch 1",
        same=like(0.9999),
        # Its own normalisation is in bfloat16; 0.99 says that it is the same model and text.
        checks={"ours bf16": like(0.999), "sentence-transformers bf16": like(0.99)},
        dtypes={"ours bf16": "bfloat16", "sentence-transformers bf16": "bfloat16"},
        flop=flop(read),
        gates=[
            Gate("ours", "sentence-transformers", 1.5),
            Gate("ours bf16", "sentence-transformers", 3.5, "amx_bf16"),
            Gate("ours bf16", "sentence-transformers bf16", 1.4),
            Gate("ours", LIMIT, 0.6),
            Gate("ours bf16", LIMIT, 0.2),
        ],
        repeats=repeats,
        once=frozenset({"file order, 32 rows"}),
    )


def ours(folder: str, dtype: str, rows: list[str], device: str = "cpu") -> Arm:
    """Our scorer, with the batches that it has on the device."""
    spec = load_model_list("embedded").stages["embed"]
    runtime = Runtime(folder, None, device, dtype, default_token_budget(device))
    scorer = EmbeddingScorer(spec, runtime)
    talks = [[{"role": "assistant", "content": text}] for text in rows]
    return lambda: _vectors(scorer.measure(talks).vectors)


def flop(lengths: Sequence[int]) -> float:
    """Of real tokens: linear layers, and attention in both directions."""
    size = np.array(lengths, dtype=float)
    linear = 2 * size * 12 * _WIDTH**2
    return float(_LAYERS * (linear + 4 * size**2 * _WIDTH).sum())


def library(folder: str, dtype: str, rows: list[str], device: str = "cpu") -> Arm:
    """`encode` of sentence-transformers on these rows."""
    encode = library_of(folder, dtype, device)
    return lambda: encode(rows)


def library_of(folder: str, dtype: str, device: str) -> Callable[[list[str]], Vectors]:
    """`encode` of sentence-transformers as its users call it."""
    precision = {"dtype": getattr(torch, dtype)}
    model = SentenceTransformer(folder, device=device, model_kwargs=precision)
    return lambda rows: _vectors(
        model.encode(rows, convert_to_tensor=True, show_progress_bar=False).float().cpu().numpy()
    )


@torch.inference_mode()
def in_file_order(model: Any, tokenizer: Any, rows: list[str], size: int) -> Vectors:
    """Mean pooling as the model card shows it, `size` rows at a time."""
    found = []
    for start in range(0, len(rows), size):
        given = tokenizer(
            rows[start : start + size],
            padding=True,
            truncation=True,
            max_length=_LIMIT,
            return_tensors="pt",
        )
        mask = given["attention_mask"][:, :, None].float()
        hidden = model(**given).last_hidden_state
        pooled = (hidden * mask).sum(1) / mask.sum(1)
        found.append(torch.nn.functional.normalize(pooled, dim=1))
    return _vectors(torch.cat(found).numpy())


def like(least: float) -> Callable[[Vectors, Vectors], str | None]:
    """Every row's cosine to the reference is at least this."""

    def check(vectors: Vectors, reference: Vectors) -> str | None:
        norms = np.linalg.norm(vectors, axis=1) * np.linalg.norm(reference, axis=1)
        cosine = float(((vectors * reference).sum(1) / norms).min())
        return None if cosine >= least else f"cosine {cosine:.5f}, {least} wanted"

    return check


def _vectors(found: Any) -> Vectors:
    return np.asarray(found, dtype=np.float32)
