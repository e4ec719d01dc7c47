"""GPU scheduling on a real standalone cluster: a master and two workers of the installed Spark.

The GPUs are pretended (each worker's discovery script names one address), the scheduling is not:
Spark hands each task its address, and on a machine without CUDA the task says so and uses the CPU.
"""

import os
import re
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pyspark
import pytest
from deltalake import DeltaTable
from installed import ROOT, run

from instructmining.session import delta_jars

pytestmark = pytest.mark.slow

SPARK = Path(pyspark.__file__).parent
ADDRESSES = ("4", "7")
OPTIONS = ["--tracking-uri=none", "--rule=paper-v1", "--dtype=float32",
           "--set=measure.chunk_rows=32"]  # fmt: skip


@contextmanager
def daemon(kind, log, *arguments, **environment):
    """A Spark daemon, ended by its own process id."""
    with log.open("w") as output:
        process = subprocess.Popen(
            [SPARK / "bin" / "spark-class", f"org.apache.spark.deploy.{kind}", *arguments],
            stdout=output, stderr=subprocess.STDOUT,
            env={**os.environ, "SPARK_DAEMON_MEMORY": "256m", "SPARK_LOCAL_IP": "127.0.0.1",
                 **environment},
        )  # fmt: skip
        try:
            yield process
        finally:
            process.terminate()
            process.wait(timeout=30)


def wait_for(text, log, seconds=60):
    deadline = time.monotonic() + seconds
    while text not in log.read_text(encoding="utf-8", errors="replace"):
        assert time.monotonic() < deadline, f"no {text!r} in {seconds} s:\n{log.read_text()}"
        time.sleep(0.2)


def worker_settings(folder, address):
    """A properties file of a worker that finds one GPU."""
    script = folder / "discover.sh"
    script.write_text(f"""#!/bin/sh\necho '{{"name": "gpu", "addresses": ["{address}"]}}'\n""")
    script.chmod(0o755)
    properties = folder / "worker.conf"
    properties.write_text(
        f"spark.worker.resource.gpu.amount 1\nspark.worker.resource.gpu.discoveryScript {script}\n"
    )
    return properties


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, bare_python):
    """The master's URL and the workers' folders by GPU address."""
    folder = tmp_path_factory.mktemp("cluster")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    url = f"spark://127.0.0.1:{port}"
    workers = {address: folder / f"worker-{address}" for address in ADDRESSES}
    with ExitStack() as daemons:
        daemons.enter_context(
            daemon("master.Master", folder / "master.log", "--host", "127.0.0.1", "--port", port,
                   "--webui-port", "0", SPARK_MASTER_OPTS="-Dspark.master.rest.enabled=false")
        )  # fmt: skip
        wait_for("I have been elected leader", folder / "master.log")
        for address, place in workers.items():
            place.mkdir()
            settings = worker_settings(place, address)
            daemons.enter_context(
                daemon("worker.Worker", place / "worker.log", "--host", "127.0.0.1", "--cores", "1",
                       "--memory", "2g", "--webui-port", "0", "--work-dir", str(place / "work"),
                       "--properties-file", str(settings), url)
            )  # fmt: skip
            wait_for("Successfully registered with master", place / "worker.log")
        yield url, workers


def submit(python, zip_file, script, store, *settings):
    """spark-submit of jobs/score.py, as on a cluster where nothing of ours is installed."""
    options = {"spark.jars.packages": "", "spark.jars.ivySettings": f"{ROOT}/conf/ivysettings.xml",
               **delta_jars(), "spark.driver.host": "127.0.0.1", "spark.ui.enabled": "false",
               "spark.driver.bindAddress": "127.0.0.1", "spark.log.level": "ERROR",
               "spark.databricks.delta.snapshotPartitions": "1",
               "spark.sql.shuffle.partitions": "2"}  # fmt: skip
    pairs = [f"--conf={key}={value}" for key, value in options.items()]
    return run(
        SPARK / "bin" / "spark-submit", *settings, *pairs, "--py-files", zip_file, script,
        "--input", ROOT / "conf" / "sample" / "chat.jsonl", "--store", store, *OPTIONS,
        env={**os.environ, "PYSPARK_PYTHON": str(python), "PYSPARK_DRIVER_PYTHON": str(python),
             "SPARK_LOCAL_IP": "127.0.0.1"},
        cwd=store.parent,
    )  # fmt: skip


def scores(store):
    table = DeltaTable(str(store / "scores")).to_pandas()
    return table.sort_values("example_id", ignore_index=True)


@pytest.fixture(scope="module")
def local_scores(tmp_path_factory):
    """What `instructmining score` gives on this machine."""
    store = tmp_path_factory.mktemp("local") / "store"
    run(
        sys.executable, "-c", "from jobs.cli import console; console()", "score",
        "--input", ROOT / "conf" / "sample" / "chat.jsonl", "--store", store, *OPTIONS,
        env={**os.environ, "SPARK_MASTER": "local[*]"}, cwd=store.parent,
    )  # fmt: skip
    return scores(store)


def assert_same_scores(found, expected):
    assert list(found["example_id"]) == list(expected["example_id"])
    numbers = expected.select_dtypes("number").columns
    assert {"reward", "perplexity", "knn_6", "predicted_log_loss"} <= set(numbers)
    assert expected["predicted_log_loss"].notna().any()
    for name in numbers:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-6, err_msg=name)


def test_two_tasks_get_different_gpus_and_the_scores_equal_the_local_ones(
    cluster, dist, bare_python, local_scores, tmp_path
):
    url, workers = cluster
    script = tmp_path / "score.py"
    script.write_bytes((ROOT / "jobs" / "score.py").read_bytes())
    submit(
        bare_python, dist[1], script, tmp_path / "store", "--master", url,
        "--properties-file", ROOT / "conf" / "spark" / "gpu.conf",
        "--conf=spark.executor.memory=1500m", "--conf=spark.executor.cores=1",
        "--conf=spark.scheduler.minRegisteredResourcesRatio=1",
    )  # fmt: skip
    given = {
        address: set(re.findall(r"Spark gave this task GPU (\S+) but", log.read_text()))
        for address, place in workers.items()
        for log in place.glob("work/*/*/stderr")
    }
    assert given == {address: {address} for address in ADDRESSES}
    assert_same_scores(scores(tmp_path / "store"), local_scores)


def test_spark_submit_and_the_console_script_give_the_same(
    dist, bare_python, local_scores, tmp_path
):
    script = tmp_path / "score.py"
    script.write_bytes((ROOT / "jobs" / "score.py").read_bytes())
    printed = submit(bare_python, dist[1], script, tmp_path / "store", "--master", "local[1]")
    assert "rows read" in printed
    assert_same_scores(scores(tmp_path / "store"), local_scores)
