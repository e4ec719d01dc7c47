"""Runs and rules in a real SQLite MLflow store; no Spark session."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from packaging.version import Version

from instructmining.errors import UserError
from instructmining.models.lists import locate
from instructmining.rules import registry
from instructmining.rules.fitted_model import FittedModel
from instructmining.rules.rule import LinearRule, read_rule
from instructmining.settings.sections import Settings, Tracking
from instructmining.tracking import mlflow_runs as tracking

mlflow = pytest.importorskip("mlflow", reason="the extra [tracking] is not installed")


def named(store, model):
    return store.model_copy(update={"registry_model": model})


def fitted(reward="aa", knn="bb"):
    return LinearRule(
        name="fit",
        intercept=0.5,
        coefficients={"reward": -0.25, "knn_6": -1.0},
        models={
            "reward": FittedModel(sources=("lab/reward",), fingerprint=reward),
            "knn_6": FittedModel(sources=("lab/encoder",), fingerprint=knn),
        },
    )


def test_a_run_keeps_settings_rule_counts_times_inputs_and_plots(mlflow_store, tmp_path):
    rule = read_rule("paper-v1")
    with tracking.log_run(mlflow_store, "score") as run:
        run.log_params(Settings(tracking=mlflow_store, input=("a.json", "b.csv")).model_dump())
        run.log_params({"select": {"quota": {"dolly*": 5}}})
        run.log_models({"f1": {"kind": "mtld"}})
        run.log_rule(rule, "because", ["reward was fitted with X and is measured with Y"])
        run.log_metrics({"rows_read": 12, "rows_scored": 10})
        run.log_metrics({"ingest": 1.5}, prefix="seconds_")
        run.log_inputs([tracking.Input("data/a.json"), tracking.Input("out/examples", 7)])
        run.log_histogram("reward", np.array([-1.0, 0.0, 1.0]), np.array([4, 5]), missing=1)
    client = mlflow.MlflowClient(mlflow_store.uri)
    kept = client.get_run(run.id)
    assert kept.info.status == "FINISHED"
    assert kept.data.params["measure.max_failed_fraction"] == "0.01"
    assert kept.data.params["select.quota.dolly_"] == "5"  # `*` is not allowed in a name
    assert kept.data.params["rule.fingerprint"] == rule.fingerprint
    assert kept.data.tags["rule_mismatch"].startswith("reward was fitted with X")
    assert kept.data.metrics == {"rows_read": 12, "rows_scored": 10, "seconds_ingest": 1.5}
    sources = [json.loads(read.dataset.source) for read in kept.inputs.dataset_inputs]
    assert sources == [
        {"path": "data/a.json"},
        {"path": "out/examples", "delta_table_version": 7},
    ]
    plot = client.download_artifacts(run.id, "plots/reward.png", str(tmp_path))
    with open(plot, "rb") as image:
        assert image.read(8) == b"\x89PNG\r\n\x1a\n"
    record = client.download_artifacts(run.id, "rule.json", str(tmp_path))
    with open(record, encoding="utf-8") as text:
        assert LinearRule.from_json(text.read()) == rule


def test_artifacts_of_a_local_store_lie_beside_the_database(mlflow_store):
    database = mlflow_store.uri.removeprefix("sqlite:///")
    with tracking.log_run(mlflow_store, "where") as run:
        pass
    artifacts = mlflow.MlflowClient(mlflow_store.uri).get_run(run.id).info.artifact_uri
    folder = database.rpartition("/")[0].replace(" ", "%20")
    assert artifacts.startswith(f"file://{folder}/mlartifacts/instructmining/")


def test_a_run_that_raises_is_marked_as_failed_and_the_error_passes_through(mlflow_store):
    with (
        pytest.raises(ZeroDivisionError),
        tracking.log_run(mlflow_store, "bad") as run,
    ):
        1 / 0  # noqa: B018
    assert mlflow.MlflowClient(mlflow_store.uri).get_run(run.id).info.status == "FAILED"


def test_nothing_global_is_touched(mlflow_store):
    before = mlflow.get_tracking_uri()
    registry.publish_rule(fitted(), named(mlflow_store, "untouched"))
    with tracking.log_run(mlflow_store, "inner"):
        assert mlflow.active_run() is None
        assert mlflow.get_tracking_uri() == before


def test_without_tracking_a_run_still_has_an_id_and_mlflow_is_never_imported(tmp_path):
    program = """
