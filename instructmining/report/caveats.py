"""The rule of a report: its terms, and in sentences what stands in the way of trusting it."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt

from pyspark.sql import functions as F

from instructmining.errors import UserError
from instructmining.models.lists import ModelList, ModelSpec, load_model_list
from instructmining.report.counts import Counts
from instructmining.report.scored import Scored
from instructmining.store.distributions import Spread

_NORMAL_95 = 1.96


@dataclass(frozen=True)
class Measurer:
    """A model that measured rows of the store."""

    stage: str
    source: str
    fingerprint: str


@dataclass(frozen=True)
class Term:
    """One term of the rule.

    Attributes:
        name: indicator.
        coefficient: log loss per unit; None where the rule's record is not at hand.
        interval: 95 %, of a rule with a covariance.
        fitted_range: of the indicator, over what the rule was fitted on.
        fitted_with: the model, as far as the rule knows.
        mean: contribution, over the pool.
        sd: of the contribution: how much the term tells examples apart.
        share: of the terms' summed deviations.
    """

    name: str
    coefficient: float | None
    interval: tuple[float, float] | None
    fitted_range: tuple[float, float] | None
    fitted_with: str
    mean: float
    sd: float
    share: float


def rule_terms(scored: Scored, spread: Mapping[str, Spread]) -> list[Term]:
    """The terms, the one that moves predictions most first.

    Args:
        scored: the pool.
        spread: over all rows, of the `contribution_…` columns.
    """
    parts = {name: spread[f"contribution_{name}"] for name in scored.terms}
    whole = sum(part.sd or 0.0 for part in parts.values()) or 1.0
    terms = [_term(scored, name, part, (part.sd or 0.0) / whole) for name, part in parts.items()]
    return sorted(terms, key=lambda term: -term.sd)


def measurers(scored: Scored) -> list[Measurer]:
    """The models that the store knows, by stage."""
    rows = scored.store.read("fingerprints").select("stage", "source", "fingerprint").distinct()
    models = rows.orderBy("stage", "source", "fingerprint").collect()
    return [Measurer(row.stage, row.source or "", row.fingerprint) for row in models]


def warnings_of(
    scored: Scored,
    counts: Counts,
    spread: Mapping[str, Spread],
    known: list[Measurer],
    models: str,
) -> list[str]:
    """One sentence each: what a reader must know before believing the predictions."""
    said = [scored.note] if scored.note else []
    if not counts.models_match:
        said.append(
            "These indicators were measured with other models than the rule was fitted with, so "
            "its coefficients do not carry over: read the predictions as an order at most, or fit "
            "a rule for these models with instructmining fit."
        )
        said += _mismatches(scored, known, models)
    if scored.rule is not None and not scored.rule.ranges:
        said.append(
            "The rule does not say on which range of its indicators it was fitted, so no "
            "example can be marked as out of range."
        )
    if counts.out_of_range:
        share = 100 * counts.out_of_range / max(1, counts.examples)
        said.append(
            f"{counts.out_of_range:,} examples ({share:.1f} %) have an indicator outside "
            f"of what the rule was fitted on: {_outside(scored)}."
        )
    missing = counts.examples - counts.predicted
    if missing:
        said.append(
            f"{missing:,} examples have no prediction, since an indicator of the rule is "
            "missing; they are never selected."
        )
    if counts.estimated:
        said.append(
            f"{counts.estimated:,} examples have an indicator that was predicted, not measured "
            "(score --cascade; predicted_indicators names them, the table cascades says how well)."
        )
    if scored.rule is not None and scored.rule.covariance is None:
        said.append("The rule has no covariance: how sure its predictions are is not known.")
    return [*said, *_notes(known, models)]


def _term(scored: Scored, name: str, part: Spread, share: float) -> Term:
    rule = scored.rule
    if rule is None:
        return Term(name, None, None, None, "", part.mean or 0.0, part.sd or 0.0, share)
    factor = rule.coefficients[name]
    indicator = rule.indicator_of(name)
    model = rule.models.get(indicator)
    interval = None
    if rule.covariance is not None:
        place = 1 + list(rule.coefficients).index(name)
        half = _NORMAL_95 * sqrt(rule.covariance[place][place])
        interval = (factor - half, factor + half)
    return Term(
        name,
        factor,
        interval,
        rule.ranges.get(indicator),
        " or ".join(model.sources) if model else "",
        part.mean or 0.0,
        part.sd or 0.0,
        share,
    )


def _models(known: list[Measurer], models: str) -> ModelList | None:
    """The list of the settings, if it is the one that measured here."""
    try:
        listed = load_model_list(models)
    except UserError:
        return None
    sources = {model.source for model in known}
    return listed if {_source(spec) for spec in listed.stages.values()} <= sources else None


def _source(spec: ModelSpec) -> str:
    """The model's source as the table `fingerprints` has it."""
    return spec.origin or spec.function or spec.kind


def _notes(known: list[Measurer], models: str) -> list[str]:
    listed = _models(known, models)
    return [f"Of the models: {note}" for note in listed.notes] if listed else []


def _mismatches(scored: Scored, known: list[Measurer], models: str) -> list[str]:
    listed = _models(known, models)
    if listed is None or scored.rule is None:
        return []
    sources = {name: _source(spec) for spec in listed.stages.values() for name in spec.indicators}
    now = {model.source: model.fingerprint for model in known}
    prints = {name: now[source] for name, source in sources.items() if source in now}
    return [f"{sentence}." for sentence in scored.rule.mismatches(prints, sources)]


def _outside(scored: Scored) -> str:
    assert scored.rule is not None  # noqa: S101 - rows are out of range only of a known rule
    names = F.explode(scored.rule.out_of_range()).alias("name")
    counts = scored.rows.select(names).groupBy("name").count().orderBy(F.desc("count")).collect()
    return ", ".join(f"{row.name} {row['count']:,}" for row in counts)
