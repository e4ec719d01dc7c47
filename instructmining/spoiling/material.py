"""What corruptions draw from: the example itself, other responses, texts in other languages."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import yaml

from instructmining.packaged import conf_folder

_FARTHEST = 400  # places in the order of lengths within which a response of like length is sought
_TRIES = 200


class Spoilable(Protocol):
    """What a corruption reads of an example."""

    @property
    def pool(self) -> str:
        """Where it came from: another pool is another subject and kind of task."""

    @property
    def prompt(self) -> str:
        """Everything before the response."""

    @property
    def response(self) -> str:
        """The last assistant turn."""


@dataclass(frozen=True)
class Sound:
    """An example as it came, before anything is spoiled."""

    pool: str
    prompt: str
    response: str


class Material:
    """Other responses by length, and texts in other languages.

    Args:
        examples: to draw from.
        languages: `train` or `held_out`, the two parts of conf/languages.yml.
    """

    def __init__(self, examples: Sequence[Spoilable], languages: str):
        self.examples = sorted(examples, key=lambda e: len(e.response.split()))
        self.position = {id(e): i for i, e in enumerate(self.examples)}
        self.foreign = [tuple(pair) for pairs in _languages()[languages].values() for pair in pairs]

    def of_like_length(
        self, example: Spoilable, generator: random.Random, same_pool: bool
    ) -> Spoilable | None:
        """Another example whose response has within 10 % (or 2 words) as many words."""
        words = len(example.response.split())
        here = self.position[id(example)]
        last = len(self.examples) - 1
        for _ in range(_TRIES):
            place = here + generator.randint(-_FARTHEST, _FARTHEST)
            other = self.examples[max(0, min(last, place))]
            near = abs(len(other.response.split()) - words) <= max(2, words // 10)
            fits = (other.pool == example.pool) == same_pool
            if near and fits and other.response.strip() != example.response.strip():
                return other
        return None


Corruption = Callable[[Spoilable, Material, random.Random], str | None]


def _languages() -> dict[str, dict[str, list[list[str]]]]:
    text = (conf_folder() / "languages.yml").read_text(encoding="utf-8")
    loaded: dict[str, dict[str, list[list[str]]]] = yaml.safe_load(text)
    return loaded
