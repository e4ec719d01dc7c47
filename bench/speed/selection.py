"""Seconds and driver memory of choosing a subset: `python -m bench.speed.selection`.

A million scored rows are made up in a Delta store (seeded, by Spark) and chosen from by number, per
source, by tokens and at random. Then 10,000 of 200,000 made-up embeddings (`knn`) with each
kind of diversity: seconds, the largest resident size of the Python driver, and what was gained: the
mean cosine of a chosen row to the nearest other one, beside the mean score that it cost. On a small
pool each choice is compared with a loop over all pairs; the command fails where the ids differ.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from rich.console import Console
from rich.table import Table

from bench.speed.knn import made_vectors
from bench.speed.memory import peak_of_driver
from instructmining.models.lists import load_model_list
from instructmining.rules.rule import read_rule
from instructmining.scoring.scores import Measured
from instructmining.selecting.diversity import Room, apart, facility_location
from instructmining.selecting.selection import candidates, pick
from instructmining.settings.learning import Select
from instructmining.settings.sections import Knn
from instructmining.spark.session import get_session
from instructmining.store.tables import Store
from jobs.selecting.diverse import choose_diverse
from udfs.neighbors.facility_location import near_rows
from udfs.on_spark.arrow import vector_lists

SOURCES, SMALL, SMALL_CHOSEN = 8, 1_000, 100
RULE = read_rule("paper-v1")
MEASURED = Measured(load_model_list("embedded"), {"embed": "made-up"}, Knn())


def main() -> None:
    """Make the rows, choose, print, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--embedded", type=int, default=200_000)
    parser.add_argument("--top", type=int, default=10_000)
    chosen = parser.parse_args()
    wrong = [name for name, same in small_cases().items() if not same]
    spark, _ = get_session()
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(spark, f"{folder}/store")
        make_pool(store, "scored", chosen.rows)
        make_pool(store, "embedded", chosen.embedded)
        vectors = made_vectors(chosen.embedded)
        embed(store, vectors, Path(folder) / "vectors.parquet")
        console = Console(width=110)
        console.print(picks(store, chosen.rows, chosen.top))
        console.print(diversities(store, vectors, chosen.top))
    told = f"OTHER IDS with {', '.join(wrong)}" if wrong else "the same ids"
    console.print(f"{SMALL_CHOSEN} of {SMALL:,} by loops over all pairs: {told}")
    sys.exit(1 if wrong else 0)


def make_pool(store: Store, pool: str, rows: int) -> None:
    """Occurrences and scores; every number comes from a hash of the row's number."""
    numbers = store.spark.range(0, rows, 1, 8)
    key = F.md5(F.concat(F.lit(pool), F.col("id").cast("string")))
    source = F.concat(F.lit("/data/source-"), (uniform(0) * SOURCES).cast("int"), F.lit(".jsonl"))
    records = numbers.select(
        F.lit(pool).alias("pool"),
        key.alias("example_id"),
        source.alias("source"),
        F.col("id").alias("position"),
        F.lit(None).cast("string").alias("source_key"),
        F.lit(None).cast("map<string,string>").alias("kept"),
        F.lit("r").alias("run_id"),
    )
    store.append(records, "occurrences", {})
    where = {"pool": pool, "rule_name": RULE.name, "rule_version": RULE.version}
    indicators = {
        "input_length": F.floor(uniform(1) * 200),
        "reward": 4 * uniform(3) - 2,
        "output_length": F.floor(uniform(2) * 500),
        "knn_6": uniform(4),
    }
    scores = numbers.select(
        key.alias("example_id"),
        *(F.lit(value).alias(name) for name, value in where.items()),
        *(column.cast("double").alias(name) for name, column in indicators.items()),
        F.lit("v").alias("inputs_version"),
        F.lit("r").alias("run_id"),
    ).withColumn("predicted_log_loss", RULE.predicted_log_loss())
    store.replace(scores, "scores", where, {})


def uniform(salt: int) -> Column:
    """A number from 0 to 1 for each row."""
    return F.xxhash64("id", F.lit(salt)).bitwiseAND((1 << 32) - 1) / float(1 << 32)


def embed(store: Store, vectors: np.ndarray, file: Path) -> None:
    """The vectors of the pool `embedded`, in the order of its rows' numbers."""
    numbers = pa.array(np.arange(len(vectors)))
    pq.write_table(pa.table({"id": numbers, "vector": vector_lists(vectors)}), file)
    key = F.md5(F.concat(F.lit("embedded"), F.col("id").cast("string")))
    nothing = F.lit(None).cast("bigint")
    rows = store.spark.read.parquet(str(file)).select(
        key.alias("example_id"),
        F.conv(F.substring(key, 1, 3), 16, 10).cast("int").alias("bucket"),
        F.lit("made-up").alias("fingerprint"),
        "vector",
        nothing.alias("tokens"),
        nothing.alias("truncated_tokens"),
        F.lit("ok").alias("status"),
        F.lit(None).cast("string").alias("reason"),
        F.lit("r").alias("run_id"),
    )
    store.append(rows, "embeddings", {})


