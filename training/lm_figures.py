"""Held-out figures of the causal language models: bits per byte, and what perplexity separates.

Everything is measured on half 1 of the free pools, through the scorer that `score` uses.
"""

import lzma
import math
import random
import zlib
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from instructmining.models.lists import ModelSpec
from instructmining.spoiling.corruptions import CORRUPTIONS
from instructmining.spoiling.material import Material
from training.data import Example, half_examples
from training.statistics import ratio, separation
from udfs.indicators.perplexity import PerplexityScorer
from udfs.running.measurement import Runtime

CORRUPTED = (
    "shuffled",
    "dropped_words",
    "repeated",
    "truncated",
    "wrong_language",
    "gibberish",
    "swapped",
)
ORDER = 5  # of the n-gram baseline, in bytes


def lm_figures(data: Path, folder: Path, count: int, seed: int = 1) -> dict[str, Any]:
    """Figures of one model folder, on `count` held-out responses of Dolly and GPTeacher."""
    examples = _held_out(data, count, seed)
    nll, alone = _measure(folder, [e.messages for e in examples])
    size = np.array([len(e.response.encode()) for e in examples])
    figures: dict[str, Any] = {"responses": len(examples)}
    for name, nats in (("bits_per_byte", nll), ("bits_per_byte_alone", alone)):
        figures[name], figures[f"{name}_interval"] = _per_byte(nats, size)
    return figures | {"auc": _separation(examples, folder, seed)}


@cache
def baseline_figures(data: Path, count: int, seed: int = 1) -> dict[str, float]:
    """Bits per byte of the same held-out responses without a neural model.

    zlib and LZMA get training text as a dictionary (32 kB is all that zlib can look back; LZMA
    compresses 4 MB of it before the response, and is charged the difference). The n-gram model
    reads all training responses: bytes, order 5, interpolated by Witten-Bell.
    """
    texts = [e.response.encode() for e in _held_out(data, count, seed)]
    known = [e.response.encode() for e in half_examples(data, 0)]
    random.Random(seed).shuffle(known)
    total = sum(map(len, texts))
    return {
        "zlib_dictionary": round(_zlib_bits(texts, b"\n".join(known)[-32768:]) / total, 4),
        "lzma_dictionary": round(
            _lzma_bits(texts[:100], b"\n".join(known)[:4_000_000]) / sum(map(len, texts[:100])), 4
        ),
        f"ngram_{ORDER}_bytes": round(_ngram_bits(texts, known) / total, 4),
    }


def _held_out(data: Path, count: int, seed: int) -> list[Example]:
    pools = ("dolly", "gpteacher_codegen", "gpteacher_roleplay")
    examples = [e for e in half_examples(data, 1) if e.pool in pools]
    return random.Random(seed).sample(examples, count)


def _measure(folder: Path, conversations: list[Any]) -> tuple[NDArray[np.float64], ...]:
    """Total NLL in nats of each response, with its prompt and alone."""
    spec = ModelSpec(
        kind="causal_lm",
        source=f"embedded:{folder.name}",
        template="tags",
        max_length=1024,
        indicators=("nll", "nll_alone", "output_length"),
    )
    scorer = PerplexityScorer(spec, Runtime(str(folder)))
    values = scorer.measure(conversations).values
    tokens = values["output_length"] + 1  # the closing <|end|> is predicted too
    return values["nll"] * tokens, values["nll_alone"] * tokens


def _per_byte(nll: NDArray[np.float64], size: NDArray[np.int64]) -> tuple[float, list[float]]:
    measured = np.isfinite(nll)
    return ratio(nll[measured] / math.log(2), size[measured])


def _separation(
    examples: list[Example], folder: Path, seed: int
) -> dict[str, dict[str, dict[str, Any]]]:
    """AUC of lower perplexity for the true response, given the prompt and alone."""
    generator = random.Random(seed)
    material = Material(examples, "held_out")
    figures = {}
    for name in CORRUPTED:
        spoiled = [CORRUPTIONS[name](e, material, generator) for e in examples]
        rows = [i for i, text in enumerate(spoiled) if text]
        changed = [
            [*examples[i].messages[:-1], {"role": "assistant", "content": spoiled[i]}] for i in rows
        ]
        bad, bad_alone = _means(folder, changed)
        good, good_alone = _means(folder, [examples[i].messages for i in rows])
        figures[name] = {
            "perplexity": separation(bad, good),
            "perplexity_alone": separation(bad_alone, good_alone),
        }
    return figures


def _means(folder: Path, conversations: list[Any]) -> tuple[NDArray[np.float64], ...]:
    spec = ModelSpec(
        kind="causal_lm",
        source=f"embedded:{folder.name}",
        template="tags",
        max_length=1024,
        indicators=("nll", "nll_alone"),
    )
    scorer = PerplexityScorer(spec, Runtime(str(folder)))
    values = scorer.measure(conversations).values
    return values["nll"], values["nll_alone"]


def _zlib_bits(texts: list[bytes], dictionary: bytes) -> int:
    bits = 0
    for text in texts:
        compressor = zlib.compressobj(9, zlib.DEFLATED, -15, zdict=dictionary)
        bits += 8 * len(compressor.compress(text) + compressor.flush())
    return bits


def _lzma_bits(texts: list[bytes], dictionary: bytes) -> int:
    """What all texts together add to the compressed dictionary: they may also help each other."""
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME}]

    def size(raw: bytes) -> int:
        return len(lzma.compress(raw, lzma.FORMAT_RAW, filters=filters))

    return 8 * (size(dictionary + b"\n".join(texts)) - size(dictionary))


def _ngram_bits(texts: list[bytes], known: list[bytes]) -> float:
    """Witten-Bell: p = (count + distinct x p_shorter) / (total + distinct) from order 0 upwards."""
    counts: list[Counter[bytes]] = [Counter() for _ in range(ORDER + 1)]
    for text in known:
        for n in range(1, ORDER + 1):
            counts[n].update(text[i : i + n] for i in range(len(text) - n + 1))
    totals: list[Counter[bytes]] = [Counter() for _ in range(ORDER)]
    distinct: list[Counter[bytes]] = [Counter() for _ in range(ORDER)]
    for n in range(1, ORDER + 1):
        for gram, count in counts[n].items():
            totals[n - 1][gram[:-1]] += count
            distinct[n - 1][gram[:-1]] += 1
    bits = 0.0
    for text in texts:
        for i in range(len(text)):
            p = 1 / 256
            for n in range(1, min(ORDER, i + 1) + 1):
                gram = text[i - n + 1 : i + 1]
                kinds = distinct[n - 1][gram[:-1]]
                if kinds:
                    p = (counts[n][gram] + kinds * p) / (totals[n - 1][gram[:-1]] + kinds)
            bits -= math.log2(p)
    return bits
