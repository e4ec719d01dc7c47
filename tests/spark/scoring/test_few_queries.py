"""How often a run asks Spark: small data cost what their queries cost."""

import json
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from quick_models import FUNCTIONS

from instructmining.settings.loading import load_settings
from instructmining.settings.sections import Settings
from instructmining.store.tables import Store
from jobs.scoring.run import run

LIST = """
name: counted
reward: {kind: python, function: "counted_functions:reward", indicators: [reward]}
perplexity: {kind: python, function: "counted_functions:words", indicators: [output_length]}
mtld: {kind: mtld, indicators: [mtld]}
"""
RULE = {"name": "long", "intercept": 1.0, "coefficients": {"reward": -1.0}}


@pytest.fixture
def settings(spark: SparkSession, tmp_path: Path) -> Settings:
    (tmp_path / "counted_functions.py").write_text(FUNCTIONS)
    (tmp_path / "list.yml").write_text(LIST)
    (tmp_path / "rule.json").write_text(json.dumps(RULE))
    spark.sparkContext.addPyFile(str(tmp_path / "counted_functions.py"))
    rows = [
        {"instruction": f"Ask {i}", "output": f"Река {i} is long. " * (2 + i)} for i in range(12)
    ]
    (tmp_path / "data.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return load_settings(
        options={
            "input": (str(tmp_path / "data.jsonl"),),
            "store": str(tmp_path / "store"),
            "models": str(tmp_path / "list.yml"),
            "rule": {"source": str(tmp_path / "rule.json")},
            "tracking": {"uri": "none"},
        }
    )


def asked(spark: SparkSession) -> int:
    """Queries of this session until now, those that Delta asks for itself included."""
    return int(spark._jsparkSession.sharedState().statusStore().executionsCount())


def test_the_stages_share_what_they_ask_and_nothing_new_asks_little(
    spark: SparkSession, settings: Settings
) -> None:
    start = asked(spark)
    assert run(spark, settings).measured_rows == 36
    first = asked(spark) - start
    store = Store.open(spark, settings.store)
    assert store.read("fingerprints").count() == 3
    assert store.version("fingerprints") == 1  # made, then one commit for all models
    start = asked(spark)
    assert run(spark, settings).measured_rows == 0
    again = asked(spark) - start
    assert first <= 115  # 104 when this was written
    assert again <= 32  # 27
