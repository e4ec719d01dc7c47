"""What is still to measure: pool members without a value, cut into chunks by bucket."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from instructmining.identity import BUCKETS
from instructmining.store.current import with_staleness
from instructmining.store.tables import Store


@dataclass(frozen=True)
class Chunk:
    """Buckets low … high − 1, measured and committed together."""

    low: int
    high: int
    rows: int  # pending


def members(store: Store, pool: str, version: int | None = None) -> DataFrame:
    """The distinct examples of a pool: `example_id`, `copies` (records beyond the first).

    A record that no source holds any more is not a copy of another one. `version` is that of the
    table `occurrences`, for the pool as it was.
    """
    occurrences = store.read("occurrences", version).where(F.col("pool") == pool)
    marked = with_staleness(store, occurrences, pool).groupBy("example_id")
    copies = F.greatest(F.count_if(~F.col("is_stale")) - 1, F.lit(0))
    return marked.agg(copies.alias("copies"))


def pool_examples(store: Store, pool_members: DataFrame) -> DataFrame:
    """The rows of `examples` that are in a pool."""
    return store.read("examples").join(pool_members, "example_id", "left_semi")


def pending(
    store: Store, examples: DataFrame, table: str, fingerprint: str, retry: bool
) -> DataFrame:
    """Those of `examples` that `table` has nothing of yet.

    Args:
        store: where the tables are.
        examples: `example_id`, `bucket` and whatever the stage reads.
        table: `stage_values` or `embeddings`.
        fingerprint: what is to be measured with.
        retry: measure failed rows again.
    """
    measured = store.read(table).where(F.col("fingerprint") == fingerprint)
    if retry:
        measured = measured.where(F.col("status") == "ok")
    return examples.join(measured.select("example_id"), "example_id", "left_anti")


@dataclass(frozen=True)
class MeasuredCount:
    """Examples of a pool that the store has measurements of, for one fingerprint."""

    rows: int
    failed: int  # of these, examples of which every measurement failed
    newly_measured: int = 0  # measurements of one run
    newly_failed: int = 0  # of these
    newly_truncated: int = 0  # likewise


def measurements(store: Store) -> DataFrame:
    """`fingerprint, example_id, status` and so on of all that models have measured."""
    about = ("fingerprint", "example_id", "status", "truncated_tokens", "run_id")
    tables = (store.read(table).select(*about) for table in ("stage_values", "embeddings"))
    return reduce(DataFrame.unionByName, tables)


def measured_counts(
    store: Store, pool_members: DataFrame, run_id: str = ""
) -> dict[str, MeasuredCount]:
    """By fingerprint, whichever run measured it: one query over both tables of measurements.

    What is new is of the run.
    """
    is_new = F.col("run_id") == run_id
    measured = (
        measurements(store)
        .join(pool_members.select("example_id"), "example_id", "left_semi")
        .groupBy("fingerprint", "example_id")
        .agg(
            F.max((F.col("status") == "ok").cast("int")).alias("ok"),
            F.count_if(is_new).alias("newly_measured"),
            F.count_if(is_new & (F.col("status") == "failed")).alias("newly_failed"),
            F.count_if(is_new & (F.col("truncated_tokens") > 0)).alias("newly_truncated"),
        )
    )
    counted = measured.groupBy("fingerprint").agg(
        F.count("*").alias("rows"),
        F.count_if(F.col("ok") == 0).alias("failed"),
        F.sum("newly_measured").alias("newly_measured"),
        F.sum("newly_failed").alias("newly_failed"),
        F.sum("newly_truncated").alias("newly_truncated"),
    )
    return {fingerprint: MeasuredCount(*counts) for fingerprint, *counts in counted.collect()}


def plan(sizes: Mapping[int, int], left: Mapping[int, int], chunk_rows: int) -> list[Chunk]:
    """Chunks of about `chunk_rows` rows, only those that hold pending rows.

    The cuts follow the whole pool, not what is pending, so that a resumed run measures in the same
    groups as an undisturbed one and, with the same `chunk_rows`, yields the same tables.

    Args:
        sizes: rows of the pool by bucket.
        left: of these, the rows that are pending.
        chunk_rows: about how many rows make a chunk.
    """
    if not left:
        return []
    cuts = [0]
    filled = 0
    for bucket in range(BUCKETS):
        size = sizes.get(bucket, 0)
        if filled and filled + size > chunk_rows:
            cuts.append(bucket)
            filled = 0
        filled += size
    chunks = [
        Chunk(low, high, sum(left.get(bucket, 0) for bucket in range(low, high)))
        for low, high in zip(cuts, [*cuts[1:], BUCKETS], strict=True)
    ]
    return [chunk for chunk in chunks if chunk.rows]


def pool_version(pool_members: DataFrame, with_copies: bool = False) -> str:
    """A hash of a pool's members (and their copies), whatever their order."""
    keys = ["example_id", "copies"] if with_copies else ["example_id"]
    row = pool_members.agg(F.count("*").alias("n"), F.bit_xor(F.xxhash64(*keys)).alias("x")).first()
    assert row is not None  # noqa: S101 - an aggregate without grouping has one row
    return f"{row.n}-{(row.x or 0) & 0xFFFFFFFFFFFFFFFF:016x}"


def rows_in(version: str) -> int:
    """How many members a version of `pool_version` has."""
    return int(version.partition("-")[0])


def rows_by_bucket(rows: DataFrame) -> dict[int, int]:
    """Number of rows in each bucket that has any."""
    return {row.bucket: row["count"] for row in rows.groupBy("bucket").count().collect()}
