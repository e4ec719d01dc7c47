"""The same fingerprint must give the same numbers here as where the stored ones were measured.

A fingerprint says what a number means; dtype, device and library versions say how it was computed.
When these differ from all that are recorded for the fingerprint, some stored rows are measured
again: within the tolerance the new way is recorded beside the old, beyond it the run is refused.
"""

import json
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from instructmining.errors import UserError
from instructmining.models.lists import ResolvedModel
from instructmining.settings.sections import Measure
from instructmining.store.tables import Store
from udfs.indicator import task_place, with_measurements
from udfs.on_spark.placement import in_model_workers

_LIBRARIES = ("faiss-cpu", "lexicalrichness", "tokenizers", "torch", "transformers")
_SAMPLE = 32
# Largest difference that counts as the same number: relative, or of a cosine from 1.
_TOLERANCE = {"float32": 1e-3, "bfloat16": 0.08}
_COSINE = {"float32": 1e-4, "bfloat16": 2e-3}


def provenance(
    store: Store, model: ResolvedModel, measure: Measure, profile: Any
) -> dict[str, str]:
    """How the executors will compute: device type, dtype and library versions."""
    has_weights = bool(model.folder)

    def ask(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for _ in batches:
            device, dtype = task_place(measure) if has_weights else ("cpu", "float64")
            found = {"device": device.partition(":")[0], "dtype": dtype, **library_versions()}
            yield pa.RecordBatch.from_pydict({"found": [json.dumps(found, sort_keys=True)]})

    # Not first(): Spark ends a Python worker that it does not read to the end, with the libraries
    # and models that it has loaded.
    (row,) = in_model_workers(store.spark.range(1), ask, "found STRING", profile).collect()
    answer: dict[str, str] = json.loads(row.found)
    return answer


def library_versions() -> dict[str, str]:
    """Versions of what computes the numbers, where installed."""
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def admit(
    store: Store,
    stage: str,
    table: str,
    model: ResolvedModel,
    shipped: ResolvedModel,
    measure: Measure,
    profile: Any,
    run_id: str,
) -> None:
    """Record the fingerprint and how it is computed here, after checking stored numbers if any.

    Raises:
        UserError: stored numbers of this fingerprint come out differently here.
    """
    here = json.dumps(provenance(store, model, measure, profile), sort_keys=True)
    rows = store.read("fingerprints").where(F.col("fingerprint") == model.fingerprint)
    recorded = [row.provenance for row in rows.select("provenance").collect()]
    if here in recorded:
        return
    if recorded:
        _check(store, stage, table, shipped, measure, profile, here)
    row = {
        "fingerprint": model.fingerprint,
        "stage": stage,
        "source": model.spec.source or model.spec.function or model.spec.kind,
        "definition": json.dumps(model.definition, sort_keys=True, ensure_ascii=False),
        "provenance": here,
        "run_id": run_id,
    }
    frame = store.spark.createDataFrame([row], ", ".join(f"{name} STRING" for name in row))
    transaction = f"{run_id}/fingerprints/{model.fingerprint}"
    store.append(frame, "fingerprints", transaction, {"run_id": run_id})


def _check(
    store: Store,
    stage: str,
    table: str,
    model: ResolvedModel,
    measure: Measure,
    profile: Any,
    here: str,
) -> None:
    column = "vector" if table == "embeddings" else "values"
    stored = store.read(table).where(
        (F.col("fingerprint") == model.fingerprint) & (F.col("status") == "ok")
    )
    sample = stored.orderBy("example_id").limit(_SAMPLE).select("example_id", column)
    before = {row.example_id: row[column] for row in sample.collect()}
    now = _again(store, model, measure, profile, list(before), column)
    dtype = json.loads(here)["dtype"]
    limits = _COSINE if column == "vector" else _TOLERANCE
    limit = max(limits.get(dtype, 1e-3), limits["bfloat16"] if dtype == "float32" else 0.0)
    worst = max((_difference(before[key], now.get(key)) for key in before), default=0.0)
    if worst > limit:
        raise UserError(
            f"stage {stage}: this model gives other numbers here than those in {table} "
            f"(difference {worst:.3g} on {len(before)} rows, allowed {limit:g}), computed with "
            f"{here}; set measure.dtype and the library versions as they were "
            "(table fingerprints), or use another --store"
        )


def _again(
    store: Store, model: ResolvedModel, measure: Measure, profile: Any, ids: list[str], column: str
) -> dict[str, Any]:
    examples: DataFrame = store.read("examples").where(F.col("example_id").isin(ids)).coalesce(1)
    rows = with_measurements(examples, model, measure, profile).collect()
    return {row.example_id: row[column] for row in rows}


def _difference(before: Any, now: Any) -> float:
    """Of two vectors 1 − cosine; of two value maps the largest relative difference."""
    if before is None or now is None:
        return 0.0 if before is now else float("inf")
    if isinstance(before, Mapping):
        if set(before) != set(now):
            return float("inf")
        return max((abs(before[k] - now[k]) / max(1.0, abs(before[k])) for k in before), default=0)
    a = np.asarray(before, dtype=np.float64)
    b = np.asarray(now, dtype=np.float64)
    return float(1 - a @ b / np.sqrt((a @ a) * (b @ b)))
