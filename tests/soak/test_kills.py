"""SIGKILL at random moments, more than thirty times, on one store that new data keep coming to.

Each round delivers a further file and runs the same command. What is killed: the program with all
it started; the JVM alone; a Python worker; and on a standalone cluster an executor's JVM or one of
its Python workers. After each kill the tables are read without Spark.
"""

import json
import random
from pathlib import Path

import pytest
from killing import Kill, executors, jvms, kill_all_of, kill_while_it_runs, python_workers
from snapshots import Snapshot, check, taken

from bench.harness.comparison import compare_stores
from bench.harness.rows import ROOT, write_real_rows
from bench.harness.standalone import master, worker
from bench.harness.stored import markdown
from bench.kill_resume import Program

pytestmark = pytest.mark.soak

SEED = 1
ROWS, BROKEN = 5, 1  # records of a file, and lines that are none
PARTS = 48  # files at most
CHUNK_ROWS = 8
TOLERANCE = 1e-4  # the same texts in other batches: float32
WANTED = {
    "the program": 9,
    "its JVM": 4,
    "a Python worker": 4,
    "an executor": 7,
    "a Python worker of an executor": 8,
}
CLUSTER = """
spark.executor.cores 2
spark.executor.memory 1g
spark.executor.extraJavaOptions -XX:TieredStopAtLevel=1 -XX:+UseSerialGC
spark.driver.memory 1g
spark.driver.extraJavaOptions -XX:TieredStopAtLevel=1 -XX:+UseSerialGC
spark.driver.host 127.0.0.1
spark.driver.bindAddress 127.0.0.1
spark.ui.enabled false
spark.log.level ERROR
spark.sql.catalogImplementation in-memory
spark.sql.shuffle.partitions 2
spark.databricks.delta.snapshotPartitions 1
"""


class Soak:
    """A store, the files that keep coming, and what was killed so far."""

    def __init__(self, folder: Path, made) -> None:
        self.store, self.incoming, self.made = folder / "store", folder / "incoming", made
        self.chance = random.Random(SEED)
        self.kills: list[Kill] = []
        self.parts, self.before = 0, Snapshot()
        self.incoming.mkdir()
        write_real_rows(folder / "rows.jsonl", PARTS * ROWS, longest=600)
        self.lines = (folder / "rows.jsonl").read_text(encoding="utf-8").splitlines()

    def program(self, **environment: str) -> Program:
        """`score` of all that has come."""
        log = self.store.with_name("score.log")
        return self.made(self.incoming, log, CHUNK_ROWS, **environment)

    def deliver(self, parts: int = 1) -> None:
        """Further files, each with a line that is no record."""
        for _ in range(parts):
            lines = self.lines[self.parts * ROWS : (self.parts + 1) * ROWS]
            assert len(lines) == ROWS
            broken = json.dumps({"instruction": f"cut {self.parts}"})[:-3]
            text = "\n".join([*lines, broken]) + "\n"
            (self.incoming / f"part-{self.parts:02}.jsonl").write_text(text, encoding="utf-8")
            self.parts += 1

    def look(self) -> None:
        """Nothing is doubled, lost or half done."""
        after = taken(self.store) if self.store.is_dir() else Snapshot()
        check(self.before, after, [ROWS * part for part in range(1, self.parts + 1)])
        self.before = after

    def add(self, *kills: Kill | None) -> None:
        """Look once more when the run has ended, and tell what was killed."""
        self.look()
        for each in filter(None, kills):
            self.kills.append(each)
            ended = each.ended.partition(" (")[0]
            print(f"\nkill {len(self.kills)}: {each.victim}, {each.moment}: {ended}", end="")

    def left(self, victim: str) -> int:
        """How often it is still to be killed."""
        return WANTED[victim] - sum(each.victim == victim for each in self.kills)


@pytest.fixture(scope="module")
def soak(tmp_path_factory, program) -> Soak:
    return Soak(tmp_path_factory.mktemp("soak"), program)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """The worker of a standalone cluster, and what leads a program there."""
    folder = tmp_path_factory.mktemp("cluster")
    (folder / "spark-defaults.conf").write_text(CLUSTER)
    with (
        master(folder) as (url, _),
        worker(url, folder, "--cores", "2", PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1") as daemon,
    ):
        yield (
            daemon.pid,
            {"SPARK_MASTER": url, "SPARK_CONF_DIR": str(folder), "SPARK_LOCAL_IP": "127.0.0.1"},
        )


def test_the_program_with_all_it_started(soak, record_property):
    while soak.left("the program"):
        soak.deliver()
        soak.add(kill_all_of(soak.program(), soak.store, soak.chance, "the program"))
    record_property("seen", f"{WANTED['the program']} kills: nothing lost, doubled or half done")


@pytest.mark.parametrize(
    ("victim", "find"), [("its JVM", jvms), ("a Python worker", python_workers)]
)
def test_one_process_of_a_local_run(soak, victim, find, record_property):
    while soak.left(victim):
        soak.deliver()
        soak.add(
            *kill_while_it_runs(soak.program(), soak.store, soak.chance, victim, find, 1, soak.look)
        )
    record_property("seen", told(soak, victim))


@pytest.mark.parametrize(
    ("victim", "find"),
    [("an executor", executors), ("a Python worker of an executor", python_workers)],
)
def test_one_process_of_a_cluster(soak, cluster, victim, find, record_property):
    daemon, environment = cluster
    while soak.left(victim):
        soak.deliver(5)
        soak.add(
            *kill_while_it_runs(
                soak.program(**environment),
                soak.store,
                soak.chance,
                victim,
                find,
                soak.left(victim),
                soak.look,
                daemon,
            )
        )
    record_property("seen", told(soak, victim))


def test_after_all_of_it_the_tables_are_those_of_an_undisturbed_run(soak, record_property):
    assert len(soak.kills) >= 30
    soak.program().finish(soak.store)
    soak.look()
    undisturbed = soak.store.with_name("undisturbed")
    soak.program().finish(undisturbed)
    differences = compare_stores(undisturbed, soak.store, TOLERANCE)
    assert {"examples", "stage_values", "embeddings", "pool_knn", "scores"} <= {
        each.table for each in differences
    }
    assert [each for each in differences if not each.ok] == []
    scored = soak.before["scores"]
    assert len(scored) == ROWS * soak.parts
    assert scored["predicted_log_loss"].notna().all()
    assert len(soak.before["quarantine"]) == BROKEN * soak.parts
    record_property("seen", f"{len(soak.kills)} kills, {len(scored)} examples: equal cell by cell")
    header = ["table", "rows", "rows only in one", "unequal cells", "largest difference", ""]
    kills = [
        [i, each.victim, each.moment, each.ended.partition(" (")[0]]
        for i, each in enumerate(soak.kills, start=1)
    ]
    record_property(
        "page",
        f"kills, seed {SEED}\n"
        + markdown(["", "killed", "when", "what became of it"], kills)
        + "\n\nagainst an undisturbed store\n"
        + markdown(header, [each.cells() for each in differences]),
    )


def told(soak: Soak, victim: str) -> str:
    """How the runs ended in which this was killed."""
    ends = [each.ended for each in soak.kills if each.victim == victim]
    went_on = sum(each.startswith("went on") for each in ends)
    return (
        f"{len(ends)} kills: {went_on} in runs that went on, {len(ends) - went_on} in runs "
        "that ended with one sentence"
    )
