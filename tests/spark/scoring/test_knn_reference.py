"""New rows and the distances of old ones: a refresh says whom it moved, a frozen reference none."""

import numpy as np
import pytest
from known_vectors import drawn_vectors, pool_of, sixth, store_with
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from instructmining.errors import UserError
from instructmining.settings.loading import load_settings
from instructmining.settings.sections import Knn
from instructmining.store.tables import Store
from jobs.scoring.stages import run_knn
from jobs.stored import vectors as stored_vectors
from udfs.indicators import load_model_list, resolve

MODEL = resolve(load_model_list("embedded").stages["embed"])
OLD, NEW = 60, 15


@pytest.fixture(scope="module")
def vectors() -> dict[str, np.ndarray]:
    return drawn_vectors(OLD + NEW, 16)


@pytest.fixture
def store(spark: SparkSession, store_path: str, vectors) -> Store:
    return store_with(spark, store_path, MODEL.fingerprint, vectors)


def settings(**knn: object) -> Knn:
    return load_settings(options={"knn": knn}).knn


def stored(store: Store) -> dict[str, tuple[str, float]]:
    rows = store.read("pool_knn").where(F.col("pool") == "p").collect()
    assert len({row.example_id for row in rows}) == len(rows)
    return {row.example_id: (row.pool_version, row.distances[5]) for row in rows}


def test_a_refresh_says_how_many_old_rows_moved_and_a_frozen_reference_moves_none(store, vectors):
    ids = list(vectors)
    made = run_knn(
        store, MODEL, pool_of(store, ids[:OLD]), settings(reference="frozen"), None, "one"
    )
    assert (made.rows, made.note) == (OLD, "exact")  # the first run makes the reference
    before = stored(store)

    frozen = run_knn(store, MODEL, pool_of(store, ids), settings(reference="frozen"), None, "two")
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
            pool_of(store, ids),
            settings(reference="frozen", neighbors=7),
            None,
            "no",
        )
    again = run_knn(store, MODEL, pool_of(store, ids), settings(reference="frozen"), None, "three")
    assert (again.rows, again.note) == (0, "unchanged")

    refreshed = run_knn(store, MODEL, pool_of(store, ids), settings(), None, "four")
    now = stored(store)
    for key in ids:
        assert now[key][1] == pytest.approx(sixth(key, ids, vectors), rel=1e-5)
    change = np.array([abs(now[key][1] - after[key][1]) for key in ids])
    moved = change[change > 1e-6]
    assert 0 < len(moved) < OLD + NEW
    assert f"{len(moved)} of {OLD + NEW} old rows moved" in refreshed.note
    assert f"median {np.median(moved):.4f}, max {moved.max():.4f}" in refreshed.note


def test_new_rows_come_part_by_part_and_a_repeated_run_goes_on_where_it_was(
    store, vectors, monkeypatch
):
    ids = list(vectors)
    run_knn(store, MODEL, pool_of(store, ids[:OLD]), settings(), None, "one")
    monkeypatch.setattr(stored_vectors, "_PART_BYTES", 4 * 4 * 16)  # four rows, four parts
    first = store.version("pool_knn")
    frozen = settings(reference="frozen")
    few = run_knn(store, MODEL, pool_of(store, ids[: OLD + 5]), frozen, None, "two")
    assert few.rows == 5
    rest = run_knn(store, MODEL, pool_of(store, ids), frozen, None, "three")
    assert rest.rows == NEW - 5
    assert store.version("pool_knn") == first + 2 + 3
    after = stored(store)
    assert len(after) == OLD + NEW
    for key in ids[OLD:]:
        assert after[key][1] == pytest.approx(sixth(key, ids[:OLD], vectors), rel=1e-5)


def test_a_frozen_reference_cannot_count_copies():
    with pytest.raises(UserError, match="cannot count copies"):
        settings(reference="frozen", count_copies=True)
