"""A model that gives NaN, and rows that a model fails on: null with a reason, never a number."""

import json

import numpy as np
import pyarrow.compute as pc
import pytest
import tiny_models
import yaml
from deltalake import DeltaTable
from safetensors.numpy import load_file, save_file

from bench.harness.rows import ROOT, write_real_rows
from bench.harness.stored import measured, table

pytestmark = pytest.mark.soak

ROWS = 16
FRAGILE = """
def measure(conversations):
    texts = [c[-1]["content"] for c in conversations]
    if any("RAISE" in text for text in texts):
        raise ValueError("no number for this text")
    odd = {"NAN": float("nan"), "INF": float("inf"), "NONE": None}
    return [next((odd[word] for word in odd if word in text), len(text)) for text in texts]
"""
RULE = ("--rule", "paper-v1")
NAN = "failed: the model gave no finite number"
UNDEFINED = "the function gave no number"  # its own word that there is none: not a failure
SPOILT = {
    "RAISE": "failed: ValueError: no number for this text",
    "INF": NAN,
    "NAN": UNDEFINED,
    "NONE": UNDEFINED,
}
FAILED = sum(reason.startswith("failed: ") for reason in SPOILT.values())


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Rows of which some spoil a function, and a classifier with NaN for a weight."""
    folder = tmp_path_factory.mktemp("numbers")
    write_real_rows(folder / "rows.jsonl", ROWS, longest=600)
    with (folder / "rows.jsonl").open("a", encoding="utf-8") as file:
        for word in SPOILT:
            row = {"instruction": f"Say {word}.", "response": f"{word} ist kein Maß, 说什么呢?"}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    weights = tiny_models.bert_classifier(folder / "bert") / "model.safetensors"
    tensors = load_file(weights)
    save_file(
        {**tensors, "classifier.bias": np.array([np.nan, 0], np.float32)},
        weights,
        metadata={"format": "pt"},
    )
    (folder / "fragile.py").write_text(FRAGILE)
    listed = {
        "name": "spoilt",
        "reward": {
            "kind": "sequence_classifier",
            "source": str(folder / "bert"),
            "label": "good",
            "template": "pair",
            "indicators": ["reward"],
        },
        "mtld": {"kind": "mtld", "indicators": ["mtld"]},
        "classifiers": {
            "characters": {
                "kind": "python",
                "function": "fragile:measure",
                "indicators": ["characters"],
            }
        },
    }
    (folder / "models.yml").write_text(yaml.safe_dump(listed))
    return folder


def test_nan_and_failing_rows(place, program, record_property):
    score = program(
        place / "rows.jsonl",
        place / "score.log",
        100,
        place / "models.yml",
        RULE,
        PYTHONPATH=f"{ROOT}:{place}",
    )
    store = place / "store"
    rows = ROWS + len(SPOILT)
    assert score.start(store).wait() == 1
    said = score.said()
    assert f"instructmining: stage reward: {rows} of {rows} rows failed, more than" in said
    assert "Traceback" not in said

    reward = table(store, "stage_values").query("stage == 'reward'")
    assert len(reward) == rows
    assert list(reward["values"]) == [{}] * rows
    assert set(reward["reason"]) == {NAN}
    assert set(reward["status"]) == {"failed"}

    characters = measured(store, "characters").join(
        table(store, "examples").set_index("example_id")["response"]
    )
    spoilt = characters["response"].str.contains("|".join(SPOILT))
    assert spoilt.sum() == len(SPOILT)
    assert characters.loc[spoilt, "characters"].isna().all()
    words = characters.loc[spoilt, "response"].str.partition(" ")[0]
    assert dict(zip(words, characters.loc[spoilt, "reason"], strict=True)) == SPOILT
    assert (
        characters.loc[~spoilt, "characters"] == characters.loc[~spoilt, "response"].map(len)
    ).all()

    assert_nulls_with_their_reasons(store, rows)
    again = program(
        place / "rows.jsonl",
        place / "score.log",
        100,
        place / "models.yml",
        (*RULE, "--retry-failed", "--max-failed-fraction", "1"),
        PYTHONPATH=f"{ROOT}:{place}",
    )
    assert again.finish(store) == rows + FAILED
    assert_nulls_with_their_reasons(store, rows)
    record_property(
        "seen",
        f"{rows} NaN rewards and {len(SPOILT)} rows of a function: null with "
        "their reasons, exit code 1, with --max-failed-fraction 1 it is 0",
    )


def assert_nulls_with_their_reasons(store, rows):
    scores = DeltaTable(str(store / "scores")).to_pyarrow_table()
    assert len(scores) == rows
    for name in ("reward", "characters", "mtld", "predicted_log_loss"):
        assert not pc.any(pc.is_nan(scores[name])).as_py(), name
    assert scores["reward"].null_count == scores["predicted_log_loss"].null_count == rows
    assert scores["characters"].null_count == len(SPOILT)
    assert all(
        NAN.removeprefix("failed: ") in reason for reason in scores["missing_reason"].to_pylist()
    )
