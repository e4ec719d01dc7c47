"""The dataset card and the lines of a terminal: every number is the one that it was given."""

import re

import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from instructmining.hub.folders import front_matter, size_category
from instructmining.rules.rule import LinearRule
from instructmining.selecting.card import Card
from instructmining.selecting.export_target import Target
from instructmining.selecting.facts import Changes, Facts
from instructmining.settings.sections import Settings

RULE = LinearRule(name="mine", version="3", intercept=0.5, coefficients={"reward": -0.25})
SOURCES = pd.DataFrame(
    {"pool": [90_000, 9_000, 1_000], "selected": [100, 1_900, 0]},
    index=pd.Index(["alpaca.jsonl", "質問|a.csv", "empty"], name="source"),
)


def facts(**changes) -> Facts:
    known = {
        "subset": "f00d" * 8,
        "size": 2_000,
        "pool": 100_000,
        "unscored": 7_000,
        "reasons": [("knn_6: no vector", 6_000), ("x" * 200, 1_000)],
        "tokens": 1_234_567,
        "sources": SOURCES,
        "means": pd.DataFrame({"pool": {"reward": 0.125}, "selected": {"reward": 1.5}}),
        "truncated": {"reward": 500},
    }
    return Facts(**{**known, **changes})


def card(changes: Changes | None = None, layout: str | None = None, **options) -> Card:
    settings = Settings.model_validate({"store": "out", "pool": "p", "select": {"top": 2_000}})
    notes = options.pop("notes", ["a note"])
    rule = options.pop("rule", RULE)
    return Card(settings, rule, "mine.json", facts(**options), notes, changes, "run1", layout)


def table(text: str, title: str) -> dict[str, list[str]]:
    """The cells of the table under a heading, by the first of each line."""
    part = text.partition(f"## {title}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (.*) \|$", part, re.MULTILINE)
    cells = [re.split(r" (?<!\\)\| ", row) for row in rows[2:]]
    return {first: rest for first, *rest in cells}


def test_the_card_has_every_source_with_its_share_of_pool_and_choice():
    sources = table(card().markdown(), "Sources")
    assert sources["alpaca.jsonl"] == ["90,000", "90.0%", "100", "5.0%"]
    assert sources["質問\\|a.csv"] == ["9,000", "9.0%", "1,900", "95.0%"]
    assert sources["empty"] == ["1,000", "1.0%", "0", "0.0%"]


def test_the_card_says_what_was_chosen_by_what_and_how_to_do_it_once_more():
    text = card(layout="alpaca").markdown()
    assert text.startswith("# 2,000 examples of pool p\n")
    assert "| rule | mine version 3, fingerprint `" + RULE.fingerprint in text
    assert "| layout | alpaca |" in text
    assert "| not chosen for want of a score | 7,000 |" in text
    assert "- a note" in text
    assert table(text, "Indicators")["reward"] == ["1.5", "0.125"]
    assert table(text, "Truncation")["reward"] == ["500", "25.0%"]
    assert "instructmining select --store out --pool p --rule mine.json --top 2000" in text


def test_a_choice_without_rule_notes_and_cuts_leaves_their_parts_out():
    text = card(rule=None, notes=[], truncated={}).markdown()
    assert "| rule | none |" in text
    assert "| layout |" not in text
    assert "\n- " not in text
    assert "Every model read all of every chosen example." in text


def test_a_choice_of_nothing_divides_by_nothing():
    text = card(size=0, sources=SOURCES.assign(selected=0), truncated={"reward": 0}).markdown()
    assert table(text, "Sources")["alpaca.jsonl"] == ["90,000", "90.0%", "0", "0.0%"]


def test_on_the_terminal_pool_is_the_sum_of_its_parts_and_reasons_are_cut():
    lines = card().lines()
    assert lines[0] == (
        "pool 100,000 = selected 2,000 + not selected 91,000 + without a score 7,000"
    )
    assert lines[1] == "  6,000 knn_6: no vector"
    assert lines[2] == f"  1,000 {'x' * 100}"
    assert "note: a note" in lines
    assert "tokens 1,234,567 of prompts and responses" in lines


def test_sources_are_ordered_by_what_was_chosen_and_many_are_counted():
    many = pd.DataFrame(
        {"pool": range(100, 125), "selected": range(25)},
        index=[f"source {i}" for i in range(25)],
    )
    lines = card(sources=many).lines()
    place = next(i for i, line in enumerate(lines) if line.split()[:1] == ["source"])
    assert lines[place + 1].split() == ["source", "24", "124", "24"]
    assert len(lines[place + 1 :]) == 21
    assert lines[-1] == "  … and 5 more sources"


def test_what_another_rule_would_change_is_summed_and_listed():
    sources = pd.DataFrame(
        {"kept": [3, 1], "entered": [2, 0], "left": [0, 2]},
        index=pd.Index(["a", "b"], name="source"),
    )
    changed = card(changes=Changes(sources, 0.8761, 90_000))
    said = "4 kept, 2 entered, 2 left; rank correlation of the two predictions 0.876 (n=90,000)"
    assert said in changed.markdown()
    assert table(changed.markdown(), "Against another rule")["b"] == ["1", "0", "2"]
    assert [line.split() for line in changed.lines()[-2:]] == [
        ["b", "1", "0", "2"],
        ["a", "3", "2", "0"],
    ]


def test_the_card_of_a_hub_folder_begins_with_yaml_that_holds_the_facts():
    text = front_matter(card(), Target("hub", "folder", "hub"))
    opened, about, rest = text.split("---\n")
    assert (opened, rest) == ("", "\n")
    read = yaml.safe_load(about)
    assert read["license"] == "unknown"
    assert read["size_categories"] == ["1K<n<10K"]
    assert read["instructmining"]["rule"] == "mine 3"
    assert read["instructmining"]["sources"] == {"alpaca.jsonl": 100, "質問|a.csv": 1_900}
    assert front_matter(card(), Target("lines", "best.jsonl", "auto")) == ""


@pytest.mark.parametrize(
    ("rows", "name"),
    [(0, "n<1K"), (999, "n<1K"), (1_000, "1K<n<10K"), (10**6, "1M<n<10M"), (10**9, "1B<n<10B")],
)
def test_a_size_has_the_name_that_the_hub_gives_it(rows, name):
    assert size_category(rows) == name


@given(st.integers(0, 10**10))
def test_a_size_lies_between_the_bounds_of_its_name(rows):
    units = {"K": 10**3, "M": 10**6, "B": 10**9}
    bounds = [int(n) * units[unit] for n, unit in re.findall(r"(\d+)([KMB])", size_category(rows))]
    low, high = bounds if len(bounds) == 2 else (0, bounds[0])
    assert low <= rows
    assert rows < high or high == 10**10
