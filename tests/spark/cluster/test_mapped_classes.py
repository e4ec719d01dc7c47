"""An archive of classes that is made, mapped by a JVM, and damaged."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from installed import ROOT

from instructmining.spark.class_archive import CLASS_PATH, JARS, SWITCH
from instructmining.spark.delta_jars import delta_jars

pytestmark = pytest.mark.slow

SESSION = f"""
import json
import sys
from pathlib import Path
from pyspark import SparkContext
from instructmining.spark.session import get_session

spark, _ = get_session(little_data=True)
spark.range(100).selectExpr("id % 7 AS a", "id").write.format("delta").save(sys.argv[1])
rows = spark.read.format("delta").load(sys.argv[1]).groupBy("a").sum("id").orderBy("a").collect()
maps = Path(f"/proc/{{SparkContext._gateway.proc.pid}}/maps").read_text()
path = spark.conf.get("{CLASS_PATH}", None)
print(json.dumps([list(map(list, rows)), ".jsa" in maps.replace("classes.jsa", ""), path]))
spark.stop()
"""


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        env={
            **os.environ,
            "INSTRUCTMINING_JARS": str(Path(delta_jars()[JARS].split(",")[0]).parent),
            "PYTHONPATH": str(ROOT),
            "SPARK_MASTER": "local[2]",
            "XDG_CACHE_HOME": str(folder),
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


def session(folder: Path, name: str, **environment: str) -> tuple[list[list[int]], bool, str]:
    done = run(folder, "-c", SESSION, str(folder / name), **environment)
    assert (done.returncode, done.stderr) == (0, "")
    rows, is_mapped, path = json.loads(done.stdout)
    return rows, is_mapped, path


def test_an_archive_is_made_and_mapped_and_a_damaged_one_costs_only_time(tmp_path: Path):
    folder = tmp_path / "a folder"
    maker = ("-m", "instructmining.spark.make_class_archive")
    made = run(folder, *maker)
    assert made.returncode == 0, made.stdout + made.stderr
    [archive] = folder.glob("instructmining/*/classes/*")  # and nothing that was half made
    assert made.stdout.startswith(f"class archive: {archive}, ")
    again = run(folder, *maker)
    assert again.stdout == f"class archive: {archive} is there\n"

    rows, is_mapped, path = session(folder, "with")
    assert is_mapped
    assert "delta-spark" in path
    assert session(folder, "without", **{SWITCH: "off"}) == (rows, False, None)
    assert [a for a, _ in rows] == list(range(7))

    archive.chmod(0o600)
    with archive.open("r+b") as file:
        file.truncate(archive.stat().st_size // 2)
    assert session(folder, "damaged") == (rows, False, None)
