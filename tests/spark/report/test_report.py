"""The report of the sample that ships: what it counts, finds and leaves alone."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from chromium import Elements
from deltalake import DeltaTable
from pyspark.sql import SparkSession
from sample_store import NEAR, SampleStore

from instructmining.errors import UserError
from instructmining.report.counts import count
from instructmining.report.page import gather, render
from instructmining.report.scored import Scored, open_scores
from instructmining.settings.sections import Tracking
from instructmining.store.distributions import SHARES, rank_correlations, spreads
from instructmining.store.tables import Store
from jobs.stored.report import run

pytestmark = pytest.mark.slow


def files(folder: str) -> dict[str, int]:
    return {str(path): path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()}


def rows_of(sample: SampleStore, table: str) -> pd.DataFrame:
    return DeltaTable(f"{sample.store}/{table}").to_pandas()


@pytest.fixture(scope="module")
def written(spark: SparkSession, sample_store: SampleStore, tmp_path_factory) -> Path:
    """The page as the job writes it, with a look at the store before and after."""
    target = tmp_path_factory.mktemp("report") / "page.html"
    before = files(sample_store.store)
    made = run(spark, sample_store.settings(report={"to": str(target), "examples": 3}))
    assert made == target
    assert files(sample_store.store) == before
    return target


@pytest.fixture(scope="module")
def other(spark: SparkSession, sample_store: SampleStore) -> Scored:
    """The scores under the rule from a file."""
    store = Store.open(spark, sample_store.store)
    rule = f"{sample_store.folder}/other.json"
    return open_scores(store, "default", rule, Tracking(uri="none"))


def test_every_record_is_on_the_page_and_the_last_rule_is_taken(written: Path) -> None:
    text = " ".join(Elements(written.read_text(encoding="utf-8")).text.split())
    assert "Of 394 records 371 are scored, 12 are copies of these and 11 cannot be used." in text
    assert "scored with the rule paper-v1, version 1" in text
    for reason in ("blank_response 6", "malformed_json 1", "missing_field 3", "no_response 1"):
        assert reason in text
    assert "Of the models: these models are <b>quick</b>, not good" in text
    assert "reward was fitted with an unknown model" in text
    assert "This pool has not been evaluated" in text


def test_the_page_is_an_artifact_of_its_run(written: Path, sample_store: SampleStore) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(sample_store.tracking)
    [experiment] = client.search_experiments(filter_string="name = 'instructmining'")
    [logged] = client.search_runs([experiment.experiment_id])
    assert logged.info.run_name == "report default"
    assert logged.data.params["rule.name"] == "paper-v1"
    kept = Path(client.download_artifacts(logged.info.run_id, "report.html"))
    assert kept.read_text(encoding="utf-8") == written.read_text(encoding="utf-8")
    assert logged.info.run_id in written.read_text(encoding="utf-8")


def test_sources_and_predictions_are_counted_as_pandas_counts_them(
    other: Scored, sample_store: SampleStore
) -> None:
    counts = count(other, 2)
    scores = rows_of(sample_store, "scores").query("rule_name == 'other'")
    records = rows_of(sample_store, "occurrences")
    assert {s.source: s.usable for s in counts.sources} == dict(records["source"].value_counts())
    assert (counts.rows, counts.examples, counts.copies, counts.quarantined) == (394, 371, 12, 11)
    assert counts.predicted == scores["predicted_log_loss"].notna().sum()
    assert 0 < counts.predicted < 371  # texts of fewer than ten words have no mtld
    assert sum(n for _, n in counts.missing) == 371 - counts.predicted
    assert counts.out_of_range == scores["out_of_range"].sum() > 0
    most = records["example_id"].value_counts().iloc[:2]
    assert [n for _, n in counts.most_copied] == list(most)


def test_spreads_are_those_of_pandas(other: Scored) -> None:
    found = spreads(other.rows, ["output_length", "mtld"], "shown")
    frame = other.rows.select("shown", "output_length", "mtld").toPandas()
    groups = {None: frame, **{str(name): group for name, group in frame.groupby("shown")}}
    assert set(found) == set(groups)
    for name, group in groups.items():
        for column in ("output_length", "mtld"):
            values = group[column].dropna()
            spread = found[name][column]
            assert (spread.n, spread.missing) == (len(values), group[column].isna().sum())
            assert spread.mean == pytest.approx(values.mean(), rel=1e-9)
            assert spread.sd == pytest.approx(values.std(), rel=1e-9)
            exact = values.quantile(list(SHARES), interpolation="lower")
            ranks = [(values <= q).mean() for q in spread.quantiles]
            wanted = [(values <= q).mean() for q in exact]
            assert np.abs(np.subtract(ranks, wanted)).max() <= 2 / len(values)


def test_correlations_are_spearmans_and_a_sample_is_the_same_every_time(other: Scored) -> None:
    names = ["output_length", "mtld", "knn_6"]
    whole, n = rank_correlations(other.rows, names, "example_id", 371, 10_000)
    frame = other.rows.select(*names).toPandas()
    assert n == 371
    pair = frame[["output_length", "mtld"]].dropna().rank()
    assert whole.loc["output_length", "mtld"] == pytest.approx(
        np.corrcoef(pair["output_length"], pair["mtld"])[0, 1], rel=1e-9
    )
    once, size = rank_correlations(other.rows, names, "example_id", 371, 150)
    again, _ = rank_correlations(other.rows.repartition(3), names, "example_id", 371, 150)
    assert 90 < size < 210
    np.testing.assert_allclose(once, again, rtol=1e-9)


def test_the_best_have_the_lowest_predictions_and_near_duplicates_are_near(
    other: Scored, sample_store: SampleStore
) -> None:
    settings = sample_store.settings(report={"examples": 4, "characters": 100}).report
    told = gather(other, settings, f"{sample_store.folder}/quick.yml")
    scores = rows_of(sample_store, "scores").query("rule_name == 'other'")
    known = scores["predicted_log_loss"].dropna().sort_values()
    assert [e.prediction for e in told.best] == pytest.approx(list(known[:4]), rel=1e-12)
    assert [e.prediction for e in told.worst] == pytest.approx(list(known[::-1][:4]), rel=1e-12)
    for each in [*told.best, *told.worst]:
        assert each.intercept == pytest.approx(0.5, rel=1e-9)
        assert each.steps[-1].end == pytest.approx(each.prediction, rel=1e-9)
        assert len(each.response.shown) == min(100, each.response.length)
    stored = rows_of(sample_store, "pool_knn").set_index("example_id")["distances"].str[0]
    assert told.neighbors.below[0.5] == (stored < 0.5).sum()
    pairs = [{m.prompt.shown for m in group.members} for group in told.neighbors.groups[:2]]
    assert {next(iter(pair)) for pair in pairs if len(pair) == 1} == {
        record["instruction"] for record in NEAR
    }
    assert [group.size for group in told.neighbors.groups[:2]] == [2, 2]
    assert told.neighbors.groups[0].distance == pytest.approx(stored.min(), abs=1e-3)
    assert "other" in render(told, "run")


def test_a_pool_or_rule_without_scores_is_a_clear_mistake(
    spark: SparkSession, sample_store: SampleStore, tmp_path: Path
) -> None:
    for options, message in (
        ({"pool": "absent"}, r"pool 'absent'.*scored pools: default"),
        ({"rule": {"source": "paper-v2"}}, "no scores under paper-v2 1, only under other 3, paper"),
        ({"store": str(tmp_path / "none")}, "scored pools: none yet"),
        ({"report": {"to": str(tmp_path / "no" / "page.html")}}, "there is no folder"),
        ({"report": {"to": "s3://bucket/page.html"}}, "name a local file"),
    ):
        with pytest.raises(UserError, match=message):
            run(spark, sample_store.settings(**{"tracking": {"uri": "none"}, **options}))


def test_the_report_is_made_under_spark_connect(sample_store: SampleStore, tmp_path: Path) -> None:
    program = f"""
from instructmining.spark.session import get_session
from instructmining.settings.loading import load_settings
from jobs.stored.report import run
spark, _ = get_session({{"spark.api.mode": "connect"}})
assert "connect" in type(spark).__module__
run(spark, load_settings(options={{"store": {sample_store.store!r},
    "tracking": {{"uri": "none"}}, "report": {{"to": {str(tmp_path)!r}}}}}))
"""
    pytest.importorskip("grpc", reason="Spark Connect needs grpcio")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYSPARK_")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    text = Elements((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert "Of 394 records 371 are scored" in text
