"""What a score run leaves in MLflow: settings, models, counts, times, inputs and distributions."""

from instructmining.models.lists import ResolvedModel
from instructmining.scoring.scores import indicator_names
from instructmining.scoring.summary import Summary
from instructmining.settings.sections import Settings
from instructmining.store.distributions import histograms
from instructmining.tracking.mlflow_runs import Input, Run, connection
from jobs.scoring.stages import StageResult
from udfs.on_spark.audit import imbalance, record, total


def record_run(
    tracked: Run,
    summary: Summary,
    settings: Settings,
    resolved: dict[str, ResolvedModel],
    results: list[StageResult],
) -> None:
    """Log one run; a no-op where tracking is off.

    Raises:
        UserError: MLflow cannot be reached any more.
    """
    if tracked.records:
        with connection(settings.tracking):
            tracked.log_params(settings.model_dump())
            _record(tracked, summary, resolved, results)


def _record(
    tracked: Run,
    summary: Summary,
    resolved: dict[str, ResolvedModel],
    results: list[StageResult],
) -> None:
    tracked.log_models({model.fingerprint: model.definition for model in resolved.values()})
    tracked.log_metrics(summary.seconds, prefix="seconds_")
    counts = {f"rows_{result.stage}": float(result.rows) for result in results}
    counts |= {f"failed_{result.stage}": float(result.failed) for result in results}
    if summary.ingested:
        read = summary.ingested
        counts |= {
            "rows_read": read.rows,
            "examples": read.examples,
            "copies": read.copies,
            "quarantined": sum(read.quarantined.values()),
        }
        tracked.log_inputs(Input(path) for path in read.inputs[:100])
    spent = {result.stage: result.windows for result in results if result.windows}
    tracked.log_audit({stage: record(windows) for stage, windows in spent.items()})
    for stage, windows in spent.items():
        done = total(windows)
        spread = imbalance(windows)
        if spread is not None:
            counts |= {
                f"padding_{stage}": done.computed / done.wanted,
                f"imbalance_{stage}": spread,
            }
        counts[f"retries_{stage}"] = float(done.retries)
    tracked.log_metrics(counts)
    if summary.scores is not None:
        names = [*indicator_names(summary.scores.columns), "predicted_log_loss"]
        for name, (edges, in_bins, missing) in histograms(summary.scores, names).items():
            tracked.log_histogram(name, edges, in_bins, missing)
