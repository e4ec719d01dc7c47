"""knn_i against brute force in float64."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from scipy.spatial.distance import cdist

from udfs.neighbors.cells import _within
from udfs.neighbors.exact import ExactIndex
from udfs.neighbors.knn import Search, build_index, neighbor_distances, recall


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    random = np.random.default_rng(5)
    centres = random.normal(size=(40, 48))
    made = centres[random.integers(0, 40, 2500)] + 0.4 * random.normal(size=(2500, 48))
    made[100:112] = made[99]  # more copies than k: the row itself may not be among the nearest
    made[200] = made[201] + 1e-5  # a near-duplicate, where the expanded square loses its digits
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def brute(vectors: np.ndarray) -> np.ndarray:
    return brute_force(vectors)


def brute_force(vectors: np.ndarray) -> np.ndarray:
    distances = cdist(vectors.astype(np.float64), vectors.astype(np.float64))
    np.fill_diagonal(distances, np.inf)
    return np.sort(distances, axis=1)


def test_exact_search_equals_brute_force(vectors: np.ndarray, brute: np.ndarray) -> None:
    found = neighbor_distances(ExactIndex(vectors), np.arange(len(vectors)), Search(6, 32))
    assert np.abs(found - brute[:, :6]).max() < 2e-6


def test_neighbours_within_a_crowd_are_found() -> None:
    """300 rows within 0.02 of each other."""
    random = np.random.default_rng(2)
    made = random.normal(size=(3000, 384))
    made[:300] = made[0] + 0.015 * random.normal(size=(300, 384))
    made = (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)
    rows = np.arange(3000)
    found = neighbor_distances(ExactIndex(made), rows, Search(6, 32))
    np.testing.assert_allclose(found, brute_force(made)[:, :6], rtol=1e-3)


def test_neighbours_on_the_other_side_of_the_sphere_are_found() -> None:
    """Products below zero, and more neighbours than candidates are asked for."""
    made = np.zeros((607, 700), np.float32)
    made[np.arange(607), np.arange(607)] = 1
    made[5] = -np.sqrt(1 / 606)
    made[5, 5], made[5, 607:] = 0, 0
    found = neighbor_distances(ExactIndex(made), np.arange(607), Search(64, 32))
    np.testing.assert_allclose(found, brute_force(made)[:, :64], atol=2e-6)


def test_copies_of_a_vector_stay_at_distance_zero(vectors: np.ndarray) -> None:
    found = neighbor_distances(build_index(vectors, exact=True), np.array([105]), Search(6, 32))
    assert found[0] == pytest.approx(np.zeros(6), abs=1e-6)


def test_the_order_of_the_queries_changes_nothing(vectors: np.ndarray) -> None:
    index = build_index(vectors, exact=True)
    search = Search(6, 32)
    rows = np.random.default_rng(0).permutation(len(vectors))[:700]
    together = neighbor_distances(index, rows, search)
    alone = np.concatenate([neighbor_distances(index, rows[i : i + 1], search) for i in range(700)])
    np.testing.assert_array_equal(together, alone)


def test_approximate_search_reports_the_recall_it_has(
    vectors: np.ndarray, brute: np.ndarray
) -> None:
    index = build_index(vectors, exact=False, effort=16)
    found = neighbor_distances(index, np.arange(len(vectors)), Search(6, 32))
    share, sampled = recall(index, vectors, 6)
    right = np.isclose(found[:, 5], brute[:, 5], atol=2e-6).mean()
    assert sampled == 1000
    assert 0.9 < share <= 1
    assert right > share - 0.15


def test_fewer_neighbours_than_asked_for_are_nan_at_the_end(vectors: np.ndarray) -> None:
    index = build_index(vectors[:4].copy(), exact=True)
    found = neighbor_distances(index, np.arange(4), Search(6, 32))
    assert np.isfinite(found[:, :3]).all()
    assert np.isnan(found[:, 3:]).all()


def test_counted_copies_equal_brute_force_on_the_raw_pool(vectors: np.ndarray) -> None:
    few = vectors[300:340].copy()
    copies = np.random.default_rng(1).integers(0, 4, len(few))
    raw = np.repeat(few, copies + 1, axis=0).astype(np.float64)
    first = np.concatenate([[0], np.cumsum(copies + 1)[:-1]])
    distances = cdist(raw[first], raw)
    distances[np.arange(len(few)), first] = np.inf  # itself, once
    expected = np.sort(distances, axis=1)[:, :6]
    index = build_index(few, exact=True)
    found = neighbor_distances(index, np.arange(len(few)), Search(6, 32, copies))
    assert np.abs(found - expected).max() < 2e-6


def test_a_task_that_searches_neighbours_imports_no_torch() -> None:
    program = (
        "import sys; import numpy as np;"
        "from udfs.neighbors import cells, frozen_reference, pool;"
        "from udfs.neighbors.knn import Search, build_index, neighbor_distances;"
        "pool.limit_search_threads();"
        "index = build_index(np.eye(9, dtype=np.float32), exact=True);"
        "found = neighbor_distances(index, np.arange(9), Search(2, 4));"
        "assert np.allclose(found, 2 ** 0.5);"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize(("in_pool", "expected"), [(True, {}), (False, {"a": [], "b": []})])
def test_a_cell_in_which_nobody_lies_or_nobody_asks_has_no_distances(in_pool, expected) -> None:
    group = pa.table(
        {
            "in_pool": [in_pool] * 2,
            "example_id": ["a", "b"],
            "vector": pa.array([[1, 0], [0, 1]], pa.list_(pa.float32())),
            "copies": [0, 0],
        }
    )
    found = _within(Search(6, 32), count_copies=False)(group)
    assert dict(zip(*found.to_pydict().values(), strict=True)) == expected
    assert found.schema.field("distances").type == pa.list_(pa.float64())
