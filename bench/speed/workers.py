"""Memory of a Python worker against the rows it measures: windows, not partitions, are held."""

from bench.harness.arms import Suite
from bench.harness.scored import rows_file, run, session
from bench.speed.memory import peak_of_workers

GROWTH = "most of 50,000 rows over most of 10,000"
_WORDS = 8  # short rows: the count is what matters, not the time they take


def suite(repeats: int, sizes: tuple[int, int] = (10_000, 50_000)) -> Suite:
    """Each size in a session of its own, all rows in one chunk: one task per slot holds half."""
    peaks = [peak(size) for size in sizes]
    return Suite(
        name="workers",
        about=f"reward of rows of {_WORDS} words, two task slots, MiB that a worker has for itself",
        figures={f"{size:,} rows: MiB": each for size, each in zip(sizes, peaks, strict=True)}
        | {GROWTH: peaks[1] / peaks[0]},
        at_most={GROWTH: 1.10},
        repeats=1,
    )


def peak(rows: int) -> float:
    """MiB of the largest worker while it measures."""
    with session(2) as spark, rows_file(rows, _WORDS) as file, peak_of_workers() as most:
        run(
            spark,
            file,
            file.parent / "store",
            stages=("ingest", "reward"),
            measure={"chunk_rows": rows},
        )
        return most()
