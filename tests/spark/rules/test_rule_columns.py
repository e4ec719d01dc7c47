"""The rule as Spark columns and as SQL, against the same arithmetic in pandas and NumPy."""

import io
import math
from contextlib import contextmanager, redirect_stdout

import duckdb
import numpy as np
import pandas as pd
import pytest
from pyspark.sql import functions as F
from pyspark.sql import types as T

from instructmining.models.lists import ModelList
from instructmining.rules.hinge import Hinge
from instructmining.rules.rule import LinearRule, read_rule
from instructmining.scoring.scores import (
    Measured,
    percentile_column,
    with_indicators,
    with_rule,
)
from instructmining.settings.sections import Knn
from instructmining.store.schemas import TABLES
from instructmining.store.tables import Store

COVARIANCE = np.array([[0.04, 0.01, 0.0], [0.01, 0.09, -0.02], [0.0, -0.02, 0.16]])


@pytest.fixture(scope="module")
def fitted():
    return LinearRule(
        name="fitted",
        intercept=-0.1234567890123456789,
        coefficients={'odd `name"': 1 / 3, "knn_6": -2e-17},
        covariance=COVARIANCE.tolist(),
        ranges={"knn_6": (0.0, 1.0), 'odd `name"': (-1.0, 1.0)},
    )


def frame(spark, names, rows):
    return spark.createDataFrame(
        rows, T.StructType([T.StructField(name, T.DoubleType()) for name in names])
    )


@pytest.fixture(scope="module")
def indicators():
    random = np.random.default_rng(7)
    return pd.DataFrame(
        {
            "reward": random.normal(0, 3, 500),
            "output_length": random.integers(1, 2000, 500).astype(float),
            "knn_6": random.uniform(0, 1.4, 500),
            "understandability": random.uniform(0, 1, 500),
            "naturalness": random.uniform(0, 1, 500),
            "coherence": random.uniform(0, 1, 500),
        }
    )


@pytest.mark.parametrize("name", ["paper-v1", "paper-v2"])
def test_prediction_and_contributions_equal_pandas(spark, indicators, name):
    rule = read_rule(name)
    scored = (
        frame(spark, indicators.columns, indicators.values.tolist())
        .select(
            *indicators.columns,
            rule.predicted_log_loss().alias("prediction"),
            *(column.alias(key) for key, column in rule.contributions().items()),
        )
        .toPandas()
    )
    coefficients = pd.Series(rule.coefficients)
    products = indicators[coefficients.index] * coefficients
    np.testing.assert_allclose(
        scored["prediction"], rule.intercept + products.sum(axis=1), rtol=1e-12, atol=1e-14
    )
    for indicator in coefficients.index:
        np.testing.assert_array_equal(scored[f"contribution_{indicator}"], products[indicator])


def test_the_first_paper_rule_by_hand(spark):
    row = frame(spark, ["reward", "output_length", "knn_6"], [(2.0, 100.0, 0.8)])
    [[value]] = row.select(read_rule("paper-v1").predicted_log_loss()).collect()
    assert value == pytest.approx(1.0694 - 0.2996 + 0.008257 - 0.748, rel=1e-12)


def test_integer_columns_count_as_numbers(spark):
    row = spark.sql("SELECT 2 AS reward, 100L AS output_length, 0.8D AS knn_6")
    [[value]] = row.select(read_rule("paper-v1").predicted_log_loss()).collect()
    assert value == pytest.approx(0.030057, rel=1e-9)


@pytest.mark.parametrize("missing", [None, math.nan])
def test_a_missing_indicator_makes_its_contribution_prediction_and_error_null(
    spark, fitted, missing
):
    contributions = fitted.contributions()
    [row] = (
        frame(spark, fitted.coefficients, [(missing, 2.0)])
        .select(
            fitted.predicted_log_loss().alias("prediction"),
            fitted.predicted_log_loss_se().alias("error"),
            fitted.out_of_range().alias("outside"),
            contributions['contribution_odd `name"'].alias("missing"),
            contributions["contribution_knn_6"].alias("present"),
        )
        .collect()
    )
    assert row.prediction is None
    assert row.error is None
    assert row.missing is None
    assert row.present == pytest.approx(-4e-17, rel=1e-12)
    assert row.outside == ["knn_6"]


def test_the_standard_error_equals_the_quadratic_form(spark, fitted):
    rows = np.random.default_rng(3).normal(size=(50, 2))
    [*errors] = (
        frame(spark, fitted.coefficients, rows.tolist())
        .select(fitted.predicted_log_loss_se())
        .collect()
    )
    design = np.column_stack([np.ones(50), rows])
    expected = np.sqrt(np.einsum("ij,jk,ik->i", design, COVARIANCE, design))
    np.testing.assert_allclose([e[0] for e in errors], expected, rtol=1e-12)


