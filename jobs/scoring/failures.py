"""Which share of a pool a model could not measure, and when that fails a run."""

from collections.abc import Mapping

from pyspark.sql import functions as F

from instructmining.errors import FailedRowsError
from instructmining.models.lists import ResolvedModel
from instructmining.store.tables import Store
from jobs.scoring.stages import Pool, table_of


def refuse_failures(
    store: Store, pool: Pool, models: Mapping[str, ResolvedModel], limit: float
) -> None:
    """Fail the run where too many rows of a stage failed.

    All rows of the pool count, whichever run measured them: the same command on the same input
    ends with the same exit code, also where nothing is left to measure.

    Args:
        store: where the measurements are.
        pool: the scored pool.
        models: by stage.
        limit: share of the measured rows that may have failed.

    Raises:
        FailedRowsError: names the stage, the share and the remedy.
    """
    for table in dict.fromkeys(map(table_of, models.values())):
        counts = _counts(store, table, pool)
        for stage, model in models.items():
            failed, rows = counts.get(model.fingerprint, (0, 0))
            if table_of(model) == table and failed > limit * rows:
                raise FailedRowsError(
                    f"stage {stage}: {failed:,} of {rows:,} rows of the pool failed, more than "
                    f"--max-failed-fraction {limit:g}; see the reasons in {table}, correct "
                    "the cause and run again with --retry-failed"
                )


def _counts(store: Store, table: str, pool: Pool) -> dict[str, tuple[int, int]]:
    """By fingerprint: examples of the pool that only failed, and all that were measured."""
    rows = store.read(table).join(pool.members.select("example_id"), "example_id", "left_semi")
    measured = rows.groupBy("fingerprint", "example_id").agg(
        F.max((F.col("status") == "ok").cast("int")).alias("ok")
    )
    found = measured.groupBy("fingerprint").agg(
        F.count_if(F.col("ok") == 0).alias("failed"), F.count("*").alias("rows")
    )
    return {row.fingerprint: (row.failed, row["rows"]) for row in found.collect()}
