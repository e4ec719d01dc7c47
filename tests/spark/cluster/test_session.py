"""Whose session it is: ours to stop, or the platform's."""

from pyspark.sql import SparkSession

from instructmining.spark.session import get_session


def test_on_databricks_the_session_is_never_ours_even_where_no_thread_has_one(spark, monkeypatch):
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "18.0")
    monkeypatch.setattr(SparkSession, "getActiveSession", lambda: None)
    extensions = "spark.sql.extensions"
    before = spark.conf.get(extensions)
    found, ours = get_session({extensions: "another"})
    assert found.sparkContext is spark.sparkContext
    assert not ours
    assert found.conf.get(extensions) == before
