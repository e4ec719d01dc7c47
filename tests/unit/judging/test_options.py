"""Options of a question, and the one that its reference names."""

import pytest

from instructmining.judging.options import choice_of

LETTERS = "Where does rice grow?\nA) on dry rock\nB) in wet fields\nC) under ice"
LISTED = "What may follow unwanted flirting?\\nOptions:\\n- attraction\\n- being slapped\\n- a fine"


@pytest.mark.parametrize(
    ("question", "reference", "replies", "right"),
    [
        (LETTERS, "B", ("A", "B", "C"), 1),
        (LETTERS, "The answer is (c).", ("A", "B", "C"), 2),
        (LETTERS, "B) in wet fields", ("on dry rock", "in wet fields", "under ice"), 1),
        (LETTERS, "In the wet fields", ("on dry rock", "in wet fields", "under ice"), 1),
        (LETTERS, "Water is needed.\n#### A", ("A", "B", "C"), 0),
        (LISTED, "So, the answer is being slapped.", ("attraction", "being slapped", "a fine"), 1),
        ("Add.\n1. two\n2. three", "2", ("1", "2"), 1),
        ("Pick.\n(a) c\n(b) a", "c", ("c", "a"), 0),  # the text of an option before a label
    ],
)
def test_the_reference_names_an_option(question, reference, replies, right):
    assert choice_of(question, reference) == (replies, right)


@pytest.mark.parametrize(
    ("question", "reference"),
    [
        ("Where does rice grow?", "B"),  # no options
        ("Steps:\nA) wash it", "A"),  # one
        (LETTERS, "D"),  # none of them
        ("Which?\nOptions:\n- cat\n- dog", "a cat and a dog"),  # two, as long
        ("Notes\nB) second\nC) third", "B"),  # labels that do not begin at the beginning
    ],
)
def test_nothing_is_guessed(question, reference):
    assert choice_of(question, reference) is None


def test_a_choice_is_the_same_for_its_own_right_reply():
    for question, reference in ((LETTERS, "The answer is B"), (LISTED, "a fine")):
        choice = choice_of(question, reference)
        assert choice is not None
        assert choice_of(question, choice.replies[choice.right]) == choice


def test_options_are_the_last_of_several_lists():
    question = "Rules:\n1. be brief\n2. be kind\nWhich one?\nA) red\nB) blue"
    assert choice_of(question, "blue") == (("red", "blue"), 1)
