"""What a further run costs, as a share of the first: unchanged, with more rows, after a kill.

Compute is CPU seconds inside the scorers, by the audit; all else of a run is shown beside it.
"""

from pathlib import Path
from typing import Any

from bench.harness.arms import Suite
from bench.harness.scored import rows_file, run, session, write_rows
from bench.kill_resume import Program, commits

_CHUNK_ROWS = 25  # per task slot: eight commits of a stage
_OPTIONS: dict[str, Any] = {"measure": {"chunk_rows": _CHUNK_ROWS, "dtype": "float32"}}
WANTED = {"unchanged": 0.05, "killed half way and run again": 0.60, "a tenth more rows": 0.20}


def suite(repeats: int, rows: int = 400) -> Suite:
    """The four runs."""
    with rows_file(rows) as file, session(2) as spark:
        folder = file.parent
        first = run(spark, file, folder / "store", **_OPTIONS)
        again = {"unchanged": run(spark, file, folder / "store", **_OPTIONS)}
        _kill_half_way(file, folder / "killed", commits(folder / "store"))
        again["killed half way and run again"] = run(spark, file, folder / "killed", **_OPTIONS)
        write_rows(file, 0, rows + rows // 10)
        again["a tenth more rows"] = run(spark, file, folder / "store", **_OPTIONS)
    compute = {
        f"{name}: share of the first run's compute": each.models / first.models
        for name, each in again.items()
    }
    everything = {
        f"{name}: share of all CPU seconds": each.cpu / first.cpu for name, each in again.items()
    }
    measured = {
        f"{name}: rows measured, all stages": float(each.rows) for name, each in again.items()
    }
    return Suite(
        name="resume",
        about=f"{rows:,} rows of Alpaca's lengths, embedded models, "
        f"{first.rows:,} rows measured over all stages by the first run",
        figures=compute | everything | measured,
        at_most=dict(zip(compute, WANTED.values(), strict=True)),
        repeats=1,
    )


def _kill_half_way(file: Path, store: Path, total: int) -> None:
    program = Program(file, Path("embedded"), _CHUNK_ROWS, store.with_suffix(".log"))
    program.kill(store, total // 2, 0.0)
