"""One local session with Delta for all Spark tests; a store and an MLflow store of their own."""

import os
from collections.abc import Iterator
from pathlib import Path

import installed
import pytest
from pyspark.sql import SparkSession
from sample_store import SampleStore, score_sample

from bench.harness import distribution


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    os.environ.setdefault("SPARK_MASTER", "local[2]")
    from instructmining.spark.session import get_session

    session, ours = get_session(little_data=True)
    yield session
    if ours:
        session.stop()


@pytest.fixture
def store_path(tmp_path: Path) -> str:
    return str(tmp_path / "store")


@pytest.fixture(scope="session")
def sample_store(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> SampleStore:
    """The sample that ships, scored once; tests only read it."""
    return score_sample(spark, tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The built wheel, and the same bytes as a zip."""
    return distribution.build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="session")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with all libraries, in which the project is not installed."""
    return installed.bare_python(tmp_path_factory.mktemp("bare") / "venv")
