"""Verdicts read from a judge's words, both orders, and the forms in which a result is told."""

import math

import pytest
from statsmodels.stats.proportion import proportion_confint

from instructmining.judging import (
    Tally,
    both_orders,
    by_reward,
    question,
    read_verdict,
    tally,
    told,
    verdict_key,
)

HISTORY = [{"role": "user", "content": "Say hi"}]


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("A is better. [[A]]", "first"),
        ("[[B]]", "second"),
        ("Both are fine: [[C]]", "tie"),
        ("First I thought [[A]], but no: [[ b ]]", "second"),
        ("[[tie]]", "tie"),
        ("A", "unreadable"),
        ("[A]", "unreadable"),
        ("", "unreadable"),
        ("我认为 [[A]]", "first"),
    ],
)
def test_a_verdict_is_read_from_its_mark_alone(text: str, verdict: str) -> None:
    assert read_verdict(text) == verdict


def test_verdicts_that_follow_the_place_and_not_the_answer_are_a_tie() -> None:
    assert both_orders("first", "second") == "win"
    assert both_orders("second", "first") == "lose"
    assert both_orders("first", "first") == "tie"
    assert both_orders("first", "tie") == "tie"
    assert both_orders("first", "unreadable") == "unreadable"


def test_a_blank_answer_loses_to_any_other() -> None:
    assert by_reward(math.nan, -9.0) == "lose"
    assert by_reward(math.nan, math.nan) == "tie"
    assert by_reward(0.2, 0.1) == "win"


def test_the_forms_of_the_paper_and_of_the_survey() -> None:
    found = Tally(win=425, tie=238, lose=337)  # 42.5 / 23.8 / 33.7 %, which the survey calls 1.088
    assert found.shares()["win"][0] == pytest.approx(42.5)
    assert found.score == pytest.approx(1.088)
    low, high = found.score_interval()
    # Standard error of a mean of outcomes +1, 0, -1.
    error = math.sqrt((0.762 - 0.088**2) / 1000)
    assert (low, high) == pytest.approx((1.088 - 1.96 * error, 1.088 + 1.96 * error), abs=0.004)


def test_intervals_of_shares_are_wilsons() -> None:
    _, low, high = Tally(win=0, tie=1, lose=9).shares()["win"]
    assert (low / 100, high / 100) == pytest.approx(proportion_confint(0, 10, method="wilson"))
    assert high > 20  # a share of zero in ten is no certainty


def test_what_was_not_judged_is_counted_and_told() -> None:
    found = tally(["win", "lose", "unreadable", "unjudged", "unjudged"])
    assert (found.n, found.unreadable, found.unjudged) == (2, 1, 2)
    said = told("selected", "random", "set", "judge", found)
    assert "no detectable preference" in said
    assert "1 pairs without a readable verdict; 2 pairs not judged" in said


def test_a_clear_preference_names_the_winner() -> None:
    assert "selected is preferred to random" in told(
        "selected", "random", "s", "j", Tally(30, 5, 5)
    )
    assert "random is preferred to selected" in told(
        "selected", "random", "s", "j", Tally(5, 5, 30)
    )


def test_no_pair_at_all_gives_no_verdict() -> None:
    assert "no pair could be judged" in told("selected", "random", "s", "j", Tally(unjudged=3))


def test_the_order_of_the_answers_is_part_of_a_verdicts_key() -> None:
    keys = {verdict_key("j", "q", "a", "b"), verdict_key("j", "q", "b", "a"),
            verdict_key("k", "q", "a", "b"), verdict_key("j", "qa", "", "b")}  # fmt: skip
    assert len(keys) == 4
    assert verdict_key("j", "q", "a", "b") in keys


def test_the_question_shows_both_answers_between_marks() -> None:
    asked = question(HISTORY, "hi", "你好")
    assert asked.index("user: Say hi") < asked.index("hi\n[End of Answer of assistant A]")
    assert "[Start of Answer of assistant B]\n你好\n[End" in asked
