"""A rule with hinges as MLflow serves it, which imports nothing of the package."""

from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from instructmining.rules.hinge import Hinge
from instructmining.rules.mlflow_model import save_rule
from instructmining.rules.rule import LinearRule


def test_a_served_rule_bends_where_its_hinges_begin(tmp_path: Path):
    hinges = [Hinge(indicator="knn_6", above=1.0), Hinge(indicator="knn_6", below=0.5)]
    rule = LinearRule(
        name="banded",
        intercept=1.0,
        coefficients={"reward": -0.25, hinges[0].name: 2.0, hinges[1].name: 4.0},
        hinges={hinge.name: hinge for hinge in hinges},
        covariance=np.diag([0.01, 0.0, 0.04, 0.0]).tolist(),
    )
    save_rule(rule, tmp_path / "rule.json", tmp_path / "model")
    assert LinearRule.from_json((tmp_path / "rule.json").read_text()) == rule
    served = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    table = pd.DataFrame({"reward": [0.0] * 4, "knn_6": [0.75, 1.25, 0.25, np.nan]})
    predicted = served.predict(table)
    losses, errors = [1.0, 1.5, 2.0, np.nan], [0.1, 0.0125**0.5, 0.1, np.nan]
    assert predicted["predicted_log_loss"].tolist() == pytest.approx(losses, nan_ok=True)
    assert predicted["predicted_log_loss_se"].tolist() == pytest.approx(errors, nan_ok=True)
    assert predicted["contribution_knn_6_below_0_5"].tolist()[:3] == [0.0, 0.0, 1.0]
    assert served.metadata.get_input_schema().input_names() == ["reward", "knn_6"]
