"""Every query of docs/queries.sql on the scored sample; every one-liner of docs/sql.md."""

import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pandas as pd
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession
from sample_store import SampleStore

from instructmining.errors import UserError
from instructmining.spark.delta_jars import delta_jars
from instructmining.store.queries import read_queries
from instructmining.store.schemas import TABLES
from instructmining.store.tables import Store
from instructmining.store.views import create_views

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
FILE = str(ROOT / "docs" / "queries.sql")
NAMES = list(read_queries(FILE, "out", "default", "paper-v1"))
VIEWS = ("tables", "current_occurrences", "evaluation_tables")
LATER = ("finetuning_runs", "arms", "verdicts", "subset_sources")  # no table of theirs here yet
FEW_TASKS = """
spark.sql.catalogImplementation in-memory
spark.sql.shuffle.partitions 2
spark.databricks.delta.snapshotPartitions 2
spark.ui.enabled false
"""
LINES = re.findall(r"```bash\n(.*?)\n```", (ROOT / "docs" / "sql.md").read_text("utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def ask(spark: SparkSession, sample_store: SampleStore):
    """What a query found, by name, asked once; the rule is the one with ranges."""
    session = spark.newSession()  # the views of the tables are nobody else's
    queries = read_queries(FILE, sample_store.store, "default", "other")
    for statement in queries["tables"]:
        session.sql(statement)
    return cache(lambda name: session.sql(queries[name][0]).toPandas())


@pytest.fixture(scope="module")
def scores(sample_store: SampleStore) -> pd.DataFrame:
    found = DeltaTable(f"{sample_store.store}/scores").to_pandas()
    return found[found["rule_name"] == "other"].set_index("example_id")


@pytest.mark.parametrize("name", [n for n in NAMES if n not in (*VIEWS, *LATER)])
def test_every_query_runs_and_finds_something(ask, name: str) -> None:
    assert len(ask(name)) > 0
    assert ask(name).columns.is_unique


def test_best_and_worst_are_the_extremes_of_each_source(ask, scores) -> None:
    best = ask("best_by_source")
    worst = ask("worst_by_source")
    assert list(best.groupby("source").size()) == [3] * 6
    assert best["predicted_log_loss"].min() == scores["predicted_log_loss"].min()
    assert worst["predicted_log_loss"].max() == scores["predicted_log_loss"].max()
    low = best.groupby("source")["predicted_log_loss"].max()
    high = worst.groupby("source")["predicted_log_loss"].min()
    few = low.index.str.endswith("near.jsonl")  # four rows: one is among both
    assert few.sum() == 1
    assert (low < high)[~few].all()


def test_every_record_has_one_fate(ask, scores) -> None:
    fates = ask("what_became_of_each_record")
    assert len(fates) == 394
    counted = fates["outcome"].str.replace(r":.*", "", regex=True).value_counts()
    predicted = scores["predicted_log_loss"].notna().sum()
    assert dict(counted) == {
        "scored": predicted,
        "scored, without a prediction": 371 - predicted,
        "copy of a record above": 12,
        "quarantined": 11,
    }
    assert fates.query("outcome == 'scored, without a prediction'")["detail"].notna().all()
    reasons = ask("quarantine_by_reason")
    assert reasons["records"].sum() == 11
    assert ask("missing")["examples"].sum() == 371 - predicted


def test_sources_and_tokens_add_up(ask, scores) -> None:
    sources = ask("sources")
    tokens = ask("tokens_per_source")
    assert sources["median_predicted_log_loss"].is_monotonic_increasing
    assert set(sources["source"]) == set(tokens["source"])
    # An example of two sources counts in both.
    assert sources["examples"].sum() >= 371
    assert tokens["response_tokens"].sum() >= scores["output_length"].sum()
    # The better half is of the pool: all of a small source can be in it.
    assert (tokens["tokens_of_the_better_half"] <= tokens["tokens"]).all()
    assert 0 < tokens["tokens_of_the_better_half"].sum() < tokens["tokens"].sum()


def test_contributions_are_those_of_the_rule(ask, scores) -> None:
    for row in ask("why_this_score").itertuples():
        parts = {k: float(v) for k, v in dict(row.contributions).items() if v is not None}
        assert set(parts) == {"contribution_output_length", "contribution_mtld"}
        assert 0.5 + sum(parts.values()) == pytest.approx(row.predicted_log_loss, rel=1e-9)


def test_copies_neighbours_and_rows_out_of_range_are_what_they_are_called(ask, scores) -> None:
    assert ask("copies")["records"].sub(1).sum() == 12
    near = ask("near_duplicates")
    assert near["distance"].is_monotonic_increasing
    assert near["cosine"].min() > 1 - 0.3**2 / 2
    assert len(near) == 4
    outside = ask("out_of_range").set_index("example_id")
    assert len(outside) == min(100, scores["out_of_range"].sum())
    assert scores.loc[outside.index, "out_of_range"].all()


def test_rules_are_compared_by_place_in_the_pool(ask) -> None:
    [agreement] = ask("rule_agreement").itertuples()
    assert (agreement.rule, agreement.other_rule) == ("other", "paper-v1")
    assert -1 <= agreement.correlation <= 1
    assert 0 <= agreement.best_tenth_in_common <= 1
    moved = ask("rule_comparison")["moved"].abs()
    assert moved.is_monotonic_decreasing
    assert moved.iloc[0] > 20


def test_queries_of_finetuning_runs_evaluations_and_subsets(
    spark: SparkSession, sample_store: SampleStore, tmp_path: Path
) -> None:
    """On tables with rows of the contract, beside a copy of the sample's occurrences."""
    shutil.copytree(sample_store.store, tmp_path / "store")
    store = Store.open(spark, str(tmp_path / "store"))
    ids = [row.example_id for row in store.read("examples").limit(2).collect()]

    def add(table: str, **values: str) -> None:
        given = (
            f"CAST({values.get(c.name, repr('x') if c.required else 'NULL')} AS {c.type}) AS "
            f"`{c.name}`"
            for c in TABLES[table].columns
        )
        store.append(spark.sql(f"SELECT {', '.join(given)}"), table, {})

    for key, loss in (("k1", 1.5), ("k2", 1.3)):
        add(
            "finetuning_runs",
            run_key=f"'{key}'",
            purpose="'evaluate'",
            status="'ok'",
            seed="0",
            losses=f"map('held_out', {loss}D)",
        )
    add("finetuning_runs", run_key="'k3'", purpose="'evaluate'", status="'failed'", seed="1")
    for key, arm in (("k1", "random"), ("k2", "selected")):
        add("arms", run_key=f"'{key}'", arm=f"'{arm}'", pool="'default'", seed="0")
    add("comparisons", pool="'default'", verdict="'selected beats random'", difference="-0.2")
    for rank, each in enumerate(ids, start=1):
        add("subsets", subset="'s'", example_id=f"'{each}'", rank=str(rank))
    add("stale_occurrences", pool="'another'", position="0")
    session = spark.newSession()
    queries = read_queries(FILE, store.target, "default", "other")
    for statement in (each for name in VIEWS for each in queries[name]):
        session.sql(statement)
    found = {name: session.sql(queries[name][0]).toPandas() for name in LATER}
    assert list(found["finetuning_runs"]["loss"]) == [1.3, 1.5]
    assert list(found["arms"]["arm"]) == ["selected", "random"]
    assert list(found["verdicts"]["verdict"]) == ["selected beats random"]
    assert found["subset_sources"]["examples"].sum() >= 2


def test_a_schema_gets_views_that_say_the_same(
    spark: SparkSession, sample_store: SampleStore, tmp_path: Path, scores
) -> None:
    spark.sql(f"CREATE SCHEMA IF NOT EXISTS viewed LOCATION '{tmp_path}/warehouse'")
    for table in ("scores", "examples", "occurrences", "quarantine"):
        spark.sql(
            f"CREATE TABLE viewed.{table} USING delta LOCATION '{sample_store.store}/{table}'"
        )
    try:
        create_views(Store.open(spark, "viewed"))
        records = spark.table("viewed.records").toPandas()
        assert dict(records["outcome"].value_counts()) == {
            "example": 371,
            "copy": 12,
            "quarantined": 11,
        }
        assert records.query("outcome == 'quarantined'")["reason"].notna().all()
        sources = spark.table("viewed.scored_sources").where("rule_name = 'other'").toPandas()
        assert sources["predicted"].sum() >= scores["predicted_log_loss"].notna().sum()
        assert spark.table("viewed.scored_examples").where("prompt IS NULL").count() == 0
    finally:
        spark.sql("DROP SCHEMA viewed CASCADE")


def test_placeholders_cannot_break_out_of_their_quotes(tmp_path: Path) -> None:
    file = tmp_path / "q.sql"
    file.write_text("-- name: a\nSELECT '${pool}', '${rule}' FROM delta.`${store}/scores`;\n")
    filled = read_queries(str(file), "/a`b", "p' OR 1=1 --", "r\\")["a"]
    assert filled == ["SELECT 'p\\' OR 1=1 --', 'r\\\\' FROM delta.`/a``b/scores`"]
    file.write_text("-- name: a\nSELECT '${other}';\n")
    with pytest.raises(UserError, match="no such placeholder: other"):
        read_queries(str(file), "out", "p", "r")


@pytest.mark.parametrize(
    "line", [line for line in LINES if line.startswith("python")], ids=["deltalake", "duckdb"]
)
def test_a_line_of_python_reads_the_store(
    line: str, sample_store: SampleStore, tmp_path: Path
) -> None:
    (tmp_path / "out").symlink_to(sample_store.store)
    program = line.removeprefix('python -c "').removesuffix('"')
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "predicted_log_loss" in done.stdout or "paper-v1" in done.stdout


def test_a_line_of_spark_sql_reads_the_store(sample_store: SampleStore, tmp_path: Path) -> None:
    [line] = [line for line in LINES if line.startswith("spark-sql")]
    jars = delta_jars().get("spark.jars")
    if jars is None:
        pytest.skip("Delta's jars are not on this machine")
    line = re.sub(r"--packages \S+", f"--jars {jars}", line)  # the same jars, without a network
    (tmp_path / "out").symlink_to(sample_store.store)
    # Few tasks and no metastore, as a session of ours has it: the line itself stays as it is.
    (tmp_path / "spark-defaults.conf").write_text(FEW_TASKS)
    environment = f"export PATH={Path(sys.executable).parent}:$PATH SPARK_CONF_DIR={tmp_path}"
    script = f"{environment}; unset PYSPARK_GATEWAY_PORT; {line}"
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rows = {tuple(found.split("\t")) for found in done.stdout.strip().splitlines()}
    assert rows == {("default", "other", "371"), ("default", "paper-v1", "371")}
