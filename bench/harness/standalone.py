"""A standalone cluster of the installed Spark on this machine: daemons, ended by their ids.

Its workers may pretend to have a GPU each: a discovery script names an address, and Spark hands it
to tasks. No CUDA device has that address, so that a task that is given one computes on the CPU.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyspark

from bench.harness.rows import ROOT
from instructmining.spark.delta_jars import delta_jars

SPARK = Path(pyspark.__file__).parent
GPU_CONF = ROOT / "conf" / "spark" / "gpu.conf"
# What makes `gpu.conf`, which is for large nodes, fit workers of one core and one GPU.
ONE_CORE = ("--conf=spark.executor.memory=1500m", "--conf=spark.executor.cores=1")
_HOST = "127.0.0.1"
_LONGEST = 180  # seconds until a daemon is ready
_END = 30  # seconds that a daemon gets to end


@dataclass(frozen=True)
class Cluster:
    """A master and workers of one core and one pretended GPU each.

    Attributes:
        url: of the master.
        folders: of the workers, by the address of their GPU.
        daemons: process ids of the master and of the workers.
    """

    url: str
    folders: dict[str, Path]
    daemons: tuple[int, ...]


@contextmanager
def gpu_cluster(folder: Path, addresses: Sequence[str]) -> Iterator[Cluster]:
    """A cluster with a worker for each address of a GPU; everything it writes is in `folder`."""
    folders = {address: folder / f"worker-{address}" for address in addresses}
    with ExitStack() as daemons:
        url, process = daemons.enter_context(master(folder))
        processes = [process]
        for address, place in folders.items():
            place.mkdir()
            properties = ("--properties-file", str(gpu_properties(place, address)))
            processes.append(daemons.enter_context(worker(url, place, *properties)))
        yield Cluster(url, folders, tuple(process.pid for process in processes))


def gpu_properties(folder: Path, address: str) -> Path:
    """A properties file of a worker that finds one GPU."""
    script = folder / "discover.sh"
    script.write_text(f"""#!/bin/sh\necho '{{"name": "gpu", "addresses": ["{address}"]}}'\n""")
    script.chmod(0o755)
    properties = folder / "worker.conf"
    properties.write_text(
        f"spark.worker.resource.gpu.amount 1\nspark.worker.resource.gpu.discoveryScript {script}\n"
    )
    return properties


@contextmanager
def master(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A master on a free port that keeps its log in `folder`; its URL and its process."""
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port = str(probe.getsockname()[1])
    log = folder / "master.log"
    options = "-Dspark.master.rest.enabled=false"
    places = ("--host", _HOST, "--port", port, "--webui-port", "0")
    with _daemon("master.Master", log, *places, SPARK_MASTER_OPTS=options) as process:
        _wait_for("I have been elected leader", log)
        yield f"spark://{_HOST}:{port}", process


@contextmanager
def worker(
    url: str, folder: Path, *arguments: str, **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A worker of one core, that keeps its logs and its executors' folders in `folder`.

    Args:
        url: of the master.
        folder: that is there.
        arguments: further ones of Spark's Worker.
        environment: further variables of the worker, which its executors inherit.

    Yields:
        Its process.
    """
    log = folder / "worker.log"
    size = ("--cores", "1", "--memory", "2g")
    places = ("--host", _HOST, "--webui-port", "0", "--work-dir", str(folder / "work"))
    given = {"SPARK_LOCAL_DIRS": str(folder / "local"), **environment}
    with _daemon("worker.Worker", log, *size, *places, *arguments, url, **given) as process:
        _wait_for("Successfully registered with master", log)
        yield process


def submission(zip_file: Path, script: Path, *settings: str) -> list[str]:
    """The start of a `spark-submit` on this machine, without a network; arguments follow it.

    Args:
        zip_file: of our packages.
        script: the program.
        settings: options of `spark-submit`, of which the later of two wins.
    """
    ours = {
        "spark.jars.packages": "",
        "spark.jars.ivySettings": f"{ROOT}/conf/ivysettings.xml",
        **delta_jars(),
        "spark.driver.host": _HOST,
        "spark.driver.bindAddress": _HOST,
        "spark.ui.port": "0",
        "spark.log.level": "ERROR",
    }
    pairs = [f"--conf={key}={value}" for key, value in ours.items()]
    submit = str(SPARK / "bin" / "spark-submit")
    return [submit, *pairs, *settings, "--py-files", str(zip_file), str(script)]


def submission_environment(python: str = sys.executable) -> dict[str, str]:
    """The variables of a `spark-submit` whose driver and executors use this Python."""
    return {
        "PYSPARK_DRIVER_PYTHON": python,
        "PYSPARK_PYTHON": python,
        "SPARK_LOCAL_IP": _HOST,
    }


@contextmanager
def _daemon(
    kind: str, log: Path, *arguments: str, **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A Spark daemon, ended by its own process id."""
    usual = {"SPARK_DAEMON_MEMORY": "256m", "SPARK_LOCAL_IP": _HOST}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(SPARK / "bin" / "spark-class"), f"org.apache.spark.deploy.{kind}", *arguments],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **usual, **environment},
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(timeout=_END)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for(text: str, log: Path) -> None:
    """Wait until a daemon has written this.

    Raises:
        TimeoutError: it has not within three minutes; with all that it wrote.
    """
    deadline = time.monotonic() + _LONGEST
    while text not in (said := log.read_text(encoding="utf-8", errors="replace")):
        if time.monotonic() > deadline:
            raise TimeoutError(f"no {text!r} in {_LONGEST} s:\n{said}")
        time.sleep(0.2)
