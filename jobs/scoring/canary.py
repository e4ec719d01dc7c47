"""The canary of a run: rows of the pool, spoiled on purpose, measured with the same models.

What is stored are the indicators of both rows of each pair, so that any rule can be tested on them
later without a model.
"""

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from pyspark.sql import Row
from pyspark.sql import functions as F

from instructmining.models.lists import ResolvedModel
from instructmining.rules.canary import Preference, preferences
from instructmining.rules.rule import LinearRule
from instructmining.scoring.scores import Measured, indicator_names, with_indicators
from instructmining.settings.sections import Settings
from instructmining.spark.frames import small_frame
from instructmining.spoiling.held_out import HELD_OUT, KINDS
from instructmining.spoiling.material import Material, Sound
from instructmining.store.schemas import MEASURABLE
from instructmining.store.tables import Store
from jobs.scoring.stages import Pool, left_of, one_sentence
from jobs.stored.vectors import of_encoder, with_vectors
from udfs.indicator import Spending, with_measurements
from udfs.neighbors.frozen_reference import neighbors_in_reference
from udfs.on_spark.audit import open_audit
from udfs.on_spark.placement import gpu_profile, model_slots, ship

_FEWEST = 5  # rows of each kind
_SHARE = 100  # one row in so many of the pool is spoiled by each kind
_MATERIAL = 4  # rows that corruptions draw from, for each one that is spoiled
_NOT_PAID = "left out: endpoint.max_calls or endpoint.max_tokens leaves too little for it"
_PAIRS = (
    "pool STRING, models STRING, kind STRING, example_id STRING, held_out BOOLEAN, "
    "real MAP<STRING, DOUBLE>, spoiled MAP<STRING, DOUBLE>, run_id STRING"
)


