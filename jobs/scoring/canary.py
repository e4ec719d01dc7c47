"""The canary of a run: rows of the pool, spoiled on purpose, measured with the same models.

What is stored are the indicators of both rows of each pair, so that any rule can be tested on them
later without a model.
"""

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import Row
from pyspark.sql import functions as F

from instructmining.models.lists import ResolvedModel
from instructmining.rules.canary import Preference, preferences
from instructmining.rules.rule import LinearRule
from instructmining.scoring.scores import Measured, indicator_names, with_indicators
from instructmining.settings.endpoints import Endpoint
from instructmining.settings.sections import Measure
from instructmining.spark.frames import small_frame
from instructmining.spoiling.held_out import HELD_OUT, KINDS
from instructmining.spoiling.material import Material, Sound
from instructmining.store.tables import Store
from jobs.scoring.spoiled_rows import NOT_PAID, add_distances, measure_rows
from jobs.scoring.stages import Pool

_FEWEST = 5  # rows of each kind
_SHARE = 100  # one row in so many of the pool is spoiled by each kind
_MATERIAL = 4  # rows that corruptions draw from, for each one that is spoiled
_PAIRS = (
    "pool STRING, models STRING, kind STRING, example_id STRING, held_out BOOLEAN, "
    "real MAP<STRING, DOUBLE>, spoiled MAP<STRING, DOUBLE>, run_id STRING"
)


def measure_canary(
    store: Store,
    pool: Pool,
    resolved: Mapping[str, ResolvedModel],
    measured: Measured,
    most: int,
    measure: Measure,
    endpoint: Endpoint,
    run_id: str,
) -> str:
    """Spoil rows of the pool, measure them and store the pairs.

    Args:
        store: gets the pairs.
        pool: whose rows are spoiled.
        resolved: models by stage.
        measured: the models whose numbers a rule reads, and its neighbours.
        most: rows of each kind of dirt, the setting `canary.rows`.
        measure: how to measure.
        endpoint: what servers may be asked.
        run_id: marks the rows.

    A spoiled row without a number counts as one that is not preferred: where the caps of `endpoint`
    do not let all of them be asked, none is stored.

    Returns:
        What was done, in words.
    """
    models = models_of(measured)
    rows = min(most, max(_FEWEST, pool.size // _SHARE))
    order = [F.xxhash64(F.lit("canary"), "example_id"), F.col("example_id")]
    drawn = pool.examples.where("response IS NOT NULL").orderBy(*order)
    texts = drawn.select("example_id", "prompt", "response", "messages")
    spoiled = _spoiled(texts.limit(_MATERIAL * rows).collect(), rows)
    turns_of = {f"{kind}:{row.example_id}": turns for kind, row, turns in spoiled}
    numbers = measure_rows(store, turns_of, resolved, measure, endpoint)
    if numbers is None:
        return f"left out: {NOT_PAID}"
    add_distances(numbers, store, pool.members, list(turns_of), resolved, measured.knn)
    real = _real_values(store, pool, {row["example_id"] for _, row, _ in spoiled}, measured)
    pairs = [
        (
            pool.name,
            models,
            kind,
            row.example_id,
            kind in HELD_OUT,
            real.get(row.example_id, {}),
            numbers.values.get(f"{kind}:{row.example_id}", {}),
            run_id,
        )
        for kind, row, _ in spoiled
    ]
    frame = small_frame(store.spark, pairs, _PAIRS)
    store.append(frame, "canary", {"run_id": run_id})
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
