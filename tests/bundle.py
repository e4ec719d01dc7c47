"""The jobs of the Databricks bundle, and their command lines with local values for references."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
RESOURCES: dict[str, dict] = {}
for file in sorted((ROOT / "resources").glob("*.yml")):
    for kind, named in yaml.safe_load(file.read_text(encoding="utf-8"))["resources"].items():
        RESOURCES.setdefault(kind, {}).update(named)
JOBS = RESOURCES["jobs"]
TASKS = [(name, task) for name, job in JOBS.items() for task in job["tasks"]]
VARIABLES = {
    name: variable["default"]
    for name, variable in yaml.safe_load((ROOT / "databricks.yml").read_text(encoding="utf-8"))[
        "variables"
    ].items()
}


def local_arguments(task, folder: Path, **values: str) -> list[str]:
    """The parameters of a task as on this machine: a folder store, SQLite, the values given."""
    name, given = task
    parameters = {each["name"]: each["default"] for each in JOBS[name]["parameters"]}
    known = {
        **VARIABLES,
        "input": str(folder / "data.jsonl"),
        "files": str(folder / "files"),
        "evaluation": f"target={folder / 'evaluation.jsonl'}",
        **values,
    }

    def filled(text: str) -> str:
        text = text.replace("${var.catalog}.${var.schema}.", "")  # the registered model
        text = text.replace("${var.catalog}.${var.schema}", str(folder / "store"))
        text = text.replace("{{job.run_id}}", "1").replace(
            "=databricks", f"=sqlite:///{folder}/mlflow.db"
        )
        text = re.sub(r"\{\{job\.parameters\.(\w+)\}\}", lambda m: parameters[m[1]], text)
        return re.sub(r"\$\{var\.(\w+)\}", lambda m: str(known[m[1]]), text)

    return [filled(part) for part in given["python_wheel_task"]["parameters"]]
