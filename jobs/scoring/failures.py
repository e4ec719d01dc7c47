"""Which share of a pool a model could not measure, and when that fails a run."""

from collections.abc import Mapping

from instructmining.errors import FailedRowsError
from instructmining.models.lists import ResolvedModel
from instructmining.store.planning import MeasuredCount
from jobs.scoring.stages import table_of


def refuse_failures(
    counts: Mapping[str, MeasuredCount], models: Mapping[str, ResolvedModel], limit: float
) -> None:
    """Fail the run where too many rows of a stage failed.

    All rows of the pool count, whichever run measured them: the same command on the same input
    ends with the same exit code, also where nothing is left to measure.

    Args:
        counts: of the pool's measurements, by fingerprint.
        models: by stage.
        limit: share of the measured rows that may have failed.

    Raises:
        FailedRowsError: names the stage, the share and the remedy.
    """
    for stage, model in models.items():
        count = counts.get(model.fingerprint, MeasuredCount(0, 0))
        if count.failed > limit * count.rows:
            raise FailedRowsError(
                f"stage {stage}: {count.failed:,} of {count.rows:,} rows of the pool failed, more "
                f"than --max-failed-fraction {limit:g}; see the reasons in {table_of(model)}, "
                "correct the cause and run again with --retry-failed"
            )
