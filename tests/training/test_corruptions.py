"""Corruptions on examples written here; no data folder and no model."""

import random

import pytest

from instructmining.spoiling.corruptions import ANSWERS, CORRUPTIONS
from instructmining.spoiling.material import Material
from training.data import Example, single_turn
from training.pairs import CORRUPTION_SHARES, POOL_SHARES

ANSWER = "The quick brown fox jumps over the lazy dog, then it walks slowly back to its den."
OTHER = "Boil the rice for twelve minutes, drain it well, and serve it with butter and herbs."
REVERSED = " ".join([*reversed(ANSWER.split()), "again"])


@pytest.fixture
def drawn():
    examples = [
        Example("a", "1", single_turn("Tell me about a fox.", "", ANSWER)),
        Example("a", "2", single_turn("How is rice cooked?", "", OTHER)),
        Example("b", "3", single_turn("Say something.", "", REVERSED)),
    ]
    return examples[0], Material(examples, "train")


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_every_corruption_changes_the_response_and_repeats_with_its_seed(name, drawn):
    first, second = (CORRUPTIONS[name](*drawn, random.Random(7)) for _ in range(2))
    assert first == second
    assert first
    assert first != ANSWER


def test_a_swapped_response_is_of_the_same_pool_and_an_off_topic_one_is_not(drawn):
    assert CORRUPTIONS["swapped"](*drawn, random.Random(0)) == OTHER
    assert CORRUPTIONS["off_topic"](*drawn, random.Random(0)) == REVERSED


@pytest.mark.parametrize("name", ["shuffled", "repeated", "gibberish"])
def test_corruptions_that_can_keep_the_number_of_words_do(name, drawn):
    assert len(CORRUPTIONS[name](*drawn, random.Random(1)).split()) == len(ANSWER.split())


def test_shuffling_keeps_the_words(drawn):
    assert sorted(CORRUPTIONS["shuffled"](*drawn, random.Random(1)).split()) == sorted(
        ANSWER.split()
    )


def test_a_truncated_response_is_a_beginning_without_its_full_stop(drawn):
    cut = CORRUPTIONS["truncated"](*drawn, random.Random(1))
    assert ANSWER.startswith(cut)
    assert cut[-1].isalnum()


def test_too_short_a_response_cannot_be_shuffled(drawn):
    short = Example("a", "4", single_turn("Capital of France?", "", "It is Paris."))
    assert CORRUPTIONS["shuffled"](short, drawn[1], random.Random(0)) is None


def test_every_corruption_has_answers_and_a_share():
    assert set(ANSWERS) == set(CORRUPTIONS) == set(CORRUPTION_SHARES)
    assert sum(CORRUPTION_SHARES.values()) == pytest.approx(1)
    assert sum(POOL_SHARES.values()) == pytest.approx(1)
