"""The same fingerprint must give the same numbers here as where the stored ones were measured.

A fingerprint says what a number means; dtype, device and library versions say how it was computed.
When these differ from all that are recorded for the fingerprint, some stored rows are measured
again: within the tolerance the new way is recorded beside the old, beyond it the run is refused.
The tolerance is wide only between numbers of which one or both were computed in bfloat16.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from instructmining.errors import UserError
from instructmining.models.lists import ResolvedModel
from instructmining.settings.sections import Measure
from instructmining.spark.frames import small_frame
from instructmining.store.tables import Store
from jobs.scoring.stages import table_of
from udfs.indicator import task_place, with_measurements
from udfs.on_spark.placement import gpu_profile, in_model_workers, ship

_LIBRARIES = ("faiss-cpu", "lexicalrichness", "tokenizers", "torch", "transformers")
_SAMPLE = 32
# By the coarser of two dtypes: see `tolerance`.
_TOLERANCE = {"float32": 1e-3, "bfloat16": 0.08}
_COSINE = {"float32": 1e-4, "bfloat16": 2e-3}


def provenance(
    store: Store, model: ResolvedModel, measure: Measure, profile: Any
) -> dict[str, str]:
    """How the executors will compute: device type, dtype and library versions.

    A server computes as it does, whatever is installed here.
    """
    if model.spec.served is not None:
        return {"device": "server"}
    has_weights = bool(model.folder)

    def ask(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for _ in batches:
            device, dtype = task_place(measure) if has_weights else ("cpu", "float64")
            here = {"device": device.partition(":")[0], "dtype": dtype, **library_versions()}
            yield pa.RecordBatch.from_pydict({"found": [json.dumps(here, sort_keys=True)]})

    # Not first(): Spark ends a Python worker that it does not read to the end, with the libraries
    # and models that it has loaded.
    (row,) = in_model_workers(store.spark.range(1), ask, "found STRING", profile).collect()
    answer: dict[str, str] = json.loads(row.found)
    return answer


def library_versions() -> dict[str, str]:
    """Versions of what computes the numbers, where installed."""
    stored = {}
    for name in _LIBRARIES:
        try:
            stored[name] = version(name)
        except PackageNotFoundError:
            continue
    return stored


def admit(store: Store, models: Mapping[str, ResolvedModel], measure: Measure, run_id: str) -> None:
    """Record the fingerprints and how they are computed here, after checking stored numbers if any.

    Args:
        store: where the tables are.
        models: that will measure, by stage.
        measure: how they will.
        run_id: marks the rows.

    Raises:
        UserError: stored numbers of a fingerprint come out differently here.
    """
    profile = gpu_profile(store.spark, measure)
    recorded = _recorded(store, [model.fingerprint for model in models.values()])
    ways: dict[tuple[bool, bool], str] = {}  # how models of each sort compute here
    new = []
    for stage, model in models.items():
        sort = (model.spec.served is not None, bool(model.folder))
        if sort not in ways:
            answer = provenance(store, model, measure, profile)
            ways[sort] = json.dumps(answer, sort_keys=True)
        here = ways[sort]
        before = recorded.get(model.fingerprint, {})
        if here in before.values():
            continue
        if before:
            _check(store, stage, model, measure, profile, before, here)
        new.append(_row(stage, model, here, run_id))
    if new:
        frame = small_frame(store.spark, new, ", ".join(f"{name} STRING" for name in new[0]))
        store.append(frame, "fingerprints", {"run_id": run_id})


def _recorded(store: Store, fingerprints: Sequence[str]) -> dict[str, dict[str, str]]:
    """The provenance of each run, by fingerprint and run."""
    rows = store.read("fingerprints").where(F.col("fingerprint").isin(list(fingerprints)))
    recorded: dict[str, dict[str, str]] = {}
    for row in rows.select("fingerprint", "run_id", "provenance").collect():
        recorded.setdefault(row.fingerprint, {})[row.run_id] = row.provenance
    return recorded


def _row(stage: str, model: ResolvedModel, here: str, run_id: str) -> dict[str, str]:
    return {
        "fingerprint": model.fingerprint,
        "stage": stage,
        "source": model.spec.origin or model.spec.function or model.spec.kind,
        "definition": json.dumps(model.definition, sort_keys=True, ensure_ascii=False),
        "provenance": here,
        "run_id": run_id,
    }


def _check(
    store: Store,
    stage: str,
    model: ResolvedModel,
    measure: Measure,
    profile: Any,
    recorded: Mapping[str, str],
    here: str,
) -> None:
    table = table_of(model)
    column = "vector" if table == "embeddings" else "values"
    stored = store.read(table).where(
        (F.col("fingerprint") == model.fingerprint) & (F.col("status") == "ok")
    )
    sample = stored.orderBy("example_id").limit(_SAMPLE).select("example_id", "run_id", column)
    before = sample.collect()
    ids = [row.example_id for row in before]
    now = _again(store, ship(store.spark, model), measure, profile, ids, column)
    dtypes = {run_id: dtype_of(provenance) for run_id, provenance in recorded.items()}
    worst, allowed = 0.0, 1.0
    for row in before:
        difference = _difference(row[column], now.get(row.example_id))
        # A run that computes in a way that is known records nothing: its dtype is one of all.
        known = {dtypes[row.run_id]} if row.run_id in dtypes else set(dtypes.values())
        limit = tolerance(column, {*known, dtype_of(here)})
        if difference / limit > worst / allowed:
            worst = difference
            allowed = limit
    if worst > allowed:
        raise UserError(
            f"stage {stage}: this model gives other numbers here than those in {table} "
            f"(difference {worst:.3g} on {len(before)} rows, allowed {allowed:g}), computed with "
            f"{here}; set measure.dtype and the library versions as they were "
            "(table fingerprints), or use another --store"
        )


def dtype_of(provenance: str) -> str:
    """The dtype in a recorded provenance; empty where none was recorded."""
    return str(json.loads(provenance).get("dtype", ""))


def tolerance(column: str, dtypes: Iterable[str]) -> float:
    """The largest difference that counts as the same number.

    Args:
        column: `values`, for a relative difference (absolute below 1), or `vector`, for
            1 - cosine.
        dtypes: those that the two numbers were computed in; bfloat16 keeps 8 bits of a number.
    """
    limits = _COSINE if column == "vector" else _TOLERANCE
    return limits["bfloat16" if "bfloat16" in dtypes else "float32"]


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
