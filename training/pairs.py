"""What the quality model learns from: pairs of replies, tokenised, with their yes/no answers."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from instructmining.spoiling.corruptions import ANSWERS, CORRUPTIONS
from instructmining.spoiling.material import Material
from training.data import Example, half_examples
from training.preferences import preferences, subsample
from udfs.indicators.quality_model import HEADS, pair
from udfs.running.batching import pad, token_batches
from udfs.texts.conversations import last_reply

QUESTIONS = HEADS[1:]
# Shares of the pools among the corrupted examples: variety counts, not the size of a file.
POOL_SHARES = {
    "dolly": 0.5,
    "gpteacher_codegen": 0.08,
    "gpteacher_roleplay": 0.1,
    "cot_ecqa": 0.07,
    "cot_sensemaking": 0.04,
    "instruction_data": 0.04,
    "self_instruct_seed": 0.01,
    "sgd": 0.16,
}
# The hard ones more often than the easy ones.
CORRUPTION_SHARES = {
    "swapped": 0.28,
    "off_topic": 0.1,
    "shuffled": 0.12,
    "dropped_words": 0.12,
    "repeated": 0.12,
    "truncated": 0.14,
    "wrong_language": 0.08,
    "gibberish": 0.04,
}
PER_CLUSTER = {
    "hh_helpful": 4,
    "hh_harmless": 4,
    "arena": 8,
    "ukp_convarg": 240,
    "fine_grained_qa": 3,
    "politeness": 1,
}


@dataclass(frozen=True)
class TextPair:
    """Two replies to one history; `answers` are the yes/no answers of the second, 1 for the first.

    For human preferences nothing is asked (`answers` empty): a rejected reply may well be natural.
    """

    source: str
    history: str
    better: str
    worse: str
    answers: dict[str, float]


class TokenPair(NamedTuple):
    """Ids and types of both sequences, and float32[2, 3] answers with NaN where none is asked."""

    better: Any
    worse: Any
    answers: Any


def human_pairs(data: Path, sources: Iterable[str], seed: int) -> list[TextPair]:
    """Training pairs of the named preference sets, subsampled per prompt or debate."""
    pairs = []
    for source in sources:
        preferred = [p for p in preferences(data) if p.source == source and not p.held_out]
        for preference in subsample(preferred, PER_CLUSTER[source], seed):
            history = "\n".join(m["content"] for m in preference.history)
            pairs.append(TextPair(source, history, preference.chosen, preference.rejected, {}))
    return pairs


def corrupted_pairs(data: Path, count: int, seed: int) -> list[TextPair]:
    """`count` examples of half 0, each against a spoiled version of its own response."""
    generator = random.Random(seed)
    examples = [at_random_turn(e, generator) for e in half_examples(data, 0)]
    material = Material(examples, "train")
    pools: dict[str, list[Example]] = {}
    for example in examples:
        pools.setdefault(example.pool, []).append(example)
    pairs: list[TextPair] = []
    while len(pairs) < count:
        example = generator.choice(pools[_draw(POOL_SHARES, generator)])
        name = _draw(CORRUPTION_SHARES, generator)
        worse = CORRUPTIONS[name](example, material, generator)
        if worse:
            history, better = last_reply(example.messages)
            pairs.append(TextPair(name, history, better, worse, ANSWERS[name]))
    return pairs + _foreign_pairs(material, max(1, count // 50), generator)


def at_random_turn(example: Example, generator: random.Random) -> Example:
    """A multi-turn conversation ends at a random assistant turn: the last is mostly a farewell."""
    turns = [i for i, m in enumerate(example.messages) if m["role"] == "assistant" and i]
    end = generator.choice(turns) if turns else len(example.messages) - 1
    return Example(example.pool, example.identifier, example.messages[: end + 1])


def tokenize(pairs: list[TextPair], tokenizer: Any, config: dict[str, Any]) -> list[TokenPair]:
    """Cut and tokenise as the scorer does."""
    texts = [text for p in pairs for text in (p.history, p.better, p.worse)]
    ids = iter(tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"])
    tokens = []
    for each in pairs:
        history = next(ids)
        better = next(ids)
        worse = next(ids)
        answers = np.full((2, len(QUESTIONS)), np.nan, dtype=np.float32)
        for question, answer in each.answers.items():
            answers[:, QUESTIONS.index(question)] = (1.0, answer)
        tokens.append(
            TokenPair(pair(history, better, config), pair(history, worse, config), answers)
        )
    return tokens


def batches(
    pairs: list[TokenPair], token_budget: int, generator: random.Random
) -> Iterator[tuple[torch.Tensor, ...]]:
    """(ids, types, mask, answers) in random order; the better halves first, then the worse."""
    lengths = [max(len(p.better.ids), len(p.worse.ids)) for p in pairs]
    groups = list(token_batches([2 * n for n in lengths], token_budget))
    generator.shuffle(groups)
    for rows in groups:
        sequences = [pairs[i].better for i in rows] + [pairs[i].worse for i in rows]
        ids, mask = pad([s.ids for s in sequences], 0)
        types, _ = pad([s.types for s in sequences], 0)
        answers = np.concatenate([np.stack([pairs[i].answers[k] for i in rows]) for k in (0, 1)])
        yield tuple(torch.from_numpy(array) for array in (ids, types, mask, answers))


def _foreign_pairs(material: Material, count: int, generator: random.Random) -> list[TextPair]:
    """A question in another language is rightly answered in it: its answer against English."""
    pairs = []
    for _ in range(count):
        question, answer = generator.choice(material.foreign)
        other = generator.choice(material.examples).response[: max(40, len(answer))]
        answers = {"coherence": 0.0, "naturalness": 0.0}
        pairs.append(TextPair("foreign_question", question, answer, other, answers))
    return pairs


def _draw(shares: dict[str, float], generator: random.Random) -> str:
    return generator.choices(list(shares), list(shares.values()))[0]
