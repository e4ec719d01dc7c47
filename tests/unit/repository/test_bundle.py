"""The Databricks bundle, checked without a workspace: the platform knows it, our program runs it.

`DATABRICKS_BUNDLE_SCHEMA` names the JSON schema that `databricks bundle schema` prints; the check
against it is left out where there is none.
"""

import copy
import json
import os
import re
import tomllib
from pathlib import Path

import jsonschema
import pytest
import yaml
from bundle import JOBS, RESOURCES, ROOT, TASKS, VARIABLES, local_arguments

from instructmining.settings.sections import Settings
from jobs.cli import commands, main

jobs = pytest.importorskip("databricks.bundles.jobs", reason="the extra [dev] is not installed")
catalog = pytest.importorskip("databricks.sdk.service.catalog", reason="no databricks-sdk")

BUNDLE = yaml.safe_load((ROOT / "databricks.yml").read_text(encoding="utf-8"))
SCHEMA = os.environ.get("DATABRICKS_BUNDLE_SCHEMA")
RUNS = {
    "score": "scoring.run",
    "fit": "fitting.run",
    "evaluate": "evaluating.run",
    "report": "stored.report",
    "maintain": "stored.maintain",
}


def named(task):
    return f"{task[0]}/{task[1]['task_key']}"


every_job = pytest.mark.parametrize("name", JOBS)
every_task = pytest.mark.parametrize("task", TASKS, ids=named)


def test_the_jobs_are_those_of_the_files():
    assert BUNDLE["include"] == ["resources/*.yml"]
    assert set(JOBS) == {"score", "fit_and_evaluate", "maintenance"}


@every_job
def test_a_job_has_only_fields_that_the_platform_knows(name):
    jobs.Job.from_dict(JOBS[name])
    misspelt = copy.deepcopy(JOBS[name])
    misspelt["tasks"][0]["python_wheel_tusk"] = {}
    with pytest.raises(ValueError, match="python_wheel_tusk"):
        jobs.Job.from_dict(misspelt)


@pytest.mark.skipif(not SCHEMA, reason="DATABRICKS_BUNDLE_SCHEMA names no schema file")
def test_the_bundle_conforms_to_the_schema_of_the_command_line():
    text = Path(SCHEMA).read_text(encoding="utf-8")
    # Its patterns are Go's: Python's have no classes of letters and numbers.
    text = text.replace(r"[\\p{L}\\p{N}]", "[a-zA-Z0-9]").replace(r"\\p{L}", "[a-zA-Z]")
    schema = json.loads(text)
    check = jsonschema.validators.validator_for(schema)(schema)
    whole = {**BUNDLE, "resources": RESOURCES}
    assert list(check.iter_errors(whole)) == []
    whole["resources"] = {"jobs": {"score": {**JOBS["score"], "tusks": []}}}
    assert list(check.iter_errors(whole))


@every_job
def test_a_job_is_watched_tagged_scheduled_and_ends(name):
    job = JOBS[name]
    assert job["tags"]["project"] == "instructmining"
    assert job["schedule"]["pause_status"] == "${var.schedule}"
    assert job["email_notifications"]["on_failure"] == "${var.alert_emails}"
    assert job["webhook_notifications"]["on_failure"] == "${var.alert_webhooks}"
    assert job["max_concurrent_runs"] == 1
    assert sum(task["timeout_seconds"] for task in job["tasks"]) <= 1.5 * job["timeout_seconds"]
    for task in job["tasks"]:
        assert 0 < task["timeout_seconds"] <= job["timeout_seconds"]
        assert task["max_retries"] >= 1


@every_task
def test_a_task_runs_on_a_cluster_that_fits_it(task):
    name, given = task
    clusters = {each["job_cluster_key"]: each["new_cluster"] for each in JOBS[name]["job_clusters"]}
    assert {each["job_cluster_key"] for each in JOBS[name]["tasks"]} == set(clusters)
    cluster = clusters[given["job_cluster_key"]]
    assert cluster["data_security_mode"] == "SINGLE_USER"
    asks = "--device=cuda" in given["python_wheel_task"]["parameters"]
    assert asks == (given["job_cluster_key"] == "gpu")
    runtime = cluster["spark_version"].removeprefix("${var.").removesuffix("}")
    assert ("gpu-ml" in VARIABLES[runtime]) == asks
    assert ("spark_conf" in cluster) == asks
    if asks:
        assert cluster["spark_conf"]["spark.task.resource.gpu.amount"] == "1"


