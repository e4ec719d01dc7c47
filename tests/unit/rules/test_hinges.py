"""Terms that begin at a knot: names, numbers, their record, and what their sign says."""

import json
import math

import pytest

from instructmining.errors import UserError
from instructmining.rules.gate import contradictions
from instructmining.rules.hinge import Hinge, indicator_in
from instructmining.rules.rule import LinearRule, read_rule

FINGERPRINT = "d548e5a1cb4b8a4b02e666c347cac441a98a059dec3ab0e7269bcc357ef4c95f"
ABOVE = Hinge(indicator="perplexity", above=120.0)
BELOW = Hinge(indicator="reward", below=-1.5)


def a_rule() -> LinearRule:
    """Perplexity is good up to 120 and bad beyond; a reward below −1.5 is bad."""
    return LinearRule(
        name="banded",
        intercept=1.5,
        coefficients={"perplexity": -0.001, ABOVE.name: 0.003, BELOW.name: 0.25},
        hinges={hinge.name: hinge for hinge in (ABOVE, BELOW)},
        models={"reward": {"fingerprint": "aa"}},
        ranges={"perplexity": (5.0, 300.0)},
    )


@pytest.mark.parametrize(
    ("hinge", "name", "words"),
    [
        (ABOVE, "perplexity_above_120", "max(perplexity − 120, 0)"),
        (BELOW, "reward_below_minus_1_5", "max((-1.5) − reward, 0)"),
        (Hinge(indicator="ifd", above=0.907), "ifd_above_0_907", "max(ifd − 0.907, 0)"),
        (Hinge(indicator="x", below=1.2e-7), "x_below_0_00000012", "max(1.2e-07 − x, 0)"),
        (Hinge(indicator="x", above=1.25e6), "x_above_1250000", "max(x − 1.25e+06, 0)"),
    ],
)
def test_a_name_holds_the_knot_itself_and_needs_no_quotes_in_sql(hinge, name, words):
    assert (hinge.name, hinge.words) == (name, words)
    assert name.isidentifier()
    assert indicator_in(name) == hinge.indicator


def test_a_prediction_bends_at_the_knots():
    rule = a_rule()
    assert rule.indicators == ["perplexity", "reward"]
    for values, expected in [
        ({"perplexity": 100.0, "reward": 0.0}, 1.5 - 0.1),
        ({"perplexity": 120.0, "reward": -1.5}, 1.5 - 0.12),
        ({"perplexity": 220.0, "reward": -3.5}, 1.5 - 0.22 + 0.3 + 0.5),
    ]:
        assert rule.prediction_of(values) == pytest.approx(expected, rel=1e-12)
    for missing in ({"perplexity": 3.0}, {"perplexity": 3.0, "reward": math.nan}):
        assert rule.prediction_of(missing) is None


def test_a_rule_with_hinges_comes_back_from_its_record_and_plain_ones_are_as_they_were():
    rule = a_rule()
    assert LinearRule.from_json(rule.to_json()) == rule
    assert json.loads(rule.to_json())["hinges"]["perplexity_above_120"] == {
        "indicator": "perplexity",
        "above": 120.0,
        "below": None,
    }
    plain = read_rule("paper-v1")
    assert "hinges" not in json.loads(plain.to_json())
    # The fingerprint from before there were hinges: stored scores and registered versions keep it.
    assert plain.fingerprint == FINGERPRINT
    moved = rule.model_copy(update={"hinges": {}, "ranges": {}, "models": {}})
    assert moved.fingerprint != rule.fingerprint


def test_what_measures_is_compared_by_indicator():
    now = {"perplexity": "embedded:lm", "reward": "embedded:quality"}
    assert a_rule().mismatches({"reward": "aa"}, now) == [
        "perplexity was fitted with an unknown model and is measured with embedded:lm"
    ]
    assert "reward was fitted" in a_rule().mismatches({"reward": "bb"}, now)[1]


@pytest.mark.parametrize(
    ("hinges", "complaint"),
    [
        ({"reward_below_2": {"indicator": "reward", "below": 2}}, "without a coefficient"),
        ({"reward": {"indicator": "reward", "below": 2}}, "must be called reward_below_2"),
        ({"reward": {"indicator": "reward"}}, "one of above and below"),
        ({"reward": {"indicator": "reward", "above": 1, "below": 2}}, "one of above and below"),
    ],
)
def test_a_record_of_a_hinge_that_says_two_different_things_is_refused(hinges, complaint):
    record = {"name": "m", "intercept": 0, "coefficients": {"reward": -1.0}, "hinges": hinges}
    with pytest.raises(UserError, match=complaint):
        LinearRule.from_json(json.dumps(record), "m.json")


def test_signs_are_read_piece_by_piece():
    low, high = Hinge(indicator="reward", below=-1.0), Hinge(indicator="reward", above=2.0)
    hinges = {hinge.name: hinge for hinge in (low, high)}
    sensible = {low.name: 0.3, "reward": -0.1, high.name: 0.1}
    assert contradictions(sensible, hinges) == []
    [said] = contradictions({low.name: -0.3, high.name: 0.0}, hinges)
    assert said.startswith("a higher reward predicts a higher loss (+0.3 per unit below -1), which")
    [said] = contradictions({low.name: 0.3, "reward": -0.1, high.name: 0.15}, hinges)
    assert "(+0.05 per unit above 2)" in said
    both = contradictions({low.name: 0.0, "reward": 0.1, high.name: -0.2}, hinges)
    assert ["below -1" in both[0], "above -1 and below 2" in both[1]] == [True, True]
