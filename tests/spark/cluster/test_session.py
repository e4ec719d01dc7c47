"""Whose session it is: ours to stop, or the platform's."""

import pytest
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


def test_a_local_session_has_room_for_the_code_that_spark_and_delta_compile(spark):
    """48 MB, which a JVM without C2 reserves by itself, are full after some hundred queries."""
    pools = spark._jvm.java.lang.management.ManagementFactory.getMemoryPoolMXBeans()
    rooms = [pool.getUsage().getMax() for pool in pools if pool.getName().startswith("Code")]
    assert sum(rooms) == pytest.approx(256 * 2**20, rel=0.01)