def picks(store: Store, rows: int, top: int) -> Table:
    """Seconds of each kind of size."""
    table = Table(title=f"from {rows:,} scored rows in Delta")
    for name in ("choice", "rows chosen", "wall s"):
        table.add_column(name, justify="left" if name == "choice" else "right")
    pick(candidates(store, "scored", RULE), Select(top=1)).collect()  # the JVM has warmed up
    for name, select in {
        f"--top {top}": Select(top=top),
        f"--per-source {top // SOURCES}": Select(per_source=top // SOURCES),
        f"--tokens {top * 300}": Select(tokens=top * 300),
        f"--strategy random --top {top}": Select(strategy="random", top=top),
    }.items():
        found, seconds = timed(partial(_by_size, store, select))
        table.add_row(name, f"{found.num_rows:,}", f"{seconds:.1f}")
    return table


def diversities(store: Store, vectors: np.ndarray, top: int) -> Table:
    """Seconds, memory and effect of each kind of diversity."""
    places = {key.as_py(): place for place, key in enumerate(keys(store, len(vectors)))}
    table = Table(title=f"{top:,} of {len(vectors):,} embeddings of {vectors.shape[1]} dimensions")
    for name in ("--diversity", "rows chosen", "wall s", "driver GiB", "nearest cosine", "score"):
        table.add_column(name, justify="left" if name == "--diversity" else "right")
    for name in ("none", "cosine", "near_duplicates", "facility"):
        select = Select(top=top, diversity=name, candidates=len(vectors))
        with peak_of_driver() as peak:
            rows = candidates(store, "embedded", RULE)
            found, seconds = timed(partial(_diverse, store, rows, select))
            largest = peak()
        chosen = vectors[[places[key] for key in found["example_id"].to_pylist()]]
        table.add_row(
            name,
            f"{found.num_rows:,}",
            f"{seconds:.1f}",
            f"{largest:.2f}",
            f"{nearest(chosen):.3f}",
            f"{np.mean(found['score']):.4f}",
        )
    return table


def _by_size(store: Store, select: Select) -> DataFrame:
    return pick(candidates(store, "scored", RULE), select)


def _diverse(store: Store, rows: DataFrame, select: Select) -> DataFrame:
    return choose_diverse(store, rows, select, MEASURED).picked


def timed(make: Callable[[], DataFrame]) -> tuple[pa.Table, float]:
    """The rows of a frame, and the seconds from nothing to having them."""
    started = time.monotonic()
    return make().toArrow(), time.monotonic() - started


def keys(store: Store, rows: int) -> pa.ChunkedArray:
    """Ids of the pool `embedded` in the order of its rows' numbers."""
    key = F.md5(F.concat(F.lit("embedded"), F.col("id").cast("string")))
    return store.spark.range(rows).orderBy("id").select(key.alias("key")).toArrow()["key"]


def nearest(chosen: np.ndarray) -> float:
    """Mean cosine of each row to the nearest other one."""
    best = []
    for start in range(0, len(chosen), 1024):
        products = chosen[start : start + 1024] @ chosen.T
        products[np.arange(len(products)), start + np.arange(len(products))] = -1
        best.append(products.max(axis=1))
    return float(np.concatenate(best).mean())


def small_cases() -> dict[str, bool]:
    """Whether each choice is that of a loop over all pairs."""
    vectors = made_vectors(SMALL, 32)
    cosines = vectors @ vectors.T
    near = near_rows(vectors)
    weights = 1 - np.arange(SMALL) / SMALL
    sparse = np.zeros_like(cosines)
    owners = np.repeat(np.arange(SMALL), np.diff(near.starts))
    sparse[near.rows, owners] = near.cosines
    size = Room(SMALL_CHOSEN)
    return {
        "cosine": apart(vectors, 0.7, Room(SMALL_CHOSEN)) == loop_apart(cosines, 0.7, False),
        "near_duplicates": apart(vectors, 0.7, Room(SMALL_CHOSEN), among_all=True)
        == loop_apart(cosines, 0.7, True),
        "facility": facility_location(near.starts, near.rows, near.cosines, weights, size)
        == loop_facility(sparse * weights),
    }


def loop_apart(cosines: np.ndarray, similarity: float, among_all: bool) -> list[int]:
    """Row after row, against all that count."""
    taken: list[int] = []
    for row in range(len(cosines)):
        others = range(row) if among_all else taken
        if len(taken) < SMALL_CHOSEN and all(cosines[row, o] <= similarity for o in others):
            taken.append(row)
    return taken


def loop_facility(worth: np.ndarray) -> list[int]:
    """Every gain computed again in every step; `worth[i, j]` of row j as the deputy of row i."""
    covered = np.zeros(len(worth))
    taken: list[int] = []
    for _ in range(SMALL_CHOSEN):
        gains = np.maximum(worth - covered[:, None], 0).sum(axis=0)
        gains[taken] = -1
        taken.append(int(np.argmax(gains)))
        covered = np.maximum(covered, worth[:, taken[-1]])
    return taken


if __name__ == "__main__":
    main()
