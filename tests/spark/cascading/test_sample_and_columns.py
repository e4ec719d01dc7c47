"""The sample of a cascade, predictions as a column, and where they stand in for measurements."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from instructmining.cascading.filled import with_predictions
from instructmining.cascading.predictor import Inputs
from instructmining.cascading.ridge import fit_ridge
from instructmining.cascading.sample import in_sample
from instructmining.store.tables import Store


def test_a_larger_share_holds_the_smaller_one_whatever_else_is_in_the_pool(
    spark: SparkSession,
) -> None:
    ids = [hashlib.sha256(str(i).encode()).hexdigest()[:32] for i in range(4000)]
    rows = spark.createDataFrame([(i,) for i in ids], "example_id STRING")
    marked = rows.select(
        "example_id",
        in_sample(0.05, 0).alias("small"),
        in_sample(0.2, 0).alias("large"),
        in_sample(0.05, 1).alias("other"),
    ).toPandas()
    assert marked["small"].mean() == pytest.approx(0.05, abs=0.015)
    assert marked["large"].mean() == pytest.approx(0.2, abs=0.025)
    assert not (marked["small"] & ~marked["large"]).any()
    assert (marked["small"] & marked["other"]).sum() < marked["small"].sum() / 3
    fewer = rows.where(F.col("example_id") < "8").where(in_sample(0.05, 0))
    small = set(marked["example_id"][marked["small"]])
    assert {row.example_id for row in fewer.collect()} == {i for i in small if i < "8"}


def test_the_column_predicts_what_the_matrix_does(spark: SparkSession) -> None:
    generator = np.random.default_rng(3)
    vectors = generator.normal(size=(60, 8)).astype(np.float32)
    numbers = generator.normal(size=(60, 2))
    numbers[::5, 0] = np.nan
    y = vectors[:, 0] + np.nan_to_num(numbers[:, 0], nan=2.0) + numbers[:, 1]
    names = ["with gaps", "full"]
    inputs = Inputs.of(names, numbers[:50])
    ridge = fit_ridge(inputs.matrix(vectors[:50], names, numbers[:50]), y[:50])
    rows = [
        (i, vector.tolist(), None if np.isnan(a) else float(a), float(b))
        for i, (vector, (a, b)) in enumerate(zip(vectors, numbers, strict=True))
    ]
    rows.append((60, None, 1.0, 1.0))
    frame = spark.createDataFrame(
        rows, "i INT, vector ARRAY<FLOAT>, `with gaps` DOUBLE, full DOUBLE"
    )
    found = frame.select("i", inputs.predicted(ridge, "vector").alias("p")).orderBy("i").collect()
    expected = ridge.predict(inputs.matrix(vectors, names, numbers))
    assert [row.p for row in found[:60]] == pytest.approx(expected.tolist())
    assert expected[50:] == pytest.approx(y[50:], abs=0.5)
    assert found[60].p is None


def test_only_predictions_of_this_cascade_fill_only_what_was_not_measured(
    spark: SparkSession, tmp_path: Path
) -> None:
    store = Store.open(spark, f"{tmp_path}/store")
    made = [("a", "now", 1.0), ("b", "now", 2.0), ("b", "before", 9.0), ("c", "before", 9.0)]
    rows = [
        ("p", i, "reward", "reward", print_, value, value, value, "r") for i, print_, value in made
    ]
    predictions = spark.createDataFrame(rows, store.read("predictions").schema)
    store.append(predictions, "predictions", {})
    indicators = spark.createDataFrame(
        [("a", 7.0), ("b", None), ("c", None)], "example_id STRING, reward DOUBLE"
    )

    def filled(cascades: dict[str, str]) -> dict[str, tuple[float | None, list[str] | None]]:
        found = with_predictions(store, indicators, "p", cascades, ["reward"]).collect()
        return {row.example_id: (row.reward, row.predicted_indicators) for row in found}

    assert filled({"reward": "now"}) == {
        "a": (7.0, None),
        "b": (2.0, ["reward"]),
        "c": (None, None),
    }
    assert filled({}) == {"a": (7.0, None), "b": (None, None), "c": (None, None)}
