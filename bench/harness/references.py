"""Every indicator a second time, written apart from the scorers: one row at a time, no batches,
nothing skipped, the plain way of transformers, sentence-transformers, SciPy and pandas.

Conversations here are single-turn: a prompt and a response.
"""

import json
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from scipy.spatial.distance import cdist
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer, BertConfig, BertModel

from bench.harness.rows import ROOT

Pairs = Sequence[tuple[str, str]]  # (prompt, response)
QUALITY = ("reward", "naturalness", "coherence", "understandability")


def token_counts(folder: Path, texts: Iterable[str]) -> list[int]:
    """Tokens of each text by the `tokenizers` library, without special tokens."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.encode_special_tokens = True  # a text that spells one is plain text
    return [len(tokenizer.encode(text, add_special_tokens=False).ids) for text in texts]


@torch.inference_mode()
def log_losses(folder: Path, pairs: Pairs, longest: int) -> list[tuple[float, float, int]]:
    """Transformers' own loss of the response after its prompt, alone, and the tokens read.

    The text is BOS <|user|> prompt <|assistant|> response EOS, and alone BOS response EOS; the
    response and EOS are labelled, all the rest is -100. NaN for a text of more than `longest`.
    """
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    known = AutoTokenizer.from_pretrained(folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.encode_special_tokens = True
    bos = known.bos_token_id
    eos = known.eos_token_id
    user, assistant = (known.convert_tokens_to_ids(f"<|{role}|>") for role in ("user", "assistant"))

    def loss(before: list[int], counted: list[int]) -> float:
        ids = torch.tensor([before + counted])
        labels = torch.tensor([[-100] * len(before) + counted])
        return float(model(input_ids=ids, labels=labels, use_cache=False).loss)

    losses = []
    for texts in pairs:
        prompt, response = (tokenizer.encode(t, add_special_tokens=False).ids for t in texts)
        before = [bos, user, *prompt, assistant]
        counted = [*response, eos]
        size = len(before) + len(counted)
        fits = size <= longest
        behind, alone = (loss(b, counted) if fits else np.nan for b in (before, [bos]))
        losses.append((behind, alone, size))
    return losses


def sentence_vectors(folder: Path, pairs: Pairs) -> np.ndarray:
    """sentence-transformers' own unit vectors of prompt, line break, response."""
    model = SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": torch.float32})
    texts = ["\n".join(pair) for pair in pairs]
    return model.encode(texts, normalize_embeddings=True, show_progress_bar=False)


def neighbor_distances(vectors: np.ndarray, place: int) -> np.ndarray:
    """Euclidean distance to the neighbour at `place`, by all pairs in float64."""
    distances = cdist(vectors.astype(np.float64), vectors.astype(np.float64))
    np.fill_diagonal(distances, np.inf)
    return np.sort(distances, axis=1)[:, place - 1]


def mtld(text: str) -> float:
    """MTLD by McCarthy & Jarvis 2010, appendix: a factor ends where the ratio reaches 0.72.

    In whole numbers (100 types ≤ 72 words), so that no rounding decides. Words are lower-case,
    without digits and hyphens, split at white space and ASCII punctuation.
    """
    words = re.findall(r"[^\s!-/:-@\[-`{-~]+", re.sub(r"[0-9–—-]", "", text.lower()))
    if len(words) < 10:
        return np.nan
    return (_one_way(words) + _one_way(words[::-1])) / 2


def _one_way(words: list[str]) -> float:
    factors, first = 0.0, 0
    for end in range(1, len(words) + 1):
        types = len(set(words[first:end]))
        if 100 * types <= 72 * (end - first):
            factors = factors + 1
            first = end
    rest = words[first:]
    if rest:
        factors += (1 - len(set(rest)) / len(rest)) / (1 - 0.72)
    return len(words) / (factors or 1.0)  # no word repeats at all: the text is one factor


