"""Programs on a standalone cluster, as far as no cluster is needed: commands, GPUs, CPU seconds."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from bench.harness import call_sites
from bench.harness.programs import watch
from bench.harness.rows import ROOT
from bench.harness.runners import submit_command
from bench.harness.standalone import gpu_properties


def test_a_worker_finds_the_gpu_that_it_pretends_to_have(tmp_path):
    lines = gpu_properties(tmp_path, "7").read_text().splitlines()
    given = dict(line.split(None, 1) for line in lines)
    assert given["spark.worker.resource.gpu.amount"] == "1"
    script = given["spark.worker.resource.gpu.discoveryScript"]
    found = subprocess.run([script], capture_output=True, text=True, check=True).stdout
    assert json.loads(found) == {"name": "gpu", "addresses": ["7"]}


def test_a_command_is_submitted_with_the_settings_of_spark_and_of_ours_where_each_belongs():
    arguments = ["-m", "jobs.cli", "score", "--store", "out"]
    settings = {"spark.eventLog.enabled": "true", "measure.chunk_rows": "32"}
    command = submit_command("spark://host:1", Path("/our.zip"), arguments, settings)
    script = command.index(str(ROOT / "jobs" / "cli.py"))
    options, given = command[:script], command[script + 1 :]
    assert options[0].endswith("/bin/spark-submit")
    assert options[options.index("--master") + 1] == "spark://host:1"
    assert options[options.index("--py-files") + 1] == "/our.zip"
    assert Path(options[options.index("--properties-file") + 1]).read_text().count("gpu.amount")
    assert "--conf=spark.eventLog.enabled=true" in options
    assert given == ["score", "--store", "out", "--set=measure.chunk_rows=32"]


def test_what_daemons_take_meanwhile_counts_as_the_programs():
    code = "sum(i * i for i in range(3 * 10**6)); print('ready', flush=True)\nwhile True: pass"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as daemon:
        daemon.stdout.readline()
        waiting = [sys.executable, "-S", "-c", "import time; time.sleep(2)"]
        alone = watch(waiting, {})
        between = sum(psutil.Process(daemon.pid).cpu_times()[:2])
        both = watch(waiting, {}, [daemon.pid])
        after = sum(psutil.Process(daemon.pid).cpu_times()[:2])
        daemon.terminate()
    assert (alone.code, both.code) == (0, 0)
    assert between > 0
    taken = after - between  # a busy machine gives the daemon little
    assert alone.cpu < 0.2
    assert taken / 2 < both.cpu <= taken + alone.cpu + 0.1


@pytest.mark.parametrize("place", [str(ROOT), "/somewhere/instructmining.zip"])
def test_a_line_of_ours_is_named_in_this_folder_and_in_the_zip_of_a_cluster(place):
    def frame(file: str, back: object) -> SimpleNamespace:
        return SimpleNamespace(f_code=SimpleNamespace(co_filename=file), f_lineno=7, f_back=back)

    library = frame("/usr/lib/jobs/run.py", frame(f"{place}/udfs/a.py", None))
    asks = frame(f"{place}/jobs/scoring/run.py", library)
    assert call_sites._site(asks) == "jobs/scoring/run.py:7 < udfs/a.py:7"
