"""What stands in its source today: a source is what it held when it was last read into a pool.

`stale_occurrences` has the key of each occurrence whose record was not there any more when its
source was read again; all other occurrences are current. An example is current while one of its
occurrences is. `docs/decisions/0041-a-source-is-what-it-holds-today.md` says what follows from it.
"""

from collections.abc import Iterable
from functools import partial

from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from instructmining.spark.frames import small_frame
from instructmining.store.conflicts import with_retries
from instructmining.store.definition_sql import sql_text
from instructmining.store.tables import Store

KEY = ["pool", "source", "position", "example_id"]
_TABLE = "stale_occurrences"
_NAMED = 100  # sources that a query names one by one
REJECTED = "rejected"  # the label of an answer that the data say is not wanted


def has_stale(store: Store) -> bool:
    """Whether anything was ever edited: else all occurrences are current."""
    return store.exists(_TABLE)


def current_occurrences(store: Store, pool: str | None) -> DataFrame:
    """The occurrences of a pool, or of all, that stand in their sources today."""
    rows = store.read("occurrences")
    if pool is not None:
        rows = rows.where(F.col("pool") == pool)
    if not has_stale(store):
        return rows
    return rows.join(_stale(store, pool), KEY, "left_anti")


def wanted_occurrences(occurrences: DataFrame) -> DataFrame:
    """The occurrences that nobody marked as a rejected answer (`kept["part"]`)."""
    return occurrences.where(~_is_rejected())


def rejected_occurrences(occurrences: DataFrame) -> DataFrame:
    """The occurrences that are marked as rejected answers."""
    return occurrences.where(_is_rejected())


def rejected_examples(store: Store, pool: str) -> int:
    """Number of examples of the pool that occur as rejected answers only."""
    rows = store.read("occurrences").where(F.col("pool") == pool)
    only_rejected = F.min(_is_rejected()).alias("only_rejected")
    return rows.groupBy("example_id").agg(only_rejected).where("only_rejected").count()


def _is_rejected() -> Column:
    """Whether an occurrence is marked as a rejected answer; false where nothing is kept."""
    part = F.try_element_at("kept", F.lit("part"))
    return F.coalesce(part == REJECTED, F.lit(False))


def with_staleness(store: Store, occurrences: DataFrame, pool: str) -> DataFrame:
    """A pool's occurrences with the column `is_stale`."""
    if not has_stale(store):
        return occurrences.withColumn("is_stale", F.lit(False))
    marked = _stale(store, pool).withColumn("marked", F.lit(True))
    joined = occurrences.join(marked, KEY, "left")
    return joined.withColumn("is_stale", F.col("marked").isNotNull()).drop("marked")


def stale_examples(store: Store, pool: str) -> list[Row]:
    """Examples of the pool that stand in no current source: `source`, `examples`, most first.

    Each counts once, for the first by name of the sources that it stood in.
    """
    if not has_stale(store):
        return []
    occurrences = store.read("occurrences").where(F.col("pool") == pool)
    # Few examples have a stale occurrence: only theirs are looked at.
    edited = _stale(store, pool).select("example_id").distinct()
    occurrences = occurrences.join(edited, "example_id", "left_semi")
    marked = with_staleness(store, occurrences, pool).groupBy("example_id")
    gone = marked.agg(F.min("source").alias("source"), F.min("is_stale").alias("gone"))
    counted = gone.where("gone").groupBy("source").agg(F.count("*").alias("examples"))
    return counted.orderBy(F.desc("examples"), "source").collect()


def mark_stale(
    store: Store, read: DataFrame, pool: str, sources: Iterable[str], run_id: str
) -> int:
    """Mark the occurrences that their sources no longer hold, and unmark those that are back.

    Where nothing was edited there is nothing to write.

    Args:
        store: has the rows of this reading already.
        read: `source, position, example_id` of every usable row that was read.
        pool: that it was read into.
        sources: that were read, or are known to be gone as a whole.
        run_id: marks the rows.

    Returns:
        How many occurrences were marked.
    """
    rows = read.select(F.lit(pool).alias("pool"), "source", "position", "example_id")
    stored = of_sources(store.read("occurrences").where(F.col("pool") == pool), sources)
    stored = stored.select(*KEY)
    known = has_stale(store)
    if not known:
        both = stored.agg(F.count("*")).union(rows.agg(F.count("*"))).distinct().collect()
        if len(both) == 1:
            return 0  # all that is stored was read, for all that was read is stored
    missing = partial(_newly_stale, store, stored, rows, pool, run_id)
    about = {"run_id": run_id}
    marked = store.insert(missing, _TABLE, f"{run_id}/ingest/{_TABLE}", about)
    if known:
        back = _stale(store, pool).join(rows, KEY, "left_semi").distinct()
        if not back.isEmpty():
            _delete(store, back, _TABLE)
    return marked


def of_sources(occurrences: DataFrame, sources: Iterable[str]) -> DataFrame:
    """The occurrences in these sources; where they are few, files without them are not read."""
    names = list(sources)
    if len(names) <= _NAMED:
        return occurrences.where(F.col("source").isin(names))
    spark = occurrences.sparkSession
    frame = small_frame(spark, [(name,) for name in names], "source STRING")
    return occurrences.join(frame, "source", "left_semi")


def stale_occurrences(store: Store, pool: str | None) -> list[Row]:
    """What `retire` would drop: `pool, source, occurrences`, of one pool or of all."""
    rows = _stale(store, pool)
    counted = rows.groupBy("pool", "source").agg(F.count("*").alias("occurrences"))
    return counted.orderBy("pool", "source").collect()


def retire(store: Store, pool: str | None) -> None:
    """Drop the stale occurrences of one pool or of all; texts and measurements stay."""
    _delete(store, _stale(store, pool), "occurrences")
    store.delete_where(_TABLE, "true" if pool is None else f"pool = {sql_text(pool)}")


def _stale(store: Store, pool: str | None) -> DataFrame:
    rows = store.read(_TABLE).select(*KEY)
    return rows if pool is None else rows.where(F.col("pool") == pool)


def _newly_stale(
    store: Store, stored: DataFrame, rows: DataFrame, pool: str, run_id: str
) -> DataFrame:
    gone = stored.join(rows, KEY, "left_anti").distinct()
    return gone.join(_stale(store, pool), KEY, "left_anti").withColumn("run_id", F.lit(run_id))


def _delete(store: Store, keys: DataFrame, table: str) -> None:
    """Delete the rows of a table that have one of these keys, which are distinct."""
    view = f"keys_of_{table}"
    keys.createOrReplaceTempView(view)
    same = " AND ".join(f"t.`{key}` = k.`{key}`" for key in KEY)
    merge = (
        f"MERGE INTO {store.sql_name(table)} t USING {view} k ON {same} WHEN MATCHED THEN DELETE"
    )
    with_retries(lambda: store.spark.sql(merge))
    store.spark.catalog.dropTempView(view)
