"""The public pandas UDFs: in SQL, in DataFrame code, non-deterministic, null where undefined."""

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from instructmining.models import ModelList, ModelSpec, resolve
from instructmining.settings import Measure
from udfs.indicator import WINDOW_ROWS, indicator_udf, register
from udfs.placement import chunk_rows

LONG = "one two three four five six seven eight nine ten one two three eleven twelve"
MTLD = ModelSpec(kind="mtld", indicators=("mtld",))


@pytest.fixture
def texts(spark: SparkSession):
    return spark.createDataFrame([("q", LONG), ("q", "too short"), ("q", None)],
                                 "prompt STRING, response STRING")  # fmt: skip


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
