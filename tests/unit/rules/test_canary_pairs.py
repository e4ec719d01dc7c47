"""In how many of 100 pairs a rule prefers the real row, and what the gate says of it."""

import pytest

from instructmining.rules.canary import (
    Preference,
    canary_lines,
    canary_objection,
    metrics_of,
    preferences,
)
from instructmining.rules.rule import LinearRule, read_rule

RULE = LinearRule(name="r", intercept=1.0, coefficients={"reward": -0.5})


def test_ties_count_half_and_a_spoiled_row_without_a_prediction_is_not_selected() -> None:
    pairs = [
        ("spam", {"reward": 2.0}, {"reward": 1.0}),
        ("spam", {"reward": 1.0}, {"reward": 2.0}),
        ("spam", {"reward": 1.0}, {"reward": 1.0}),
        ("spam", {"reward": 1.0}, {}),
        ("spam", {}, {"reward": 1.0}),  # the real row has no prediction: not a pair
        ("html", {"reward": 1.0}, {"reward": float("nan")}),
    ]
    measured = preferences(RULE, pairs)
    assert [(one.kind, one.real, one.pairs) for one in measured] == [
        ("spam", 2.5, 4),
        ("html", 1.0, 1),
    ]
    assert metrics_of(measured) == {"canary_spam": 62.5, "canary_html": 100.0}


def test_kinds_that_fool_the_rule_stand_apart_and_are_never_rounded_up_to_the_limit() -> None:
    measured = [Preference("spam", 119.5, 200), Preference("html", 200.0, 200)]
    assert canary_lines(measured) == [
        "canary: the rule prefers the real row to a spoiled copy in 80 of 100 pairs "
        "(400 pairs, at most 200 of a kind; 50 is chance)",
        "  below 60, the rule alone would select them: spam 59",
        "  the others: html 100",
    ]
    assert canary_lines(measured[1:])[1:] == ["  by kind: html 100"]


@pytest.mark.parametrize(("of_100", "refused"), [(59.9, True), (60.0, False), (97.0, False)])
def test_a_rule_below_60_of_100_for_one_kind_is_refused(of_100: float, refused: bool) -> None:
    why = canary_objection("models:/r/3", {"canary_html": 99.0, "canary_base64": of_100, "loss": 0})
    assert (why is not None) == refused
    if why:
        assert "base64 59" in why
        assert "html" not in why
        assert "--force" in why


def test_a_prediction_of_one_row_is_that_of_the_formula() -> None:
    values = {"reward": 1.5, "output_length": 200.0, "knn_6": 0.8}
    paper = read_rule("paper-v1")
    by_hand = 1.0694 - 0.1498 * 1.5 + 8.257e-5 * 200 - 0.9350 * 0.8  # arXiv 2307.06290v1
    assert paper.prediction_of(values) == pytest.approx(by_hand)
    assert paper.prediction_of({**values, "knn_6": None}) is None
