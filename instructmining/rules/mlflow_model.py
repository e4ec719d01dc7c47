"""A rule saved as an MLflow model, with signature and example; MLflow is imported on first use."""

import importlib.resources
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from instructmining.rules.rule import LinearRule

if TYPE_CHECKING:
    import pandas as pd


def save_rule(rule: LinearRule, record: Path, model: Path) -> None:
    """Write the rule as JSON to `record` and as an MLflow model into the folder `model`."""
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    record.write_text(rule.to_json(), encoding="utf-8")
    outputs = ["predicted_log_loss", *(f"contribution_{name}" for name in rule.coefficients)]
    outputs += ["predicted_log_loss_se"] * (rule.covariance is not None)
    columns = [
        Schema([ColSpec("double", name) for name in names]) for names in (rule.indicators, outputs)
    ]
    served = importlib.resources.files("instructmining.rules") / "served_rule.py"
    # as_file: a real file also where we run from a zip.
    with importlib.resources.as_file(served) as code, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about the environment of an example
        mlflow.pyfunc.save_model(
            model,
            python_model=str(code),
            artifacts={"rule": str(record)},
            signature=ModelSignature(*columns),
            input_example=_example(rule),
            pip_requirements=["mlflow", "pandas"],  # inferring them would load the model: 9 s
        )


def _example(rule: LinearRule) -> "pd.DataFrame":
    """One row in the middle of what the rule was fitted on; ones where it does not say."""
    import pandas as pd

    middle = {name: sum(rule.ranges.get(name, (1.0, 1.0))) / 2 for name in rule.indicators}
    return pd.DataFrame([middle])
