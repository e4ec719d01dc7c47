"""Pools with a known share of spoiled rows, made of a free data set that models did not learn."""

import json
import random
from collections.abc import Sequence
from pathlib import Path

from instructmining.identity import example_id, half
from instructmining.spoiling.held_out import KINDS
from instructmining.spoiling.material import Material
from training.data import Example, pool_examples, single_turn

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


def write_pool(
    examples: Sequence[Example], file: Path, rows: int, dirty: float, seed: int
) -> dict[str, int]:
    """A pool as JSON lines with the field `label`: `clean`, or the kind of dirt.

    Args:
        examples: to draw from; spoiled rows are made of others than the clean ones.
        file: to write.
        rows: of the pool.
        dirty: share of them that is spoiled, by all kinds of `DIRT` alike.
        seed: of the draw and of the dirt.

    Returns:
        Rows by label.
    """
    generator = random.Random(seed)  # noqa: S311 - a seed, not a secret
    drawn = generator.sample(list(examples), len(examples))
    material = Material(drawn, "held_out")
    of_each = round(rows * dirty / len(DIRT))
    clean = rows - of_each * len(DIRT)
    lines = [_line(example, example.response, CLEAN) for example in drawn[:clean]]
    others = iter(drawn[clean:])
    for kind in DIRT:
        made = 0
        while made < of_each:
            example = next(others)
            spoiled = KINDS[kind](example, material, generator)
            if spoiled:
                lines.append(_line(example, spoiled, kind))
                made += 1
    file.write_text("".join(lines), encoding="utf-8")
    return {CLEAN: clean, **dict.fromkeys(DIRT, of_each)}


def _line(example: Example, response: str, label: str) -> str:
    answer = {"role": "assistant", "content": response}
    return json.dumps({"messages": [*example.messages[:-1], answer], "label": label}) + "\n"
