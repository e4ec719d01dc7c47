"""What needs no model runs over Spark Connect, where there is no Spark context, RDD or JVM."""

import json
import os
import sys

import pytest
from installed import run

from instructmining.settings.loading import load_settings
from instructmining.store.tables import Store
from jobs.scoring import run as score

pytestmark = pytest.mark.slow

# `spark.api.mode=connect` starts a Connect server in the driver's JVM and talks to nothing else.
PROGRAM = """
import sys
from pyspark.sql import SparkSession
from pyspark.sql.utils import is_remote
from instructmining.spark.delta_jars import delta_jars
from instructmining.spark.local_settings import settings_for
from instructmining.spark.session import _DELTA
builder = SparkSession.builder.master("local[2]").config("spark.api.mode", "connect")
for key, value in {**_DELTA, **settings_for("local[2]", True), **delta_jars()}.items():
    builder = builder.config(key, value)
spark = builder.getOrCreate()
assert is_remote() and not hasattr(spark, "_jvm")
from jobs.cli import main
for line in sys.stdin:
    print("$", line.strip())
    main(line.split())
"""


@pytest.fixture(scope="module")
def store(spark, tmp_path_factory):
    """A folder with a pool that was read and measured over the classic way."""
    folder = tmp_path_factory.mktemp("connect")
    (folder / "models.yml").write_text("name: words\nmtld: {kind: mtld, indicators: [mtld]}\n")
    (folder / "rule.json").write_text(
        json.dumps(
            {
                "name": "words",
                "version": "1",
                "target": "log_loss",
                "intercept": 1.0,
                "coefficients": {"mtld": 0.5},
            }
        )
    )
    texts = ["one two three four five six seven eight nine ten " * 2, "够" * 30, "short"]
    (folder / "data.jsonl").write_text(
        "\n".join(
            json.dumps({"instruction": f"Say {i}.", "output": text}) for i, text in enumerate(texts)
        )
    )
    given = load_settings(
        options={
            "store": str(folder / "store"),
            "input": (str(folder / "data.jsonl"),),
            "models": str(folder / "models.yml"),
            "stages": ("ingest", "mtld"),
            "tracking": {"uri": "none"},
        }
    )
    score.run(spark, given)
    return folder


def test_the_rule_stage_and_rules(spark, store):
    common = f"--store={store}/store --models={store}/models.yml --tracking-uri=none"
    lines = [
        f"score --stages=rule --rule={store}/rule.json {common}",
        f"score --stages=rule --rule={store}/rule.json {common}",
        f"rules list --tracking-uri=sqlite:///{store}/mlflow.db",
        "rules show paper-v1 --tracking-uri=none",
        "rules export paper-v2 --as=spark --tracking-uri=none",
    ]
    said = run(
        sys.executable,
        "-c",
        PROGRAM,
        input="\n".join(lines),
        cwd=store,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert "rule words version 1" in said
    assert "paper-v1  built in" in said
    scores = Store.open(spark, f"{store}/store").read("scores")
    rows = {row.example_id: row for row in scores.collect()}
    assert len(rows) == 3
    measured = [row for row in rows.values() if row.mtld is not None]
    assert measured
    for row in rows.values():
        expected = None if row.mtld is None else pytest.approx(1.0 + 0.5 * row.mtld, rel=1e-9)
        assert row.predicted_log_loss == expected
    # The second run found the scores as they should be: one creation, its constraints, one write.
    history = spark.sql(f"DESCRIBE HISTORY delta.`{store}/store/scores`").collect()
    assert [row.operation for row in history].count("WRITE") == 1
