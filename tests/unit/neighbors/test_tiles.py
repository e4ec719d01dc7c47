"""The search that a GPU does, on a CPU: no neighbour is missed, whatever rounding hides."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from instructmining.errors import UserError
from udfs.neighbors import tiles
from udfs.neighbors.exact import ExactIndex
from udfs.neighbors.knn import Search, asked_distances, build_index, neighbor_distances
from udfs.neighbors.tiles import TileIndex


def unit(made: np.ndarray) -> np.ndarray:
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


def spread(random: np.random.Generator, rows: int) -> np.ndarray:
    centres = random.normal(size=(40, 48))
    return unit(centres[random.integers(0, 40, rows)] + 0.4 * random.normal(size=(rows, 48)))


def crowd(random: np.random.Generator, rows: int, width: float) -> np.ndarray:
    """A third of the rows within `width` of each other."""
    made = random.normal(size=(rows, 48))
    made[: rows // 3] = made[0] + width * random.normal(size=(rows // 3, 48))
    return unit(made)


def copies(random: np.random.Generator, rows: int) -> np.ndarray:
    """Half of the rows are one vector, others twenty copies of each."""
    made = np.repeat(random.normal(size=(rows // 20 + 1, 48)), 20, axis=0)[:rows]
    made[: rows // 2] = made[0]
    return unit(made)


def edges(random: np.random.Generator, rows: int) -> np.ndarray:
    """Neighbours a last bit of float16 apart, so that rounding makes them equal."""
    made = unit(random.normal(size=(1, 48)) + np.zeros((rows, 1)))
    return unit(made + 2.0**-9 * random.integers(-2, 3, size=made.shape))


POOLS = {
    "spread": spread,
    "crowd": lambda random, rows: crowd(random, rows, 0.02),
    "close crowd": lambda random, rows: crowd(random, rows, 1e-4),
    "copies": copies,
    "edges": edges,
    "opposite": lambda random, rows: unit(
        np.sign(random.normal(size=(rows, 1))) * (1 + 1e-3 * random.normal(size=(rows, 48)))
    ),
}


def brute_force(vectors: np.ndarray) -> np.ndarray:
    distances = cdist(vectors.astype(np.float64), vectors.astype(np.float64))
    np.fill_diagonal(distances, np.inf)
    return np.sort(distances, axis=1)


@pytest.mark.parametrize(("tile", "block"), [(131_072, 64), (131_072, 8), (300, 64), (300, 4)])
@pytest.mark.parametrize("name", POOLS)
def test_every_distance_is_that_of_brute_force(name, tile, block, monkeypatch):
    monkeypatch.setattr(tiles, "_TILE", tile)
    monkeypatch.setattr(tiles, "_BLOCK", block)
    vectors = POOLS[name](np.random.default_rng(7), 1100)
    index = TileIndex(vectors, "cpu")
    found = neighbor_distances(index, np.arange(1100), Search(6, 32))
    true = brute_force(vectors)[:, :6]
    np.testing.assert_allclose(found, true, rtol=1e-4, atol=2e-6)  # recall 1
    if name == "spread":
        assert index.again < 400  # most rows cost one rough product
    if name in ("close crowd", "edges", "opposite"):
        assert index.again > 0
    if name == "close crowd":
        assert index.directly > 0


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(1, 200),
    width=st.sampled_from([1.0, 0.05, 1e-3, 1e-6]),
    neighbors=st.integers(1, 12),
)
def test_no_neighbour_is_missed_in_any_crowd(seed, rows, width, neighbors):
    vectors = crowd(np.random.default_rng(seed), rows, width)
    found = neighbor_distances(TileIndex(vectors, "cpu"), np.arange(rows), Search(neighbors, 14))
    true = brute_force(vectors)[:, :neighbors]
    there = min(neighbors, rows - 1)
    np.testing.assert_allclose(found[:, :there], true[:, :there], rtol=1e-3, atol=2e-6)
    assert np.isnan(found[:, there:]).all()


@given(
    seed=st.integers(0, 2**32 - 1),
    columns=st.integers(1, 700),
    count=st.integers(1, 12),
    values=st.sampled_from([3, 1000]),
)
def test_the_largest_are_those_of_a_sort(seed, columns, count, values):
    """Of few values, so that many are equal, and of many."""
    products = torch.from_numpy(np.random.default_rng(seed).integers(0, values, (5, columns)))
    top, places = tiles.largest_of(products, count)
    expected = products.sort(dim=1, descending=True).values[:, :count]
    assert top.sort(dim=1, descending=True).values.tolist() == expected.tolist()
    assert products.gather(1, places).tolist() == top.tolist()
    assert all(len(set(row)) == len(row) for row in places.tolist())


def test_the_certificate_notices_a_neighbour_that_was_not_proposed():
    vectors = crowd(np.random.default_rng(0), 600, 1e-3)
    index = TileIndex(vectors, "cpu")
    asked = index.whole.vectors[:200]
    own = index.whole.vectors.new_tensor(np.arange(200)).long()
    rough = index._propose(index.rough, asked, own, 6, 32)
    true = brute_force(vectors)[:200, 5]
    missed = rough.squared[:, 5].sqrt().numpy() > true * 1.001 + 2e-6
    assert missed.any()
    assert not (missed & rough.certain.numpy()).any()


def test_vectors_that_are_not_in_the_pool_are_searched_as_on_a_cpu():
    random = np.random.default_rng(3)
    pool, queries = spread(random, 900), spread(random, 90)
    nobody = np.full(90, -1)
    search = Search(6, 32)
    here = asked_distances(ExactIndex(pool), queries, nobody, search)
    there = asked_distances(TileIndex(pool, "cpu"), queries, nobody, search)
    np.testing.assert_allclose(there, here, rtol=1e-5)


def test_copies_count_as_on_a_cpu():
    vectors = spread(np.random.default_rng(1), 60)
    search = Search(6, 32, np.random.default_rng(2).integers(0, 4, 60))
    rows = np.arange(60)
    here = neighbor_distances(build_index(vectors, exact=True), rows, search)
    there = neighbor_distances(TileIndex(vectors, "cpu"), rows, search)
    np.testing.assert_allclose(there, here, rtol=1e-5, atol=2e-6)


def test_a_pool_that_a_gpu_cannot_hold_is_refused_with_what_it_needs():
    tiles.refuse_without_room(1_000_000, 384, 8 * 2**30)
    with pytest.raises(UserError, match=r"10,000,000 vectors .* need 23\.5 GiB .* 20\.0 are free"):
        tiles.refuse_without_room(10_000_000, 384, 20 * 2**30)
