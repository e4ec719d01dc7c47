"""Kill `score` at random moments, run it again, compare: `python -m bench.kill_resume`.

The program runs as users start it, in a process group of its own, over many small chunks. An
undisturbed run on one store gives the truth. On another store it is killed (SIGKILL, with all
it started) once in the stages of the models and once in the last stage, whose function keeps a
record of every row it measures; then it runs to its end, and once more with nothing to do.
"""

import argparse
import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import yaml

from bench.harness import witness
from bench.harness.comparison import Difference, compare_stores
from bench.harness.rows import ROOT, write_real_rows
from bench.harness.stored import markdown, version
from instructmining.models.lists import load_model_list
from instructmining.store.schemas import TABLES

SLOTS = 2  # tasks at a time
_MEASURING = ("stage_values", "embeddings")
_ROWS = re.compile(r"measured by models in this run: ([\d,]+) rows")


@dataclass
class Program:
    """`score` on one file or folder, into whichever store."""

    rows: Path
    models: Path
    chunk_rows: int
    log: Path
    options: tuple[str, ...] = ()  # further ones of the command
    environment: Mapping[str, str] = field(default_factory=dict)

    def start(self, store: Path) -> subprocess.Popen[bytes]:
        """Start it as the leader of its own process group."""
        command = [
            sys.executable,
            "-m",
            "jobs.score",
            str(self.rows),
            "--store",
            str(store),
            "--models",
            str(self.models),
            "--set",
            f"measure.chunk_rows={self.chunk_rows}",
            "--set",
            "measure.dtype=float32",
            "--rule",
            "paper-v1",
            "--tracking-uri",
            f"sqlite:///{self.log.with_suffix('.db')}",
            *self.options,
        ]
        environment = {
            "SPARK_MASTER": f"local[{SLOTS}]",
            "PYTHONPATH": str(ROOT),
            witness.FILE: str(witness_of(store)),
            **self.environment,
        }
        with self.log.open("wb") as log:
            return subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def finish(self, store: Path) -> int:
        """Run it to its end; return how many rows its summary says were measured."""
        code = self.start(store).wait()
        text = self.said()
        match = _ROWS.search(text)
        if code or not match:
            raise RuntimeError(f"score ended with {code}:\n{text[-3000:]}")
        return int(match[1].replace(",", ""))

    def kill(self, store: Path, commits_before: int, delay: float) -> str:
        """Start it, kill it `delay` seconds after the commit of that number; say where it was."""
        process = self.start(store)
        while commits(store) < commits_before:
            if process.poll() is not None:
                raise RuntimeError(f"score ended before it was killed:\n{self.said()[-3000:]}")
            time.sleep(0.02)
        time.sleep(delay)
        ended = kill_family(process)
        return f"{ended} processes, {delay:.2f} s after commit {commits(store)}"

    def said(self) -> str:
        """What it printed, until now or to its end."""
        return self.log.read_text(encoding="utf-8")


@dataclass(frozen=True)
class Outcome:
    """What was seen."""

    kills: list[str]
    rows: int
    chunk: int  # rows of one commit: `chunk_rows` of each running task
    repeated: int  # rows that the last stage measured more than once
    resumed: int  # rows that the run after the kills measured, over all stages
    measured_again: int  # rows that a further run measured
    new_commits: dict[str, int]  # by table, of that further run; empty: none
    differences: list[Difference]

    @property
    def ok(self) -> bool:
        """Whether everything holds that is claimed."""
        return (
            all(difference.ok for difference in self.differences)
            and self.repeated <= self.chunk
            and self.resumed > 0
            and not self.measured_again
            and not self.new_commits
        )

    def text(self) -> str:
        """The page."""
        lines = [f"kill {i}: {words}" for i, words in enumerate(self.kills, start=1)]
        lines += [
            f"rows measured by the run after the kills, all stages: {self.resumed:,}",
            f"rows measured twice in the stage of the second kill: {self.repeated} "
            f"(one chunk of {SLOTS} running tasks: {self.chunk})",
            f"a further run measured {self.measured_again} rows and made "
            f"{sum(self.new_commits.values())} commits to data tables",
        ]
        header = ["table", "rows", "rows only in one", "unequal cells", "largest difference", ""]
        return "\n".join(lines) + "\n\n" + markdown(header, [d.cells() for d in self.differences])


