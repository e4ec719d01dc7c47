"""databricks.yml, checked without a workspace: the job is one the platform knows and ours runs."""

import re
import tomllib
from pathlib import Path

import click
import pytest
import yaml

from jobs.cli import commands

jobs = pytest.importorskip("databricks.bundles.jobs", reason="the extra [dev] is not installed")

BUNDLE = yaml.safe_load((Path(__file__).parents[2] / "databricks.yml").read_text(encoding="utf-8"))
SCORE = BUNDLE["resources"]["jobs"]["score"]


def test_the_job_has_only_fields_that_the_platform_knows():
    job = jobs.Job.from_dict(SCORE)
    [task] = job.tasks
    assert task.python_wheel_task.package_name == "instructmining"
    misspelt = {**SCORE, "tasks": [{**SCORE["tasks"][0], "python_wheel_tusk": {}}]}
    with pytest.raises(ValueError, match="python_wheel_tusk"):
        jobs.Job.from_dict(misspelt)


def test_the_cluster_is_a_gpu_ml_runtime_in_dedicated_access_mode():
    cluster = SCORE["job_clusters"][0]["new_cluster"]
    assert "gpu-ml" in BUNDLE["variables"]["runtime"]["default"]
    assert cluster["data_security_mode"] == "SINGLE_USER"
    assert cluster["spark_conf"]["spark.task.resource.gpu.amount"] == "1"


def test_the_entry_point_is_a_script_of_the_wheel():
    project = tomllib.loads(
        (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    )["project"]
    wheel_task = SCORE["tasks"][0]["python_wheel_task"]
    assert wheel_task["package_name"] == project["name"]
    assert wheel_task["entry_point"] in project["scripts"]


def test_every_parameter_is_an_option_of_the_command():
    name, *parameters = SCORE["tasks"][0]["python_wheel_task"]["parameters"]
    command = commands.commands[name]
    with click.Context(command) as context:
        command.parse_args(context, list(parameters))
    assert context.params["store"] == "${var.catalog}.${var.schema}"
    assert context.params["tracking_uri"] == "databricks"


def test_every_variable_is_declared_and_used():
    text = yaml.safe_dump(BUNDLE)
    assert set(re.findall(r"\$\{var\.(\w+)\}", text)) == set(BUNDLE["variables"])
    named = {parameter["name"] for parameter in SCORE["parameters"]}
    assert set(re.findall(r"\{\{job\.parameters\.(\w+)\}\}", text)) == named
