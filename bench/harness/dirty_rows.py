"""Pools with a known share of spoiled rows, made of a free data set that models did not learn."""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from instructmining.identity import example_id, half
from instructmining.spoiling.held_out import KINDS
from instructmining.spoiling.material import Material
from training.data import Example, Messages, pool_examples, single_turn

CLEAN = "clean"
# Four that the quality model trains on, two that resemble its gibberish, four unlike any of them.
DIRT = (
    "swapped",
    "truncated",
    "shuffled",
    "repeated",
    "noise",
    "base64",
    "html",
    "spam",
    "echoed",
    "placeholder",
)


def sound_examples(data: Path, source: str) -> list[Example]:
    """The usable examples of `dolly` or `alpaca` in half 1, which no embedded model trained on."""
    if source == "dolly":
        return [e for e in pool_examples(data, source) if half(e.identifier) == 1]
    records = json.loads((data / "instruct/alpaca_data.json").read_text(encoding="utf-8"))
    turns = [single_turn(r["instruction"], r["input"], r["output"]) for r in records]
    made = (Example(source, example_id(messages), messages) for messages in turns)
    distinct = {e.identifier: e for e in made if e.response.strip() and half(e.identifier) == 1}
    return list(distinct.values())


@dataclass(frozen=True)
class Draw:
    """A random order of the examples, cut into what a pool and its evaluation are made of.

    Attributes:
        clean: rows of pools.
        spare: what spoiled rows are made of.
        held_out: in no pool, to measure on.
    """

    clean: Sequence[Example]
    spare: Sequence[Example]
    held_out: Sequence[Example]


def draw(examples: Sequence[Example], rows: int, held_out: int, seed: int) -> Draw:
    """Cut the examples in a random order: the first `rows`, the last `held_out`, and the rest."""
    drawn = random.Random(seed).sample(list(examples), len(examples))  # noqa: S311 - no secret
    last = len(drawn) - held_out
    return Draw(drawn[:rows], drawn[rows:last], drawn[last:])


def write_pool(drawn: Draw, file: Path, dirty: float, seed: int) -> dict[str, int]:
    """A pool as JSON lines with the field `label`: `clean`, or the kind of dirt.

    A pool of more dirt holds all the dirt of one of less, and a part of its clean rows, so that
    rows are measured once for several shares. Spoiled rows are of half 1, as the clean ones are.

    Args:
        drawn: of `draw`; the pool has as many rows as it has clean ones.
        file: to write.
        dirty: share of the rows that is spoiled, by all kinds of `DIRT` alike.
        seed: of the dirt.

    Returns:
        Rows by label.
    """
    material = Material([*drawn.clean, *drawn.spare], "held_out")
    of_each = round(len(drawn.clean) * dirty / len(DIRT))
    clean = len(drawn.clean) - of_each * len(DIRT)
    lines = [_line(example.messages, CLEAN) for example in drawn.clean[:clean]]
    for place, kind in enumerate(DIRT):
        made = _spoiled(drawn.spare[place :: len(DIRT)], kind, material, seed)
        lines += [_line(messages, kind) for messages in islice(made, of_each)]
    file.write_text("".join(lines), encoding="utf-8")
    return {CLEAN: clean, **dict.fromkeys(DIRT, of_each)}


def write_held_out(drawn: Draw, file: Path) -> None:
    """The examples that are in no pool, as JSON lines."""
    lines = [_line(example.messages, CLEAN) for example in drawn.held_out]
    file.write_text("".join(lines), encoding="utf-8")


def write_sample(file: Path, to: Path, count: int, seed: int) -> None:
    """Some of the records of JSON lines, in a random order."""
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    drawn = random.Random(seed).sample(lines, min(count, len(lines)))  # noqa: S311 - no secret
    to.write_text("".join(drawn), encoding="utf-8")


def _spoiled(
    examples: Sequence[Example], kind: str, material: Material, seed: int
) -> Iterator[Messages]:
    generator = random.Random(f"{seed} {kind}")  # noqa: S311 - a seed, not a secret
    for example in examples:
        response = KINDS[kind](example, material, generator)
        answer = {"role": "assistant", "content": response or ""}
        messages = [*example.messages[:-1], answer]
        if response and half(example_id(messages)) == 1:
            yield messages


def _line(messages: Messages, label: str) -> str:
    return json.dumps({"messages": messages, "label": label}) + "\n"
