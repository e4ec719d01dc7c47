"""Neighbours by cells against one index over the pool, both on Spark.

    python -m bench.speed.cells --rows 200000 --cell-rows 20000 --visits 4,8,10
    python -m bench.speed.cells --rows 200000 --cell-rows 2000 --visits 8,50 --asked 2000 --graph

Prints, per number of visits, CPU seconds of all processes, wall seconds, the share of rows whose
sixth distance is that of the exact index within 1e-3, the largest difference, and what the join
itself says about its recall. With `--asked` the exact distances are those of a sample, computed
here, and the cost of one index is that of the sample times its share; `--graph` adds FAISS's graph,
which is searched for the sample in the same way. With as many visits as cells every distance must
be that of the one index; else it exits 1.
"""

import argparse
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from rich.console import Console
from rich.table import Table

from bench.harness.scored import cpu_seconds
from bench.speed.knn import _given, made_vectors
from instructmining.settings.sections import Knn
from instructmining.spark.session import get_session
from udfs.neighbors.cells import neighbors_by_cells
from udfs.neighbors.knn import Search, build_index, neighbor_distances
from udfs.neighbors.pool import neighbors_of_pool
from udfs.on_spark.arrow import vector_lists

SAME = 1e-6  # distances of one search and another, where both are exact


def main() -> None:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--cell-rows", type=int, default=20_000)
    parser.add_argument("--visits", default="4,8,10")
    parser.add_argument("--asked", type=int, help="compare this many rows with the whole pool")
    parser.add_argument("--graph", action="store_true", help="measure the graph too (with --asked)")
    parser.add_argument("--vectors", help="NumPy file, or a store with embeddings; else made up")
    chosen = parser.parse_args()
    given = _given(chosen.vectors)
    vectors = np.ascontiguousarray(made_vectors(chosen.rows) if given is None else given)
    vectors = vectors[: chosen.rows]
    spark, _ = get_session()
    table = Table(title=f"{len(vectors):,} x {vectors.shape[1]}, cells of {chosen.cell_rows:,}")
    for name in ("arm", "CPU s", "wall s", "sixth right", "largest difference", "method"):
        table.add_column(name, justify="left" if name in ("arm", "method") else "right")
    with TemporaryDirectory() as folder:
        ids, rows = stored(spark, vectors, Path(folder) / "rows.parquet")
        if chosen.asked:
            exact = sampled(table, vectors, chosen.asked, chosen.graph)
        else:
            exact = by_one_index(table, spark, ids, vectors)
        unequal = [
            add(table, rows, len(ids), exact, Knn(cell_rows=chosen.cell_rows, visits=int(visits)))
            for visits in chosen.visits.split(",")
        ]
    Console(width=150).print(table)
    sys.exit("all cells visited, and not the distances of one index" if any(unequal) else 0)


def by_one_index(
    table: Table, spark: SparkSession, ids: list[str], vectors: np.ndarray
) -> pd.Series:
    """The sixth distance of every row by id, searched on Spark, and its row of the table."""
    busy, started = cpu_seconds(), time.monotonic()
    found, method = neighbors_of_pool(spark, ids, vectors, None, Knn(exact_up_to=len(ids)), "bench")
    exact = sixth(found)
    took = (f"{cpu_seconds() - busy:.0f}", f"{time.monotonic() - started:.0f}")
    table.add_row("one index", *took, "1", "0", method)
    return exact


def sampled(table: Table, vectors: np.ndarray, asked: int, with_graph: bool) -> pd.Series:
    """The same of a sample, by an exact index and, if wanted, a graph in this process."""
    rows = np.sort(np.random.default_rng(0).choice(len(vectors), asked, replace=False))
    exact = searched(table, "one index, from the sample", vectors, rows, None)
    if with_graph:
        searched(table, f"graph, effort {Knn().probes}, from the sample", vectors, rows, exact)
    return pd.Series(exact, index=[f"{row:032x}" for row in rows])


def searched(
    table: Table, name: str, vectors: np.ndarray, rows: np.ndarray, exact: np.ndarray | None
) -> np.ndarray:
    """Sixth distances of some rows, and the CPU seconds that all rows would take."""
    knn = Knn()
    built = time.process_time()
    index = build_index(vectors, exact is None, knn.probes)
    built = time.process_time() - built
    busy, started = time.process_time(), time.monotonic()
    search = Search(knn.neighbors, knn.candidates)
    distances: np.ndarray = neighbor_distances(index, rows, search)[:, -1]
    cost = built + (time.process_time() - busy) * len(vectors) / len(rows)
    off = np.zeros(len(rows)) if exact is None else np.abs(distances - exact)
    right = off <= 1e-3 * np.maximum(distances if exact is None else exact, 1e-3)
    method = f"{built:.0f} CPU s to build, {time.monotonic() - started:.1f} s for {len(rows):,}"
    table.add_row(name, f"{cost:.0f}", "", f"{right.mean():.4f}", f"{off.max():.1e}", method)
    return distances


def add(table: Table, rows: DataFrame, count: int, exact: pd.Series, knn: Knn) -> bool:
    """One row of the table; whether a search that must be exact is not."""
    busy, started = cpu_seconds(), time.monotonic()
    found, method = neighbors_by_cells(rows, knn)
    distances = sixth(found)[exact.index]
    took = (f"{cpu_seconds() - busy:.0f}", f"{time.monotonic() - started:.0f}")
    off = (distances - exact).abs()
    right = (off <= 1e-3 * exact.clip(lower=1e-3)).mean()
    table.add_row(f"{knn.visits} visits", *took, f"{right:.4f}", f"{off.max():.1e}", method)
    return bool(knn.visits >= -(-count // knn.cell_rows) and off.max() > SAME)


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
