"""Copies of real examples that are spoiled on purpose, with ids that decide their texts.

    KIND:example_id        swapped:example_id:example_id of the answer that it got

An id is enough to make the copy again from the real examples, on any machine. The kinds are those
that models may be trained on: the held-out ones are left to the canary.
"""

import random
from collections.abc import Mapping, Sequence
from functools import cache

from instructmining.spoiling.corruptions import CORRUPTIONS
from instructmining.spoiling.material import Material, Sound

Turns = Sequence[Mapping[str, str]]
# A pool of the user's has one name, so that no answer is off topic by coming from another.
KINDS = tuple(kind for kind in CORRUPTIONS if kind != "off_topic")
_SWAPPED = "swapped"


def is_copy(identifier: str) -> bool:
    """Whether it is the id of a spoiled copy; ids of examples are hexadecimal digits."""
    return ":" in identifier


def kind_of(identifier: str) -> str:
    """The kind of dirt of a copy."""
    return identifier.split(":")[0]


def real_of(identifier: str) -> str:
    """The real example of a copy; of a real one its own id."""
    return identifier.split(":")[1] if is_copy(identifier) else identifier


def needed_for(identifier: str) -> list[str]:
    """The examples whose texts a copy is made of; of a real one its own id."""
    return identifier.split(":")[1:] if is_copy(identifier) else [identifier]


def copy_of(identifier: str, texts: Mapping[str, Turns]) -> list[dict[str, str]] | None:
    """The turns of a copy, the same for the same id; None where this text cannot be spoiled so.

    Args:
        identifier: of the copy.
        texts: turns by example id, of all in `needed_for`.
    """
    kind, *needed = identifier.split(":")
    if any(not _answered(texts.get(one, ())) for one in needed):
        return None
    turns = [{"role": turn["role"], "content": turn["content"]} for turn in texts[needed[0]]]
    if kind == _SWAPPED:
        response: str | None = texts[needed[1]][-1]["content"]
    else:
        generator = random.Random(f"{kind} {needed[0]}")  # noqa: S311 - not a secret
        sound = Sound("", "", turns[-1]["content"])
        response = CORRUPTIONS[kind](sound, _material(), generator)
    if response is None or response.strip() == turns[-1]["content"].strip():
        return None
    return [*turns[:-1], {"role": "assistant", "content": response}]


class Donors:
    """Answers of like length that an example may get in place of its own.

    Args:
        texts: turns by example id.
        groups: by example id; an answer comes from an example of the same group.
    """

    def __init__(self, texts: Mapping[str, Turns], groups: Mapping[str, int]):
        self.sounds = {
            one: Sound(str(groups[one]), "", turns[-1]["content"])
            for one, turns in sorted(texts.items())
            if one in groups and _answered(turns)
        }
        self.names = {id(sound): one for one, sound in self.sounds.items()}
        self.material = Material(list(self.sounds.values()), "train")

    def copy_id(self, kind: str, example_id: str) -> str | None:
        """The id of a copy of this kind; None where no other answer is of like length."""
        if kind != _SWAPPED:
            return f"{kind}:{example_id}"
        if example_id not in self.sounds:
            return None
        generator = random.Random(f"{kind} {example_id}")  # noqa: S311 - not a secret
        other = self.material.of_like_length(self.sounds[example_id], generator, same_pool=True)
        return None if other is None else f"{kind}:{example_id}:{self.names[id(other)]}"


def _answered(turns: Turns) -> bool:
    return bool(turns) and turns[-1]["role"] == "assistant" and bool(turns[-1]["content"].strip())


@cache
def _material() -> Material:
    """Texts of other languages than those of the canary, and no other answers."""
    return Material([], "train")
