"""Prose that a native reader does not notice: no mark of the dialect that this project once had."""

import re

import pytest
from installed import ROOT

# What is wrong, and what to write.
MARKS = {
    r"(?<![Tt]here )\b(is|are) no (?!longer\b|more\b|such\b|better\b|worse\b)": "is not a",
    r"\banew\b": "again",
    r"\bfor ever\b": "forever",
    r"\bnot so many\b|\bso many (examples|tokens|of each|of every)\b": "this many, or at most N",
    r"\btells? of\b": "says",
    r"\bmend(s|ed|ing)?\b": "fix, correct, repair",
    r"\bbehind (it|them|its|their|each other|the (prompt|colon|last|first|token))\b": "after",
    r"\bof (theirs|hers)\b": "of its own",
    r"\bwhoever\b": "the person who, or no matter who",
    r"\ba mistake of the user's\b": "a user's mistake",
    r"\btime and again\b": "every time",
    r"\bwants a (blank|space)\b": "needs a space",
}
FOLDERS = ("instructmining", "udfs", "jobs", "bench", "training", "docs", "conf", "resources")
PAGES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "AGENTS.md", "Makefile", "databricks.yml")


def prose() -> list[tuple[str, int, str]]:
    """Path, line number and text of every line of code and documentation that people read.

    Decisions are left out, which are dated records, and data, which are not ours.
    """
    files = [ROOT / name for name in PAGES]
    for folder in FOLDERS:
        for ending in ("*.py", "*.md", "*.yml", "*.j2", "*.conf", "*.sql"):
            files += (ROOT / folder).rglob(ending)
    lines = []
    for file in files:
        path = file.relative_to(ROOT).as_posix()
        if not path.startswith(("docs/decisions/", "docs/measured/", "conf/sample/")):
            text = file.read_text(encoding="utf-8")
            lines += [(path, n, line) for n, line in enumerate(text.splitlines(), start=1)]
    return lines


LINES = prose()


@pytest.mark.parametrize("mark", MARKS)
def test_no_mark_of_the_dialect_is_left(mark: str):
    marked = [f"{path}:{n}: {line.strip()}" for path, n, line in LINES if re.search(mark, line)]
    assert marked == [], f"write {MARKS[mark]!r} instead"


@pytest.mark.parametrize(
    "line",
    [
        "x is no JSON.",
        "read it anew",
        "cut behind the prompt",
        "mend the file",
        "it waits for ever",
    ],
)
def test_the_marks_are_noticed(line: str):
    assert any(re.search(mark, line) for mark in MARKS)


@pytest.mark.parametrize(
    "line",
    [
        "there is no file.",
        "it is no longer read",
        "behind a proxy",
        "R² 0 is no better than the mean",
    ],
)
def test_ordinary_english_is_not_a_mark(line: str):
    assert not any(re.search(mark, line) for mark in MARKS)
