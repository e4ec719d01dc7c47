"""Every format and every bad input through the command line: sums agree, no stack trace."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from bench.formats import run_cases, together
from bench.harness.format_cases import CASES, Case
from bench.harness.format_outcomes import Outcome

GROUPS = together(CASES)


@pytest.fixture(scope="module")
def outcomes(
    spark: SparkSession, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[int], dict[str, Outcome]]:
    """What the cases of a group came to, by name; all groups share one store."""
    folder = tmp_path_factory.mktemp("formats")

    @cache
    def of(number: int) -> dict[str, Outcome]:
        found = run_cases(GROUPS[number], folder / f"pool{number}", folder / "store")
        return {outcome.name: outcome for outcome in found}

    return of


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "case"),
    [(number, case) for number, group in enumerate(GROUPS) for case in group],
    ids=lambda given: given.name if isinstance(given, Case) else str(given),
)
def test_rows_in_are_scored_copies_and_quarantined(
    outcomes: Callable[[int], dict[str, Outcome]], number: int, case: Case
) -> None:
    found = outcomes(number)[case.name]
    assert found.problem is None, found.line()


@pytest.mark.slow
def test_a_wrong_case_of_a_command_is_named_and_the_others_are_right(
    spark: SparkSession, tmp_path: Path
) -> None:
    right, other = (
        case for case in CASES if case.name in ("layout: alpaca", "bad: missing fields")
    )
    found = run_cases([replace(right, examples=4), other], tmp_path / "pool", tmp_path / "store")
    assert [outcome.problem for outcome in found] == ["5 examples, not 4", None]
