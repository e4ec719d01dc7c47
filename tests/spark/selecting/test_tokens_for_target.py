"""`select --target --tokens`: the turns of `--top`, as far as the tokens last."""

import numpy as np
import pytest
from pyspark.sql import SparkSession

from instructmining.settings.learning import Select
from jobs.selecting.for_target import Aim, choose_for_target

ROWS = 700
LENGTHS = [7 + number % 13 for number in range(ROWS)]


class OneSession:
    """What `choose_for_target` asks a store for."""

    def __init__(self, spark: SparkSession):
        self.spark = spark


@pytest.fixture(scope="module")
def aim(spark: SparkSession) -> Aim:
    made = np.random.default_rng(5).normal(size=(ROWS, 8)).astype(np.float32)
    rows = [
        (f"{number:04d}", vector.tolist(), 2, LENGTHS[number] - 2, 0.5)
        for number, vector in enumerate(made)
    ]
    schema = (
        "example_id STRING, vector ARRAY<FLOAT>, input_length INT, output_length INT, "
        "target_similarity DOUBLE"
    )
    frame = spark.createDataFrame(rows, schema)
    return Aim(frame.drop("vector"), made[:3] + 0.1, frame.select("example_id", "vector"))


def chosen(spark: SparkSession, aim: Aim, **size: int) -> list[str]:
    select = Select(strategy="target", target="wanted.jsonl", floor="off", **size)
    picked = choose_for_target(OneSession(spark), aim, select).picked
    return [row.example_id for row in picked.orderBy("rank").collect()]


@pytest.mark.parametrize("budget", [60, 2_000, 6_000])
def test_rows_are_taken_until_the_next_would_exceed_the_tokens(spark, aim, budget):
    found = chosen(spark, aim, tokens=budget)
    everything = chosen(spark, aim, top=ROWS)
    assert found == everything[: len(found)]
    spent = sum(LENGTHS[int(name)] for name in found)
    following = LENGTHS[int(everything[len(found)])]
    assert spent <= budget < spent + following


def test_more_tokens_than_the_pool_has_take_the_whole_pool(spark, aim):
    assert len(chosen(spark, aim, tokens=10**6)) == ROWS
