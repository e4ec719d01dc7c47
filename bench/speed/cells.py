"""Neighbours by cells against one index over the pool, exact or a graph.

    python -m bench.speed.cells --rows 200000 --cell-rows 20000 --visits 4,8,10
    python -m bench.speed.cells --rows 200000 --asked 2000 --graph
    python -m bench.speed.cells --rows 1000000 --visits 8,16 --asked 2000 --graph --no-join

Prints, per number of visits, CPU seconds of all processes, wall seconds, the share of rows whose
sixth distance is that of the exact index within 1e-3, the largest difference, and what the join
itself says about its recall. With `--asked` the exact distances are those of a sample, computed
here on one thread, and the cost of one index is that of the sample times its share; `--graph` adds
FAISS's graph, which is searched for the sample in the same way. Cells are then searched for the
sample as well: the cost of the arithmetic without Spark's. `--no-join` leaves the join on Spark
out. With as many visits as cells every distance of the join must be that of the one index; else it
exits 1.
"""

import argparse
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import faiss
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from rich.console import Console
from rich.table import Table

from bench.harness.scored import cpu_seconds
from bench.speed.knn import _given, made_vectors
from bench.speed.sampled_search import cells_of_sample, index_of_sample
from instructmining.settings.sections import Knn
from instructmining.spark.session import get_session
from udfs.neighbors.cells import neighbors_by_cells
from udfs.neighbors.pool import neighbors_of_pool
from udfs.on_spark.arrow import vector_lists

SAME = 1e-6  # distances of one search and another, where both are exact


class Arms(Table):
    """The table, each row of which is also printed when it is measured: an arm may take an hour."""

    def add(self, *cells: str) -> None:
        """A row more."""
        self.add_row(*cells)
        print(*cells, sep=" | ", file=sys.stderr, flush=True)


def main() -> None:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--cell-rows", type=int, default=20_000)
    parser.add_argument("--visits", default="4,8,10")
    parser.add_argument("--asked", type=int, help="compare this many rows with the whole pool")
    parser.add_argument("--graph", action="store_true", help="measure the graph too (with --asked)")
    parser.add_argument("--no-join", action="store_true", help="only the sample (with --asked)")
    parser.add_argument("--vectors", help="NumPy file, or a store with embeddings; else made up")
    chosen = parser.parse_args()
    given = _given(chosen.vectors)
    vectors = np.ascontiguousarray(made_vectors(chosen.rows) if given is None else given)
    vectors = vectors[: chosen.rows]
    ways = [
        Knn(cell_rows=chosen.cell_rows, visits=int(visits)) for visits in chosen.visits.split(",")
    ]
    table = Arms(title=f"{len(vectors):,} x {vectors.shape[1]}, cells of {chosen.cell_rows:,}")
    for name in ("arm", "CPU s", "wall s", "sixth right", "largest difference", "method"):
        table.add_column(name, justify="left" if name in ("arm", "method") else "right")
    exact = sampled(table, vectors, chosen.asked, chosen.graph, ways) if chosen.asked else None
    unequal = [] if chosen.no_join else joined(table, vectors, exact, ways)
    Console(width=150).print(table)
    sys.exit("all cells visited, and not the distances of one index" if any(unequal) else 0)


def joined(
    table: Arms, vectors: np.ndarray, exact: pd.Series | None, ways: list[Knn]
) -> list[bool]:
    """A row of the table for each way on Spark; which of them should be exact and are not."""
    spark, _ = get_session()
    with TemporaryDirectory() as folder:
        ids, rows = stored(spark, vectors, Path(folder) / "rows.parquet")
        if exact is None:
            exact = by_one_index(table, spark, ids, vectors)
        return [add(table, rows, len(ids), exact, knn) for knn in ways]


def by_one_index(
    table: Arms, spark: SparkSession, ids: list[str], vectors: np.ndarray
) -> pd.Series:
    """The sixth distance of every row by id, searched on Spark, and its row of the table."""
    busy, started = cpu_seconds(), time.monotonic()
    found, method = neighbors_of_pool(spark, ids, vectors, None, Knn(exact_up_to=len(ids)), "bench")
    exact = sixth(found)
    took = (f"{cpu_seconds() - busy:.0f}", f"{time.monotonic() - started:.0f}")
    table.add("one index", *took, "1", "0", method)
    return exact


def sampled(
    table: Arms, vectors: np.ndarray, asked: int, with_graph: bool, ways: list[Knn]
) -> pd.Series:
    """The sixth distance of a sample by id, and the rows of the table that it is searched for."""
    faiss.omp_set_num_threads(1)  # threads that wait for each other count as busy
    rows = np.sort(np.random.default_rng(0).choice(len(vectors), asked, replace=False))
    found = index_of_sample(vectors, rows, Knn(), exact=True)
    exact = found.distances
    table.add("one index", f"{found.cpu:.0f}", "", "1", "0", found.words)
    if with_graph:
        found = index_of_sample(vectors, rows, Knn(), exact=False)
        table.add("graph", f"{found.cpu:.0f}", "", *compared(found.distances, exact), found.words)
    for knn in ways:
        found = cells_of_sample(vectors, rows, knn)
        name = f"{knn.visits} visits, no join"
        table.add(name, f"{found.cpu:.0f}", "", *compared(found.distances, exact), found.words)
    return pd.Series(exact, index=[f"{row:032x}" for row in rows])


def add(table: Arms, rows: DataFrame, count: int, exact: pd.Series, knn: Knn) -> bool:
    """One row of the table; whether a search that must be exact is not."""
    busy, started = cpu_seconds(), time.monotonic()
    found, method = neighbors_by_cells(rows, knn)
    distances = sixth(found)[exact.index].to_numpy()
    took = (f"{cpu_seconds() - busy:.0f}", f"{time.monotonic() - started:.0f}")
    table.add(f"{knn.visits} visits", *took, *compared(distances, exact.to_numpy()), method)
    off = np.abs(distances - exact.to_numpy()).max()
    return bool(knn.visits >= -(-count // knn.cell_rows) and off > SAME)


def compared(distances: np.ndarray, exact: np.ndarray) -> tuple[str, str]:
    """The share that is right, and the largest difference."""
    off = np.abs(distances - exact)
    right = off <= 1e-3 * np.maximum(exact, 1e-3)
    return f"{right.mean():.4f}", f"{off.max():.1e}"


def stored(spark: SparkSession, vectors: np.ndarray, file: Path) -> tuple[list[str], DataFrame]:
    """The vectors as the rows of a Parquet file."""
    ids = [f"{i:032x}" for i in range(len(vectors))]
    columns = {
        "example_id": ids,
        "vector": vector_lists(vectors),
        "copies": np.zeros(len(ids), np.int64),
    }
    pq.write_table(pa.table(columns), file, row_group_size=20_000)
    return ids, spark.read.parquet(str(file))


def sixth(found: DataFrame) -> pd.Series:
    """The last distance of every row, by id."""
    rows = found.selectExpr("example_id", "array_max(distances) AS distance").toPandas()
    return pd.Series(rows["distance"].to_numpy(), index=rows["example_id"])


if __name__ == "__main__":
    main()
