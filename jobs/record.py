"""What a score run leaves in MLflow: settings, models, counts, times, inputs and distributions."""

from instructmining.distributions import histograms
from instructmining.models import ResolvedModel
from instructmining.scoring import indicator_names
from instructmining.settings import Settings
from instructmining.summary import Summary
from instructmining.tracking import Input, Run, connection
from jobs.stages import StageResult
from udfs.audit import imbalance, record, total


def record_run(
    tracked: Run, summary: Summary, settings: Settings, resolved: dict[str, ResolvedModel],
    results: list[StageResult],
) -> None:  # fmt: skip
    """Log one run; a no-op where tracking is off.

    Raises:
        UserError: MLflow cannot be reached any more.
    """
    if tracked.records:
        with connection(settings.tracking):
            _record(tracked, summary, settings, resolved, results)


def _record(
    tracked: Run, summary: Summary, settings: Settings, resolved: dict[str, ResolvedModel],
    results: list[StageResult],
) -> None:  # fmt: skip
    tracked.log_params(settings.model_dump())
    tracked.log_models({model.fingerprint: model.definition for model in resolved.values()})
    tracked.log_metrics(summary.seconds, prefix="seconds_")
    counts = {f"rows_{result.stage}": float(result.rows) for result in results}
    counts |= {f"failed_{result.stage}": float(result.failed) for result in results}
    if summary.ingested:
        read = summary.ingested
        counts |= {"rows_read": read.rows, "examples": read.examples, "copies": read.copies,
                   "quarantined": sum(read.quarantined.values())}  # fmt: skip
        tracked.log_inputs(Input(path) for path in read.inputs[:100])
    spent = {result.stage: result.windows for result in results if result.windows}
    tracked.log_audit({stage: record(windows) for stage, windows in spent.items()})
    for stage, windows in spent.items():
        done, spread = total(windows), imbalance(windows)
        if spread is not None:
            counts |= {f"padding_{stage}": done.computed / done.wanted,
                       f"imbalance_{stage}": spread}  # fmt: skip
        counts[f"retries_{stage}"] = float(done.retries)
    tracked.log_metrics(counts)
    if summary.scores is not None:
        names = [*indicator_names(summary.scores), "predicted_log_loss"]
        for name, (edges, found, missing) in histograms(summary.scores, names).items():
            tracked.log_histogram(name, edges, found, missing)
