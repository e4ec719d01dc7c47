"""A strategy has a name in the settings, a line in the table and a row on the page."""

import re
from typing import get_args

from installed import ROOT

from instructmining.selecting.selection import STRATEGIES
from jobs.commands.options import field_of

PAGE = (ROOT / "docs" / "selecting.md").read_text(encoding="utf-8")


def test_the_setting_names_the_strategies_of_the_table() -> None:
    assert get_args(field_of("select.strategy").annotation) == tuple(STRATEGIES)


def test_every_strategy_has_a_row_on_the_page() -> None:
    rows = PAGE.split("| `--strategy` |")[1].split("\n\n")[0]
    named = re.findall(r"^\| `(\w+)`", rows, re.MULTILINE)
    assert sorted(named) == sorted(STRATEGIES)
