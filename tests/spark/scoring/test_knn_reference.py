"""New rows and the distances of old ones: a refresh says whom it moved, a frozen reference none."""

import numpy as np
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from instructmining.errors import UserError
from instructmining.settings.loading import load_settings
from instructmining.settings.sections import Knn
from instructmining.store.tables import Store
from jobs.scoring.stages import Pool, run_knn
from udfs.indicators import load_model_list, resolve

MODEL = resolve(load_model_list("embedded").stages["embed"])
OLD, NEW = 60, 15


@pytest.fixture(scope="module")
def vectors() -> dict[str, np.ndarray]:
    drawn = np.random.default_rng(3).normal(size=(OLD + NEW, 16)).astype(np.float32)
    unit = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return {f"{i:032x}": row for i, row in enumerate(unit)}


@pytest.fixture
def store(spark: SparkSession, store_path: str, vectors) -> Store:
    store = Store.open(spark, store_path)
    rows = [
        (key, 0, MODEL.fingerprint, row.tolist(), 1, 0, "ok", None, "r")
        for key, row in vectors.items()
    ]
    names = (
        "example_id STRING, bucket INT, fingerprint STRING, vector ARRAY<FLOAT>, tokens BIGINT"
        ", truncated_tokens BIGINT, status STRING, reason STRING, run_id STRING"
    )
    store.append(spark.createDataFrame(rows, names), "embeddings", {})
    return store


def pool(store: Store, ids: list[str]) -> Pool:
    rows = store.spark.createDataFrame([(key, 0) for key in ids], "example_id STRING, copies LONG")
    return Pool("p", rows, rows)


def settings(**knn: object) -> Knn:
    return load_settings(options={"knn": knn}).knn


def stored(store: Store) -> dict[str, tuple[str, float]]:
    rows = store.read("pool_knn").where(F.col("pool") == "p").collect()
    assert len({row.example_id for row in rows}) == len(rows)
    return {row.example_id: (row.pool_version, row.distances[5]) for row in rows}


def sixth(key: str, among: list[str], vectors) -> float:
    others = np.array([vectors[each] for each in among if each != key], np.float64)
    return float(np.sort(np.linalg.norm(others - vectors[key], axis=1))[5])


def test_a_refresh_says_how_many_old_rows_moved_and_a_frozen_reference_moves_none(store, vectors):
    ids = list(vectors)
    made = run_knn(store, MODEL, pool(store, ids[:OLD]), settings(reference="frozen"), None, "one")
    assert (made.rows, made.note) == (OLD, "exact")  # the first run makes the reference
    before = stored(store)

    frozen = run_knn(store, MODEL, pool(store, ids), settings(reference="frozen"), None, "two")
    after = stored(store)
    assert {key: after[key] for key in before} == before
    version = before[ids[0]][0]
    assert frozen.rows == NEW
    assert f"frozen reference {version} ({OLD} rows)" in frozen.note
    for key in ids[OLD:]:
        assert after[key][0] == f"frozen:{version}"
        assert after[key][1] == pytest.approx(sixth(key, ids[:OLD], vectors), rel=1e-5)
    with pytest.raises(UserError, match="--knn-reference refresh"):
        run_knn(
            store,
            MODEL,
            pool(store, ids),
            settings(reference="frozen", neighbors=7),
            None,
            "no",
        )
    again = run_knn(store, MODEL, pool(store, ids), settings(reference="frozen"), None, "three")
    assert (again.rows, again.note) == (0, "unchanged")

    refreshed = run_knn(store, MODEL, pool(store, ids), settings(), None, "four")
    now = stored(store)
    for key in ids:
        assert now[key][1] == pytest.approx(sixth(key, ids, vectors), rel=1e-5)
    change = np.array([abs(now[key][1] - after[key][1]) for key in ids])
    moved = change[change > 1e-6]
    assert 0 < len(moved) < OLD + NEW
    assert f"{len(moved)} of {OLD + NEW} old rows moved" in refreshed.note
    assert f"median {np.median(moved):.4f}, max {moved.max():.4f}" in refreshed.note


def test_a_frozen_reference_cannot_count_copies():
    with pytest.raises(UserError, match="cannot count copies"):
        settings(reference="frozen", count_copies=True)
