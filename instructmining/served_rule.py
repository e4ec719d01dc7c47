"""The rule as an MLflow model: MLflow copies this file beside rule.json and runs it as it is.

It imports nothing of the package, so serving a rule needs only MLflow and pandas.
"""

import json
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd


class ServedRule(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Indicators in, predicted log loss out (lower is better); NaN where one is missing."""

    def load_context(self, context: Any) -> None:
        """Read the artifact; MLflow calls it once, by keyword."""
        rule = json.loads(Path(context.artifacts["rule"]).read_text(encoding="utf-8"))
        self.intercept, self.coefficients = rule["intercept"], rule["coefficients"]

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """One row per example: `predicted_log_loss` and `contribution_<indicator>`."""
        contributions = {
            f"contribution_{name}": factor * model_input[name].astype("float64")
            for name, factor in self.coefficients.items()
        }
        predicted = sum(contributions.values(), start=self.intercept)
        return pd.DataFrame({"predicted_log_loss": predicted, **contributions})


mlflow.models.set_model(ServedRule())
