"""What the options of the local JVM cost: `python -m bench.speed.jvm --rows 20000 --runs 20`.

Every arm is a process of its own, for a JVM reads its options when it starts. It scores rows by
the stages ingest, mtld and rule, then the sample that ships again and again, each time into a pool
of its own, as a long session does. The clock is the JVM's CPU seconds since it started, which other
work on the machine does not falsify; beside it what of them were the compilers' and the sweeper's,
and how full the code cache is at the end. Linux alone names a JVM's threads.
"""

import argparse
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import psutil
from pyspark.sql import SparkSession
from rich.console import Console
from rich.table import Table

from bench.harness.rows import SAMPLE
from bench.harness.scored import rows_file
from bench.speed.memory import family
from instructmining.settings.loading import load_settings
from instructmining.spark.session import get_session
from jobs.scoring import run as score

ARMS = {
    "C1 in 48 MB": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",  # the JVM's own size without C2
    "C1 in 256 MB": "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m -XX:+UseSerialGC",
    "C1 and C2 in 256 MB": "-XX:ReservedCodeCacheSize=256m -XX:+UseSerialGC",
}
_THREADS = {"compilers": "CompilerThre", "sweeper": "Sweeper"}  # in the names that Linux knows
_TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", type=int, default=2_000)
    parser.add_argument("--runs", type=int, default=3, help="of the sample, after the rows")
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--arms", default=",".join(ARMS))
    parser.add_argument("--arm", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.arm:
        print(json.dumps(measure(chosen.arm, chosen.rows, chosen.runs, chosen.slots)))
        return
    names = chosen.arms.split(",")
    if set(names) - set(ARMS):
        parser.error(f"arms are {', '.join(ARMS)}")
    about = f"{chosen.rows:,} rows, then {chosen.runs} runs of the sample; {chosen.slots} slots"
    table = Table(title=f"JVM, CPU s: {about}")
    for arm in names:
        found = _apart(arm, sys.argv[1:])
        if not table.columns:
            table.add_column("JVM")
            for name in found:
                table.add_column(name, justify="right")
        table.add_row(arm, *(f"{value:.1f}" for value in found.values()))
    Console(width=120).print(table)


def measure(arm: str, rows: int, runs: int, slots: int) -> dict[str, float]:
    """One arm, in this process."""
    with rows_file(rows) as file, _session(ARMS[arm], slots) as spark:
        process = _jvm()
        started = _seconds(process)
        _score(spark, file.parent, file, "rows")
        scored = _seconds(process)
        for number in range(runs):
            _score(spark, file.parent, SAMPLE, f"sample-{number}")
        total = _seconds(process)
        threads = {name: _of_threads(process.pid, part) for name, part in _THREADS.items()}
        return {
            "start": started,
            "rows": scored - started,
            "runs": total - scored,
            "all": total,
            **{f"of it {name}": seconds for name, seconds in threads.items()},
            "code, MB": _code_cache(spark) / 2**20,
        }


def _apart(arm: str, arguments: list[str]) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.speed.jvm", *arguments, "--arm", arm]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


@contextmanager
def _session(options: str, slots: int) -> Iterator[SparkSession]:
    os.environ["SPARK_MASTER"] = f"local[{slots}]"
    spark, _ = get_session({"spark.driver.extraJavaOptions": options})
    try:
        yield spark
    finally:
        spark.stop()


def _score(spark: SparkSession, folder: Path, rows: Path, pool: str) -> None:
    given: dict[str, Any] = {
        "input": (str(rows),),
        "store": str(folder / "store"),
        "pool": pool,
        "stages": ("ingest", "mtld", "rule"),
        "tracking": {"uri": f"sqlite:///{folder}/mlflow.db"},
        "rule": {"source": "paper-v1"},
    }
    with redirect_stdout(io.StringIO()):
        score.run(spark, load_settings(options=given))


def _jvm() -> psutil.Process:
    [found] = [process for process in family() if process.name() == "java"]
    return found


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _of_threads(pid: int, part: str) -> float:
    """CPU seconds of the threads whose names hold `part`."""
    total = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        if part in (thread / "comm").read_text():
            fields = (thread / "stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])  # user and system, proc(5) 14 and 15
    return total / _TICKS


def _code_cache(spark: SparkSession) -> int:
    """Bytes of compiled code, over all parts of the code cache."""
    jvm: Any = spark._jvm
    pools = jvm.java.lang.management.ManagementFactory.getMemoryPoolMXBeans()
    return sum(pool.getUsage().getUsed() for pool in pools if pool.getName().startswith("Code"))


if __name__ == "__main__":
    main()
