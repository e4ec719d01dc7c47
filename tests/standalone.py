"""A standalone cluster of the installed Spark on this machine: daemons, ended by their ids."""

import os
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import pyspark
from installed import ROOT, run

from instructmining.spark.delta_jars import delta_jars

SPARK = Path(pyspark.__file__).parent


@contextmanager
def daemon(kind, log, *arguments, **environment):
    """A Spark daemon, ended by its own process id."""
    with log.open("w") as output:
        process = subprocess.Popen(
            [SPARK / "bin" / "spark-class", f"org.apache.spark.deploy.{kind}", *arguments],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={
                **os.environ,
                "SPARK_DAEMON_MEMORY": "256m",
                "SPARK_LOCAL_IP": "127.0.0.1",
                **environment,
            },
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(timeout=30)


@contextmanager
def master(folder):
    """A master; its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    log = folder / "master.log"
    options = "-Dspark.master.rest.enabled=false"
    with daemon(
        "master.Master",
        log,
        "--host",
        "127.0.0.1",
        "--port",
        port,
        "--webui-port",
        "0",
        SPARK_MASTER_OPTS=options,
    ):
        wait_for("I have been elected leader", log)
        yield f"spark://127.0.0.1:{port}"


@contextmanager
def worker(url, folder, *arguments, **environment):
    """A worker of one core, that keeps its logs and its executors' folders in `folder`.

    Yields its process.
    """
    log = folder / "worker.log"
    with daemon(
        "worker.Worker",
        log,
        "--host",
        "127.0.0.1",
        "--cores",
        "1",
        "--memory",
        "2g",
        "--webui-port",
        "0",
        "--work-dir",
        str(folder / "work"),
        *arguments,
        url,
        **environment,
    ) as process:
        wait_for("Successfully registered with master", log)
        yield process


def wait_for(text, log, seconds=180):
    deadline = time.monotonic() + seconds
    while text not in log.read_text(encoding="utf-8", errors="replace"):
        assert time.monotonic() < deadline, f"no {text!r} in {seconds} s:\n{log.read_text()}"
        time.sleep(0.2)


def submit(script, zip_file, *settings, arguments, python, cwd, **environment):
    """spark-submit of a program, as on a cluster where nothing of ours is installed."""
    options = {
        "spark.jars.packages": "",
        "spark.jars.ivySettings": f"{ROOT}/conf/ivysettings.xml",
        **delta_jars(),
        "spark.driver.host": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.log.level": "ERROR",
        "spark.databricks.delta.snapshotPartitions": "1",
        "spark.sql.shuffle.partitions": "2",
    }
    pairs = [f"--conf={key}={value}" for key, value in options.items()]
    return run(
        SPARK / "bin" / "spark-submit",
        *settings,
        *pairs,
        "--py-files",
        zip_file,
        script,
        *arguments,
        cwd=cwd,
        env={
            **os.environ,
            "PYSPARK_DRIVER_PYTHON": str(python),
            "SPARK_LOCAL_IP": "127.0.0.1",
            **environment,
        },
    )
