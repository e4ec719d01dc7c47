"""Sessions that start in a process of their own: with other memory, or on a cluster not there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from installed import ROOT

from bench.harness.standalone import SPARK
from instructmining.spark.delta_jars import delta_jars

pytestmark = pytest.mark.slow

CONSOLE = "from jobs.cli import console; console()"
NOBODY = "spark://127.0.0.1:1"  # a port that nothing listens on
HEAP = 600  # MiB; Spark wants 450 at least
OUT_OF_MEMORY = f"""
import sys
from instructmining.errors import BrokenOffError
from instructmining.settings.loading import load_settings
from instructmining.spark.session import with_session

def work(spark, settings):
    print(spark.sparkContext._jvm.java.lang.Runtime.getRuntime().maxMemory() / 2**20)
    spark.range(1).selectExpr("repeat(cast(id AS STRING), 1000000000)").collect()

try:
    with_session(work, load_settings(sets=["spark.driver.memory={HEAP}m"]))
except BrokenOffError as error:
    print(error)
"""


SUBMITTED = """
from instructmining.spark.session import get_session

spark, ours = get_session(little_data=True)
names = ("shuffle.partitions", "codegen.factoryMode", "codegen.wholeStage")
print(ours, *(spark.conf.get(f"spark.sql.{name}") for name in names))
print(spark.sparkContext.getConf().get("spark.executor.extraJavaOptions"))
spark.stop()
"""


def process(arguments, folder: Path, **environment):
    return subprocess.Popen(
        [str(each) for each in arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_driver_has_the_memory_that_was_set_and_says_how_to_raise_it(tmp_path):
    run = process([sys.executable, "-c", OUT_OF_MEMORY], tmp_path, SPARK_MASTER="local[1]")
    out, errors = run.communicate(timeout=300)
    assert len(out.splitlines()) == 2, out + errors
    heap, sentence = out.splitlines()
    assert 0.9 * HEAP < float(heap) <= HEAP, errors  # a part of it is never used at once
    assert re.match(
        r"the JVM of Spark's driver (was|ended during this run \(killed, or) out of memory: raise "
        r"spark\.driver\.memory, now 600m: --set spark\.driver\.memory=1200m\)?; what was",
        sentence,
    )


def test_a_master_that_does_not_answer_is_named(tmp_path):
    """Spark asks for a minute; both programs wait for it at once."""
    (tmp_path / "data.jsonl").write_text('{"instruction": "Назови плод.", "output": "A cherry."}')
    given = ["score", tmp_path / "data.jsonl", "--store", tmp_path / "out"]
    given += ["--stages", "ingest", "--tracking-uri", "none"]
    places = [tmp_path / "plain", tmp_path / "submitted"]
    for place in places:
        place.mkdir()
    plain = process([sys.executable, "-c", CONSOLE, *given], places[0], SPARK_MASTER=NOBODY)
    conf = [f"--conf={key}={value}" for key, value in delta_jars().items()]
    submit = [SPARK / "bin" / "spark-submit", "--master", NOBODY, *conf, ROOT / "jobs" / "score.py"]
    submitted = process(
        [*submit, *given[1:]], places[1], PYSPARK_PYTHON=sys.executable, SPARK_MASTER=""
    )
    _, said = plain.communicate(timeout=300)
    submitted_said, spark_said = submitted.communicate(timeout=300)  # spark-submit joins ours
    assert (plain.returncode, submitted.returncode) == (2, 2), said + submitted_said + spark_said
    start = f"instructmining: Spark's master {NOBODY} did not answer: start it, or correct "

    [line] = said.strip().splitlines()
    assert line.startswith(f"{start}SPARK_MASTER; what Spark says of it: ")
    [log] = places[0].glob("instructmining-spark-*.log")
    assert line.endswith(str(log))
    assert "masters are unresponsive" in log.read_text()

    [line] = submitted_said.strip().splitlines()
    assert line == f"{start}--master of spark-submit; what Spark says of it is on this output"
    assert "masters are unresponsive" in spark_said
    assert not list(places[1].glob("*.log"))


def test_a_submitted_session_for_few_rows_leaves_what_its_operator_set(tmp_path):
    script = tmp_path / "program.py"
    script.write_text(SUBMITTED)
    conf = {**delta_jars(), "spark.sql.shuffle.partitions": "7", "spark.log.level": "ERROR"}
    pairs = [f"--conf={key}={value}" for key, value in conf.items()]
    submit = [SPARK / "bin" / "spark-submit", "--master", "local[1]", *pairs, script]
    run = process(submit, tmp_path, PYSPARK_PYTHON=sys.executable)
    said, errors = run.communicate(timeout=300)
    assert run.returncode == 0, errors
    first, options = said.strip().splitlines()
    assert first == "True 7 NO_CODEGEN false"
    assert "-XX:TieredStopAtLevel=1" in options
