"""The rows most like each target, of one task's part, against every cosine."""

import numpy as np
import pyarrow as pa
import pytest

from udfs.neighbors.targets import Space, _moments, _nearest
from udfs.on_spark.arrow import vector_lists


def batches(vectors: np.ndarray, ids: list[str], size: int):
    for start in range(0, len(ids), size):
        part = slice(start, start + size)
        yield pa.RecordBatch.from_pydict(
            {"example_id": ids[part], "vector": vector_lists(vectors[part])}
        )


@pytest.fixture(scope="module")
def pool() -> np.ndarray:
    random = np.random.default_rng(1)
    rows = random.normal(size=(300, 16)).astype(np.float32)
    rows[10:20] = rows[9]  # ties
    return rows


IDS = [f"{i:032x}" for i in range(300)]


@pytest.mark.parametrize("size", [7, 300])
@pytest.mark.parametrize("count", [1, 12, 500])
def test_a_part_keeps_what_may_be_among_the_nearest_of_all(pool, size, count):
    targets = pool[[9, 50, 51]] + 0.1
    run = _nearest(Space().unit(targets), count, Space())
    found = pa.Table.from_batches(list(run(batches(pool, IDS, size)))).to_pandas()
    for target in range(3):
        lengths = np.linalg.norm(pool, axis=1) * np.linalg.norm(targets[target])
        cosines = pool.astype(float) @ targets[target].astype(float) / lengths
        order = sorted(range(300), key=lambda i: (-round(cosines[i], 6), IDS[i]))[:count]
        mine = found[found.target == target].sort_values(
            ["similarity", "example_id"], ascending=[False, True]
        )
        assert mine.example_id.tolist()[:count] == [IDS[i] for i in order]
        assert mine.similarity.tolist()[:count] == pytest.approx(cosines[order], abs=1e-6)


def test_an_empty_part_has_nothing():
    run = _nearest(np.eye(3), 5, Space())
    assert sum(batch.num_rows for batch in run(iter([]))) == 0


def test_moments_of_parts_are_those_of_the_whole(pool):
    parts = [batch.to_pylist()[0] for batch in _moments(batches(pool, IDS, 70))]
    assert sum(part["n"] for part in parts) == 300
    sums = sum(np.frombuffer(part["sums"]) for part in parts)
    products = sum(np.frombuffer(part["products"]).reshape(16, 16) for part in parts)
    np.testing.assert_allclose(sums, pool.astype(float).sum(0))
    np.testing.assert_allclose(products, pool.astype(float).T @ pool.astype(float))
