"""How a program is started: by Python for a master that it names itself, or by `spark-submit`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.harness.distribution import build
from bench.harness.programs import Program, run_program, watch
from bench.harness.rows import ROOT
from bench.harness.standalone import (
    GPU_CONF,
    ONE_CORE,
    Cluster,
    gpu_cluster,
    submission,
    submission_environment,
)

STANDALONE = "standalone"  # instead of a master: a cluster that is started for the programs
ADDRESSES = ("0", "1")  # of the pretended GPUs, one for each worker
Runner = Callable[[Sequence[str], Mapping[str, str]], Program]


@contextmanager
def runner(master: str) -> Iterator[Runner]:
    """What runs `-m MODULE ARGUMENT…` with settings of Spark or of ours and watches it.

    Args:
        master: Spark's, or `standalone`: a master and two workers of one core and one pretended
            GPU each, which are ended with the context.
    """
    if master != STANDALONE:
        yield partial(_by_python, master)
        return
    with TemporaryDirectory(prefix="standalone-") as folder:
        place = Path(folder)
        zip_file = build(place)[1]
        with gpu_cluster(place, ADDRESSES) as cluster:
            yield partial(_by_submit, cluster, zip_file)


def _by_python(master: str, arguments: Sequence[str], settings: Mapping[str, str]) -> Program:
    options = [f"--set={name}={value}" for name, value in settings.items()]
    return run_program([*arguments, *options], {"SPARK_MASTER": master})


def _by_submit(
    cluster: Cluster, zip_file: Path, arguments: Sequence[str], settings: Mapping[str, str]
) -> Program:
    """CPU seconds of the master, the workers and their executors count as the program's."""
    command = submit_command(cluster.url, zip_file, arguments, settings)
    # Python itself reads the variable; executors have the worker's variables, and write none.
    environment = submission_environment() | {"PYTHONPROFILEIMPORTTIME": "1", "PYTHONPATH": ""}
    return watch(command, environment, cluster.daemons)


def submit_command(
    url: str, zip_file: Path, arguments: Sequence[str], settings: Mapping[str, str]
) -> list[str]:
    """The `spark-submit` of `-m MODULE ARGUMENT…`, with `conf/spark/gpu.conf`.

    Args:
        url: of the master.
        zip_file: of our packages.
        arguments: of Python.
        settings: of Spark, whose names begin with `spark.`, and of ours.
    """
    module, *rest = arguments[1:]
    script = ROOT / f"{module.replace('.', '/')}.py"
    of_spark = [f"--conf={n}={value}" for n, value in settings.items() if n.startswith("spark.")]
    ours = [f"--set={n}={value}" for n, value in settings.items() if not n.startswith("spark.")]
    conf = ("--master", url, "--properties-file", str(GPU_CONF), *ONE_CORE)
    return [*submission(zip_file, script, *conf, *of_spark), *rest, *ours]
