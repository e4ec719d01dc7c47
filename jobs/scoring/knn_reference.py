"""What new rows do to the distances of old ones: a refresh moves them, a frozen reference does not.

`pool_knn.pool_version` says which it was: the version of the pool whose members are each other's
neighbours, or `frozen:` and that version for a row that was measured against those members later.
"""

from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from instructmining.errors import UserError
from instructmining.settings.sections import Knn
from instructmining.store.tables import Store
from jobs.stored.vectors import vector_tables, width_of
from udfs.neighbors.frozen_reference import neighbors_in_reference

FROZEN = "frozen:"
_MOVED = 1e-6  # a distance that changes by less is the same


def stored_versions(store: Store, pool: str) -> set[str]:
    """The versions that the pool's distances were measured at; empty: there are none."""
    rows = store.read("pool_knn").where(F.col("pool") == pool).select("pool_version").distinct()
    return {row.pool_version for row in rows.collect()}


def reference_of(versions: set[str], version: str) -> str | None:
    """The version that is frozen, or None where no distance is stored yet.

    Args:
        versions: of `stored_versions`.
        version: what this run would measure at.

    Raises:
        UserError: the stored distances are those of another encoder or number of neighbours.
    """
    complete = sorted(other for other in versions if not other.startswith(FROZEN))
    if not complete:
        return None
    if complete[0].split("-")[2:4] != version.split("-")[2:4]:
        raise UserError(
            f"knn.reference is frozen, but the distances in pool_knn (version {complete[0]}) were "
            "measured with another encoder or another knn.neighbors: set these as they were, or "
            "run once with --knn-reference refresh"
        )
    return complete[0]


def measure_new(
    store: Store,
    pool: str,
    members: DataFrame,
    embedded: DataFrame,
    reference: str,
    knn: Knn,
    run_id: str,
) -> tuple[int, str]:
    """Measure the rows without a distance against the reference, and add them to `pool_knn`.

    Their vectors come to the driver part by part, and each part is committed: there may be as many
    as one likes, and a run that is repeated goes on where it was.

    Args:
        store: where the tables are.
        pool: its name.
        members: `example_id` of the pool's members.
        embedded: of `of_encoder`, of all examples that are known.
        reference: of `reference_of`.
        knn: settings.
        run_id: goes into every row.

    Returns:
        How many rows were added, and what to say of them.
    """
    known = store.read("pool_knn").where(F.col("pool") == pool)
    new = members.select("example_id").join(known.select("example_id"), "example_id", "left_anti")
    count = new.join(embedded.select("example_id"), "example_id", "left_semi").count()
    if not count:
        return 0, "unchanged"
    frozen = known.where(F.col("pool_version") == reference).select("example_id")
    inside = embedded.join(frozen, "example_id", "left_semi").dropDuplicates(["example_id"])
    method = f"exact, frozen reference {reference} ({inside.count():,} rows)"
    about = {"run_id": run_id, "version": FROZEN + reference}
    added = 0
    for part, asked in enumerate(vector_tables(new, embedded, count, width_of(embedded))):
        distances = neighbors_in_reference(inside, asked, knn).select(
            "example_id",
            "distances",
            F.lit(pool).alias("pool"),
            F.lit(FROZEN + reference).alias("pool_version"),
            F.lit(method).alias("method"),
            F.lit(run_id).alias("run_id"),
        )
        added += _insert(store, pool, distances, f"{run_id}/knn/{part}", about)
    return added, f"{method}; old rows as they were"


def _insert(
    store: Store, pool: str, distances: DataFrame, transaction: str, about: dict[str, str]
) -> int:
    """Add those of a pool's rows that `pool_knn` lacks; how many these are."""
    held = distances.persist()  # counted, then written

    def missing() -> DataFrame:
        stored = store.read("pool_knn").where(F.col("pool") == pool).select("example_id")
        return held.join(stored, "example_id", "left_anti")

    try:
        return store.insert(missing, "pool_knn", transaction, about)
    finally:
        held.unpersist()


def moved(store: Store, pool: str, before: int, neighbors: int) -> str:
    """How many rows a refresh moved, and by how much; empty where there was none before.

    Args:
        store: where the tables are.
        pool: its name.
        before: version of the table `pool_knn` that was replaced.
        neighbors: i of the distance that is compared.
    """
    last = F.get("distances", F.lit(neighbors - 1))
    old, new = (
        store.read("pool_knn", version).where(F.col("pool") == pool).select("example_id", last)
        for version in (before, None)
    )
    pairs = old.toDF("example_id", "old").join(new.toDF("example_id", "new"), "example_id")
    change = F.abs(F.col("new") - F.col("old"))
    changed = F.coalesce(change > _MOVED, ~F.col("old").eqNullSafe(F.col("new")))
    row: Any = pairs.agg(
        F.count("*").alias("rows"),
        F.count_if(changed).alias("moved"),
        F.median(F.when(changed, change)).alias("median"),
        F.max(change).alias("most"),
    ).first()
    if not row.rows:
        return ""
    said = f"{row.moved:,} of {row.rows:,} old rows moved"
    if row.median is None:
        return said
    return f"{said}, |Δ knn_{neighbors}| of these median {row.median:.4f}, max {row.most:.4f}"
