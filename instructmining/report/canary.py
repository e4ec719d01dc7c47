"""How often the rule of a report prefers real rows of the pool to spoiled copies of them."""

from collections.abc import Mapping, Sequence

from pyspark.sql import Row
from pyspark.sql import functions as F

from instructmining.report.scored import Scored
from instructmining.rules.canary import Preference, preferences


def canary_of(scored: Scored) -> list[Preference]:
    """By kind of dirt, the weakest first; empty without a stored canary or the rule's record."""
    if scored.rule is None:
        return []
    pairs = scored.store.read("canary").where(F.col("pool") == scored.pool)
    rows = pairs.select("models", "kind", "example_id", "real", "spoiled").collect()
    measured = of_the_same_models(rows, _scores(scored, rows))
    return preferences(scored.rule, ((row.kind, row.real, row.spoiled) for row in measured))


def of_the_same_models(
    pairs: Sequence[Row], scores: Mapping[str, Mapping[str, float | None]]
) -> list[Row]:
    """The pairs that the models of the scores measured: their real rows have the same indicators.

    Distances move when the pool grows, so that the models with most numbers in common are taken.

    Args:
        pairs: `models`, `example_id`, `real`.
        scores: example to the indicators of the rule.
    """
    agreeing = dict.fromkeys(sorted({row.models for row in pairs}), 0)
    for row in pairs:
        now = scores.get(row.example_id, {})
        agreeing[row.models] += sum(row.real.get(name) == value for name, value in now.items())
    wanted = max(agreeing, key=lambda models: agreeing[models], default=None)
    return [row for row in pairs if row.models == wanted]


def _scores(scored: Scored, pairs: Sequence[Row]) -> dict[str, dict[str, float | None]]:
    """Example to the indicators of the rule, for the real rows of the pairs."""
    ids = sorted({row.example_id for row in pairs})
    names = [name for name in dict.fromkeys(scored.terms.values()) if name in scored.rows.columns]
    rows = scored.rows.where(F.col("example_id").isin(ids)).select("example_id", *names)
    return {row.example_id: {name: row[name] for name in names} for row in rows.collect()}
