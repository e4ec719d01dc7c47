"""Greedy choices against naive loops over all pairs, one row at a time."""

import numpy as np
import pytest

from instructmining.selecting.diversity import Room, apart, facility_location
from instructmining.settings.learning import Select
from jobs.selecting.diverse import _too_few
from udfs.neighbors.facility_location import near_rows


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    """3,000 unit vectors about 300 centres: several blocks, and many that are close."""
    random = np.random.default_rng(5)
    centres = random.normal(size=(300, 16))
    rows = centres[random.integers(0, 300, 3000)] + 0.35 * random.normal(size=(3000, 16))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def naive_apart(
    vectors: np.ndarray, similarity: float, size: int, among_all: bool = False
) -> list[int]:
    taken: list[int] = []
    for row in range(len(vectors)):
        others = range(row) if among_all else taken
        if all(float(vectors[row] @ vectors[other]) <= similarity for other in others):
            taken.append(row)
        if len(taken) == size:
            break
    return taken


@pytest.mark.parametrize("among_all", [False, True])
def test_the_filter_takes_what_a_loop_over_all_pairs_takes(
    vectors: np.ndarray, among_all: bool
) -> None:
    found = apart(vectors, 0.8, Room(), among_all)
    assert found == naive_apart(vectors, 0.8, len(vectors), among_all)
    assert 50 < len(found) < 2900  # the filter had something to do, in every block


def test_a_size_ends_the_filter_within_a_block_and_beyond_one(vectors: np.ndarray) -> None:
    for size in (1, 7, 400):
        assert apart(vectors, 0.8, Room(size)) == naive_apart(vectors, 0.8, size)


def test_of_a_chain_the_two_filters_keep_different_rows() -> None:
    angles = np.radians([0, 20, 40])  # neighbours have cosine 0.94, the ends 0.77
    chain = np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)
    assert apart(chain, 0.9, Room()) == [0, 2]
    assert apart(chain, 0.9, Room(), among_all=True) == [0]


def test_exact_copies_are_taken_once_and_a_limit_of_one_still_tells_them(
    vectors: np.ndarray,
) -> None:
    twice = np.repeat(vectors[:50], 2, axis=0)
    assert not {1, 3, 5} & set(apart(twice, 0.999, Room()))


def test_no_row_gives_an_empty_choice() -> None:
    assert apart(np.empty((0, 4), np.float32), 0.9, Room(5)) == []


def test_tokens_end_the_choice_at_the_first_row_that_exceeds_them(vectors: np.ndarray) -> None:
    costs = np.arange(1, len(vectors) + 1)
    found = apart(vectors, 1.0, Room(tokens=12, costs=costs))
    assert found == [0, 1, 2, 3]  # 1 + 2 + 3 + 4, and 5 more would be 15


def test_groups_give_no_more_than_they_have(vectors: np.ndarray) -> None:
    codes = np.arange(len(vectors)) % 3 - 1  # -1: no group
    room = Room(size=100, groups=[(codes, np.array([10, 0]))])
    found = apart(vectors, 1.0, room)
    assert np.bincount(codes[found] + 1, minlength=3).tolist() == [90, 10, 0]


def naive_facility(similar: np.ndarray, weights: np.ndarray, size: int) -> list[int]:
    """Σᵢ maxⱼ wⱼ·sᵢⱼ, each gain again in every step."""
    covered = np.zeros(len(similar))
    taken = []
    worth = similar * weights  # row i, stood for by column j
    for _ in range(size):
        gains = np.maximum(worth - covered[:, None], 0).sum(axis=0)
        gains[taken] = -1
        best = int(np.argmax(gains))
        taken.append(best)
        covered = np.maximum(covered, worth[:, best])
    return taken


def test_lazy_facility_location_takes_what_the_plain_greedy_takes(vectors: np.ndarray) -> None:
    few = np.ascontiguousarray(vectors[:400])
    near = near_rows(few, neighbors=20)
    similar = np.zeros((400, 400))
    for row in range(400):
        mine = slice(near.starts[row], near.starts[row + 1])
        similar[near.rows[mine], row] = near.cosines[mine]
    weights = 1 - np.arange(400) / 400
    found = facility_location(near.starts, near.rows, near.cosines, weights, Room(60))
    assert found == naive_facility(similar, weights, 60)
    assert found != list(range(60))


def test_near_rows_are_the_nearest_by_cosine_in_both_directions(vectors: np.ndarray) -> None:
    few = np.ascontiguousarray(vectors[:300])
    near = near_rows(few, neighbors=5)
    cosines = few.astype(np.float64) @ few.T.astype(np.float64)
    np.fill_diagonal(cosines, -2)
    best = np.argsort(-cosines, axis=1)[:, :5]
    wanted = {(int(i), int(j)) for i in range(300) for j in best[i] if cosines[i, j] > 0}
    wanted |= {(j, i) for i, j in wanted} | {(i, i) for i in range(300)}
    owners = np.repeat(np.arange(300), np.diff(near.starts))
    assert {*zip(owners.tolist(), near.rows.tolist(), strict=True)} == wanted
    np.fill_diagonal(cosines, 1)
    np.testing.assert_allclose(near.cosines, cosines[owners, near.rows], atol=1e-5)


def test_facility_location_respects_groups_and_a_pool_smaller_than_the_size() -> None:
    few = np.eye(4, dtype=np.float32)
    near = near_rows(few, neighbors=2)
    weights = np.array([1.0, 0.75, 0.5, 0.25])
    room = Room(size=9, groups=[(np.array([0, 0, 1, 1]), np.array([1, 5]))])
    assert facility_location(near.starts, near.rows, near.cosines, weights, room) == [0, 2, 3]


@pytest.mark.parametrize(
    ("diversity", "remedy"), [("facility", "the quotas"), ("cosine", "select.similarity")]
)
def test_the_remedy_for_too_few_is_one_that_the_choice_obeys(diversity: str, remedy: str) -> None:
    said = _too_few(Select(diversity=diversity), 1200, 1500)
    assert said.startswith("only 1,200 of 1,500 are ")
    assert said.endswith(f"raise select.candidates or {remedy}")
