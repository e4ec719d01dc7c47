"""Write imported numbers as measurements, under the fingerprint of their name and version."""

import json
import time
from functools import partial

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from instructmining.models.lists import COLUMN, ResolvedModel
from instructmining.spark.frames import small_frame
from instructmining.store.current import current_occurrences
from instructmining.store.tables import Store
from jobs.scoring.stages import Pool, StageResult

_SAME = 1e-9  # relative difference up to which two numbers are one


def number(text: Column) -> Column:
    """A text as a number; null where it is not one, or is not finite."""
    value = text.try_cast("double")
    return F.when(~F.isnan(value) & (F.abs(value) < float("inf")), value)


def import_kept(
    store: Store, stage: str, model: ResolvedModel, pool: Pool, run_id: str
) -> StageResult:
    """Numbers out of a column that `score` kept; of copies that differ their mean."""
    started = time.monotonic()
    column = model.spec.source.removeprefix(COLUMN)
    occurrences = current_occurrences(store, pool.name).select(
        "example_id", number(F.try_element_at("kept", F.lit(column))).alias("number")
    )
    values = occurrences.groupBy("example_id").agg(F.avg("number").alias("number"))
    added = add_numbers(store, stage, model, values.where("number IS NOT NULL"), run_id)
    members = pool.members.join(numbers_of(store, model), "example_id", "left_anti")
    lacking = members.count()
    note = f"imported, {lacking:,} examples have no number" if lacking else "imported"
    return StageResult(stage, added, 0, 0, time.monotonic() - started, note)


def numbers_of(store: Store, model: ResolvedModel) -> DataFrame:
    """`example_id, stored`: what the store has of a model with one indicator."""
    (name,) = model.spec.indicators
    rows = store.read("stage_values").where(F.col("fingerprint") == model.fingerprint)
    return rows.select("example_id", F.col("values")[name].alias("stored"))


def differing(store: Store, model: ResolvedModel, values: DataFrame) -> int:
    """How many examples have another number in the store already."""
    both = values.join(numbers_of(store, model), "example_id")
    larger = F.greatest(F.abs("number"), F.abs("stored"))
    return both.where(F.abs(F.col("number") - F.col("stored")) > _SAME * larger).count()


def add_numbers(
    store: Store, stage: str, model: ResolvedModel, values: DataFrame, run_id: str
) -> int:
    """Append the numbers of examples that have none; how many there were.

    Args:
        store: gets the rows.
        stage: of the model, a name for people.
        model: an entry of kind `imported`.
        values: `example_id`, `number`, each example once.
        run_id: marks the rows.
    """
    _name_fingerprint(store, stage, model, run_id)
    store.create("stage_values")
    missing = partial(_missing, store, stage, model, values, run_id)
    about = {"run_id": run_id, "stage": stage, "fingerprint": model.fingerprint}
    return store.insert(missing, "stage_values", f"{run_id}/{stage}/imported", about)


def _missing(
    store: Store, stage: str, model: ResolvedModel, values: DataFrame, run_id: str
) -> DataFrame:
    (name,) = model.spec.indicators
    examples = store.read("examples").select("example_id", "bucket")
    rows = examples.join(values, "example_id")
    rows = rows.join(numbers_of(store, model), "example_id", "left_anti")
    constants = {"stage": stage, "fingerprint": model.fingerprint, "run_id": run_id, "status": "ok"}
    return rows.select(
        "example_id",
        "bucket",
        F.create_map(F.lit(name), F.col("number")).alias("values"),
        F.lit(None).cast("bigint").alias("tokens"),
        F.lit(0).cast("bigint").alias("truncated_tokens"),
        F.lit(None).cast("string").alias("reason"),
        *(F.lit(value).alias(key) for key, value in constants.items()),
    )


def _name_fingerprint(store: Store, stage: str, model: ResolvedModel, run_id: str) -> None:
    """Record what the fingerprint stands for, once."""
    known = store.read("fingerprints").where(F.col("fingerprint") == model.fingerprint)
    if not known.isEmpty():
        return
    row = {
        "fingerprint": model.fingerprint,
        "stage": stage,
        "source": model.spec.source,
        "definition": json.dumps(model.definition, sort_keys=True, ensure_ascii=False),
        "provenance": json.dumps({"dtype": "float64", "imported": True}),
        "run_id": run_id,
    }
    frame = small_frame(store.spark, [row], ", ".join(f"{name} STRING" for name in row))
    store.append(frame, "fingerprints", {"run_id": run_id})
