"""The canary of a run: real rows against spoiled copies, stored, printed, not paid for twice."""

import json
from collections import Counter
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from instructmining.settings.loading import load_settings
from instructmining.spoiling.held_out import HELD_OUT, KINDS
from instructmining.store.tables import Store
from jobs.scoring.run import run

FUNCTIONS = """
def reward(conversations):
    words = [c[-1]["content"].split() for c in conversations]
    return [sum(word in ("river", "sea", "delta") for word in each) / 3 for each in words]
"""
LIST = 'name: rivers\nreward: {kind: python, function: "canary_functions:reward", '
RULE = {"name": "wet", "intercept": 1.0, "coefficients": {"reward": -1.0}}


@pytest.fixture
def folder(spark: SparkSession, tmp_path: Path) -> Path:
    (tmp_path / "canary_functions.py").write_text(FUNCTIONS)
    (tmp_path / "rivers.yml").write_text(LIST + "indicators: [reward]}\n")
    (tmp_path / "wet.json").write_text(json.dumps(RULE))
    spark.sparkContext.addPyFile(str(tmp_path / "canary_functions.py"))
    rows = [
        {
            "prompt": f"Where does stream number {i} end?",
            "response": f"It is a river that meets the sea in a wide delta near town {i} of many.",
        }
        for i in range(60)
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path


def test_the_rule_is_tried_on_spoiled_rows_once_for_the_same_models(
    spark: SparkSession, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = load_settings(
        options={
            "input": (str(folder / "rows.jsonl"),),
            "store": str(folder / "store"),
            "models": str(folder / "rivers.yml"),
            "rule": {"source": str(folder / "wet.json")},
            "tracking": {"uri": "none"},
        }
    )
    summary = run(spark, settings)
    of_100 = {one.kind: one.of_100 for one in summary.canary}
    assert set(of_100) == set(KINDS)
    assert of_100["base64"] == of_100["placeholder"] == of_100["wrong_language"] == 100
    assert of_100["shuffled"] == of_100["swapped"] == 50  # the same words: ties count half
    text = capsys.readouterr().out
    assert "canary: the rule prefers the real row to a spoiled copy in" in text
    pairs = Store.open(spark, settings.store).read("canary").collect()
    assert set(Counter(row.kind for row in pairs).values()) == {5}
    assert {row.kind for row in pairs if row.held_out} == set(HELD_OUT)
    assert {row.real["reward"] for row in pairs} == {1.0}
    again = run(spark, settings)
    assert again.canary == summary.canary
    assert again.stages["canary"].startswith("0 spoiled rows")
    assert Store.open(spark, settings.store).read("canary").count() == len(pairs)
