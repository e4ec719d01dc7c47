"""Why a choice is empty, or smaller than what was asked for."""

from instructmining.selecting.facts import Facts
from instructmining.settings.learning import Select


def nothing(pool: str, select: Select) -> str:
    """Why the choice is empty."""
    if select.threshold is not None or select.percentile is not None:
        return (
            f"no example of pool {pool!r} is within the threshold or percentile: "
            "give a wider one, or --top"
        )
    if select.tokens is not None:
        return f"--tokens {select.tokens}: the best example alone is longer"
    return (
        f"no example of pool {pool!r} has a score for strategy {select.strategy}: "
        "see missing_reason in the table scores, or score it with more stages"
    )


def estimated(facts: Facts) -> list[str]:
    """A sentence where examples were chosen by values that a cascade predicted."""
    if not facts.estimated:
        return []
    return [
        f"{facts.estimated:,} of the {facts.size:,} chosen examples have an indicator that was "
        "predicted, not measured (score --cascade)"
    ]


def shortfall(select: Select, facts: Facts) -> list[str]:
    """A sentence where fewer were chosen than asked for; with diversity its own says why."""
    asked = select.top or (select.fraction and round(select.fraction * facts.pool)) or 0
    if facts.size >= asked or select.diversity != "none":
        return []
    return [
        f"{facts.size:,} of the {asked:,} that were asked for: the pool has no more that have "
        "a score and are within the quotas"
    ]
