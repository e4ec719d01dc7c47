"""The sample data is what its README says: these counts are what the demo must reproduce."""

import csv
import json
import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from instructmining.identity import example_id
from instructmining.layouts.detection import Unusable, standardize

SAMPLE = Path(__file__).parents[3] / "conf" / "sample"
README = (SAMPLE / "README.md").read_text(encoding="utf-8")
GOOD = {"excellent", "good"}
UNUSABLE = {"empty", "broken"}


def decoded(line):
    try:
        return json.loads(line)
    except ValueError:
        return None


def records_of(name):
    path = SAMPLE / name
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    text = path.read_text(encoding="utf-8")
    return json.loads(text) if path.suffix == ".json" else [decoded(x) for x in text.splitlines()]


def quality(record):
    return record["quality"] if record else "broken"


def readme_table(heading):
    """The cells below a heading of the README, without the header row and the backticks."""
    section = README.split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip().strip("`") for cell in row] for row in rows[2:]]


def conversation_or_reason(record):
    if record is None:
        return "malformed_json"
    try:
        _, [(_, found)] = standardize(record)
    except Unusable as problem:
        return problem.reason
    return found.reason if isinstance(found, Unusable) else found


NAMES = [name for name, _ in readme_table("Layouts")]
RECORDS = [record for name in NAMES for record in records_of(name)]
USABLE = [
    (record, found)
    for record in RECORDS
    if isinstance(found := conversation_or_reason(record), list)
]


def test_every_file_is_described():
    assert {path.name for path in SAMPLE.iterdir()} == {*NAMES, "README.md"}


def test_labels_per_file_are_as_described():
    counted = [Counter(map(quality, records_of(name))) for name in NAMES]
    described = {
        label: list(map(int, row)) for label, *row in readme_table("Records per file and quality")
    }
    assert described.pop("all") == [*(c.total() for c in counted), len(RECORDS)]
    assert described.keys() == {label for count in counted for label in count}
    for label, row in described.items():
        assert row == [*(c[label] for c in counted), sum(c[label] for c in counted)], label


def test_every_label_is_explained():
    assert {label for label, _ in readme_table("Columns")} == {quality(r) for r in RECORDS}


def test_languages_are_as_described():
    labelled = [record for record in RECORDS if record]
    of_language = Counter(record["language"] for record in labelled)
    good = Counter(record["language"] for record in labelled if record["quality"] in GOOD)
    described = {code: (int(n), int(g)) for _, code, n, g in readme_table("Languages")}
    assert described == {code: (of_language[code], good[code]) for code in of_language}


def test_scored_copied_and_quarantined_add_up_as_described():
    distinct = {example_id(messages) for _, messages in USABLE}
    counts = [len(RECORDS), len(distinct), len(USABLE) - len(distinct), len(RECORDS) - len(USABLE)]
    assert [list(map(str, counts))] == readme_table("What scoring it must count")
    assert len(distinct) >= 300


def test_what_cannot_be_used_is_what_is_labelled_so():
    usable = [id(record) for record, _ in USABLE]
    assert all(quality(r) in UNUSABLE for r in RECORDS if id(r) not in usable)
    assert not [r for r, _ in USABLE if quality(r) in UNUSABLE]


def test_all_but_one_record_of_an_example_are_labelled_duplicated():
    labels = defaultdict(list)
    for record, messages in USABLE:
        labels[example_id(messages)].append(quality(record))
    for identifier, found in labels.items():
        assert found.count("duplicated") == len(found) - 1, identifier


def test_some_copies_are_in_another_layout():
    layouts = defaultdict(set)
    for record, messages in USABLE:
        layouts[example_id(messages)].add(
            frozenset(record) & {"output", "response", "messages", "conversations"}
        )
    assert sum(len(found) > 1 for found in layouts.values()) >= 5


def test_no_text_is_repeated_by_accident():
    words = {
        example_id(messages): re.sub(r"\W+", " ", messages[-1]["content"].casefold())
        for _, messages in USABLE
    }
    assert [text for text, n in Counter(words.values()).items() if n > 1] == []


def test_about_half_is_good_and_length_does_not_tell_which():
    lengths = {True: [], False: []}
    for record, messages in USABLE:
        if quality(record) != "duplicated":
            lengths[quality(record) in GOOD].append(len(messages[-1]["content"]))
    share = len(lengths[True]) / sum(map(len, lengths.values()))
    wins = [(g > b) + (g == b) / 2 for g in lengths[True] for b in lengths[False]]
    assert share == pytest.approx(0.5, abs=0.05)
    assert sum(wins) / len(wins) == pytest.approx(0.5, abs=0.08)  # AUC of the response's length


def responses(label):
    return [messages[-1]["content"] for record, messages in USABLE if quality(record) == label]


@pytest.mark.parametrize("response", responses("truncated"))
def test_a_truncated_response_does_not_end_like_a_sentence(response):
    assert not re.search(r"[.!?。؟)`\"”」]$", response)


def repeated_share(text):
    """Share of the six-character pieces of a text that occur in it more than once."""
    pieces = [text.casefold()[i : i + 6] for i in range(len(text) - 5)]
    return sum(n for n in Counter(pieces).values() if n > 1) / max(1, len(pieces))


def test_only_repetitive_responses_repeat_themselves():
    most = {label: max(map(repeated_share, responses(label))) for label in ("good", "excellent")}
    assert max(most.values()) < 0.4 < min(map(repeated_share, responses("repetitive")))
