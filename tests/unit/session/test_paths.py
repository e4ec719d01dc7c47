"""Paths as people write them and as Spark reads them."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instructmining.spark.paths import absolute, escaped, fixed_part, has_glob, shown

names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)


@given(names)
def test_an_escaped_path_means_itself_alone(path):
    # What stands after a backslash is itself, and nothing else in it is a pattern.
    assert re.sub(r"\\(.)", r"\1", escaped(path), flags=re.DOTALL) == path
    assert not has_glob(re.sub(r"\\.", "", escaped(path), flags=re.DOTALL))


@given(names)
def test_the_fixed_part_is_a_beginning_of_whole_folders_without_a_pattern(path):
    fixed = fixed_part(path)
    assert path.startswith(fixed)
    assert not has_glob(fixed)
    assert fixed == path or fixed == "" or fixed.endswith("/")


@pytest.mark.parametrize(
    ("path", "fixed"),
    [
        ("/data/*.json", "/data/"),
        ("/data/part-*/x.json", "/data/"),
        ("/data/a[1].json", "/data/"),
        ("s3://bucket/a/{b,c}/d", "s3://bucket/a/"),
        ("/data/plain.json", "/data/plain.json"),
        ("*.json", ""),
    ],
)
def test_a_pattern_begins_at_its_folder(path, fixed):
    assert fixed_part(path) == fixed


@given(names)
def test_a_path_that_was_shown_is_shown_as_it_is(path):
    assert shown(shown(path)) == shown(path)


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///data/a b.json", "/data/a b.json"),
        ("file:/data//x/../a.json", "/data/a.json"),
        ("s3://bucket//a/../b", "s3://bucket//a/../b"),
        ("dbfs:/a/b", "dbfs:/a/b"),
        ("相対/a", "相対/a"),
    ],
)
def test_only_local_paths_are_tidied(uri, path):
    assert shown(uri) == path


@pytest.mark.parametrize("uri", ["s3a://b/c", "dbfs:/x", "file:/x", "abfss://c@a/x"])
def test_a_uri_stays_as_it_is(uri):
    assert absolute(uri) == uri


def test_a_local_path_is_made_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert absolute("out") == str(tmp_path / "out")
    assert absolute("~/out") == str(tmp_path / "home" / "out")
    assert Path(absolute("/out")) == Path("/out")
