"""`score` run on a session of this process, and what it took: the ground of the Spark suites."""

import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
from mlflow import MlflowClient
from pyspark.sql import SparkSession

from bench.harness.texts import records
from bench.speed.memory import family
from instructmining.settings.loading import load_settings
from instructmining.spark.session import get_session
from jobs.scoring import run as score
from udfs.on_spark.audit import Stopwatch

# Above this load per core, times by the clock say more about the neighbours than about us.
IDLE = 0.5


@dataclass(frozen=True)
class Scored:
    """What a run took.

    Attributes:
        rows: measured, over all stages.
        wall: seconds by the clock.
        cpu: CPU seconds of this process, the JVM and the Python workers together.
        inside: CPU seconds inside the scorers, by stage.
        took: seconds by the clock, by stage.
        imbalance: tokens of the largest task over the mean, by stage (`audit.imbalance`).
    """

    rows: int
    wall: float
    cpu: float
    inside: dict[str, float]
    took: dict[str, float]
    imbalance: dict[str, float]

    @property
    def models(self) -> float:
        """CPU seconds inside all scorers."""
        return sum(self.inside.values())


@contextmanager
def session(slots: int, master: str = "local[{}]") -> Iterator[SparkSession]:
    """A session of this many task slots; it must be the only one of the process."""
    before = os.environ.get("SPARK_MASTER")
    os.environ["SPARK_MASTER"] = master.format(slots)
    spark, _ = get_session()
    try:
        yield spark
    finally:
        spark.stop()
        os.environ.pop("SPARK_MASTER")
        os.environ |= {"SPARK_MASTER": before} if before else {}


def run(spark: SparkSession, rows: Path, store: Path, **options: Any) -> Scored:
    """Score a file into a store; `options` as in `load_settings`."""
    tracking = f"sqlite:///{store.parent}/mlflow.db"
    options_of_run = {
        "input": (str(rows),),
        "store": str(store),
        "tracking": {"uri": tracking},
        "rule": {"source": "paper-v1"},
        **options,
    }
    watch = Stopwatch()
    busy = cpu_seconds()
    with redirect_stdout(io.StringIO()):  # the summary of a run is not the bench's
        summary = score.run(spark, load_settings(options=options_of_run))
    client = MlflowClient(tracking)
    audit = _audit(client, summary.run_id)
    metrics = client.get_run(summary.run_id).data.metrics
    return Scored(
        rows=summary.measured_rows,
        wall=watch.read()[0],
        cpu=cpu_seconds() - busy,
        inside={
            stage: sum(window["cpu"] for window in windows) for stage, windows in audit.items()
        },
        took=dict(summary.seconds),
        imbalance={
            name.removeprefix("imbalance_"): value
            for name, value in metrics.items()
            if name.startswith("imbalance_")
        },
    )


def run_rows(spark: SparkSession, count: int, **options: Any) -> Scored:
    """Score that many records into a store that is gone afterwards; `options` as in `run`."""
    with rows_file(count) as file:
        return run(spark, file, file.parent / "store", **options)


@contextmanager
def rows_file(count: int, words: int | None = None) -> Iterator[Path]:
    """A folder with `rows.jsonl` of that many records, of the lengths of Alpaca or of `words`."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "rows.jsonl"
        write_rows(file, 0, count, words)
        yield file


def write_rows(file: Path, first: int, last: int, words: int | None = None) -> None:
    """The records numbered from `first` up to `last`, no two alike."""
    lines = (json.dumps(record) for record in records(first, last, words))
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def cpu_seconds() -> float:
    """Of this process and its descendants so far, those that have ended included."""
    total = 0.0
    for process in family():
        with suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def busy() -> bool:
    """Whether others use this machine so much that the clock cannot be believed."""
    return os.getloadavg()[0] / (os.cpu_count() or 1) > IDLE


def _audit(client: MlflowClient, run_id: str) -> dict[str, list[dict[str, Any]]]:
    file = client.download_artifacts(run_id, "audit.json")
    audit: dict[str, list[dict[str, Any]]] = json.loads(Path(file).read_text(encoding="utf-8"))
    return audit
