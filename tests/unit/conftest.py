"""What several unit tests share."""

import pytest

from instructmining.settings.sections import Tracking


@pytest.fixture(scope="session")
def mlflow_store(tmp_path_factory):
    """A real SQLite MLflow store, one per session: making its tables costs seconds."""
    folder = tmp_path_factory.mktemp("mlflow") / "made on demand"
    return Tracking(uri=f"sqlite:///{folder}/mlflow.db")