def test_a_rule_without_covariance_has_no_standard_error():
    assert read_rule("paper-v1").predicted_log_loss_se() is None


def test_out_of_range_names_every_indicator_outside_and_counts_the_ends_as_inside(spark, fitted):
    rows = [(0.0, 0.5), (-1.0, 1.0), (-1.1, 1.0), (9.0, -0.1), (None, None)]
    outside = frame(spark, fitted.coefficients, rows).select(fitted.out_of_range())
    assert [row[0] for row in outside.collect()] == [
        [],
        [],
        ['odd `name"'],
        ["knn_6", 'odd `name"'],
        [],
    ]
    no_ranges = frame(spark, ["reward"], [(1.0,)]).select(read_rule("paper-v2").out_of_range())
    assert no_ranges.collect() == [([],)]


@contextmanager
def compiled(spark):
    """Queries as they run on much data: a session for few rows compiles none."""
    settings = {
        "spark.sql.codegen.wholeStage": "true",
        "spark.sql.codegen.factoryMode": "FALLBACK",
    }
    before = {key: spark.conf.get(key) for key in settings}
    for key, value in settings.items():
        spark.conf.set(key, value)
    yield
    for key, value in before.items():
        spark.conf.set(key, value)


def test_the_plan_holds_no_python_node_and_is_compiled(spark, indicators, fitted):
    def plan(frame):
        with redirect_stdout(io.StringIO()) as text:
            frame.explain("extended")
        return text.getvalue()

    rule = read_rule("paper-v1")
    source = spark.range(3).select(
        F.col("id").alias("reward"), F.rand().alias("output_length"), F.rand().alias("knn_6")
    )
    scored = source.select(
        rule.predicted_log_loss().alias("p"),
        rule.out_of_range().alias("o"),
        *rule.contributions().values(),
    )
    control = source.select(F.pandas_udf(lambda v: v * 2.0, "double")("knn_6"))
    assert "Python" in plan(control)
    assert "Python" not in plan(scored)
    with compiled(spark), redirect_stdout(io.StringIO()) as code:
        scored.select("p").explain("codegen")
    assert "Found 1 WholeStageCodegen subtrees" in code.getvalue()


def test_the_exported_sql_gives_the_same_bits_in_spark_and_duckdb(spark, fitted):
    rows = [(0.1, 0.7), (-5.25, 1e-9), (None, 1.0), (1.0, math.nan), (1e9, 3.0)]
    names = list(fitted.coefficients)
    table = frame(spark, names, rows)
    column = [r[0] for r in table.select(fitted.predicted_log_loss()).collect()]
    table.createOrReplaceTempView("indicators")
    in_spark = [
        r[0] for r in spark.sql(f"SELECT {fitted.to_sql('spark')} FROM indicators").collect()
    ]
    with duckdb.connect() as database:
        columns = ", ".join('"' + name.replace('"', '""') + '" DOUBLE' for name in names)
        database.execute(f"CREATE TABLE indicators ({columns})")
        database.executemany("INSERT INTO indicators VALUES (?, ?)", rows)
        found = database.execute(f"SELECT {fitted.to_sql('duckdb')} FROM indicators").fetchall()
    assert column == in_spark == [row[0] for row in found]
    assert [value is None for value in column] == [False, False, True, True, False]


@pytest.fixture(scope="module")
def banded():
    hinges = [Hinge(indicator="ppl", above=120.0), Hinge(indicator="reward", below=-1.5)]
    return LinearRule(
        name="banded",
        intercept=1.5,
        coefficients={"ppl": -0.001, hinges[0].name: 0.003, hinges[1].name: 0.25},
        hinges={hinge.name: hinge for hinge in hinges},
        covariance=np.diag([0.01, 0.0, 1e-6, 0.04]).tolist(),
        ranges={"ppl": (5.0, 150.0)},
    )


