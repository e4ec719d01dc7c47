"""A pool with a planted winner, for what evaluates."""

from pathlib import Path

import planted_pool
import pytest
from pyspark.sql import SparkSession


@pytest.fixture(scope="module")
def folder(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of `planted_pool.make`."""
    folder = tmp_path_factory.mktemp("evaluate")
    planted_pool.make(spark, folder)
    return folder
