"""Rows that are in no table, measured as the rows of a pool are: spoiled copies of real ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from instructmining.models.lists import IMPORTED, ResolvedModel
from instructmining.settings.endpoints import Endpoint
from instructmining.settings.sections import Knn, Measure
from instructmining.spark.frames import small_frame
from instructmining.store.schemas import MEASURABLE
from instructmining.store.tables import Store
from jobs.scoring.stages import left_of, one_sentence
from jobs.stored.vectors import of_encoder, with_vectors
from udfs.indicator import Spending, with_measurements
from udfs.neighbors.frozen_reference import neighbors_in_reference
from udfs.on_spark.audit import open_audit
from udfs.on_spark.placement import gpu_profile, model_slots, ship

Turns = Sequence[Mapping[str, str]]
NOT_PAID = "endpoint.max_calls or endpoint.max_tokens leaves too little for it"


@dataclass(frozen=True)
class MeasuredRows:
    """What was measured of rows.

    Attributes:
        values: indicators by the row's id; one that cannot be measured is absent.
        embedded: `example_id`, `vector`; None without a sentence encoder, or where none has one.
    """

    values: dict[str, dict[str, float]]
    embedded: pa.Table | None


def measure_rows(
    store: Store,
    rows: Mapping[str, Turns],
    resolved: Mapping[str, ResolvedModel],
    measure: Measure,
    endpoint: Endpoint,
) -> MeasuredRows | None:
    """Measure rows with the models of a pool, all but their neighbours.

    Args:
        store: whose session measures.
        rows: turns by id.
        resolved: models by stage; numbers that come with the data are left out.
        measure: how to measure.
        endpoint: what served models may be asked.

    Returns:
        None where the caps of `endpoint` do not let all rows be asked.
    """
    used = {stage: model for stage, model in resolved.items() if model.spec.kind != IMPORTED}
    served = [stage for stage, model in used.items() if model.spec.served is not None]
    if len(served) * len(rows) > endpoint.max_calls:
        return None
    spark = store.spark
    slots = model_slots(spark, measure)
    keys = [(key, 0, turns) for key, turns in rows.items()]
    frame = small_frame(spark, keys, MEASURABLE).repartition(slots, "example_id")
    profile = gpu_profile(spark, measure)
    left = endpoint
    values: dict[str, dict[str, float]] = {}
    embedded = None
    for stage, model in used.items():
        audit = open_audit(spark)
        spending = Spending(left, slots)
        output = with_measurements(frame, ship(spark, model), measure, profile, audit, spending)
        if stage == "embed":
            # Once: each look at the frame measures again.
            embedded = output.where("vector IS NOT NULL").select("example_id", "vector").toArrow()
            continue
        with one_sentence(stage):
            collected = output.select("example_id", "values").collect()
        left = left_of(left, audit.value)
        if len(collected) < len(rows):
            return None
        for row in collected:
            values.setdefault(row.example_id, {}).update(row["values"])
    return MeasuredRows(values, embedded if embedded is not None and embedded.num_rows else None)


def add_distances(
    measured: MeasuredRows,
    store: Store,
    members: DataFrame,
    ids: Sequence[str],
    resolved: Mapping[str, ResolvedModel],
    knn: Knn,
) -> None:
    """Add `knn_1` … of rows: the distances to the nearest of a pool, the real rows among them.

    Args:
        measured: of `measure_rows`.
        store: where the pool's vectors are.
        members: `example_id` of the pool.
        ids: of the rows.
        resolved: models by stage.
        knn: how many neighbours.
    """
    if measured.embedded is None:
        return
    rows = measured.embedded.filter(pc.is_in(measured.embedded["example_id"], pa.array(ids)))
    if not rows.num_rows:
        return
    known = of_encoder(store, F.col("fingerprint") == resolved["embed"].fingerprint)
    reference = with_vectors(members, known)
    for row in neighbors_in_reference(reference, rows, knn).collect():
        places = {f"knn_{i}": value for i, value in enumerate(row.distances, start=1)}
        measured.values.setdefault(row.example_id, {}).update(places)
