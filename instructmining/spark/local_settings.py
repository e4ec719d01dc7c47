"""Spark's settings for a session that we start; each is there by measurement.

`docs/decisions/0036-the-local-jvm.md`, `0044-little-data-is-not-compiled-for.md` and
`0079-little-data-on-a-cluster.md` have the figures. What an operator sets is never overridden.
"""

import os
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from instructmining.spark.paths import is_uri

# Without C2 the JVM reserves 48 MB for compiled code, which Spark and Delta fill in a long session:
# then it compiles, throws away and compiles again. `python -m bench.speed.jvm` measures it.
SHORT_LIVED = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m"
JAVA_OPTIONS = f"{SHORT_LIVED} -XX:+UseSerialGC"
# On any cluster: our tables have few files, so that 2 tasks read a log and not 50. A shuffle has as
# many tasks as its bytes fill, not one per slot, also where its result is persisted: otherwise
# every query that reads the persisted pool has `spark.sql.shuffle.partitions` tasks.
FEW_TASKS = {
    "spark.databricks.delta.snapshotPartitions": "2",
    "spark.sql.adaptive.coalescePartitions.parallelismFirst": "false",
    "spark.sql.optimizer.canChangeCachedPlanOutputPartitioning": "true",
}
# The driver of a cluster plans and commits: code that is new all the time. Executors keep theirs.
ELSEWHERE = {"spark.driver.extraJavaOptions": SHORT_LIVED}
# Worth 2-4x on a laptop (small tables, two cores).
LOCAL = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.extraJavaOptions": JAVA_OPTIONS,
    "spark.driver.host": "127.0.0.1",
    "spark.driver.memory": "3g",
    "spark.log.level": "ERROR",
    "spark.sql.catalogImplementation": "in-memory",
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "2",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}
# Where the tasks are threads of this JVM. The daemon forks the Python workers.
ONE_JVM = {
    "spark.databricks.delta.snapshotPartitions": "1",
    "spark.python.daemon.module": "udfs.on_spark.daemon",
    "spark.sql.shuffle.partitions": "4",
}
# Queries over few rows cost more to compile than to interpret, and a table of a few files more to
# look through its statistics than to read.
# Lower case by Java and not by ICU, which first computes the title case of every character there is
# (a second of CPU, 2.4 GB of objects).
LITTLE_DATA = {
    "spark.databricks.delta.stats.skipping": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.icu.caseMappings.enabled": "false",
}
# The same where executors have the tasks: else a shuffle writes a file for each of 200 partitions,
# and an executor's JVM compiles at length what runs for seconds.
LITTLE_ON_CLUSTER = LITTLE_DATA | {
    "spark.databricks.delta.snapshotPartitions": "1",
    "spark.executor.extraJavaOptions": SHORT_LIVED,
    "spark.sql.shuffle.partitions": "4",
}
LITTLE = 64 << 20  # bytes of input and store


def settings_for(master: str, little_data: bool) -> dict[str, str]:
    """All that a session of ours gets beside Delta; `local-cluster` stands in for a cluster."""
    settings = FEW_TASKS | (LOCAL if master.startswith("local") else ELSEWHERE)
    if is_one_jvm(master):
        settings |= ONE_JVM
    if little_data:
        settings |= LITTLE_DATA if is_one_jvm(master) else LITTLE_ON_CLUSTER
    return settings


def submitted_settings(little_data: bool) -> dict[str, str]:
    """What a session that `spark-submit` starts gets where its operator has no opinion."""
    return FEW_TASKS | (LITTLE_ON_CLUSTER if little_data else {})


def is_one_jvm(master: str) -> bool:
    """Whether tasks are threads of the driver's JVM: `local`, `local[n]`, not `local-cluster`."""
    return re.match(r"local(\[|$)", master) is not None


def is_little(inputs: Iterable[str], store: str, has_catalog: bool = False) -> bool:
    """Whether all that a run reads is small and on this machine; a glob or a table is not seen.

    Args:
        inputs: files, folders, tables or globs.
        store: a folder, which need not be there yet, or a schema.
        has_catalog: whether a store of one word may be a schema; else it is a folder.
    """
    places = [Path(place).expanduser() for place in inputs]
    if not all(map(Path.exists, places)) or not _is_folder_here(store, has_catalog):
        return False
    total = 0
    for size in chain.from_iterable(map(_sizes, [*places, Path(store).expanduser()])):
        total += size
        if total > LITTLE:
            return False
    return True


def _is_folder_here(store: str, has_catalog: bool) -> bool:
    """Whether the store is a folder of this machine, as far as its name says."""
    if is_uri(store):
        return False
    may_be_schema = "/" not in store and (has_catalog or "." in store)
    return not may_be_schema or Path(store).exists()


def _sizes(place: Path) -> Iterator[int]:
    """Bytes of the file, or of the files below the folder; none where there is nothing."""
    if place.is_file():
        yield place.stat().st_size
    for folder, _, names in os.walk(place):
        for path in (Path(folder, name) for name in names):
            if path.exists():  # no link into nowhere, and not deleted meanwhile
                yield path.stat().st_size
