"""Kinds of dirt that no embedded model is trained on, and all kinds that a pool is tested with."""

import base64 as base64_codec
import random

from instructmining.spoiling.corruptions import CORRUPTIONS
from instructmining.spoiling.material import Corruption, Material, Spoilable

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_NOISE = 0.25  # share of the characters that are hit
_MENU = ("Home", "Shop", "About us", "Contact", "Careers", "Sign in", "Newsletter", "Imprint")
_PLACEHOLDERS = (
    "N/A",
    "TODO",
    "[insert answer here]",
    "Lorem ipsum dolor sit amet, consectetur adipiscing elit.",
    "As an AI language model, I am not able to answer this question.",
    "I'm sorry, but I cannot help with that.",
    "null",
    "...",
)
_ADS = (
    "Buy cheap {a} online! Best {a} deals {n} % OFF, free shipping worldwide.",
    "Top 10 {a} reviews: click here for {b} discount codes >>> www.best-{a}-offers.example <<<",
    "{a} {b} {a} price, {a} near me, {b} coupon, best {a} 20{n}, order {a} now.",
    "Limited offer!!! Subscribe today and win a free {b}. Call 1-800-{n}{n}{n} for {a}.",
    "You will not believe what this {a} trick does. Doctors hate it. Visit our {b} store!",
)


def html(example: Spoilable, material: Material, generator: random.Random) -> str | None:
    """What is left of a web page: menu, banner and footer around the first words."""
    menu = generator.sample(_MENU, 5)
    items = "".join(
        f'<li class="nav-item"><a href="/{i}">{name}</a></li>' for i, name in enumerate(menu)
    )
    words = example.response.split()
    opening = " ".join(words[: max(3, len(words) // 3)])
    return (
        f'<div id="header"><ul class="nav">{items}</ul></div><div class="cookie-banner">We use '
        "cookies to improve your experience. <button>Accept all</button> <button>Settings</button>"
        f'</div><div class="content"><p>{opening}</p><a class="more" href="#">Read more</a></div>'
        '<footer>&copy; 2021 All rights reserved. <a href="/privacy">Privacy</a></footer>'
    )


def spam(example: Spoilable, material: Material, generator: random.Random) -> str | None:
    """Advertising made of words of the prompt, about as long as the response."""
    words = [word.strip(".,?!:;\"'()") for word in example.prompt.split()]
    subjects = [word.lower() for word in words if len(word) > 4] or ["product"]
    text = ""
    while len(text) < max(80, len(example.response)):
        a, b = generator.choice(subjects), generator.choice(subjects)
        ad = generator.choice(_ADS).format(a=a, b=b, n=generator.randint(20, 90))
        text = f"{text} {ad}".strip()
    return text


def noise(example: Spoilable, material: Material, generator: random.Random) -> str | None:
    """Typing errors, and characters read in the wrong encoding."""
    text = "".join(_mistyped(character, generator) for character in example.response)
    return text if text.strip() and text != example.response else None


def echoed(example: Spoilable, material: Material, generator: random.Random) -> str | None:
    """The prompt said again."""
    return example.prompt if example.prompt.strip() != example.response.strip() else None


def placeholder(example: Spoilable, material: Material, generator: random.Random) -> str | None:
    """What stands where an answer is missing."""
    return generator.choice(_PLACEHOLDERS)


def base64(example: Spoilable, material: Material, generator: random.Random) -> str | None:
    """The response in base 64."""
    return base64_codec.b64encode(example.response.encode("utf-8", "replace")).decode("ascii")


HELD_OUT: dict[str, Corruption] = {
    "html": html,
    "spam": spam,
    "noise": noise,
    "echoed": echoed,
    "placeholder": placeholder,
    "base64": base64,
}
# A pool of the user's has one name, so that no answer is off topic by coming from another.
KINDS: dict[str, Corruption] = {
    **{name: spoil for name, spoil in CORRUPTIONS.items() if name != "off_topic"},
    **HELD_OUT,
}


def _mistyped(character: str, generator: random.Random) -> str:
    if generator.random() > _NOISE:
        return character
    letter = generator.choice(_LETTERS)
    wrong = ("", character * 2, letter, f"{letter}{character}", "â€™", "Ã©", "\ufffd")
    return generator.choice(wrong)
