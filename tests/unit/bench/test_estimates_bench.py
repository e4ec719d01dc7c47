"""The gate on estimates of finetunes."""

import pytest
from rich.console import Console

from bench.speed.estimates import holds, table
from jobs.finetuning.time_left import Compared
from jobs.finetuning.waves import Spent


def spent(*said: float, took: float) -> Spent:
    return Spent(20, 0, {}, 700.0, Compared(said, took) if said else None, 0)


@pytest.mark.parametrize(
    ("took", "held"), [(129.0, True), (131.0, False), (71.0, True), (69, False)]
)
def test_the_first_estimate_is_judged_whatever_was_said_later(took, held):
    assert holds(spent(100.0, took, took=took)) is held


def test_no_estimate_at_all_is_a_miss():
    assert not holds(spent(took=1.0))
    console = Console(width=140, record=True)
    console.print(table({"fit": spent(took=1.0), "evaluate": spent(60.0, 90.0, took=75.0)}, "cpu"))
    lines = console.export_text()
    assert "MISSED" in lines
    assert "1.25" in lines
    assert "90 s" in lines
