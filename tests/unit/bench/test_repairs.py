"""The table of repaired defects names tests that exist."""

import pytest
from installed import ROOT

from bench.repairs import REPAIRS, Repair, malformed_arrays


@pytest.mark.parametrize("repair", REPAIRS, ids=lambda repair: repair.name)
def test_every_row_names_a_test_that_is_there(repair: Repair) -> None:
    path, _, name = repair.test.partition("::")
    text = (ROOT / path).read_text(encoding="utf-8")
    assert f"def {name or 'test_'}" in text


def test_what_is_computed_says_what_is_wanted() -> None:
    shown = {
        repair.name: repair.shown() for repair in REPAIRS if repair.now is not malformed_arrays
    }
    assert "both measure the indicator mtld" in shown["1 two models for one indicator"]
    assert shown["3 null over a value"] == "fit.budget_minutes is None"
    assert shown["2 drift between float32 values"].startswith("0.001 between float32")
