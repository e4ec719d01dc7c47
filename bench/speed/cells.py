"""Neighbours by cells against one index over the pool, both on Spark.

    python -m bench.speed.cells --rows 200000 --cell-rows 20000 --visits 4,8,10

Prints, per number of visits, wall seconds, the share of rows whose sixth distance is that of the
exact index within 1e-3, the largest difference, and what the join itself says about its recall.
With as many visits as cells every distance must be that of the one index; else it exits 1.
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

from bench.speed.knn import _given, made_vectors
from instructmining.settings.sections import Knn
from instructmining.spark.session import get_session
from udfs.neighbors.cells import neighbors_by_cells
from udfs.neighbors.pool import neighbors_of_pool
from udfs.on_spark.arrow import vector_lists

SAME = 1e-6  # distances of one search and another, where both are exact


def main() -> None:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--cell-rows", type=int, default=20_000)
    parser.add_argument("--visits", default="4,8,10")
    parser.add_argument("--vectors", help="NumPy file, or a store with embeddings; else made up")
    chosen = parser.parse_args()
    given = _given(chosen.vectors)
    vectors = np.ascontiguousarray(made_vectors(chosen.rows) if given is None else given)
    vectors = vectors[: chosen.rows]
    spark, _ = get_session()
    table = Table(title=f"{len(vectors):,} x {vectors.shape[1]}, cells of {chosen.cell_rows:,}")
    for name in ("arm", "wall s", "sixth right", "largest difference", "method"):
        table.add_column(name, justify="left" if name in ("arm", "method") else "right")
    with TemporaryDirectory() as folder:
        ids, rows = stored(spark, vectors, Path(folder) / "rows.parquet")
        started = time.monotonic()
        found, method = neighbors_of_pool(
            spark, ids, vectors, None, Knn(exact_up_to=len(ids)), "bench"
        )
        exact = sixth(found)
        table.add_row("one index", f"{time.monotonic() - started:.0f}", "1", "0", method)
        unequal = [
            add(table, rows, exact, Knn(cell_rows=chosen.cell_rows, visits=int(visits)))
            for visits in chosen.visits.split(",")
        ]
    Console(width=150).print(table)
    sys.exit("all cells visited, and not the distances of one index" if any(unequal) else 0)


def add(table: Table, rows: DataFrame, exact: pd.Series, knn: Knn) -> bool:
    """One row of the table; whether a search that must be exact is not."""
    started = time.monotonic()
    found, method = neighbors_by_cells(rows, knn)
    distances = sixth(found)[exact.index]
    seconds = time.monotonic() - started
    off = (distances - exact).abs()
    right = (off <= 1e-3 * exact.clip(lower=1e-3)).mean()
    table.add_row(
        f"{knn.visits} visits", f"{seconds:.0f}", f"{right:.4f}", f"{off.max():.1e}", method
    )
    cells = -(-len(exact) // knn.cell_rows)
    return bool(knn.visits >= cells and off.max() > SAME)


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