import sys
sys.modules["mlflow"] = None  # as where it is not installed
import numpy as np
from instructmining.rules import registry
from instructmining.tracking import mlflow_runs as tracking
from instructmining.rules.rule import read_rule
from instructmining.settings.sections import Tracking
off = Tracking(uri="none")
with tracking.log_run(off, "score") as run:
    run.log_params({"a": 1}); run.log_metrics({"b": 2}); run.log_models({})
    run.log_rule(read_rule("paper-v1")); run.log_inputs([tracking.Input("x")])
    run.log_histogram("reward", np.array([0.0, 1.0]), np.array([1]))
print(len(run.id), registry.choose_rule("auto", {}, off)[0].name)
try:
    with tracking.log_run(Tracking(), "score"): pass
except Exception as error:
    print(type(error).__name__, error)
"""
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
    first, second = found.stdout.splitlines()
    assert first == "32 paper-v1"
    assert second.startswith("UserError MLflow is not installed: pip install")


def test_an_equal_rule_keeps_its_version_and_another_gets_the_next(mlflow_store):
    store = named(mlflow_store, "idempotent")
    first, made = registry.publish_rule(read_rule("paper-v1"), store, alias="paper-v1")
    again, made_again = registry.publish_rule(
        read_rule("paper-v1").model_copy(update={"name": "renamed"}), store
    )
    other, _ = registry.publish_rule(read_rule("paper-v2"), store)
    assert (made, made_again) == (True, False)
    assert again == first
    assert (first.version, other.version) == (1, 2)
    assert [(r.version, r.rule, r.aliases) for r in registry.list_rules(store)] == [
        (2, "paper-v2", ()),
        (1, "paper-v1", ("paper-v1",)),
    ]


def test_an_alias_is_resolved_to_the_version_it_points_to_now(mlflow_store):
    store = named(mlflow_store, "aliases")
    registry.publish_rule(read_rule("paper-v1"), store)
    registry.publish_rule(read_rule("paper-v2"), store)
    assert registry.promote("1", store) == ("aliases", 1, None)
    assert registry.resolve_version("models:/aliases@champion", store) == ("aliases", 1)
    assert registry.promote("models:/aliases/2", store) == ("aliases", 2, 1)
    rule = registry.load_rule("models:/aliases@champion", store)
    assert (rule.name, rule.version) == ("aliases", "2")
    assert rule.coefficients == read_rule("paper-v2").coefficients
    assert rule.fingerprint == read_rule("paper-v2").fingerprint
    assert rule.provenance["published_as"] == "paper-v2 1"


@pytest.mark.parametrize(
    "uri", ["models:/aliases@nobody", "models:/absent@champion", "models:/aliases/99", "models:/x"]
)
def test_what_the_registry_does_not_have_is_one_sentence(mlflow_store, uri):
    with pytest.raises(UserError) as refusal:
        registry.load_rule(uri, named(mlflow_store, "aliases"))
    assert "\n" not in str(refusal.value)
    with pytest.raises(UserError):
        registry.promote(uri, named(mlflow_store, "aliases"))


def test_auto_takes_the_champion_only_for_exactly_its_own_models(mlflow_store):
    store = named(mlflow_store, "auto")
    now = {"reward": "aa", "knn_6": "bb", "mtld": "unused"}
    rule, why = registry.choose_rule("auto", now, store)
    assert rule.name == "paper-v1"
    assert "no rule fitted for these models is promoted" in why
    version, _ = registry.publish_rule(fitted(), store)
    assert registry.choose_rule("auto", now, store)[0].name == "paper-v1"
    registry.promote(str(version.version), store)
    rule, why = registry.choose_rule("auto", now, store)
    assert (rule.name, rule.version, rule.coefficients) == ("auto", "1", fitted().coefficients)
    assert "champion" in why
    rule, why = registry.choose_rule("auto", {**now, "knn_6": "other"}, store)
    assert rule.name == "paper-v1"
    assert why.endswith("was fitted on other models: knn_6")
    assert registry.choose_rule("paper-v2", now, store)[0].name == "paper-v2"


def test_unity_catalog_needs_a_model_of_three_names_and_auto_does_without():
    uc = Tracking(uri="databricks")
    with pytest.raises(UserError, match=r"CATALOG\.SCHEMA\.NAME"):
        registry.publish_rule(fitted(), uc)
    rule, why = registry.choose_rule("auto", {}, uc)
    assert rule.name == "paper-v1"
    assert "names no catalog" in why


TAKES_FOLDERS = Version(mlflow.__version__) < Version("3.17")


@pytest.mark.parametrize(
    "uri",
    [
        "bogus://x",
        pytest.param(
            "file:///tmp/mlruns",
            marks=pytest.mark.skipif(TAKES_FOLDERS, reason="older MLflow keeps runs in folders"),
        ),
        "sqlite:////dev/null/x.db",
    ],
)
def test_a_store_that_cannot_be_used_is_named_in_one_sentence(uri):
    with pytest.raises(UserError, match=uri) as refusal:
        registry.list_rules(Tracking(uri=uri))
    assert "\n" not in str(refusal.value)


def test_a_server_that_does_not_answer_comes_with_the_way_to_do_without(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(UserError, match="--tracking-uri none") as refusal:
        registry.list_rules(Tracking(uri="http://127.0.0.1:9"))
    assert len(str(refusal.value)) < 500


def test_mlflow_itself_serves_the_rule(mlflow_store):
    store = named(mlflow_store, "served")
    version, _ = registry.publish_rule(fitted(), store)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(store.uri)
    try:
        served = mlflow.pyfunc.load_model(version.uri)
    finally:
        mlflow.set_tracking_uri(before)
    table = pd.DataFrame({"reward": [2.0, np.nan], "knn_6": [0.5, 0.5]})
    predicted = served.predict(table)
    assert predicted["predicted_log_loss"].tolist() == pytest.approx([-0.5, np.nan], nan_ok=True)
    assert predicted["contribution_knn_6"].tolist() == [-0.5, -0.5]
    assert served.metadata.get_input_schema().input_names() == ["reward", "knn_6"]
    assert served.metadata.saved_input_example_info is not None


def test_a_served_rule_with_a_covariance_gives_standard_errors(mlflow_store):
    store = named(mlflow_store, "served_errors")
    covariance = ((0.04, 0.0, 0.01), (0.0, 0.01, 0.0), (0.01, 0.0, 0.09))
    rule = fitted().model_copy(update={"covariance": covariance})
    version, _ = registry.publish_rule(rule, store)
    served = mlflow.pyfunc.load_model(str(registry.download(version.uri, store)))
    table = pd.DataFrame({"reward": [2.0, np.nan], "knn_6": [0.5, 0.5]})
    errors = served.predict(table)["predicted_log_loss_se"].tolist()
    # 0.04 + 4 x 0.01 + 0.25 x 0.09 + 2 x 0.5 x 0.01, then the root
    assert errors == pytest.approx([0.1125**0.5, np.nan], nan_ok=True)


def test_a_model_list_reads_weights_from_the_configured_store(mlflow_store, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    store = named(mlflow_store, "weights")
    with tracking.connection(store) as client:
        run = client.create_run("0").info.run_id
        client.log_artifacts(run, str(tmp_path), "weights")
        client.create_registered_model("weights")
        client.create_model_version("weights", f"runs:/{run}/weights", run)
    for uri in ("models:/weights/1", f"runs:/{run}/weights"):
        assert [path.name for path in locate(uri, tracking=store).iterdir()] == ["config.json"]
    with pytest.raises(UserError, match="nowhere"):
        locate("models:/nowhere/1", tracking=store)


def test_publishing_and_recording_print_nothing(tmp_path):
    program = f"""
