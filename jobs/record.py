"""What a score run leaves in MLflow: settings, models, counts, times, inputs and distributions."""

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from instructmining.models import ResolvedModel
from instructmining.scoring import indicator_names
from instructmining.settings import Settings
from instructmining.summary import Summary
from instructmining.tracking import Input, Run
from jobs.stages import StageResult
from udfs.audit import imbalance, record, total

_BINS = 40


def record_run(
    tracked: Run, summary: Summary, settings: Settings, resolved: dict[str, ResolvedModel],
    results: list[StageResult],
) -> None:  # fmt: skip
    """Log one run; a no-op where tracking is off."""
    if not tracked.records:
        return
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
        for name, (edges, found, missing) in histograms(summary.scores).items():
            tracked.log_histogram(name, edges, found, missing)


def histograms(scores: DataFrame) -> dict[str, tuple[np.ndarray, np.ndarray, int]]:
    """Edges, counts and missing of every indicator and of the prediction, binned by Spark.

    The bins reach from the 0.5th to the 99.5th percentile, so that one outlier does not flatten
    the picture; what lies outside falls into the first or last bin.
    """
    names = [*indicator_names(scores), "predicted_log_loss"]
    bounds = scores.approxQuantile(names, [0.005, 0.995], 0.001)
    edges = {name: np.linspace(low, max(high, low + 1e-9), _BINS + 1)
             for name, found in zip(names, bounds, strict=True) if found
             for low, high in [found]}  # fmt: skip
    columns = []
    for name, bins in edges.items():
        step = float(bins[1] - bins[0])
        place = F.floor((F.col(name) - float(bins[0])) / step)
        inside = F.greatest(F.lit(0), F.least(F.lit(_BINS - 1), place)).cast("int")
        columns.append(F.when(F.col(name).isNotNull(), inside).alias(name))
    total = scores.count()
    counted = scores.select(*columns).unpivot([], list(edges), "name", "bin")
    found = {name: np.zeros(_BINS, dtype=np.int64) for name in edges}
    for row in counted.where("bin IS NOT NULL").groupBy("name", "bin").count().collect():
        found[row.name][row.bin] = row["count"]
    return {name: (edges[name], found[name], total - int(found[name].sum())) for name in edges}
