"""Held-out figures of the quality model, measured through the scorer that `score` uses."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from instructmining.models.lists import locate
from instructmining.spoiling.corruptions import ANSWERS, CORRUPTIONS
from instructmining.spoiling.material import Material
from training.data import Example, half_examples
from training.pairs import at_random_turn
from training.preferences import SETS, Preference, preferences, subsample
from training.quality import BASE, SPEC
from training.statistics import accuracy, auc, wins
from udfs.indicators.quality import QualityScorer
from udfs.running.device import choose_device, resolve_dtype
from udfs.running.measurement import Runtime

Values = dict[str, NDArray[np.float64]]
Measure = Callable[[Sequence[Any]], Values]
PER_CLUSTER = {
    "hh_helpful": 4,
    "hh_harmless": 4,
    "arena": 6,
    "ukp_convarg": 100,
    "fine_grained_qa": 3,
    "politeness": 1,
}
EASY = "politeness"  # its label is tone: reported, not in the macro
POOLS = ("dolly", "gpteacher_codegen", "gpteacher_roleplay", "sgd")


def measure_with(folder: Path) -> Measure:
    """The shipped scorer over a model folder, on the device and in the precision it would pick."""
    device = choose_device()
    dtype = resolve_dtype("auto", device)
    scorer = QualityScorer(SPEC, Runtime(str(folder), str(locate(BASE)), device, dtype))
    return lambda conversations: scorer.measure(conversations).values


def human_figures(
    data: Path, measure: Measure, share: float = 1.0, seed: int = 1
) -> dict[str, Any]:
    """Accuracy per preference set, beside the two length rules, and where lengths are alike.

    Per set a few pairs of each prompt, so that no prompt decides; of like length all there are,
    because they are few. `share` of both, for quick comparisons.
    """
    held_out = [p for p in preferences(data) if p.held_out]
    drawn = [
        p
        for s, n in PER_CLUSTER.items()
        for p in subsample([q for q in held_out if q.source == s], max(1, int(n * share)), seed)
    ]
    chosen_ids = {id(p) for p in drawn}
    alike = [p for p in held_out if p.source != EASY and _alike(p) and id(p) not in chosen_ids]
    pairs = drawn + random.Random(seed).sample(alike, int(len(alike) * share))
    usual = np.arange(len(pairs)) < len(drawn)
    chosen = measure([_conversation(p, p.chosen) for p in pairs])["reward"]
    rejected = measure([_conversation(p, p.rejected) for p in pairs])["reward"]
    won = wins(chosen, rejected)
    words = np.array([[len(p.chosen.split()), len(p.rejected.split())] for p in pairs])
    longer = wins(words[:, 0], words[:, 1])
    matched = np.array([_alike(p) for p in pairs])
    source = np.array([p.source for p in pairs])
    clusters = np.array([p.cluster for p in pairs], dtype=object)
    figures_of_sets: dict[str, Any] = {}
    for name in SETS:
        own = (source == name) & usual
        of_set = source == name
        figures_of_sets[name] = accuracy(won[own], clusters[own]) | {
            "longest": round(float(longer[own].mean()), 4),
            "shortest": round(float(1 - longer[own].mean()), 4),
            "length_matched": accuracy(won[of_set & matched], clusters[of_set & matched]),
        }
    real = matched & (source != EASY)
    sets = [figures for name, figures in figures_of_sets.items() if name != EASY]
    macro = {
        k: round(float(np.mean([f[k] for f in sets])), 4)
        for k in ("accuracy", "longest", "shortest")
    }
    return {
        "sets": figures_of_sets,
        "macro_without_politeness": macro,
        "length_matched_pooled": accuracy(won[real], clusters[real]),
    }


def _alike(pair: Preference) -> bool:
    """Whether the word counts differ by less than 10 %."""
    longer, shorter = sorted((len(pair.chosen.split()), len(pair.rejected.split())), reverse=True)
    return longer - shorter < 0.1 * longer


def corruption_figures(data: Path, measure: Measure, count: int, seed: int = 1) -> dict[str, Any]:
    """Per corruption: how often the reward prefers the true response, and AUC of each question.

    `length_matched` keeps the pairs whose word counts differ by less than 10 %; where a corruption
    is shorter by nature, there are none.
    """
    generator = random.Random(seed)
    examples = [at_random_turn(e, generator) for e in half_examples(data, 1) if e.pool in POOLS]
    material = Material(examples, "held_out")
    drawn = [
        generator.choice([e for e in examples if e.pool == pool])
        for pool in generator.choices(POOLS, (0.6, 0.1, 0.1, 0.2), k=count)
    ]
    true = measure([e.messages for e in drawn])
    figures = {}
    for name, corrupt in CORRUPTIONS.items():
        spoiled = [corrupt(e, material, generator) for e in drawn]
        rows = np.array([i for i, text in enumerate(spoiled) if text])
        bad = measure(
            [[*drawn[i].messages[:-1], {"role": "assistant", "content": spoiled[i]}] for i in rows]
        )
        good = {key: values[rows] for key, values in true.items()}
        figures[name] = _corruption(
            [drawn[i] for i in rows], [spoiled[i] or "" for i in rows], good, bad, name
        )
    return figures


def _corruption(
    drawn: list[Example], spoiled: list[str], good: Values, bad: Values, name: str
) -> dict[str, Any]:
    won = wins(good["reward"], bad["reward"])
    clusters = np.array([e.identifier for e in drawn], dtype=object)
    before = np.array([len(e.response.split()) for e in drawn])
    after = np.array([len(text.split()) for text in spoiled])
    matched = np.abs(before - after) < 0.1 * np.maximum(before, after)
    alike = accuracy(won[matched], clusters[matched]) if matched.sum() >= 30 else None
    asked = [question for question, answer in ANSWERS[name].items() if answer == 0]
    return {
        "reward": accuracy(won, clusters),
        "reward_length_matched": alike,
        "auc": {question: auc(good[question], bad[question]) for question in asked},
    }


def _conversation(pair: Preference, reply: str) -> list[dict[str, str]]:
    return [*pair.history, {"role": "assistant", "content": reply}]