from instructmining.rules import registry
from instructmining.tracking import mlflow_runs as tracking
from instructmining.rules.rule import read_rule
from instructmining.settings.sections import Tracking
store = Tracking(uri="sqlite:///{tmp_path}/mlflow.db")
with tracking.log_run(store, "score") as run:
    run.log_rule(read_rule("paper-v1"))
    run.log_inputs([tracking.Input("a"), tracking.Input("b", 3)])
registry.publish_rule(read_rule("paper-v1"), store)
registry.load_rule("models:/instructmining_rule/1", store)
"""
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")
    left = {path.name for path in tmp_path.iterdir()}
    if TAKES_FOLDERS:  # such a version makes a folder for runs, whatever it is told, and leaves it
        assert not [path for path in (tmp_path / "mlruns").rglob("*") if path.is_file()]
        left.discard("mlruns")
    assert left == {"mlartifacts", "mlflow.db"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://mlflow:S3cret@db:5432/mlflow", "postgresql://db:5432/mlflow"),
        ("MLflow (https://token@host/a): no", "MLflow (https://host/a): no"),
        ("sqlite:///mlflow.db", "sqlite:///mlflow.db"),
        ("s3a://bucket/a@b", "s3a://bucket/a@b"),
    ],
)
def test_no_password_of_an_address_is_recorded_or_shown(text, shown) -> None:
    assert tracking.without_credentials(text) == shown
