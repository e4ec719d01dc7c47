"""Groups beside the rest: counted by hand, and differences that add up."""

import numpy as np
import pandas as pd
import pytest

from instructmining.report.groups import groups_of, page

ROWS = [
    {"name": "a", "size": 3, "scored": 2, "loss": 2.0, "contribution_x": 1.0, "value_x": 10.0},
    {"name": "日本", "size": 1, "scored": 1, "loss": 4.0, "contribution_x": 3.5, "value_x": 35.0},
    {
        "name": "empty",
        "size": 5,
        "scored": 0,
        "loss": None,
        "contribution_x": None,
        "value_x": None,
    },
]


def test_a_group_is_compared_with_all_others_that_have_a_prediction():
    worst, best = groups_of(ROWS, ["x"])
    assert (worst.name, worst.loss, worst.difference) == ("日本", 4.0, 3.0)
    assert (best.name, best.scored, best.size, best.difference) == ("a", 2, 3, -3.0)
    [move] = worst.moves
    assert (move.difference, move.inside, move.outside) == (3.0, 35.0, 5.0)
    text = page([worst, best], {"日本": "q → a"}, "title")
    assert "日本: +4.0000, +3.0000 to the rest (1 of 1 examples have a prediction)" in text
    assert "  +3.0000  x: mean 35, rest 5\n  most telling: q → a" in text


def test_one_group_cannot_be_compared():
    assert groups_of(ROWS[:1], ["x"]) == []
    assert "there is one group only" in page([], {}, "title")


def test_the_differences_are_those_of_pandas_and_add_up():
    random = np.random.default_rng(3)
    frame = pd.DataFrame(random.normal(size=(60, 2)), columns=["x", "y"])
    frame["name"] = random.choice(["a", "b", "c"], 60)
    coefficients = {"x": 0.7, "y": -2.0}
    frame["loss"] = 1 + sum(factor * frame[name] for name, factor in coefficients.items())
    rows = []
    for name, part in frame.groupby("name"):
        row = {"name": name, "size": len(part), "scored": len(part), "loss": part.loss.sum()}
        for term, factor in coefficients.items():
            row |= {
                f"contribution_{term}": factor * part[term].sum(),
                f"value_{term}": part[term].sum(),
            }
        rows.append(row)
    for group in groups_of(rows, ["x", "y"]):
        inside = frame.name == group.name
        expected = frame.loss[inside].mean() - frame.loss[~inside].mean()
        assert group.difference == pytest.approx(expected)
        assert sum(move.difference for move in group.moves) == pytest.approx(expected)
        for move in group.moves:
            assert move.inside == pytest.approx(frame[move.term][inside].mean())
