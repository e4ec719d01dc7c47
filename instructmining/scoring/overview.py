"""What the summary says of the scores of a pool as a whole, in one query."""

from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from instructmining.rules.rule import LinearRule


@dataclass(frozen=True)
class Overview:
    """Counts and means.

    Attributes:
        rows: examples.
        predicted: of these, with a prediction.
        incomplete: of these, with a reason why an indicator is missing.
        estimated: of these, with an indicator that a cascade predicted.
        outside: of these, with an indicator outside of what the rule was fitted on.
        means: of the contributions, by term of the rule; none where nothing is predicted.
    """

    rows: int
    predicted: int
    incomplete: int
    estimated: int
    outside: int
    means: dict[str, float]


def overview(scores: DataFrame, rule: LinearRule) -> Overview:
    """The counts and means of the scores of a pool under a rule."""
    terms = list(rule.coefficients)
    row = scores.agg(
        F.count("*").alias("rows"),
        F.count("predicted_log_loss").alias("predicted"),
        F.count("missing_reason").alias("incomplete"),
        F.count("predicted_indicators").alias("estimated"),
        F.count_if("out_of_range").alias("outside"),
        *(F.avg(f"contribution_{name}").alias(f"mean{i}") for i, name in enumerate(terms)),
    ).first()
    assert row is not None  # noqa: S101 - an aggregate without grouping has one row
    means = {name: row[f"mean{i}"] for i, name in enumerate(terms)}
    return Overview(
        row["rows"],
        row.predicted,
        row.incomplete,
        row.estimated,
        row.outside,
        {name: mean for name, mean in means.items() if mean is not None},
    )


def extrapolated(facts: Overview, rule: LinearRule) -> list[str]:
    """A sentence where examples lie outside what the rule was fitted on."""
    if not rule.ranges or not facts.outside:
        return []
    return [
        f"{facts.outside:,} examples have an indicator outside of what rule {rule.name} was fitted "
        "on (out_of_range): their predictions go beyond what was measured"
    ]
