"""docs/formats.md is executed: its examples are read, its reasons are those of the code."""

import json
import re
from pathlib import Path

import pytest

import instructmining
from instructmining.layouts.detection import FORMATS, standardize
from instructmining.layouts.field_table import field_table
from instructmining.layouts.standard_form import UNDECODED

SOURCE = Path(instructmining.__file__).parent
PAGE = SOURCE.parent / "docs" / "formats.md"


def rows(title: str) -> list[list[str]]:
    """The cells of the table below a title, without its header."""
    part = PAGE.read_text(encoding="utf-8").split(f"\n## {title}\n")[1].split("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


LAYOUTS = {name.strip("`"): example for name, _, example, _ in rows("Layouts")}


def test_every_format_of_the_code_is_on_the_page_and_no_other() -> None:
    assert set(LAYOUTS) == {*FORMATS, "columns"}


@pytest.mark.parametrize("name", sorted(set(LAYOUTS) - {"columns", "mt_bench"}))
def test_the_example_of_a_layout_is_recognised_as_that_layout(name: str) -> None:
    (example,) = re.findall(r"`(\{.*\})`", LAYOUTS[name])
    assert standardize(json.loads(example))[0] == name


def test_the_two_halves_of_mt_bench_are_recognised_as_one_record() -> None:
    question, answer = re.findall(r"`(\{.*?\})`", LAYOUTS["mt_bench"])
    whole = {"question": json.loads(question), "answer": json.loads(answer)}
    assert standardize(whole)[0] == "mt_bench"


def listed() -> list[str]:
    return [name for cells in rows("Bad input") for name in re.findall(r"`(\w+)`", cells[0])]


def test_every_reason_of_the_code_is_on_the_page_and_no_other() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py"))
    given = set(re.findall(r'Unusable\(\s*"(\w+)"', text)) | set(UNDECODED)
    assert given <= set(listed())
    assert [name for name in listed() if f'"{name}"' not in text] == []
    assert len(set(listed())) == len(listed())


def test_the_first_reasons_of_the_page_are_those_that_make_a_file_unreadable() -> None:
    assert set(listed()[: len(UNDECODED)]) == set(UNDECODED)


def test_the_table_of_fields_is_the_one_that_the_code_writes() -> None:
    assert f"\n{field_table()}\n" in PAGE.read_text(encoding="utf-8")
