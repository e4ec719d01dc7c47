"""Spoiled copies: an id decides the text, and says which real example and kind it is of."""

import pytest

from instructmining.spoiling.held_out import HELD_OUT
from instructmining.spoiling.spoiled_copies import (
    KINDS,
    Donors,
    copy_of,
    is_copy,
    kind_of,
    needed_for,
    real_of,
)

REAL = [f"{i:032x}" for i in range(40)]
WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


def conversation(i: int) -> list[dict[str, str]]:
    answer = " ".join(f"{word}{i}" for word in WORDS)
    return [{"role": "user", "content": f"質問 {i}"}, {"role": "assistant", "content": answer}]


TEXTS = {one: conversation(i) for i, one in enumerate(REAL)}


@pytest.mark.parametrize("kind", KINDS)
def test_an_id_is_enough_to_make_a_copy_again_from_its_own_examples_alone(kind):
    donors = Donors(TEXTS, dict.fromkeys(REAL, 0))
    identifier = donors.copy_id(kind, REAL[7])
    assert (kind_of(identifier), real_of(identifier)) == (kind, REAL[7])
    made = copy_of(identifier, TEXTS)
    assert made[:-1] == TEXTS[REAL[7]][:-1]
    assert made[-1]["role"] == "assistant"
    assert made[-1]["content"] != TEXTS[REAL[7]][-1]["content"]
    needed = {one: TEXTS[one] for one in needed_for(identifier)}
    assert copy_of(identifier, needed) == made
    assert (is_copy(identifier), is_copy(REAL[7])) == (True, False)
    assert (real_of(REAL[7]), needed_for(REAL[7])) == (REAL[7], [REAL[7]])


def test_an_answer_that_is_swapped_in_comes_from_the_same_group_and_stands_in_the_id():
    groups = {one: i % 2 for i, one in enumerate(REAL)}
    donors = Donors(TEXTS, groups)
    for one in REAL[:10]:
        identifier = donors.copy_id("swapped", one)
        _, real, other = identifier.split(":")
        assert groups[real] == groups[other]
        assert copy_of(identifier, TEXTS)[-1] == TEXTS[other][-1]
    assert Donors({REAL[0]: TEXTS[REAL[0]]}, {REAL[0]: 0}).copy_id("swapped", REAL[0]) is None


def test_no_kind_that_the_canary_keeps_for_itself_is_among_them():
    assert not set(KINDS) & set(HELD_OUT)
    assert "off_topic" not in KINDS


def test_a_text_that_cannot_be_spoiled_so_has_no_copy():
    short = {REAL[0]: [{"role": "user", "content": "?"}, {"role": "assistant", "content": "Yes."}]}
    open_end = {REAL[0]: TEXTS[REAL[0]][:1]}
    assert copy_of(f"shuffled:{REAL[0]}", short) is None
    assert copy_of(f"wrong_language:{REAL[0]}", short) is not None
    assert copy_of(f"shuffled:{REAL[0]}", open_end) is None
    assert copy_of(f"swapped:{REAL[0]}:{REAL[1]}", short) is None