@torch.inference_mode()
def quality(folder: Path, base: Path, pairs: Pairs) -> dict[str, list[float]]:
    """The four heads from the weights in the file, on a BertModel put together here."""
    about = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    stored = {k: v.float() for k, v in load_file(folder / "model.safetensors").items()}
    config = BertConfig.from_pretrained(base, num_hidden_layers=about["layers"])
    bert = BertModel(config, add_pooling_layer=False).eval()
    weights = {k: v for k, v in load_file(base / "model.safetensors").items() if "embeddings." in k}
    weights |= {k.removeprefix("encoder."): v for k, v in stored.items() if "heads." not in k}
    bert.load_state_dict(weights, strict=False)
    tokenizer = AutoTokenizer.from_pretrained(base)
    logits = np.array([_quality_logits(bert, stored, tokenizer, about, *pair) for pair in pairs])
    reward = (logits[:, 0] - about["reward_mean"]) / about["reward_std"]
    yes = 1 / (1 + np.exp(-logits[:, 1:]))
    return dict(zip(QUALITY, [reward.tolist(), *yes.T.tolist()], strict=True))


def _quality_logits(
    bert: BertModel,
    heads: dict[str, torch.Tensor],
    tokenizer: Any,
    about: dict[str, Any],
    prompt: str,
    response: str,
) -> list[float]:
    asked, said = (
        tokenizer(t, add_special_tokens=False, verbose=False)["input_ids"]
        for t in (prompt, response)
    )
    space = about["max_length"] - 3
    cut = said[: max(about["response_room"], space - len(asked))]
    asked = asked[-(space - len(cut)) :] if len(asked) > space - len(cut) else asked
    first = [tokenizer.cls_token_id, *asked, tokenizer.sep_token_id]
    second = cut + [tokenizer.sep_token_id] * (len(cut) == len(said))
    types = torch.tensor([[0] * len(first) + [1] * len(second)])
    hidden = bert(input_ids=torch.tensor([first + second]), token_type_ids=types)
    [states] = hidden.last_hidden_state
    a = states[: len(first)].mean(0)
    b = states[len(first) :].mean(0)
    x = torch.cat([states[0], b, a * b, (a - b).abs(), states[-1]])
    x = torch.nn.functional.layer_norm(x, x.shape, heads["heads.0.weight"], heads["heads.0.bias"])
    x = torch.nn.functional.gelu(heads["heads.1.weight"] @ x + heads["heads.1.bias"])
    return (heads["heads.3.weight"] @ x + heads["heads.3.bias"]).double().tolist()


def tiny_t5(folder: Path) -> Path:
    """A T5 with random weights, as the tests have it: the formula needs no trained one."""
    sys.path.append(str(ROOT / "tests"))
    from tiny_models import t5

    return t5(folder)


def yes_shares(folder: Path, pairs: Pairs) -> dict[str, list[float]]:
    """UniEval: P(yes) / (P(yes) + P(no)) from the softmax over the whole vocabulary.

    The first token that `generate` scores; questions as published, cut at 1024 tokens.
    """
    from transformers import AutoModelForSeq2SeqLM

    model = AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    yes, no = (tokenizer(word)["input_ids"][0] for word in ("Yes", "No"))

    def share(question: str) -> float:
        inputs = tokenizer(question, truncation=True, max_length=1024, return_tensors="pt")
        step = model.generate(
            input_ids=inputs["input_ids"],
            max_new_tokens=1,
            do_sample=False,
            output_logits=True,
            return_dict_in_generate=True,
        )
        probability = step.logits[0][0].double().softmax(0)
        return float(probability[yes] / (probability[yes] + probability[no]))

    end = "in the dialogue? </s> response: "
    return {
        "naturalness": [share(f"question: Is this a natural response {end}{r}") for _, r in pairs],
        "coherence": [
            share(
                "question: Is this a coherent response given the dialogue history? </s> "
                f"response: {r} </s> dialogue history: {p}"
            )
            for p, r in pairs
        ],
        "understandability": [
            share(f"question: Is this an understandable response {end}{r}") for _, r in pairs
        ],
    }
