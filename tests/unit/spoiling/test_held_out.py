"""Kinds of dirt that no model is trained on: each spoils, and repeats with its seed."""

import base64
import random

import pytest

from instructmining.spoiling.corruptions import ANSWERS
from instructmining.spoiling.held_out import HELD_OUT, KINDS
from instructmining.spoiling.material import Material, Sound

SOUND = Sound("p", "How does a café brew espresso?", "Hot water pressed through coffee. 日本")


@pytest.mark.parametrize("kind", HELD_OUT)
def test_a_kind_changes_the_response_and_repeats_with_its_seed(kind: str) -> None:
    material = Material([SOUND], "held_out")
    first, second = (HELD_OUT[kind](SOUND, material, random.Random(3)) for _ in range(2))
    assert first == second
    assert first
    assert first != SOUND.response


def test_base64_and_echo_hold_what_they_say() -> None:
    material = Material([SOUND], "held_out")
    encoded = HELD_OUT["base64"](SOUND, material, random.Random(0))
    assert base64.b64decode(encoded or "").decode() == SOUND.response
    assert HELD_OUT["echoed"](SOUND, material, random.Random(0)) == SOUND.prompt


def test_no_kind_of_dirt_is_both_trained_and_held_out() -> None:
    assert not set(HELD_OUT) & set(ANSWERS)
    assert set(KINDS) == set(HELD_OUT) | set(ANSWERS) - {"off_topic"}
