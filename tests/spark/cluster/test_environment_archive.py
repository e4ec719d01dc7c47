"""`make env-archive`'s way to workers whose own Python has none of our libraries."""

import subprocess
import sys
from pathlib import Path

import pytest
from deltalake import DeltaTable
from installed import ROOT, run
from standalone import submit

from bench.harness.standalone import master, worker

pytestmark = pytest.mark.cluster

UV = (sys.executable, "-m", "uv")


@pytest.fixture(scope="module")
def archive(tmp_path_factory, dist):
    """An environment with what reading and the stage mtld need, packed as the Makefile packs one.

    The one of the Makefile holds torch as well: gigabytes, and no other way.
    """
    folder = tmp_path_factory.mktemp("archive")
    run(*UV, "venv", "--quiet", "--python", sys.executable, folder / "env")
    run(
        *UV,
        "pip",
        "install",
        "--quiet",
        "--python",
        folder / "env" / "bin" / "python",
        "-c",
        ROOT / "constraints.txt",
        dist[0],
        "lexicalrichness",
        "pandas",
        "pyarrow",
    )
    run(
        Path(sys.executable).with_name("venv-pack"),
        "--quiet",
        "--prefix",
        folder / "env",
        "--output",
        folder / "env.tar.gz",
        "--compress-level",
        "1",
    )
    return folder / "env.tar.gz"


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A folder whose `python3` is a Python without a library."""
    folder = tmp_path_factory.mktemp("plain") / "venv"
    run(*UV, "venv", "--quiet", "--python", sys.executable, folder)
    without = subprocess.run(
        [folder / "bin" / "python3", "-c", "import pandas"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "No module named 'pandas'" in without.stderr
    return folder / "bin"


def test_an_archive_brings_the_libraries_to_workers_that_have_none(
    archive, plain, dist, bare_python, tmp_path
):
    script = tmp_path / "score.py"
    script.write_bytes((ROOT / "jobs" / "score.py").read_bytes())
    (tmp_path / "models.yml").write_text("name: words\nmtld: {kind: mtld, indicators: [mtld]}\n")
    store = tmp_path / "store"
    with master(tmp_path) as (url, _), worker(url, tmp_path, PATH=f"{plain}:/usr/bin:/bin"):
        said = submit(
            script,
            dist[1],
            "--master",
            url,
            "--properties-file",
            ROOT / "conf" / "spark" / "standalone.conf",
            "--archives",
            f"{archive}#env",
            "--conf=spark.executor.memory=1g",
            "--conf=spark.executor.cores=1",
            arguments=[
                "--input",
                ROOT / "conf" / "sample" / "chat.jsonl",
                "--store",
                store,
                "--stages=ingest,mtld",
                f"--models={tmp_path}/models.yml",
                "--tracking-uri=none",
            ],
            python=bare_python,
            cwd=tmp_path,
            PYSPARK_PYTHON="./env/bin/python",
        )
    measured = DeltaTable(str(store / "stage_values")).to_pandas()
    assert f"{len(measured):,} rows measured" in said
    assert (measured["status"] == "ok").all()
    [unpacked] = tmp_path.glob("work/*/*/env/bin/python")
    assert unpacked.exists()
