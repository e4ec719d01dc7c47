"""What runs have recorded in MLflow of a rule that was tried on spoiled rows."""

from instructmining.rules.canary import PREFIX
from instructmining.rules.registry import load_rule
from instructmining.settings.sections import Tracking
from instructmining.tracking.mlflow_runs import CANARY_TAG, connection, experiment_id


def canary_metrics(version: str, settings: Tracking) -> dict[str, float]:
    """`canary_KIND` to pairs of 100, of the newest run that tried the rule; empty without one.

    Args:
        version: as for `registry.promote`.
        settings: where runs and rules are recorded.
    """
    uri = f"models:/{settings.registry_model}/{version}" if version.isdigit() else version
    rule = load_rule(uri, settings)
    with connection(settings) as client:
        runs = client.search_runs(
            [experiment_id(client, settings)],
            f"tags.{CANARY_TAG} = '{rule.fingerprint}'",
            order_by=["attributes.start_time DESC"],
            max_results=1,
        )
    metrics = dict(runs[0].data.metrics) if runs else {}
    return {name: value for name, value in metrics.items() if name.startswith(PREFIX)}
