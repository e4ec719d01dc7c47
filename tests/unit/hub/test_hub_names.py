"""`hf:` names become files of the library's own cache, or one sentence."""

from pathlib import Path

import pyarrow as pa
import pytest
from hub_cache import offline_cache

from instructmining.errors import UserError
from instructmining.hub.cached import HubName, hub_files, hub_name
from instructmining.preview.facts import is_local, previews
from instructmining.settings.sections import Read

ROWS = [{"prompt": "Grüße", "response": "日本"}, {"prompt": "q", "response": "a"}]


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("hf:acme/qa", HubName("acme/qa")),
        ("hf:acme/qa-1.0:train", HubName("acme/qa-1.0", split="train")),
        ("hf:acme/qa@0a1b2c3/en us:test", HubName("acme/qa", "0a1b2c3", "en us", "test")),
        ("hf:acme/qa/en", HubName("acme/qa", config="en")),
    ],
)
def test_a_name_has_up_to_four_parts(name: str, parts: HubName):
    assert hub_name(name) == parts


@pytest.mark.parametrize("name", ["hf:", "hf:squad", "hf:a/b/c/d", "hf:a/b:train[:10%]"])
def test_another_form_is_refused_with_the_form(name: str):
    with pytest.raises(UserError, match=r"write hf:owner/name"):
        hub_name(name)


def test_all_splits_of_the_cache_are_read_without_a_network(tmp_path: Path, monkeypatch):
    offline_cache(tmp_path, {"train": ROWS, "test": ROWS[:1]}, monkeypatch)
    files = hub_files("hf:acme/qa")
    assert [file.source for file in files] == ["hf:acme/qa:train", "hf:acme/qa:test"]
    for file, rows in zip(files, (ROWS, ROWS[:1]), strict=True):
        with pa.memory_map(str(file.path)) as source:
            assert pa.ipc.open_stream(source).read_all().to_pylist() == rows
    assert [file.source for file in hub_files("hf:acme/qa:test")] == ["hf:acme/qa:test"]


def test_a_preview_needs_no_spark(tmp_path: Path, monkeypatch):
    offline_cache(tmp_path, {"train": ROWS}, monkeypatch)
    assert is_local("hf:acme/qa")
    [found], _ = previews(["hf:acme/qa:train"], Read())
    assert found.layouts == {"pairs": 2}
    assert found.examples[0][1]["content"] == "日本"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "hf:acme/other",
            r"the hub cannot be reached and the cache has no copy \(.*other.*HF_HOME",
        ),
        ("hf:acme/qa:dev", r"Unknown split \"dev\". Should be one of \['train'\]"),
        ("hf:acme/qa/en", r"config 'en' Available configs in the cache: \['default'\]"),
        ("hf:acme/qa@0a1b2c3", r"the cache holds revision [0-9a-f]{16} only"),
    ],
)
def test_what_is_not_there_is_one_sentence(tmp_path: Path, monkeypatch, name: str, sentence: str):
    offline_cache(tmp_path, {"train": ROWS}, monkeypatch)
    with pytest.raises(UserError, match=sentence) as raised:
        hub_files(name)
    assert "\n" not in str(raised.value)
    assert str(raised.value).startswith(f"--input {name}: ")
