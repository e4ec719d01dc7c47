"""Every format and every bad input through the command line: sums agree, no stack trace."""

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from bench.formats import run_case
from bench.harness.format_cases import CASES, Case


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_rows_in_are_scored_copies_and_quarantined(
    spark: SparkSession, tmp_path: Path, case: Case
) -> None:
    found = run_case(case, tmp_path)
    assert found.problem is None, found.line()
