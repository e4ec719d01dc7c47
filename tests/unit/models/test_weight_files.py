"""A damaged file of weights is named before anything is measured with it."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from instructmining.errors import UserError
from instructmining.models.lists import ModelSpec
from instructmining.models.weight_files import tensors_of
from udfs.indicators import resolve


@pytest.fixture
def file(tmp_path: Path) -> Path:
    weights = {"a": np.ones((3, 4), np.float32), "ж": np.zeros(5, np.float16)}
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    return tmp_path / "model.safetensors"


def test_a_whole_file_tells_its_tensors(file: Path) -> None:
    assert {name: each["shape"] for name, each in tensors_of(file).items()} == {
        "a": [3, 4],
        "ж": [5],
    }


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda whole: whole[:-1], "bytes, but its header says"),
        (lambda whole: whole + b"\0", "bytes, but its header says"),
        (lambda whole: whole[:20], "does not begin as"),
        (lambda whole: b"", "does not begin as"),
        (lambda whole: b"\xff" * len(whole), "does not begin as"),
        (lambda whole: whole[:8] + b"[" + whole[9:], "does not begin as"),
        (lambda whole: (2).to_bytes(8, "little") + b"[]", "does not begin as"),
        (lambda whole: (9).to_bytes(8, "little") + b'{"a": {}}', "does not begin as"),
    ],
)
def test_a_damaged_file_is_named_with_the_remedy(file: Path, damage, why: str) -> None:
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(UserError, match=why) as refused:
        resolve(ModelSpec(kind="causal_lm", source=str(file.parent), indicators=("perplexity",)))
    assert str(refused.value).startswith(f"{file} is damaged")
    assert "models fetch" in str(refused.value)


def test_a_damaged_config_is_named(file: Path) -> None:
    config = file.with_name("config.json")
    config.write_text(json.dumps({"layers": 2})[:-3])
    with pytest.raises(UserError, match=f"{config} is damaged: it is not JSON"):
        resolve(ModelSpec(kind="causal_lm", source=str(file.parent), indicators=("perplexity",)))
