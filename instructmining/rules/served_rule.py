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
        self.hinges = rule.get("hinges", {})
        self.covariance = rule.get("covariance")

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """One row per example: `predicted_log_loss` and `contribution_<term>`.

        With a covariance also `predicted_log_loss_se`, √(xᵀ C x): what the estimation leaves open.
        """
        terms = {name: self._term(name, model_input) for name in self.coefficients}
        contributions = {
            f"contribution_{name}": factor * terms[name]
            for name, factor in self.coefficients.items()
        }
        predicted = sum(contributions.values(), start=self.intercept)
        outputs = pd.DataFrame({"predicted_log_loss": predicted, **contributions})
        if self.covariance is not None:
            design = np.column_stack([np.ones(len(model_input)), *terms.values()])
            variance = ((design @ np.array(self.covariance)) * design).sum(axis=1)
            outputs["predicted_log_loss_se"] = np.sqrt(variance.clip(min=0))
        return outputs

    def _term(self, name: str, rows: pd.DataFrame) -> pd.Series:
        """An indicator, or its distance beyond the knot of a hinge; NaN stays NaN."""
        hinge = self.hinges.get(name)
        if hinge is None:
            return rows[name].astype("float64")
        value = rows[hinge["indicator"]].astype("float64")
        above = hinge["above"]
        distance = hinge["below"] - value if above is None else value - above
        return distance.clip(lower=0)


mlflow.models.set_model(ServedRule())
