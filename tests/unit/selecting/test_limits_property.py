"""Quotas as plain arithmetic, and sentences about choices that are empty or too small."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instructmining.errors import UserError
from instructmining.selecting.quotas import groups_of, limits_of, meant_by
from instructmining.settings.learning import Select
from jobs.selecting.sentences import estimated, nothing, shortfall

SOURCES = [
    "data/alpaca.jsonl",
    "data/dolly.jsonl.gz",
    "部/質問.csv",
    "part[1].jsonl",
    "part1.jsonl",
]
patterns = st.lists(
    st.sampled_from(["*", "alpaca*", "data/*", "part[1].jsonl", "部/*", "dolly", "*.csv"]),
    min_size=1,
    unique=True,
)


@given(patterns, st.lists(st.integers(0, 500), min_size=7, max_size=7))
def test_whole_numbers_are_limits_as_they_are(named, numbers):
    quota = dict(zip(named, map(float, numbers), strict=False))
    assert limits_of(quota, SOURCES, None) == {name: int(n) for name, n in quota.items()}


@given(patterns, st.floats(0.001, 0.999), st.integers(0, 10_000))
def test_a_share_is_of_the_selection_and_needs_its_size(named, share, size):
    limits = limits_of(dict.fromkeys(named, share), SOURCES, size)
    assert all(abs(limit - share * size) <= 0.5 for limit in limits.values())
    with pytest.raises(UserError, match="is a share of the selection: give its size"):
        limits_of(dict.fromkeys(named, share), SOURCES, None)


@pytest.mark.parametrize("value", [-1.0, -0.5, 1.5, 2.25])
def test_what_is_neither_a_number_nor_a_share_is_refused(value):
    with pytest.raises(UserError, match="give a whole number, or a share below 1"):
        limits_of({"alpaca*": value}, SOURCES, 100)


def test_a_pattern_of_no_source_is_refused_with_those_there_are():
    with pytest.raises(UserError, match="no source of the pool matches") as raised:
        limits_of({"openorca": 5}, SOURCES, 100)
    assert all(source in str(raised.value) for source in SOURCES[:5])


@given(patterns)
def test_a_source_belongs_to_the_first_quota_that_means_it(named):
    groups = groups_of(named, SOURCES)
    for source in SOURCES:
        first = next((name for name in named if source in meant_by(name, SOURCES)), None)
        assert groups.get(source) == first


def test_a_name_with_brackets_is_a_source_before_it_is_a_pattern():
    assert meant_by("part[1].jsonl", SOURCES) == ["part[1].jsonl"]
    assert meant_by("part[1].jsonl", ["part1.jsonl"]) == ["part1.jsonl"]


@pytest.mark.parametrize(
    ("select", "sentence"),
    [
        ({"threshold": 1.0}, "is within the threshold or percentile"),
        ({"percentile": 5}, "is within the threshold or percentile"),
        ({"tokens": 10}, "--tokens 10: the best example alone is longer"),
        ({"top": 5, "strategy": "longest"}, "has a score for strategy longest"),
    ],
)
def test_an_empty_choice_is_explained_by_what_was_asked_for(select, sentence):
    assert sentence in nothing("p", Select(**select))


def facts(size: int, pool: int = 100, estimated: int = 0):
    return SimpleNamespace(size=size, pool=pool, estimated=estimated)


@pytest.mark.parametrize(
    ("select", "size", "missing"),
    [
        ({"top": 10}, 10, None),
        ({"top": 10}, 7, "7 of the 10"),
        ({"fraction": 0.5}, 50, None),
        ({"fraction": 0.5}, 49, "49 of the 50"),
        ({"threshold": 0.0}, 0, None),
        ({"top": 10, "diversity": "cosine"}, 7, None),
    ],
)
def test_fewer_than_were_asked_for_is_said_once(select, size, missing):
    said = shortfall(Select(**select), facts(size))
    assert [sentence.startswith(missing or "?") for sentence in said] == [True] * bool(missing)


def test_predicted_indicators_are_counted_among_the_chosen():
    assert estimated(facts(10)) == []
    assert estimated(facts(10, estimated=3))[0].startswith("3 of the 10 chosen examples")
