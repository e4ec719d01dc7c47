"""How far an indicator moved between runs: counted by hand; no Spark."""

from datetime import datetime

from instructmining.scoring.drift import drifts, newest_runs, sentence


def side(is_new, median, **changed):
    row = {"fingerprint": "f", "indicator": "reward", "is_new": is_new, "examples": 60}
    return {**row, "low": 0.0, "median": median, "high": 4.0, **changed}


def test_an_indicator_moves_by_its_medians_over_the_old_spread():
    wide = side(True, 3.0, low=-100.0, high=100.0)
    [found] = drifts([side(False, 1.0), wide])
    assert (found.moved, found.old_median, found.new_median) == (0.5, 1.0, 3.0)
    assert "reward moved by 0.50 (median 1 of 60 examples, 3 of the 60" in sentence([found], 0.4)
    assert sentence([found], 0.5) == ""
    assert drifts([side(False, 1.0), side(True, 3.0, examples=49)]) == []
    assert drifts([side(True, 3.0)]) == []
    constant = {"low": 1.0, "high": 1.0}
    [same_value] = drifts([side(False, 1.0, **constant), side(True, 1.0)])
    [other_value] = drifts([side(False, 1.0, **constant), side(True, 2.0)])
    assert (same_value.moved, other_value.moved) == (0.0, float("inf"))


def test_the_last_run_of_each_model_is_the_one_that_wrote_last():
    early, late = datetime(2026, 1, 1), datetime(2026, 1, 2)
    measured = [
        ("f", "z", early),
        ("f", "a", late),
        ("alone", "a", late),
        ("in part of an older version", "z", None),
        ("in part of an older version", "a", early),
        ("of an older version", "a", None),
        ("of an older version", "b", None),
    ]
    assert newest_runs(measured) == {"f": "a", "in part of an older version": "a"}
