"""`select --target`: what is chosen is what brute force on all vectors chooses."""

import json
from pathlib import Path

import numpy as np
import pytest
import tiny_models
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from instructmining.packaged import conf_folder
from instructmining.settings.loading import load_settings
from instructmining.store.tables import Store
from jobs.scoring.run import run as score
from jobs.selecting.run import run as select

pytestmark = pytest.mark.slow

TARGETS = [
    {"instruction": "Name a river in France.", "output": "The Seine."},
    {"instruction": "Write a short poem about the sea.", "output": "Blue, blue, blue, and deep."},
    {"instruction": "天空是什么颜色?", "output": "蓝色的。"},
]


def settings(folder: Path, **options: object):
    base = {
        "store": str(folder / "store"),
        "models": str(folder / "list.yml"),
        "measure": {"dtype": "float32"},
        "tracking": {"uri": "none"},
    }
    return load_settings(options=base | options)


def chosen(spark: SparkSession, folder: Path, **options: object) -> list[tuple[str, float]]:
    wanted = {
        "strategy": "target",
        "target": str(folder / "target.jsonl"),
        "top": 25,
        "floor": "off",
    }
    picked = select(spark, settings(folder, select=wanted | options)).picked
    return [(row.example_id, row.score) for row in picked.orderBy("rank").collect()]


def assert_in_turn(found, vectors, ids, targets, tolerance):
    """Each target in turn took the nearest row that was left, up to rounding.

    A model's float32 numbers depend on the batch that a row was in, so rows nearly alike may change
    places.
    """
    cosines = unit(targets) @ unit(vectors).T
    number = {name: row for row, name in enumerate(ids)}
    left = np.full(len(ids), True)
    for turn, (name, similarity) in enumerate(found):
        row = cosines[turn % len(targets)]
        assert left[number[name]]
        assert row[number[name]] >= row[left].max() - tolerance
        assert similarity == pytest.approx(row[number[name]], abs=tolerance)
        left[number[name]] = False


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_targets_take_turns_and_vectors_are_measured_once(spark: SparkSession, tmp_path: Path):
    model = tiny_models.llama(tmp_path / "model")
    (tmp_path / "list.yml").write_text(
        f"name: tiny\nperplexity: {{kind: causal_lm, source: '{model}', max_length: 96, "
        "indicators: [nll]}\n"
    )
    (tmp_path / "target.jsonl").write_text("\n".join(map(json.dumps, TARGETS)))
    data = (str(conf_folder() / "sample"), str(tmp_path / "target.jsonl"))
    score(spark, settings(tmp_path, input=data, stages=("ingest",)))
    found = chosen(spark, tmp_path)

    store = Store.open(spark, str(tmp_path / "store"))
    embedded = store.read("embeddings").where(F.col("vector").isNotNull()).toPandas()
    own = store.read("examples").where(F.col("prompt").isin(*(t["instruction"] for t in TARGETS)))
    own = {row.example_id for row in own.collect()}
    assert len(own) == 3  # they are in the pool too, and may not be chosen
    assert not own & set(embedded.example_id)
    embedded = embedded.sort_values("example_id")
    vectors = np.stack(embedded.vector).astype(float)
    ids = embedded.example_id.tolist()
    assert len(ids) == embedded.example_id.nunique() > 100
    targets = target_vectors(tmp_path)
    assert len(found) == 25
    assert_in_turn(found, vectors, ids, targets, 1e-6)

    mean = vectors.mean(0)
    covariance = np.cov(vectors.T, bias=True)
    variances, directions = np.linalg.eigh(covariance)
    least = np.maximum(variances, 1e-3 * variances.mean())
    matrix = directions @ np.diag(least**-0.5) @ directions.T
    whitened = chosen(spark, tmp_path, whiten=True, top=9)
    assert len(whitened) == 9
    assert_in_turn(whitened, (vectors - mean) @ matrix, ids, (targets - mean) @ matrix, 1e-4)
    assert store.read("embeddings").count() == len(ids)  # nothing was measured again


def target_vectors(folder: Path) -> np.ndarray:
    from instructmining.models.lists import ModelSpec
    from udfs.indicators import resolve
    from udfs.running.scorers import load_scorer

    spec = ModelSpec(
        kind="representation",
        source=str(folder / "model"),
        max_length=96,
        indicators=("target_similarity",),
    )
    talks = [
        [
            {"role": "user", "content": each["instruction"]},
            {"role": "assistant", "content": each["output"]},
        ]
        for each in TARGETS
    ]
    scorer = load_scorer(resolve(spec), "cpu", "float32")
    ids = json_ids(talks)
    vectors = scorer.measure(talks).vectors.astype(float)
    return vectors[np.argsort(ids)]


def json_ids(talks) -> list[str]:
    from instructmining.identity import example_id

    return [example_id(talk) for talk in talks]
