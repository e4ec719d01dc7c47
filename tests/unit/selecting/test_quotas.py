"""Whom a quota means: the source of that name, else the sources that match it as a pattern."""

import pytest

from instructmining.errors import UserError
from instructmining.selecting.quotas import groups_of, limits_of, meant_by
from instructmining.settings.loading import load_settings
from jobs.commands.values import quotas

SOURCES = [
    "/data/part[1].jsonl",
    "/data/part1.jsonl",
    "/data/a,b.v2.jsonl.gz",
    "/data/日本.jsonl",
    "catalog.schema.chat",
]


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ("part[1].jsonl", [0]),
        ("/data/part[1].jsonl", [0]),
        ("part[1]", [0]),
        ("part[0-9].jsonl", [1]),
        ("part*", [0, 1]),
        ("a,b.v2.jsonl.gz", [2]),
        ("a,b", [2]),
        ("日本*", [3]),
        ("catalog.schema.chat", [4]),
        ("catalog.*", [4]),
        ("/data/*", [0, 1, 2, 3]),
        ("PART1.jsonl", []),
        ("", []),
    ],
)
def test_a_name_is_a_source_first_and_a_pattern_second(pattern: str, meant: list[int]) -> None:
    assert meant_by(pattern, SOURCES) == [SOURCES[place] for place in meant]


def test_a_pattern_that_names_no_source_matches_as_before() -> None:
    assert meant_by("part[1].jsonl", SOURCES[1:]) == ["/data/part1.jsonl"]


def test_the_first_quota_that_means_a_source_counts() -> None:
    found = groups_of(["part[1].jsonl", "part*", "/data/*"], SOURCES)
    assert [found.get(source) for source in SOURCES] == [
        "part[1].jsonl",
        "part*",
        "/data/*",
        "/data/*",
        None,
    ]
    assert groups_of(["*", "part1"], SOURCES) == dict.fromkeys(SOURCES, "*")


def test_names_with_dots_brackets_commas_and_equals_signs_pass_the_options() -> None:
    given = quotas(["part[1].jsonl=3", "a,b.v2.jsonl.gz=0.5", "x=y.csv=4"])
    assert given == {"part[1].jsonl": 3.0, "a,b.v2.jsonl.gz": 0.5, "x=y.csv": 4.0}
    settings = load_settings(options={"select": {"quota": given}})
    assert settings.select.quota == given
    settings = load_settings(sets=['select.quota."part[1].jsonl"=3', 'select.quota."a,b"=0.5'])
    assert settings.select.quota == {"part[1].jsonl": 3, "a,b": 0.5}


def test_every_source_that_the_message_offers_can_be_given() -> None:
    with pytest.raises(UserError) as error:
        limits_of({"chat*": 1}, SOURCES[:4], None)
    offered = str(error.value).rpartition("there are ")[2].split(", ")
    assert limits_of(dict.fromkeys(offered, 2.0), SOURCES, None) == dict.fromkeys(offered, 2)