def run(folder: Path, rows: int, chunk_rows: int, models: str, seed: int) -> Outcome:
    """The whole procedure, in a folder of its own."""
    chance = random.Random(seed)  # noqa: S311 - moments, not secrets
    write_real_rows(folder / "rows.jsonl", rows, longest=600)
    program = Program(
        folder / "rows.jsonl",
        _with_witness(models, folder / "models.yml"),
        chunk_rows,
        folder / "score.log",
    )
    truth = folder / "undisturbed"
    killed = folder / "killed"
    program.finish(truth)
    total = commits(truth)
    last = -(-len(witness.seen(witness_of(truth))) // (chunk_rows * SLOTS))
    moments = [chance.randint(2, total - last - 1), chance.randint(total - last + 1, total - 3)]
    kills = [
        f"of {total} commits, {program.kill(killed, moment, chance.uniform(0, 0.5))}"
        for moment in moments
    ]
    resumed = program.finish(killed)
    seen = witness.seen(witness_of(killed))
    before = {table: version(killed, table) for table in TABLES}
    again = program.finish(killed)
    after = {table: version(killed, table) for table in TABLES}
    return Outcome(
        kills=kills,
        rows=len(set(seen)),
        chunk=chunk_rows * SLOTS,
        repeated=len(seen) - len(set(seen)),
        resumed=resumed,
        measured_again=again,
        new_commits={t: after[t] - before[t] for t in TABLES if after[t] != before[t]},
        differences=compare_stores(truth, killed),
    )


def kill_family(process: subprocess.Popen[bytes]) -> int:
    """SIGKILL a process with all it started, at once; how many they were."""
    leader = psutil.Process(process.pid)
    started = leader.children(recursive=True)
    os.killpg(process.pid, signal.SIGKILL)
    # Spark's Python daemon leads a group of its own: it has to be named to die at once too.
    for member in started:
        kill(member)
    process.wait()
    psutil.wait_procs(started, timeout=30)
    return 1 + len(started)


def kill(process: psutil.Process) -> None:
    """SIGKILL a process that may have ended meanwhile."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process.kill()


def commits(store: Path, tables: Sequence[str] = _MEASURING) -> int:
    """Commits to the tables, by default to those that hold measurements."""
    return sum(len(list((store / table / "_delta_log").glob("*.json"))) for table in tables)


def witness_of(store: Path) -> Path:
    """Where the last stage of a run on this store writes what it measures."""
    return store.with_suffix(".witness")


def _with_witness(models: str, target: Path) -> Path:
    """The model list with one more stage at its end, which records what it measures."""
    spec = {
        "kind": "python",
        "function": "bench.harness.witness:measure",
        "indicators": ["characters"],
    }
    listed = load_model_list(models).model_dump(exclude_none=True, mode="json")
    listed["classifiers"] = {**listed["classifiers"], "witness": spec}
    target.write_text(yaml.safe_dump(listed), encoding="utf-8")
    return target


def main() -> None:
    """Run it in a scratch folder and print what was seen; exit with 1 where a claim fails."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rows", type=int, default=600)
    options.add_argument("--chunk-rows", type=int, default=25, help="per running task")
    options.add_argument("--models", default="embedded")
    options.add_argument("--seed", type=int, default=0)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        outcome = run(Path(scratch), chosen.rows, chosen.chunk_rows, chosen.models, chosen.seed)
    print(f"seed {chosen.seed}, {outcome.rows} rows, models {chosen.models}")
    print(outcome.text())
    if not outcome.ok:
        sys.exit(1)


if __name__ == "__main__":
    main()
