"""Estimates of what finetunes take."""

from jobs.finetuning.time_left import TimeLeft


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
    assert left.compared() == (600.0, 360.0)
