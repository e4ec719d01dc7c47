"""A cache of the library `datasets`, as `load_dataset("acme/qa")` leaves it; without a network."""

import json
from pathlib import Path
from typing import Any

import datasets
import pytest


def offline_cache(
    folder: Path, splits: dict[str, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Let the library write its cache of a local folder, and name it as one of `acme/qa`.

    From then on no network is asked for in this test.
    """
    source, cache = folder / "qa", folder / "cache"
    source.mkdir()
    for split, rows in splits.items():
        (source / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", cache)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    datasets.load_dataset(str(source))
    (cache / "qa").rename(cache / "acme___qa")
    return cache
