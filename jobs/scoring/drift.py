"""`score --fail-on-drift`: compare what was measured last in a pool with what was there before."""

from collections.abc import Collection
from dataclasses import asdict

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from instructmining.errors import DriftError
from instructmining.scoring.drift import Drift, drifts, newest_runs, sentence
from instructmining.store.tables import Store
from jobs.scoring.stages import Pool


def refuse_drift(
    store: Store, pool: Pool, fingerprints: Collection[str], limit: float, run_id: str
) -> None:
    """Store the comparison, then fail where an indicator moved too far.

    A run that measures nothing, such as a retry, makes the same comparison again.

    Raises:
        DriftError: names the indicators.
    """
    drifted = drift_of(store, pool, fingerprints)
    if not drifted:
        return
    frame = store.spark.createDataFrame([asdict(drift) for drift in drifted])
    rows = frame.withColumns(
        {
            "pool": F.lit(pool.name),
            "compared_at": F.current_timestamp(),
            "run_id": F.lit(run_id),
        }
    )
    store.append(rows, "drift", {"run_id": run_id})
    if said := sentence(drifted, limit):
        raise DriftError(said)


def drift_of(store: Store, pool: Pool, fingerprints: Collection[str]) -> list[Drift]:
    """The drift of each indicator that these models measured in the pool by more than one run."""
    values = store.read("stage_values").where(F.col("fingerprint").isin(list(fingerprints)))
    values = values.join(pool.members.select("example_id"), "example_id", "left_semi")
    runs = values.groupBy("fingerprint", "run_id").agg(F.max("written_at").alias("last")).collect()
    newest = newest_runs([(row.fingerprint, row.run_id, row.last) for row in runs])
    if not newest:
        return []
    return drifts([row.asDict() for row in _middles(values, newest).collect()])


def _middles(values: DataFrame, newest: dict[str, str]) -> DataFrame:
    """Percentiles of each indicator on both sides, as `drifts` reads them."""
    keys = [F.lit(part) for pair in newest.items() for part in pair]
    last = F.try_element_at(F.create_map(*keys), F.col("fingerprint"))
    known = values.where(F.col("fingerprint").isin(list(newest)))
    sides = known.select(
        "fingerprint",
        (F.col("run_id") == last).alias("is_new"),
        F.explode("values").alias("indicator", "value"),
    )
    return (
        sides.where("value IS NOT NULL")
        .groupBy("fingerprint", "indicator", "is_new")
        .agg(
            F.count("*").alias("examples"),
            *(
                F.percentile_approx("value", share, 1000).alias(name)
                for name, share in (("low", 0.05), ("median", 0.5), ("high", 0.95))
            ),
        )
    )
