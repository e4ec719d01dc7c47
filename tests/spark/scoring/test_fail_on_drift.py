"""What `score --fail-on-drift` compares, on the sample of which half is as another run left it."""

import shutil
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from sample_store import SampleStore

from instructmining.errors import DriftError
from instructmining.store.queries import read_queries
from instructmining.store.tables import Store
from instructmining.store.views import VIEWS
from jobs.scoring.drift import refuse_drift
from jobs.scoring.stages import Pool

pytestmark = pytest.mark.slow

MONITORING = str(Path(__file__).parents[3] / "docs" / "monitoring.sql")


def test_drift_is_stored_and_fails_again_and_every_query_finds_it(
    spark: SparkSession, sample_store: SampleStore, tmp_path: Path
) -> None:
    shutil.copytree(sample_store.store, tmp_path / "store")
    store = Store.open(spark, str(tmp_path / "store"))
    examples = store.read("examples")
    pool = Pool("default", examples.select("example_id"), examples)
    prints = [row.fingerprint for row in store.read("fingerprints").collect()]
    refuse_drift(store, pool, prints, 0.5, "first")  # one run: nothing to compare
    assert not store.exists("drift")

    spark.sql(
        f"UPDATE {store.sql_name('stage_values')} SET run_id = 'before', "
        "written_at = written_at - INTERVAL 1 DAY, "
        "`values` = transform_values(`values`, (name, v) -> IF(name = 'mtld', v, v - 9)) "
        "WHERE bucket < 2048"
    )
    for run_id in ("second", "a retry"):
        with pytest.raises(DriftError, match="reward moved by") as raised:
            refuse_drift(store, pool, prints, 0.5, run_id)
        assert "mtld moved" not in str(raised.value)
    refuse_drift(store, pool, prints, 1e9, "third")
    rows = store.read("drift").toPandas()
    assert set(rows["run_id"]) == {"second", "a retry", "third"}
    reward = rows[(rows["indicator"] == "reward") & (rows["run_id"] == "third")].iloc[0]
    assert reward["new_median"] - reward["old_median"] == pytest.approx(9, abs=1)

    session = spark.newSession()
    for table in ("scores", "drift", "occurrences", "quarantine"):
        session.sql(f"CREATE TEMPORARY VIEW {table} AS SELECT * FROM {store.sql_name(table)}")
    for view in ("records", "scored_sources"):
        tables, query = VIEWS[view]
        names = {table: table for table in tables}
        session.sql(f"CREATE TEMPORARY VIEW {view} AS {query.format(**names)}")
    queries = read_queries(MONITORING, store.target, "default", "other")
    found = {name: session.sql(text).toPandas() for name, (text,) in queries.items()}
    assert [name for name, frame in found.items() if frame.empty] == []
    assert found["quarantine_share"]["quarantined"].sum() == 11
    assert set(found["latest_drift"]["compared_at"]) == {rows["compared_at"].max()}
