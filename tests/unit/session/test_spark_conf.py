"""conf/spark: the properties files agree with the project, the discovery script with Spark."""

import json
import os
import subprocess

import pytest
from installed import ROOT

from instructmining.settings.sections import Measure
from instructmining.spark.local_settings import JAVA_OPTIONS, SHORT_LIVED
from jobs.checks.resources import check_gpus, place_of

FOLDER = ROOT / "conf" / "spark"


def properties(name):
    lines = (FOLDER / name).read_text(encoding="utf-8").splitlines()
    return dict(line.split(None, 1) for line in lines if line and not line.startswith("#"))


NAMES = sorted(path.name for path in FOLDER.glob("*.conf"))


def test_there_is_a_file_for_every_manager():
    assert NAMES == ["gpu.conf", "kubernetes.conf", "local.conf", "standalone.conf", "yarn.conf"]


@pytest.mark.parametrize("name", NAMES)
def test_a_file_holds_settings_that_preflight_accepts(name):
    given = properties(name)
    assert all(key.startswith("spark.") for key in given)
    masters = {"yarn.conf": "yarn", "kubernetes.conf": "k8s://https://host"}
    conf = {"spark.master": masters.get(name, "spark://host:7077"), **given}
    assert check_gpus(conf, Measure(device="auto")) == []
    if name != "local.conf":
        assert given["spark.executorEnv.HF_HUB_OFFLINE"] == "1"
        place = place_of(conf, Measure(device="cpu"), slots=4)
        assert place.copies == 4
        assert place.room >= 8 << 30


@pytest.mark.parametrize("name", NAMES)
def test_a_driver_compiles_as_one_that_we_start(name):
    wanted = JAVA_OPTIONS if name == "local.conf" else SHORT_LIVED
    assert properties(name)["spark.driver.extraJavaOptions"] == wanted


@pytest.mark.parametrize("name", NAMES)
def test_the_files_name_the_delta_that_the_project_pins(name):
    pins = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().split() if "==" in line
    )
    spark = pins["pyspark"].rpartition(".")[0]
    given = properties(name)
    assert given["spark.jars.packages"] == (
        f"io.delta:delta-spark_{spark}_2.13:{pins['delta-spark']}"
    )
    assert (ROOT / given["spark.jars.ivySettings"]).is_file()


def test_table_work_shares_the_gpu_and_a_model_stage_asks_for_all_of_it():
    given = properties("gpu.conf")
    assert float(given["spark.task.resource.gpu.amount"]) < 1  # then `gpu_profile` asks for it
    share = 1 / int(given["spark.executor.cores"])
    assert float(given["spark.task.resource.gpu.amount"]) == share


def test_the_discovery_script_prints_what_spark_reads(tmp_path):
    command = tmp_path / "nvidia-smi"
    command.write_text("#!/bin/sh\nprintf '0\\n3\\n'\n")
    command.chmod(0o755)
    found = subprocess.run(
        [FOLDER / "gpus.sh"],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
    )
    assert json.loads(found.stdout) == {"name": "gpu", "addresses": ["0", "3"]}
