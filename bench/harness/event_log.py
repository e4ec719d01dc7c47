"""What Spark did in a run, by its own event log."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class SparkWork:
    """Counts of one application.

    Attributes:
        jobs: Spark jobs.
        queries: SQL executions, those that Delta starts for itself included.
        stages: that ran; a stage that was skipped is not one.
        tasks: that ended.
        shuffled: bytes written for a shuffle.
        to_driver: bytes of the tasks' results.
    """

    jobs: int = 0
    queries: int = 0
    stages: int = 0
    tasks: int = 0
    shuffled: int = 0
    to_driver: int = 0


def event_log_settings(folder: Path) -> dict[str, str]:
    """Spark's settings that write one plain file per application into a folder."""
    return {
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": folder.absolute().as_uri(),
        "spark.eventLog.compress": "false",
        "spark.eventLog.rolling.enabled": "false",
    }


def read_event_log(folder: Path) -> SparkWork:
    """The work of the only application in a folder; none where no session was started."""
    counts: Counter[str] = Counter()
    shuffled = to_driver = 0
    for file in folder.iterdir():
        with file.open(encoding="utf-8") as lines:
            for event in map(json.loads, lines):
                name = event["Event"].rpartition(".")[2]
                counts[name] += 1
                if name == "SparkListenerTaskEnd":
                    metrics: dict[str, Any] = event.get("Task Metrics") or {}
                    to_driver += metrics.get("Result Size", 0)
                    written = metrics.get("Shuffle Write Metrics", {})
                    shuffled += written.get("Shuffle Bytes Written", 0)
    return SparkWork(
        jobs=counts["SparkListenerJobStart"],
        queries=counts["SparkListenerSQLExecutionStart"],
        stages=counts["SparkListenerStageCompleted"],
        tasks=counts["SparkListenerTaskEnd"],
        shuffled=shuffled,
        to_driver=to_driver,
    )
