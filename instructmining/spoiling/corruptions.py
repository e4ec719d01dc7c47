"""Ways to spoil a good response that the embedded quality model is trained on.

Every corruption keeps the length of the true response where its nature allows: a model that only
counts words learns nothing from it. `dropped_words` and `truncated` are shorter by nature.
"""

import random
import string

from instructmining.spoiling.material import Corruption, Material, Spoilable

MINIMUM_WORDS = 6


def swapped(example: Spoilable, material: Material, generator: random.Random) -> str | None:
    """The answer to another prompt of the same pool."""
    other = material.of_like_length(example, generator, same_pool=True)
    return other.response if other else None


def off_topic(example: Spoilable, material: Material, generator: random.Random) -> str | None:
    """The answer to a prompt of another pool: another subject and another kind of task."""
    other = material.of_like_length(example, generator, same_pool=False)
    return other.response if other else None


def shuffled(example: Spoilable, material: Material, generator: random.Random) -> str | None:
    """The same words in random order."""
    words = example.response.split()
    generator.shuffle(words)
    return _if_long(example, " ".join(words))


def dropped_words(example: Spoilable, material: Material, generator: random.Random) -> str | None:
    """A quarter to a half of the words left out."""
    words = example.response.split()
    share = generator.uniform(0.25, 0.5)
    return _if_long(example, " ".join(w for w in words if generator.random() > share))


def repeated(example: Spoilable, material: Material, generator: random.Random) -> str | None:
    """A run from the response said again and again, up to the length of the response."""
    words = example.response.split()
    run = generator.randint(2, max(2, len(words) // 3))
    start = generator.randint(0, max(0, len(words) // 3))
    loop = words[start : start + run]
    filled = words[:start] + loop * (len(words) // run + 1)
    return _if_long(example, " ".join(filled[: len(words)]))


def truncated(example: Spoilable, material: Material, generator: random.Random) -> str | None:
    """Broken off in the middle of a sentence, with 20 to 80 % of the words left."""
    words = example.response.split()
    beginning = words[: max(2, int(len(words) * generator.uniform(0.2, 0.8)))]
    text = " ".join(beginning).rstrip(string.punctuation + " ")
    return _if_long(example, text) if len(words) >= MINIMUM_WORDS + 2 else None


def wrong_language(example: Spoilable, material: Material, generator: random.Random) -> str | None:
    """Fluent sentences of another language, about as long."""
    wanted = max(4, len(example.response))
    words = ""
    while len(words) < wanted:
        words = f"{words} {generator.choice(material.foreign)[1]}".strip()
    return words[: max(wanted, 12)].strip()


def gibberish(example: Spoilable, material: Material, generator: random.Random) -> str | None:
    """Every word replaced by random letters or by its own letters in another order."""
    return _if_long(
        example, " ".join(_garbled(word, generator) for word in example.response.split())
    )


CORRUPTIONS: dict[str, Corruption] = {
    "swapped": swapped,
    "off_topic": off_topic,
    "shuffled": shuffled,
    "dropped_words": dropped_words,
    "repeated": repeated,
    "truncated": truncated,
    "wrong_language": wrong_language,
    "gibberish": gibberish,
}

# What the answer to each yes/no question is for a corrupted response; where a corruption says
# nothing about a question, or people would disagree, the question is not asked.
ANSWERS: dict[str, dict[str, float]] = {
    "swapped": {"naturalness": 1, "coherence": 0, "understandability": 1},
    "off_topic": {"naturalness": 1, "coherence": 0, "understandability": 1},
    "shuffled": {"naturalness": 0, "understandability": 0},
    "dropped_words": {"naturalness": 0, "understandability": 0},
    "repeated": {"naturalness": 0},
    "truncated": {},
    "wrong_language": {"naturalness": 0, "coherence": 0},
    "gibberish": {"naturalness": 0, "coherence": 0, "understandability": 0},
}


def _if_long(example: Spoilable, text: str) -> str | None:
    long = len(example.response.split()) >= MINIMUM_WORDS
    return text if long and text.strip() and text != example.response.strip() else None


def _garbled(word: str, generator: random.Random) -> str:
    if generator.random() < 0.5:
        return "".join(generator.sample(word, len(word)))
    return "".join(generator.choice(string.ascii_lowercase) for _ in word)
