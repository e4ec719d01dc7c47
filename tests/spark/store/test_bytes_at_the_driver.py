"""What reaches the driver does not grow with the pool, whatever has no model.

Counted are the bytes of the tasks' results, by Spark's own account of its stages. What is bounded
is kept out: Spark may bring up to 10 MB of a join to the driver, which is turned off here; the
samples of Delta's OPTIMIZE (300,000 keys at most) and of the report's correlations (20,000 rows)
are made small; and a pool that is searched by one index has its vectors there, so that neighbours
are joined by cells here.
"""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from driver_results import results, sent_since
from pyspark.sql import SparkSession

from bench.harness.made_numbers import fill
from bench.harness.texts import records
from instructmining.report import page
from instructmining.settings.loading import load_settings
from instructmining.store.tables import Store
from jobs.scoring.run import run as score
from jobs.selecting.run import run as select
from jobs.stored.maintain import run as maintain
from jobs.stored.report import run as report

pytestmark = pytest.mark.slow  # two pools through every command

SIZES = (1_200, 4_800)
GROWN = 1.15  # times as many bytes for four times as many rows: counts have more digits
_SLACK = 20_000  # bytes: a query has more or fewer tasks
_FILES = 4
_SETTINGS = {
    "spark.sql.autoBroadcastJoinThreshold": "-1",
    "spark.sql.adaptive.autoBroadcastJoinThreshold": "-1",
    "spark.databricks.io.skipping.mdc.rangeId.max": "2",
}


@pytest.fixture
def plain_joins(spark: SparkSession) -> Iterator[SparkSession]:
    before = {name: spark.conf.get(name, None) for name in _SETTINGS}
    for name, value in _SETTINGS.items():
        spark.conf.set(name, value)
    yield spark
    for name, value in before.items():
        spark.conf.unset(name) if value is None else spark.conf.set(name, value)


def through(spark: SparkSession, folder: Path, rows: int) -> dict[str, int]:
    """Bytes at the driver of every command over a pool of that many rows."""
    data = folder / "data"
    data.mkdir(parents=True)
    each = rows // _FILES
    for file in range(_FILES):
        lines = (json.dumps(row) + "\n" for row in records(file * each, (file + 1) * each, 30))
        path = data / f"{file}.jsonl"
        path.write_text("".join(lines))
        os.utime(path, (1_700_000_000.25, 1_700_000_000.25))
    shared: dict[str, Any] = {
        "store": str(folder / "store"),
        "tracking": {"uri": "none"},
        "canary": {"rows": 0},
        "knn": {"cells_beyond": 100, "cell_rows": 10_000, "visits": 1},
        "rule": {"source": "paper-v1"},
    }
    choice = {"top": 50, "candidates": 500}
    given = {"input": (str(data),)}
    commands: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
        "read": (score, {**given, "stages": ("ingest",)}),
        "read again": (score, {**given, "stages": ("ingest",)}),
        "neighbours": (score, {"stages": ("embed", "knn")}),
        "rule": (score, {"stages": ("reward", "perplexity", "mtld", "embed", "rule")}),
        "quotas": (select, {"select": {"top": 50, "quota": {"0.jsonl": 10}}}),
        "diversity": (select, {"select": {**choice, "diversity": "cosine"}}),
        "report": (report, {"report": {"to": str(folder / "page.html")}}),
        "maintain": (maintain, {}),
    }
    taken = {}
    for name, (command, options) in commands.items():
        if name == "neighbours":
            fill(Store.open(spark, shared["store"]), 8)
        before = results(spark)
        command(spark, load_settings(options={**shared, **options}))
        taken[name] = sent_since(spark, before)
    return taken


def test_bytes_at_the_driver_do_not_grow_with_the_pool(
    plain_joins: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "_SAMPLE", 500)
    small, large = (through(plain_joins, tmp_path / str(rows), rows) for rows in SIZES)
    grown = {
        name: (small[name], large[name])
        for name in small
        if large[name] > GROWN * small[name] + _SLACK
    }
    assert not grown