def test_a_rule_with_hinges_gives_the_same_bits_as_columns_in_duckdb_and_in_python(spark, banded):
    rows = [(100.0, 0.0), (120.0, -1.5), (220.0, -3.5), (None, -2.0), (130.0, math.nan)]
    table = frame(spark, ["ppl", "reward"], rows)
    parts = banded.contributions()
    scored = table.select(
        banded.predicted_log_loss().alias("prediction"),
        banded.predicted_log_loss_se().alias("error"),
        banded.out_of_range().alias("outside"),
        *(column.alias(name) for name, column in parts.items()),
    ).collect()
    with duckdb.connect() as database:
        database.execute("CREATE TABLE indicators (ppl DOUBLE, reward DOUBLE)")
        database.executemany("INSERT INTO indicators VALUES (?, ?)", rows)
        found = database.execute(f"SELECT {banded.to_sql('duckdb')} FROM indicators").fetchall()
    in_python = [banded.prediction_of({"ppl": ppl, "reward": reward}) for ppl, reward in rows]
    assert [row.prediction for row in scored] == [row[0] for row in found] == in_python
    assert in_python[:3] == pytest.approx([1.4, 1.38, 2.08], rel=1e-12)
    assert in_python[3:] == [None, None]
    assert [row.outside for row in scored] == [[], [], ["ppl"], [], []]
    third = scored[2]
    assert third.error == pytest.approx((0.01 + 1e-6 * 100**2 + 0.04 * 2**2) ** 0.5, rel=1e-12)
    assert third.contribution_ppl_above_120 == pytest.approx(0.3, rel=1e-12)
    assert scored[3].contribution_ppl_above_120 is None
    assert scored[4].contribution_reward_below_minus_1_5 is None
    assert scored[3].error is None


def test_scores_ask_for_the_indicators_of_hinges_and_name_those_that_are_missing(spark, banded):
    models = ModelList(name="one", mtld={"kind": "mtld", "indicators": ["ppl"]})
    measured = Measured(models, {"mtld": "f"}, Knn())
    rows = spark.createDataFrame([(130.0, None), (None, None)], "ppl DOUBLE, reason_mtld STRING")
    scored = with_rule(rows, banded, measured).collect()
    assert [row.predicted_log_loss for row in scored] == [None, None]
    assert [row.missing_reason for row in scored] == [
        "reward: not measured",
        "ppl: not measured; reward: not measured",
    ]
    assert "ppl_above_120" not in scored[0].asDict()


def test_the_rounding_of_batched_floats_moves_no_percentile(spark):
    """Four equal predictions, as two runs measure them, with a cut point in their midst."""
    losses = [0.1, 0.3, 0.3 + 4e-8, 0.3 - 4e-8, 0.3, 0.5, None]
    rows = frame(spark, ["predicted_log_loss"], [(loss,) for loss in losses])
    for cut in (0.3, 0.3 + 4e-8, 0.3 - 4e-8):
        found = rows.select(percentile_column([0.2, cut, 0.4]).alias("p")).collect()
        assert [row.p for row in found] == [0.0, 25.0, 25.0, 25.0, 25.0, 75.0, None]


def test_an_indicator_is_read_from_its_own_model_s_rows_whatever_else_was_stored(spark, store_path):
    """Values of its name by other models, those of the same list included, are not looked at."""
    python = {"kind": "python", "function": "m:f"}
    models = ModelList(
        name="two",
        mtld={"kind": "mtld", "indicators": ["mtld"]},
        classifiers={"words": {**python, "indicators": ["words"]}},
    )
    measured = Measured(models, {"mtld": "right", "words": "other"}, Knn())
    rows = [
        ("a", "mtld", "right", {"mtld": 41.5}, None),
        ("a", "words", "other", {"mtld": 99.0, "words": 3.0}, None),
        ("a", "mtld", "of an earlier list", {"mtld": 77.0}, None),
        ("b", "mtld", "right", {}, "fewer than 10 words"),
        ("b", "words", "other", {"mtld": 0.0, "words": 2.0}, None),
        ("b", "mtld", "of an earlier list", {}, "another reason"),
        # As measured before the classifier was given another name, and once more after a failure.
        ("c", "length", "other", {}, "failed: ValueError: damaged"),
        ("c", "length", "other", {"words": 7.0}, None),
    ]
    stored = [
        (row, 0, stage, print_, values, 5, 0, "failed" if reason else "ok", reason, "run")
        for row, stage, print_, values, reason in rows
    ]
    store = Store.open(spark, store_path)
    rows_stored = spark.createDataFrame(stored, TABLES["stage_values"].given.ddl)
    store.append(rows_stored, "stage_values", {})
    for name in ("embeddings", "pool_knn"):
        store.create(name)
    members = spark.createDataFrame([("a",), ("b",), ("c",), ("d",)], "example_id STRING")
    wide = with_indicators(store, members, "pool", measured, [6])
    found = {
        row.example_id: (row.mtld, row.words, row.reason_mtld, row.reason_words)
        for row in wide.collect()
    }
    assert found == {
        "a": (41.5, 3.0, None, None),
        "b": (None, 2.0, "fewer than 10 words", None),
        "c": (None, 7.0, None, "failed: ValueError: damaged"),
        "d": (None, None, None, None),
    }
