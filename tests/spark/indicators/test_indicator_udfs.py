"""The public pandas UDFs: in SQL, in DataFrame code, non-deterministic, null where undefined."""

import os
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from instructmining.models.lists import ModelList, ModelSpec
from instructmining.settings.sections import Measure
from udfs.indicator import WINDOW_ROWS, indicator_udf, register, with_measurements
from udfs.indicators import resolve
from udfs.on_spark.audit import open_audit
from udfs.on_spark.placement import chunk_rows, in_model_workers

LONG = "one two three four five six seven eight nine ten one two three eleven twelve"
MTLD = ModelSpec(kind="mtld", indicators=("mtld",))


@pytest.fixture
def texts(spark: SparkSession):
    return spark.createDataFrame(
        [("q", LONG), ("q", "too short"), ("q", None)], "prompt STRING, response STRING"
    )


def test_registered_indicators_answer_in_sql(spark: SparkSession, texts) -> None:
    assert register(spark, ModelList(name="mine", mtld=MTLD)) == ["im_mtld"]
    texts.createOrReplaceTempView("texts")
    rows = spark.sql("SELECT response, im_mtld(prompt, response) AS mtld FROM texts").collect()
    values = {row.response: row.mtld for row in rows}
    assert values[LONG] > 10
    assert values["too short"] is None
    assert values[None] is None


def test_an_indicator_is_measured_once_per_row_even_when_filtered_on(
    spark: SparkSession, texts
) -> None:
    mtld = indicator_udf(resolve(MTLD), "mtld", Measure())
    scored = texts.withColumn("mtld", mtld("prompt", "response")).where(F.col("mtld") > 1)
    assert scored.count() == 1
    plan = scored._jdf.queryExecution().executedPlan().toString()
    assert plan.count("ArrowEvalPython") == 1


def test_rows_between_commits_are_one_window_on_a_cpu_and_what_is_set_where_it_is(
    spark: SparkSession,
) -> None:
    assert chunk_rows(spark, Measure(device="cpu")) == WINDOW_ROWS
    assert chunk_rows(spark, Measure(chunk_rows=7)) == 7


def workers(rows):
    """The Python workers that each task of a plan with two Python steps takes at a time."""

    def first(batches):
        for batch in batches:
            yield pa.RecordBatch.from_pydict({"one": [os.getpid()] * batch.num_rows})

    def second(batches):
        for batch in batches:
            yield batch.append_column("two", pa.array([os.getpid()] * batch.num_rows))

    found = rows.mapInArrow(first, "one LONG").mapInArrow(second, "one LONG, two LONG").collect()
    return {pid for row in found for pid in row}


def test_a_model_stays_in_its_workers_however_many_other_work_has_left(spark: SparkSession) -> None:
    """One process per slot holds it, chunk after chunk; on a GPU each more would take memory."""
    slots = int(spark.sparkContext.defaultParallelism)
    tables = workers(spark.range(0, 8, 1, slots))
    assert len(tables) > slots
    message = F.struct(F.lit("assistant").alias("role"), F.lit(LONG).alias("content"))
    rows = spark.range(0, 8, 1, slots).select(
        F.col("id").cast("string").alias("example_id"),
        F.lit(0).alias("bucket"),
        F.array(message).alias("messages"),
    )
    audit = open_audit(spark)
    for _ in range(4):
        assert with_measurements(rows, resolve(MTLD), Measure(), audit=audit).collect()
    processes = {window.process for window in audit.value}
    assert len(audit.value) == 4 * slots
    assert len(processes) <= slots
    assert not processes & tables


def test_workers_with_a_model_are_forked_with_their_libraries_and_others_are_not(
    spark: SparkSession,
) -> None:
    def libraries(batches):
        for batch in batches:
            there = pa.array(["torch" in sys.modules] * batch.num_rows)
            yield pa.RecordBatch.from_arrays([there], names=["there"])

    rows = spark.range(0, 2, 1, 1)
    forked = in_model_workers(rows, libraries, "there BOOLEAN").distinct().collect()
    assert [row.there for row in forked] == [not Path("/proc/driver/nvidia").exists()]
    plain = rows.mapInArrow(libraries, "there BOOLEAN").distinct().collect()
    assert [row.there for row in plain] == [False]
