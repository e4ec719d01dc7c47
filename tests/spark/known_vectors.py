"""A store whose examples have vectors that a test has drawn, and pools of them."""

import numpy as np
from pyspark.sql import SparkSession

from instructmining.identity import bucket
from instructmining.store.tables import Store
from jobs.scoring.stages import Pool

_EMBEDDED = (
    "example_id STRING, bucket INT, fingerprint STRING, vector ARRAY<FLOAT>, tokens BIGINT"
    ", truncated_tokens BIGINT, status STRING, reason STRING, run_id STRING"
)


def drawn_vectors(rows: int, width: int) -> dict[str, np.ndarray]:
    """Unit vectors by ids that are spread over all buckets."""
    drawn = np.random.default_rng(3).normal(size=(rows, width)).astype(np.float32)
    unit = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return {f"{i * 9_973 % 4096:03x}{i:029x}": row for i, row in enumerate(unit)}


def store_with(
    spark: SparkSession, path: str, fingerprint: str, vectors: dict[str, np.ndarray]
) -> Store:
    """A store with these vectors of one encoder."""
    store = Store.open(spark, path)
    rows = [
        (key, bucket(key), fingerprint, row.tolist(), 1, 0, "ok", None, "r")
        for key, row in vectors.items()
    ]
    store.append(spark.createDataFrame(rows, _EMBEDDED), "embeddings", {})
    return store


def pool_of(store: Store, ids: list[str]) -> Pool:
    """The pool `p` of some examples."""
    rows = store.spark.createDataFrame([(key, 0) for key in ids], "example_id STRING, copies LONG")
    return Pool("p", rows, rows)


def sixth(key: str, among: list[str], vectors: dict[str, np.ndarray]) -> float:
    """The distance to the sixth neighbour by NumPy in float64."""
    others = np.array([vectors[each] for each in among if each != key], np.float64)
    return float(np.sort(np.linalg.norm(others - vectors[key], axis=1))[5])
