"""Estimates of what finetunes take."""

from jobs.finetuning.time_left import Compared, TimeLeft, together


def test_an_estimate_is_said_again_only_where_it_no_longer_holds(capsys):
    now = [0.0]
    left = TimeLeft(lambda: now[0])
    assert left.compared() is None
    left.look(10, 600.0, ", 1 GPU hours")
    now[0] = 60.0
    left.look(9, 550.0)  # ends at 610 in place of 600
    now[0] = 120.0
    left.look(8, 240.0)  # twice as fast as was thought
    assert capsys.readouterr().out.splitlines() == [
        "finetune: 10 more runs, about 10 min 00 s, 1 GPU hours",
        "finetune: 8 more runs, now about 4 min 00 s",
    ]
    now[0] = 360.0
    found = left.compared()
    assert (found.said, found.took) == ((600.0, 360.0), 360.0)
    assert found.words() == (
        "estimated 10 min 00 s after calibration, then 6 min 00 s, took 6 min 00 s "
        "(0.60 of the first)"
    )


def test_estimates_of_calls_one_after_another_are_added_up():
    both = together([Compared((10.0, 20.0, 30.0), 29.0), Compared((5.0,), 6.0)])
    assert both == Compared((15.0, 25.0, 35.0), 35.0)
