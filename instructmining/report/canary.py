"""How often the rule of a report prefers real rows of the pool to spoiled copies of them."""

from pyspark.sql import functions as F

from instructmining.report.scored import Scored
from instructmining.rules.canary import Preference, preferences


def canary_of(scored: Scored) -> list[Preference]:
    """By kind of dirt, the weakest first; empty without a stored canary or the rule's record."""
    if scored.rule is None:
        return []
    pairs = scored.store.read("canary").where(F.col("pool") == scored.pool)
    rows = pairs.select("kind", "real", "spoiled").collect()
    return preferences(scored.rule, ((row.kind, row.real, row.spoiled) for row in rows))
