"""Freely licensed preference pairs, split by prompt, debate or question, never by row."""

import hashlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from instructmining.identity import example_id, half
from training.data import Messages, open_allowed, single_turn

# One arena question is also one of the Arena-Hard v0.1 evaluation prompts; it is left out here.
EVALUATION_QUESTIONS = {"80654f6d5b8847c0a833c9e5e93f7943"}
HELD_OUT_SHARE = 0.3


@dataclass(frozen=True)
class Preference:
    """Two replies to one history; people, or a judge model, preferred the first.

    Attributes:
        source: name of the set.
        cluster: what the split and the bootstrap draw as one.
        held_out: never trained on.
    """

    source: str
    cluster: str
    held_out: bool
    history: Messages
    chosen: str
    rejected: str


@cache
def preferences(data: Path) -> tuple[Preference, ...]:
    """Every usable pair of every set; equal replies are left out."""
    return tuple(
        pair
        for read in SETS.values()
        for pair in read(data)
        if pair.chosen.strip() and pair.rejected.strip() and pair.chosen != pair.rejected
    )


def subsample(pairs: list[Preference], per_cluster: int, seed: int) -> list[Preference]:
    """At most `per_cluster` random pairs of each cluster, so that no prompt outweighs others."""
    clusters: dict[tuple[str, str], list[Preference]] = {}
    for pair in pairs:
        clusters.setdefault((pair.source, pair.cluster), []).append(pair)
    generator = random.Random(seed)
    return [
        pair
        for members in clusters.values()
        for pair in generator.sample(members, min(per_cluster, len(members)))
    ]


def _pair(source: str, cluster: str, history: Messages, chosen: str, rejected: str) -> Preference:
    first = hashlib.sha256(f"{source}\n{cluster}".encode()).digest()[0]
    return Preference(source, cluster, first < HELD_OUT_SHARE * 256, history, chosen, rejected)


def _hh(name: str) -> Callable[[Path], Iterator[Preference]]:
    def read(data: Path) -> Iterator[Preference]:
        for record in open_allowed(data, f"preference/{name}_base.jsonl.gz"):
            chosen, rejected = (_transcript(record[k]) for k in ("chosen", "rejected"))
            if chosen[:-1] == rejected[:-1] and chosen[-1]["role"] == "assistant":
                opening = chosen[0]["content"].casefold()
                yield _pair(
                    name, opening, chosen[:-1], chosen[-1]["content"], rejected[-1]["content"]
                )

    return read


def _transcript(text: str) -> Messages:
    messages: Messages = []
    for turn in text.split("\n\nHuman: ")[1:]:
        question, *answers = turn.split("\n\nAssistant: ")
        messages.append({"role": "user", "content": question.strip()})
        messages += [{"role": "assistant", "content": a.strip()} for a in answers]
    return messages


def _arena(data: Path) -> Iterator[Preference]:
    rated = open_allowed(data, "preference/arena_bench_v1_rated.jsonl.gz")
    replies = {(r["question_id"], r["model"]): r for r in rated}
    for record in open_allowed(data, "preference/arena_bench_v1_pairs.jsonl.gz"):
        question = record["question_id"]
        if question not in EVALUATION_QUESTIONS:
            chosen, rejected = (
                replies[question, record[f"{k}_model"]] for k in ("chosen", "rejected")
            )
            history = [{"role": "user", "content": chosen["prompt"]}]
            yield _pair("arena", question, history, chosen["response"], rejected["response"])


def _ukp(data: Path) -> Iterator[Preference]:
    for record in open_allowed(data, "preference/ukp_convarg1_strict.jsonl.gz"):
        debate = record["prompt"].partition(" Stance:")[0]
        history = [{"role": "user", "content": record["prompt"]}]
        yield _pair("ukp_convarg", debate, history, record["chosen"], record["rejected"])


def _fine_grained(data: Path) -> Iterator[Preference]:
    for record in open_allowed(data, "preference/fine_grained_qa.jsonl.gz"):
        history = single_turn(record["instruction"], record["input"], "")[:1]
        cluster = record["instruction"].casefold().strip()
        yield _pair("fine_grained_qa", cluster, history, record["chosen"], record["rejected"])


def _politeness(data: Path) -> Iterator[Preference]:
    """The same rows as the pool `instruction_data`, so the halves of that pool split it."""
    for record in open_allowed(data, "preference/instruction-data-with-preference.json"):
        messages = single_turn(record["instruction"], record["input"], record["output"])
        identifier = example_id(messages)
        yield Preference(
            "politeness",
            identifier,
            half(identifier) == 1,
            messages[:1],
            record["chosen"],
            record["rejected"],
        )


SETS: dict[str, Callable[[Path], Iterator[Preference]]] = {
    "hh_helpful": _hh("hh_helpful"),
    "hh_harmless": _hh("hh_harmless"),
    "arena": _arena,
    "ukp_convarg": _ukp,
    "fine_grained_qa": _fine_grained,
    "politeness": _politeness,
}

LICENCES: dict[str, Any] = {
    "hh_helpful": ("preference/hh_helpful_base.jsonl.gz", "MIT", "© 2022 Anthropic"),
    "hh_harmless": ("preference/hh_harmless_base.jsonl.gz", "MIT", "© 2022 Anthropic"),
    "arena": (
        "preference/arena_bench_v1_{rated,pairs}.jsonl.gz",
        "Apache-2.0",
        "lm-sys/arena-hard-auto; replies are outputs of the models named in the file",
    ),
    "ukp_convarg": (
        "preference/ukp_convarg1_strict.jsonl.gz",
        "CC BY 4.0",
        "Habernal and Gurevych, UKP Lab, TU Darmstadt",
    ),
    "fine_grained_qa": (
        "preference/fine_grained_qa.jsonl.gz",
        "Apache-2.0",
        "allenai/FineGrainedRLHF; passages from Wikipedia, CC BY-SA",
    ),
    "politeness": (
        "preference/instruction-data-with-preference.json",
        "Apache-2.0",
        "© Sebastian Raschka",
    ),
}
