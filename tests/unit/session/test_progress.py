"""The progress line of a log."""

from instructmining import progress


def test_no_time_is_left_where_more_is_done_than_was_thought(capsys):
    with progress.StageProgress("finetune", 9, "runs") as shown:
        shown.advance(17)
    assert "0.0 s left" in capsys.readouterr().err
