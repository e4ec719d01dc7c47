"""The rule as an MLflow model: MLflow copies this file beside rule.json and runs it as it is.

It imports nothing of the package, so serving a rule needs only MLflow, NumPy and pandas.
"""

import json
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd


class ServedRule(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Indicators in, predicted log loss out (lower is better); NaN where one is missing."""

    def load_context(self, context: Any) -> None:
        """Read the artifact; MLflow calls it once, by keyword."""
        rule = json.loads(Path(context.artifacts["rule"]).read_text(encoding="utf-8"))
        self.intercept, self.coefficients = rule["intercept"], rule["coefficients"]
        self.covariance = rule.get("covariance")

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """One row per example: `predicted_log_loss` and `contribution_<indicator>`.

        With a covariance also `predicted_log_loss_se`, √(xᵀ C x): what the estimation leaves open.
        """
        contributions = {
            f"contribution_{name}": factor * model_input[name].astype("float64")
            for name, factor in self.coefficients.items()
        }
        predicted = sum(contributions.values(), start=self.intercept)
        outputs = pd.DataFrame({"predicted_log_loss": predicted, **contributions})
        if self.covariance is not None:
            values = model_input[list(self.coefficients)].astype("float64").to_numpy()
            design = np.column_stack([np.ones(len(values)), values])
            variance = ((design @ np.array(self.covariance)) * design).sum(axis=1)
            outputs["predicted_log_loss_se"] = np.sqrt(variance.clip(min=0))
        return outputs


mlflow.models.set_model(ServedRule())
