"""docs/settings.md has every setting with its default, and no other."""

import re
from collections.abc import Iterator
from typing import Any

import yaml
from installed import ROOT
from pydantic import BaseModel

from instructmining.settings.sections import Settings, load_settings

PAGE = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `([\w.]+)` \| `([^`]+)` \| (.+) \|$", re.MULTILINE)


def defaults(settings: BaseModel, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings:
        if isinstance(value, BaseModel):
            yield from defaults(value, f"{prefix}{name}.")
        else:
            yield prefix + name, list(value) if isinstance(value, tuple) else value


def test_every_setting_is_on_the_page_once_and_no_other():
    names = [name for name, _, _ in ROW.findall(PAGE)]
    assert sorted(names) == sorted(name for name, _ in defaults(Settings()))
    assert len(names) == len([line for line in PAGE.splitlines() if line.startswith("| `")])


def test_the_defaults_are_those_of_the_code():
    written = {name: yaml.safe_load(default) for name, default, _ in ROW.findall(PAGE)}
    assert written == dict(defaults(Settings()))
    assert load_settings() == Settings()  # conf/base.yml says the same


def test_the_example_is_understood(tmp_path):
    [example] = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    (tmp_path / "mine.yml").write_text(example, encoding="utf-8")
    found = load_settings(str(tmp_path / "mine.yml"), ["knn.visits=9"])
    assert (found.pool, found.knn.neighbors, found.knn.visits) == ("dolly", 10, 9)
