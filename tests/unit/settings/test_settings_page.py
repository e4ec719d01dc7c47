"""docs/settings.md has every setting with its default, and no other."""

import re
from collections.abc import Iterator
from typing import Any

import yaml
from installed import ROOT
from pydantic import BaseModel

from instructmining.settings.loading import load_settings
from instructmining.settings.page import settings_page
from instructmining.settings.sections import Settings
from jobs.commands.options import field_of
from jobs.commands.table import OPTIONS

PAGE = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `([\w.]+)` \| `([^`]+)` \| (.+) \|$", re.MULTILINE)


def defaults(settings: BaseModel, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings:
        if isinstance(value, BaseModel):
            yield from defaults(value, f"{prefix}{name}.")
        else:
            yield prefix + name, list(value) if isinstance(value, tuple) else value


def test_the_page_is_the_one_that_the_code_writes():
    assert settings_page() == PAGE


def test_every_setting_is_on_the_page_once_and_no_other():
    names = [name for name, _, _ in ROW.findall(PAGE)]
    assert sorted(names) == sorted(name for name, _ in defaults(Settings()))
    assert len(names) == len([line for line in PAGE.splitlines() if line.startswith("| `")])


def test_the_defaults_are_those_of_the_code():
    written = {name: yaml.safe_load(default) for name, default, _ in ROW.findall(PAGE)}
    assert written == dict(defaults(Settings()))
    assert load_settings() == Settings()  # conf/base.yml says the same


def test_every_setting_is_described_by_sentences():
    for name, _ in defaults(Settings()):
        text = field_of(name).description or ""
        assert re.fullmatch(r"[A-Z`].*\.", text), f"{name}: {text!r}"


def test_every_option_stands_for_a_setting_and_no_two_of_a_command_for_the_same():
    names = {name for name, _ in defaults(Settings())}
    for command, options in OPTIONS.items():
        assert set(options.values()) <= names
        assert len(set(options.values())) == len(options), command


def test_the_example_is_understood(tmp_path):
    [example] = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    (tmp_path / "mine.yml").write_text(example, encoding="utf-8")
    found = load_settings(str(tmp_path / "mine.yml"), ["knn.visits=9"])
    assert (found.pool, found.knn.neighbors, found.knn.visits) == ("dolly", 10, 9)