def measure_canary(
    store: Store,
    pool: Pool,
    resolved: Mapping[str, ResolvedModel],
    measured: Measured,
    settings: Settings,
    run_id: str,
) -> str:
    """Spoil rows of the pool, measure them and store the pairs.

    A spoiled row without a number counts as one that is not preferred: where the caps of `endpoint`
    do not let all of them be asked, none is stored.

    Returns:
        What was done, in words.
    """
    models = models_of(measured)
    rows = min(settings.canary.rows, max(_FEWEST, pool.size // _SHARE))
    order = [F.xxhash64(F.lit("canary"), "example_id"), F.col("example_id")]
    drawn = pool.examples.where("response IS NOT NULL").orderBy(*order)
    texts = drawn.select("example_id", "prompt", "response", "messages")
    spoiled = _spoiled(texts.limit(_MATERIAL * rows).collect(), rows)
    served = [stage for stage, model in resolved.items() if model.spec.served is not None]
    if len(served) * len(spoiled) > settings.endpoint.max_calls:
        return _NOT_PAID
    values, short = _measured(store, pool, spoiled, resolved, settings)
    if short:
        return _NOT_PAID
    real = _real_values(store, pool, {row["example_id"] for _, row, _ in spoiled}, measured)
    pairs = [
        (
            pool.name,
            models,
            kind,
            row.example_id,
            kind in HELD_OUT,
            real.get(row.example_id, {}),
            values.get(f"{kind}:{row.example_id}", {}),
            run_id,
        )
        for kind, row, _ in spoiled
    ]
    frame = small_frame(store.spark, pairs, _PAIRS)
    store.append(frame, "canary", f"{run_id}/canary", {"run_id": run_id})
    return f"{len(pairs):,} spoiled rows measured"


def stored_pairs(store: Store, pool: str, measured: Measured) -> list[Row]:
    """The pairs of a pool that these models measured: `kind, real, spoiled`."""
    ours = (F.col("pool") == pool) & (F.col("models") == models_of(measured))
    return store.read("canary").where(ours).select("kind", "real", "spoiled").collect()


def preferences_in(pairs: Sequence[Row], rule: LinearRule) -> list[Preference]:
    """How often a rule prefers the real rows, by kind; empty where there are no pairs."""
    return preferences(rule, ((row.kind, row.real, row.spoiled) for row in pairs))


def models_of(measured: Measured) -> str:
    """One hash of all models that measure, and of the neighbours that are wanted."""
    about = {"models": dict(measured.fingerprints), "neighbors": measured.knn.neighbors}
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:32]


def _spoiled(texts: Sequence[Row], rows: int) -> list[tuple[str, Row, list[dict[str, str]]]]:
    """Kind, real row, and the turns of its spoiled copy."""
    sound = [Sound("pool", row.prompt or "", row.response) for row in texts]
    material = Material(sound, "held_out")
    made = []
    for kind, spoil in KINDS.items():
        for example, row in list(zip(sound, texts, strict=True))[:rows]:
            generator = random.Random(f"{kind} {row.example_id}")  # noqa: S311 - not a secret
            response = spoil(example, material, generator)
            if response is None:
                continue
            turns = [{"role": turn.role, "content": turn.content} for turn in row.messages[:-1]]
            made.append((kind, row, [*turns, {"role": "assistant", "content": response}]))
    return made


def _measured(
    store: Store,
    pool: Pool,
    spoiled: Sequence[tuple[str, Row, list[dict[str, str]]]],
    resolved: Mapping[str, ResolvedModel],
    settings: Settings,
) -> tuple[dict[str, dict[str, float]], bool]:
    """`KIND:example_id` to the indicators of the spoiled row; whether a cap left some out."""
    spark, measure = store.spark, settings.measure
    keys = [(f"{kind}:{row.example_id}", 0, turns) for kind, row, turns in spoiled]
    slots = model_slots(spark, measure)
    rows = small_frame(spark, keys, MEASURABLE).repartition(slots, "example_id")
    values: dict[str, dict[str, float]] = {}
    profile = gpu_profile(spark, measure)
    left = settings.endpoint
    for stage, model in resolved.items():
        audit = open_audit(spark)
        output = with_measurements(
            rows, ship(spark, model), measure, profile, audit, Spending(left, slots)
        )
        if stage != "embed":
            with one_sentence(stage):
                found = output.select("example_id", "values").collect()
            left = left_of(left, audit.value)
            if len(found) < len(spoiled):
                return values, True
            for row in found:
                values.setdefault(row.example_id, {}).update(row["values"])
            continue
        # Once: each look at the frame measures again.
        vectors = output.where("vector IS NOT NULL").select("example_id", "vector").toArrow()
        for key, distances in _distances(store, pool, vectors, model, settings):
            places = {f"knn_{i}": value for i, value in enumerate(distances, start=1)}
            values.setdefault(key, {}).update(places)
    return values, False


def _distances(
    store: Store, pool: Pool, vectors: pa.Table, model: ResolvedModel, settings: Settings
) -> list[tuple[str, list[float]]]:
    """Of every spoiled row to its nearest rows of the pool, the real one among them."""
    if not vectors.num_rows:
        return []
    embedded = of_encoder(store, F.col("fingerprint") == model.fingerprint)
    reference = with_vectors(pool.members, embedded)
    found = neighbors_in_reference(reference, vectors, settings.knn)
    return [(row.example_id, row.distances) for row in found.collect()]


def _real_values(
    store: Store, pool: Pool, ids: set[str], measured: Measured
) -> dict[str, dict[str, float]]:
    """Example to the indicators that are stored of it."""
    members = pool.members.where(F.col("example_id").isin(sorted(ids)))
    places = range(1, measured.knn.neighbors + 1)
    rows = with_indicators(store, members, pool.name, measured, list(places)).collect()
    names = [name for name in indicator_names(rows[0].asDict()) if not name.startswith("reason_")]
    return {row.example_id: _known(row, names) for row in rows}


def _known(row: Any, names: Sequence[str]) -> dict[str, float]:
    return {name: row[name] for name in names if row[name] is not None}
