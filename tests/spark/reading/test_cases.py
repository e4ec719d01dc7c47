"""Inputs as people bring them: what each must give, where the folder of them is at hand."""

import os
from pathlib import Path

import pytest
from installed import ROOT
from pyspark.sql import SparkSession

from bench.cases import main, try_case
from bench.harness.case_list import CASES, Case

FOLDER = Path(os.environ.get("INSTRUCTMINING_CASES", ROOT.parent / "shared" / "cases"))


@pytest.mark.cases
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_people_bring_is_read_as_they_mean_it(
    spark: SparkSession, tmp_path: Path, case: Case
) -> None:
    if not FOLDER.is_dir():
        pytest.skip(f"{FOLDER} is not there; INSTRUCTMINING_CASES names another folder")
    right, seen = try_case(case, FOLDER, tmp_path / "trial")
    assert right, f"expected: {case.expected}; seen: {seen}"


def test_a_wrong_case_is_counted_and_ends_with_code_1(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    right = '{"instruction": "Name a red fruit.", "input": NaN, "output": "A cherry is red."}\n'
    wrong = '{"system_prompt": "Talk like a parrot.", "instruction": "Hi.", "output": "Ahoy!"}\n'
    other = right.replace("NaN", '""').replace("red", "green").replace("cherry", "lime")
    (tmp_path / "nan_input.jsonl").write_text(right + other, encoding="utf-8")
    (tmp_path / "blank_system.jsonl").write_text(wrong, encoding="utf-8")
    for only, code, said in (
        ("nan_input.jsonl", 0, "1 cases, 1 right, 0 wrong"),
        ("blank_system", 1, "1 cases, 0 right, 1 wrong"),
        ("part[1]", 1, "there is no such input"),
    ):
        with pytest.raises(SystemExit) as ended:
            main([str(tmp_path), "--only", only])
        printed = capsys.readouterr().out
        assert (ended.value.code, said in printed) == (code, True), printed
