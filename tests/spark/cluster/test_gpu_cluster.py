"""GPU scheduling on a real standalone cluster: a master and two workers of the installed Spark.

The GPUs are pretended (each worker's discovery script names one address), the scheduling is not:
Spark hands each task its address, and on a machine without CUDA the task says so and uses the CPU.
"""

import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from deltalake import DeltaTable
from installed import ROOT, run
from mlflow import MlflowClient
from standalone import submit

from bench.harness.standalone import GPU_CONF, ONE_CORE, gpu_cluster

pytestmark = pytest.mark.slow

ADDRESSES = ("4", "7")
OPTIONS = ["--rule=paper-v1", "--dtype=float32", "--set=measure.chunk_rows=32"]
MODEL_STAGES = ("reward", "perplexity", "embed")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Two workers, each with a GPU of another address."""
    with gpu_cluster(tmp_path_factory.mktemp("cluster"), ADDRESSES) as started:
        yield started


def submit_score(python, zip_file, script, store, *settings, tracking="none"):
    """`score` of the sample's conversations by spark-submit."""
    return submit(
        script,
        zip_file,
        *settings,
        python=python,
        cwd=store.parent,
        arguments=[
            "--input",
            ROOT / "conf" / "sample" / "chat.jsonl",
            "--store",
            store,
            f"--tracking-uri={tracking}",
            *OPTIONS,
        ],
    )


def scores(store):
    table = DeltaTable(str(store / "scores")).to_pandas()
    return table.sort_values("example_id", ignore_index=True)


@pytest.fixture(scope="module")
def local_scores(tmp_path_factory):
    """What `instructmining score` gives on this machine."""
    store = tmp_path_factory.mktemp("local") / "store"
    run(
        sys.executable,
        "-c",
        "from jobs.cli import console; console()",
        "score",
        "--input",
        ROOT / "conf" / "sample" / "chat.jsonl",
        "--store",
        store,
        *OPTIONS,
        "--tracking-uri=none",
        env={**os.environ, "SPARK_MASTER": "local[*]"},
        cwd=store.parent,
    )
    return scores(store)


def assert_same_scores(found, expected):
    assert list(found["example_id"]) == list(expected["example_id"])
    numbers = expected.select_dtypes("number").columns
    assert {"reward", "perplexity", "knn_6", "predicted_log_loss"} <= set(numbers)
    assert expected["predicted_log_loss"].notna().any()
    for name in numbers:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-6, err_msg=name)


def audit_of(tracking):
    """What the tasks of the only run said, by stage."""
    client = MlflowClient(tracking)
    [run_made] = client.search_runs([each.experiment_id for each in client.search_experiments()])
    file = client.download_artifacts(run_made.info.run_id, "audit.json")
    return json.loads(Path(file).read_text(encoding="utf-8"))


def test_two_tasks_get_different_gpus_and_the_scores_equal_the_local_ones(
    cluster, dist, bare_python, local_scores, tmp_path
):
    script = tmp_path / "score.py"
    script.write_bytes((ROOT / "jobs" / "score.py").read_bytes())
    tracking = f"sqlite:///{tmp_path}/mlflow.db"
    submit_score(
        bare_python,
        dist[1],
        script,
        tmp_path / "store",
        "--master",
        cluster.url,
        "--properties-file",
        GPU_CONF,
        *ONE_CORE,
        "--conf=spark.scheduler.minRegisteredResourcesRatio=1",
        tracking=tracking,
    )
    logs = [path for place in cluster.folders.values() for path in place.glob("work/*/*/stderr")]
    assert all("-XX:TieredStopAtLevel=1" in log.read_text() for log in logs)  # for few rows
    given = {
        address: set(re.findall(r"Spark gave this task GPU (\S+) but", log.read_text()))
        for address, place in cluster.folders.items()
        for log in place.glob("work/*/*/stderr")
    }
    assert given == {address: {address} for address in ADDRESSES}
    found = scores(tmp_path / "store")
    audit = audit_of(tracking)
    for stage in MODEL_STAGES:
        assert {window["addresses"] for window in audit[stage]} == set(ADDRESSES)
        assert sum(window["rows"] for window in audit[stage]) == len(found)
        assert all(window["computed"] >= window["wanted"] > 0 for window in audit[stage])
        # One worker process per GPU, with its address throughout: Python workers of reading the
        # files, where a task takes two, must not come in turn.
        places = {(window["process"], window["addresses"]) for window in audit[stage]}
        assert len(places) == len(ADDRESSES)
    assert_same_scores(found, local_scores)


def test_spark_submit_and_the_console_script_give_the_same(
    dist, bare_python, local_scores, tmp_path
):
    script = tmp_path / "score.py"
    script.write_bytes((ROOT / "jobs" / "score.py").read_bytes())
    printed = submit_score(bare_python, dist[1], script, tmp_path / "store", "--master", "local[1]")
    assert "rows read" in printed
    assert_same_scores(scores(tmp_path / "store"), local_scores)
