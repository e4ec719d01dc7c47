"""Parts of the page of a score run that need no table: stages, rule, terms, warnings."""

import pytest

from instructmining.rules.hinge import Hinge
from instructmining.rules.rule import LinearRule
from instructmining.scoring.overview import Overview, extrapolated
from instructmining.scoring.summary import Summary, _why

HINGE = Hinge(indicator="perplexity", above=120.0)
RULE = LinearRule(
    name="mine",
    version="3",
    intercept=0.5,
    coefficients={"reward": -0.25, HINGE.name: 0.01},
    hinges={HINGE.name: HINGE},
    ranges={"reward": (-1.0, 1.0)},
)


def summary(**changes) -> Summary:
    return Summary(None, "p", "run1", **changes)


def test_stages_are_listed_with_their_seconds_and_a_total():
    text = summary(
        seconds={"ingest": 3.0, "perplexity": 130.0}, stages={"perplexity": "5 rows measured"}
    )._stages()
    lines = text.splitlines()
    assert lines[0] == "stages"
    assert lines[1].split() == ["ingest", "3.0", "s"]
    assert lines[2].split() == ["perplexity", "2", "min", "10", "s", "5", "rows", "measured"]
    assert lines[3].split() == ["total", "2", "min", "13", "s"]
    assert not any(line.endswith(" ") for line in lines)
    assert summary()._stages() == ""


def test_the_rule_is_told_with_its_hinges_in_words():
    text = summary(rule=RULE, rule_why="the champion")._rule()
    assert text.splitlines() == [
        "rule mine version 3 (the champion)",
        "  predicted log loss = 0.5 -0.25·reward +0.01·perplexity_above_120   (lower is better)",
        "  perplexity_above_120 = max(perplexity − 120, 0)",
    ]
    assert summary()._rule() == ""


def test_what_moved_a_prediction_stands_first():
    row = {
        "reward": 2.0,
        "perplexity": 130.0,
        "contribution_reward": -0.1,
        "contribution_perplexity_above_120": 0.4,
    }
    means = {"reward": -0.4, "perplexity_above_120": 0.5}
    said = _why(row, RULE, means)
    assert said == "reward 2 (+0.300), perplexity_above_120 130 (-0.100)"


@pytest.mark.parametrize(("outside", "sentences"), [(0, 0), (1_234, 1)])
def test_examples_beyond_the_range_of_the_fit_are_counted(outside, sentences):
    facts = Overview(10_000, 9_000, 0, 0, outside, {})
    said = extrapolated(facts, RULE)
    assert len(said) == sentences
    assert all(sentence.startswith("1,234 examples have an indicator outside") for sentence in said)
    assert extrapolated(facts, RULE.model_copy(update={"ranges": {}})) == []


def test_warnings_are_notes_each_on_a_line():
    assert summary(warnings=["one", "two"])._warnings() == "note: one\nnote: two"