def test_the_stages_are_split_and_none_is_left_out():
    stages = [
        part.removeprefix("--stages=").split(",")
        for task in TASKS
        if task[0] == "score"
        for part in local_arguments(task, Path())
        if part.startswith("--stages")
    ]
    assert sorted(each for part in stages for each in part) == sorted(Settings().stages)


def test_prod_is_deployed_to_a_folder_that_not_everybody_may_write_to():
    prod = BUNDLE["targets"]["prod"]
    assert prod["workspace"]["root_path"].startswith("${var.folder}/")
    assert not VARIABLES["folder"].startswith(("/Workspace/Shared", "/Shared"))
    assert prod["permissions"] == [{"level": "CAN_VIEW", "group_name": "${var.readers}"}]
    grants = (ROOT / "conf" / "databricks" / "grants.sql").read_text(encoding="utf-8")
    assert f"TO `{VARIABLES['readers']}`" in grants


@every_task
def test_the_libraries_are_those_of_the_project(task):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wheel_task = task[1]["python_wheel_task"]
    assert wheel_task["package_name"] == project["name"]
    assert wheel_task["entry_point"] in project["scripts"]
    assert {"whl": "../dist/*.whl"} in task[1]["libraries"]
    extras = project["optional-dependencies"]
    asked = [*extras["models"], *extras["fit"]]
    installed = [each["pypi"]["package"] for each in task[1]["libraries"] if "pypi" in each]
    assert set(installed) <= set(asked)
    # Of the extra [models] the ML runtime's own torch is used; all else is installed.
    if task[1]["job_cluster_key"] == "gpu":
        assert {each for each in extras["models"] if not each.startswith("torch")} <= set(installed)


@every_task
def test_the_command_line_is_understood_to_the_last_setting(task, tmp_path, monkeypatch):
    runs = []
    (tmp_path / "files").mkdir()
    name, *rest = local_arguments(task, tmp_path)
    monkeypatch.setattr(
        "instructmining.spark.session.with_session",
        lambda run, settings: runs.append((run.__module__, settings)),
    )
    assert name in commands.commands
    main([name, *rest])
    [(job, settings)] = runs
    assert job == f"jobs.{RUNS[name]}"
    assert settings.store == str(tmp_path / "store")
    if "--tracking-uri=databricks" in task[1]["python_wheel_task"]["parameters"]:
        assert settings.tracking.uri == f"sqlite:///{tmp_path}/mlflow.db"


@every_job
def test_every_parameter_is_used_and_every_reference_known(name):
    text = yaml.safe_dump(JOBS[name])
    named = {parameter["name"] for parameter in JOBS[name]["parameters"]}
    assert set(re.findall(r"\{\{job\.parameters\.(\w+)\}\}", text)) == named


def test_every_variable_is_declared_and_used():
    text = yaml.safe_dump([BUNDLE, RESOURCES])
    assert set(re.findall(r"\$\{var\.(\w+)\}", text)) == set(BUNDLE["variables"])


def test_the_grants_are_privileges_that_exist_and_no_more_than_named():
    text = (ROOT / "conf" / "databricks" / "grants.sql").read_text(encoding="utf-8")
    code = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
    known = {each.value.replace("_", " ") for each in catalog.Privilege}
    kinds = {each.value for each in catalog.SecurableType}
    grant = re.compile(r"GRANT ([A-Z ]+) ON ([A-Z]+) (`\w+`(?:\.`\w+`)*) TO `([\w-]+)`")
    granted = {}
    for statement in filter(None, (part.strip() for part in code.split(";"))):
        if statement.startswith("CREATE"):
            assert re.fullmatch(r"CREATE (SCHEMA|VOLUME) IF NOT EXISTS `\w+`(\.`\w+`)+", statement)
            continue
        privilege, kind, name, principal = grant.fullmatch(statement).groups()
        assert privilege in known
        assert kind in kinds
        assert len(name.split(".")) == {"CATALOG": 1, "SCHEMA": 2, "VOLUME": 3}[kind]
        granted.setdefault(principal, set()).add(privilege)
    assert granted["instructmining-readers"] == {
        "USE CATALOG",
        "USE SCHEMA",
        "SELECT",
        "READ VOLUME",
    }
    assert not {"ALL PRIVILEGES", "MANAGE"} & granted["instructmining-jobs"]
