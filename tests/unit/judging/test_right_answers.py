"""Answers against references in the forms that public sets have."""

import pytest

from instructmining.judging.pairs import Judgement
from instructmining.judging.right_answers import by_match, is_right, rights_of

GSM8K = "Natalia sold 48/2 = <<48/2=24>>24 clips in May.\nAltogether 72.\n#### 72"


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("48 + 24 = 72", GSM8K),
        ("The answer is $72.00.", GSM8K),
        ("#### 72\n\nChecked 3 times", "72"),
        ("So it is \\boxed{1,234}.", "\\boxed{1234} of 5"),
        ("It is -0.50", "We get\n-0.5"),
        ("The Eiffel Tower.", "Eiffel tower"),
        ("Let me think.\nB.", "(B)"),
        ("蓝色", "蓝色。"[:-1]),
    ],
)
def test_right_answers(answer: str, reference: str) -> None:
    assert is_right(answer, reference)


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("48 + 24 = 73", GSM8K),
        ("seventy-two", GSM8K),
        ("", "72"),
        ("Eiffel", "Eiffel tower"),
        ("A", "(B)"),
        ("", ""),
        ("anything", " \n"),
    ],
)
def test_wrong_answers(answer: str, reference: str) -> None:
    assert not is_right(answer, reference)


def test_the_arm_that_alone_is_right_wins() -> None:
    pairs = [(("72", "7"), GSM8K), (("1", "72"), GSM8K), (("72", "72.0"), GSM8K), (("", ""), "x")]
    assert [by_match(answers, reference) for answers, reference in pairs] == [
        Judgement("win"),
        Judgement("lose"),
        Judgement("tie"),
        Judgement("tie"),
    ]
    counted = rights_of(pairs)
    assert counted == (2, 2, 4)
    assert counted.words("selected", "random") == ("right answers: selected 2 of 4, random 2 of 4")
