"""What Spark did in a run, by its own event log."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Names of Spark's operators whose rows pass through a Python worker.
_PYTHON = ("EvalPython", "MapInArrow", "MapInPandas", "InPandas", "InArrow", "PythonRDD")


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


@dataclass
class Query:
    """One SQL execution.

    Attributes:
        asked: who asked for it: our line with `bench.harness.call_sites`, else Spark's words.
        seconds: from its start to its end.
        since: seconds from the start of the first query to that of this one.
        jobs: Spark jobs.
        tasks: of all its jobs.
        has_python: whether its plan has work for Python workers.
    """

    asked: str
    seconds: float
    since: float
    jobs: int
    tasks: int
    has_python: bool


def read_event_log(folder: Path) -> SparkWork:
    """The work of the only application in a folder; none where no session was started."""
    counts: Counter[str] = Counter()
    shuffled = to_driver = 0
    for name, event in _events(folder):
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


def read_queries(folder: Path) -> list[Query]:
    """The queries of the only application in a folder, in the order of their start."""
    queries: dict[str, Query] = {}
    stages: dict[int, str] = {}  # the query of each stage that is under way
    first = 0
    for name, event in _events(folder):
        if name == "SparkListenerSQLExecutionStart":
            first = first or event["time"]
            has_python = any(sign in event["physicalPlanDescription"] for sign in _PYTHON)
            since = (event["time"] - first) / 1e3
            asked = event["description"]
            queries[str(event["executionId"])] = Query(asked, -since, since, 0, 0, has_python)
        elif name == "SparkListenerSQLExecutionEnd":
            queries[str(event["executionId"])].seconds += (event["time"] - first) / 1e3
        elif name == "SparkListenerJobStart":
            number = event.get("Properties", {}).get("spark.sql.execution.id")
            if number in queries:
                queries[number].jobs += 1
                stages |= dict.fromkeys(event["Stage IDs"], number)
        elif name == "SparkListenerTaskEnd" and event["Stage ID"] in stages:
            queries[stages[event["Stage ID"]]].tasks += 1
    return list(queries.values())


def _events(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Short name and content of each."""
    for file in folder.iterdir():
        with file.open(encoding="utf-8") as lines:
            for event in map(json.loads, lines):
                yield event["Event"].rpartition(".")[2], event
