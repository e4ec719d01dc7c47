"""The wheel, its zip for --py-files, and what installing it does to a runtime's own packages."""

import email
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from installed import ROOT, run
from packaging.requirements import Requirement

from bench.harness.distribution import PACKAGES

pytestmark = pytest.mark.slow

# What a Spark or Databricks runtime provides in versions of its own.
RUNTIME = {
    "pyspark": "3.5.3",
    "delta-spark": "3.2.0",
    "torch": "2.3.0",
    "transformers": "4.41.2",
    "mlflow": "2.19.0",
    "pandas": "1.5.3",
    "numpy": "1.26.4",
    "pyarrow": "14.0.1",
    "click": "8.1.7",
    "pydantic": "2.8.2",
    "pyyaml": "6.0.1",
    "rich": "13.9.4",
    "zstandard": "0.19.0",
}


def test_the_core_requires_nothing_that_a_runtime_provides(dist):
    with zipfile.ZipFile(dist[0]) as wheel:
        [path] = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = email.message_from_bytes(wheel.read(path))
    required = [Requirement(line) for line in metadata.get_all("Requires-Dist")]
    core = {each.name for each in required if each.marker is None}
    assert core == {"click", "pydantic", "pyyaml", "rich", "zstandard"}
    assert set(RUNTIME) <= {each.name for each in required}


def test_every_file_of_the_packages_is_in_the_wheel_and_in_the_zip(dist):
    files = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert "conf/rules/paper-v1.json" in files
    for archive in dist:
        with zipfile.ZipFile(archive) as opened:
            packed = {name for name in opened.namelist() if ".dist-info/" not in name}
        assert packed == files


def pretend_installed(python: Path, versions: dict[str, str]) -> None:
    """Put the records of installed packages into an environment: all a resolver looks at."""
    [packages] = python.parents[1].glob("lib/python*/site-packages")
    for name, version in versions.items():
        record = packages / f"{name.replace('-', '_')}-{version}.dist-info"
        record.mkdir()
        (record / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        (record / "RECORD").touch()
        (record / "INSTALLER").write_text("pip\n")


def test_installing_the_wheel_leaves_a_runtimes_own_versions_alone(dist, tmp_path):
    uv = [sys.executable, "-m", "uv"]
    run(*uv, "venv", "--quiet", "--python", sys.executable, tmp_path / "runtime")
    python = tmp_path / "runtime" / "bin" / "python"
    pretend_installed(python, RUNTIME)

    def plan(requirement):
        return subprocess.run(
            [*uv, "pip", "install", "--dry-run", "--no-index", "--python", python, requirement],
            capture_output=True,
            text=True,
            check=False,
        )

    core = plan(f"instructmining @ file://{dist[0]}")
    assert core.returncode == 0, core.stderr
    changes = [
        line.split()[1] for line in core.stderr.splitlines() if line[:3] in (" + ", " - ", " ~ ")
    ]
    assert [change.partition("==")[0] for change in changes] == ["instructmining"]
    models = plan(f"instructmining[models] @ file://{dist[0]}")
    assert models.returncode != 0  # the extra does ask for newer ones: the plan can tell


def test_the_zip_runs_where_nothing_is_installed(dist, bare_python, tmp_path):
    program = """
import instructmining
from instructmining.models.lists import load_model_list, locate
from instructmining.packaged import conf_folder
from jobs.cli import main
assert instructmining.__file__.startswith({zip!r}), instructmining.__file__
assert (conf_folder() / "sample" / "alpaca.json").is_file()
assert list(locate(load_model_list("embedded").perplexity.source).glob("*.safetensors"))
main(["rules", "export", "paper-v1", "--as=duckdb"])
"""
    environment = {**os.environ, "PYTHONPATH": str(dist[1])}
    found = run(bare_python, "-c", program.format(zip=str(dist[1])), cwd=tmp_path, env=environment)
    assert found.startswith("1.0694E0 - 0.1498E0 * ")
    assert not list(tmp_path.iterdir())


def test_the_wheel_runs_without_a_clone(dist, bare_python, tmp_path):
    """As `uvx` and `pipx run` do it: with what the wheel requires, and with the libraries."""
    uvx = [sys.executable, "-m", "uv", "tool", "run", "--quiet", "--from", dist[0]]
    assert "--input" in run(*uvx, "instructmining", "score", "--help", cwd=tmp_path)
    scored = [*uvx, "instructmining", "score", "--input", "sample"]
    without = subprocess.run(scored, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert without.returncode == 2
    [sentence] = without.stderr.splitlines()
    assert "pyspark is not installed here: install instructmining[local,models" in sentence

    site = tmp_path / "site"
    uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps", "--offline"]
    run(*uv, "--target", site, dist[0])
    environment = {**os.environ, "PYTHONPATH": str(site)}
    command = [bare_python, "-m", "jobs.cli", "preview", "--input", "sample"]
    shown = run(*command, cwd=tmp_path, env=environment)
    assert str(site / "conf" / "sample" / "alpaca.json") in shown
