"""Frames of a few rows hold what Spark's own way would, and start no Python worker."""

import pytest
from pyspark.sql import functions as F

from instructmining.spark.frames import empty_frame, small_frame
from instructmining.store.schemas import MEASURABLE

VALUES = "key STRING, place INT, values MAP<STRING, DOUBLE>, raw BINARY"
ROWS = [
    ("a", 1, {"reward": 0.5, "größe": -2.0}, b"\xff\x00"),
    ("ключ", None, {}, None),
    (None, 3, None, b""),
]


def plan_of(rows):
    return rows._jdf.queryExecution().executedPlan().toString()


def test_rows_are_those_that_spark_itself_would_make(spark):
    made, usual = small_frame(spark, ROWS, VALUES), spark.createDataFrame(ROWS, VALUES)
    assert made.collect() == usual.collect()
    assert made.schema.simpleString() == usual.schema.simpleString()
    assert "LocalTableScan" in plan_of(made)
    assert "ExistingRDD" in plan_of(usual)  # which workers have to read first


def test_rows_may_be_mappings_with_conversations_inside(spark):
    messages = [{"role": "user", "content": "こんにちは"}, {"role": "assistant", "content": None}]
    rows = [{"bucket": 7, "messages": messages, "example_id": "a"}]
    (row,) = small_frame(spark, rows, MEASURABLE).collect()
    assert row.asDict(recursive=True) == rows[0]


def test_a_row_with_too_few_values_is_refused(spark):
    with pytest.raises(ValueError, match="shorter"):
        small_frame(spark, [("a", 1)], VALUES)


def test_spark_knows_that_an_empty_frame_is_empty(spark):
    rows = empty_frame(spark, VALUES)
    assert rows.schema.simpleString() == spark.createDataFrame([], VALUES).schema.simpleString()
    joined = spark.range(3).withColumn("key", F.lit("a")).join(rows, "key", "left_semi")
    assert joined.collect() == []
    assert "LocalTableScan <empty>" in plan_of(joined)
