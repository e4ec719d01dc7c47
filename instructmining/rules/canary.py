"""Does a rule prefer real rows to spoiled copies? By kind of dirt, from stored indicators."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import floor

from instructmining.rules.rule import LinearRule

LEAST = 60  # of 100 pairs: a rule that prefers fewer real rows picks dirt
PREFIX = "canary_"  # of the metrics in MLflow


@dataclass(frozen=True)
class Preference:
    """How often a rule prefers the real row, for one kind of dirt.

    Attributes:
        kind: of `spoiling.held_out.KINDS`.
        real: pairs in which it does, ties half.
        pairs: with a prediction for the real row.
    """

    kind: str
    real: float
    pairs: int

    @property
    def of_100(self) -> float:
        """In how many of 100 pairs the real row is preferred."""
        return 100 * self.real / self.pairs


def preferences(
    rule: LinearRule,
    pairs: Iterable[tuple[str, Mapping[str, float | None], Mapping[str, float | None]]],
) -> list[Preference]:
    """Compare every real row with its spoiled copy, the kind that fools the rule most first.

    Args:
        rule: predicts; lower is better.
        pairs: kind, indicators of the real row, indicators of the spoiled one. A spoiled row
            without a prediction is never selected, so that the real one is preferred.
    """
    counts: dict[str, tuple[float, int]] = {}
    for kind, real, spoiled in pairs:
        sound, dirty = rule.prediction_of(real), rule.prediction_of(spoiled)
        if sound is None:
            continue
        won = 1.0 if dirty is None or sound < dirty else 0.5 if sound == dirty else 0.0
        before, n = counts.get(kind, (0.0, 0))
        counts[kind] = (before + won, n + 1)
    measured = [Preference(kind, won, n) for kind, (won, n) in counts.items()]
    return sorted(measured, key=lambda one: (one.of_100, one.kind))


def metrics_of(measured: Iterable[Preference]) -> dict[str, float]:
    """As MLflow keeps them: `canary_KIND` to pairs of 100."""
    return {PREFIX + one.kind: one.of_100 for one in measured}


def canary_lines(measured: Sequence[Preference]) -> list[str]:
    """The canary for a person: the whole, what the rule falls for, what it tells apart.

    Args:
        measured: of `preferences`, one at least.
    """
    total = sum(one.pairs for one in measured)
    share = 100 * sum(one.real for one in measured) / total
    most = max(one.pairs for one in measured)
    weak = [one for one in measured if one.of_100 < LEAST]
    strong = [one for one in measured if one.of_100 >= LEAST]
    return [
        f"canary: the rule prefers the real row to a spoiled copy in {share:.0f} of 100 pairs "
        f"({total:,} pairs, at most {most:,} of a kind; 50 is chance)",
        *[f"  below {LEAST}, the rule alone would select them: {_listed(weak)}"] * bool(weak),
        *[f"  {'the others' if weak else 'by kind'}: {_listed(strong)}"] * bool(strong),
    ]


def _listed(measured: Iterable[Preference]) -> str:
    return ", ".join(f"{one.kind} {floor(one.of_100)}" for one in measured)


def canary_objection(rule: str, metrics: Mapping[str, float]) -> str | None:
    """Why a rule must not become champion; None where it prefers real rows to every kind of dirt.

    Args:
        rule: how to call it in the sentence.
        metrics: of a run that scored with it, `canary_…` among them.
    """
    weak = {
        name.removeprefix(PREFIX): value
        for name, value in sorted(metrics.items(), key=lambda entry: entry[1])
        if name.startswith(PREFIX) and value < LEAST
    }
    if not weak:
        return None
    listed = ", ".join(f"{kind} {floor(value)}" for kind, value in weak.items())
    return (
        f"{rule} prefers the real row to its spoiled copy in fewer than {LEAST} of 100 pairs "
        f"({listed}): it would select dirt; --force promotes it nevertheless"
    )
