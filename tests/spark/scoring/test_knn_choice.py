"""A pool that the driver cannot hold is joined by cells, which is known before it is sent any."""

from typing import Any

import numpy as np
import pytest
from driver_results import results, sent_since
from known_vectors import drawn_vectors, pool_of, sixth, store_with
from pyspark.sql import SparkSession

from instructmining.errors import UserError
from instructmining.settings.sections import Knn
from instructmining.store.tables import Store
from jobs.scoring.stages import StageResult, run_knn
from udfs.indicators import load_model_list, resolve
from udfs.neighbors.choice import Driver

MODEL = resolve(load_model_list("embedded").stages["embed"])
ROWS, WIDTH = 80, 2_048
BYTES = ROWS * WIDTH * 4
ROOM = BYTES // 2


@pytest.fixture(scope="module")
def vectors() -> dict[str, np.ndarray]:
    return drawn_vectors(ROWS, WIDTH)


@pytest.fixture
def store(spark: SparkSession, store_path: str, vectors: dict[str, np.ndarray]) -> Store:
    return store_with(spark, store_path, MODEL.fingerprint, vectors)


def run(store: Store, ids: list[str], room: int, **settings: Any) -> tuple[StageResult, int]:
    """What the stage says, and the bytes that were sent to the driver."""
    before = results(store.spark)
    done = run_knn(store, MODEL, pool_of(store, ids), Knn(**settings), None, "r", Driver(room, 2))
    return done, sent_since(store.spark, before)


def test_a_pool_that_does_not_fit_goes_by_cells_and_has_the_right_distances(
    store: Store, vectors: dict[str, np.ndarray]
) -> None:
    done, _ = run(store, list(vectors), ROOM, cell_rows=20, visits=4)
    assert done.note.startswith("cells, 4 of about 20 rows, 4 visits, 1.0000 of the distances")
    assert "; one index over 80 vectors of 2048 numbers needs" in done.note
    stored = {row.example_id: row for row in store.read("pool_knn").collect()}
    assert {row.method for row in stored.values()} == {done.note}
    for key in vectors:
        right = sixth(key, list(vectors), vectors)
        assert stored[key].distances[5] == pytest.approx(right, rel=1e-5)


def test_what_cannot_be_held_is_refused_before_any_of_it_is_sent(
    store: Store, vectors: dict[str, np.ndarray]
) -> None:
    before = results(store.spark)
    with pytest.raises(UserError, match=r"80 vectors of 2048 numbers .* set knn\.exact_up_to"):
        run(store, list(vectors), ROOM, exact_up_to=1_000)
    assert sent_since(store.spark, before) < BYTES / 4
    done, sent = run(store, list(vectors), 2 * BYTES, exact_up_to=1_000)
    assert done.note == "exact"
    assert sent > BYTES
