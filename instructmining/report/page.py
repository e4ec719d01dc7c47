"""Everything a report tells, gathered from the store, and the page that is made of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from instructmining import __version__
from instructmining.errors import UserError
from instructmining.packaged import conf_folder
from instructmining.report import charts
from instructmining.report.canary import canary_of
from instructmining.report.caveats import Measurer, Term, measurers, rule_terms, warnings_of
from instructmining.report.counts import Counts, count
from instructmining.report.evaluations import Evaluation, last_evaluation
from instructmining.report.extremes import Explained, axis, extremes
from instructmining.report.finetunings import Experiment, Fit, experiments, fit_of, runs_for
from instructmining.report.neighbors import Neighbors, near_duplicates
from instructmining.report.scored import OTHERS, Scored, short_names
from instructmining.rules.canary import Preference
from instructmining.settings.sections import Report
from instructmining.snippets import snippet
from instructmining.store.distributions import Spread, histograms, rank_correlations, spreads
from instructmining.store.schemas import INDICATORS, TABLES

if TYPE_CHECKING:
    from jinja2 import Environment

PREDICTION = "predicted_log_loss"
_SAMPLE = 20_000  # rows that correlations are computed of
_SNIPPET = 90  # characters of a line that stands for an example
_ABOUT = (
    {column.name: column.comment for column in TABLES["scores"].columns}
    | INDICATORS
    | {PREDICTION: "what the rule expects of each example; lower is better"}
)


@dataclass(frozen=True)
class Told:
    """What the page tells; see the modules that gather the parts."""

    scored: Scored
    counts: Counts
    spread: dict[str | None, dict[str, Spread]]
    bins: dict[str, tuple[NDArray[np.float64], NDArray[np.int64], int]]
    correlations: pd.DataFrame
    sampled: int
    terms: list[Term]
    canary: list[Preference]
    best: list[Explained]
    worst: list[Explained]
    neighbors: Neighbors | None
    known: list[Measurer]
    warnings: list[str]
    fit: Fit | None
    fitted: list[Experiment]
    evaluation: Evaluation | None
    settings: Report


def gather(scored: Scored, settings: Report, models: str) -> Told:
    """Ask the store for everything; only aggregates and the shown examples leave Spark.

    Args:
        scored: the pool.
        settings: how much is shown.
        models: list whose notes belong to the page, if it is the one that measured.
    """
    shown = [PREDICTION, *scored.indicators]
    spread = spreads(scored.rows, [*shown, *(f"contribution_{t}" for t in scored.terms)], "shown")
    whole = spread[None]
    means = {name: whole[f"contribution_{name}"].mean or 0.0 for name in scored.terms}
    counts = count(scored, settings.examples)
    best, worst = extremes(scored, means, settings.examples, settings.characters)
    correlations, sampled = rank_correlations(
        scored.rows, shown, "example_id", counts.examples, _SAMPLE
    )
    known = measurers(scored)
    fit_runs = runs_for(scored.store, "fit")
    return Told(
        scored,
        counts,
        spread,
        histograms(scored.rows, shown),
        correlations,
        sampled,
        rule_terms(scored, whole),
        canary_of(scored),
        best,
        worst,
        near_duplicates(scored, settings.examples, settings.characters),
        known,
        warnings_of(scored, counts, whole, known, models),
        fit_of(scored, fit_runs),
        experiments(fit_runs),
        last_evaluation(scored.store, scored.pool),
        settings,
    )


def render(facts: Told, run_id: str, now: datetime | None = None) -> str:
    """The page: HTML with everything in it, escaped, without scripts and without a network."""
    page = _environment().get_template("page.html.j2")
    named = [source.source for source in facts.counts.sources]
    return page.render(
        told=facts,
        scored=facts.scored,
        counts=facts.counts,
        short=short_names(named),
        cards=[_card(facts, name) for name in (PREDICTION, *facts.scored.indicators)],
        heat=_heat(facts.correlations),
        scale=charts.Scale(*axis([*facts.best, *facts.worst])),
        scatter=charts.scatter(facts.fit.points) if facts.fit and facts.fit.points else None,
        conclusions=conclusions(facts, short_names(named)),
        prediction=PREDICTION,
        spread=facts.spread[None],
        run_id=run_id,
        version=__version__,
        now=f"{now or datetime.now(UTC):%d %B %Y, %H:%M} UTC",
    )


def conclusions(facts: Told, short: dict[str, str]) -> list[str]:
    """The page in a few sentences, each computed."""
    counts = facts.counts
    whole = facts.spread[None][PREDICTION]
    said = [
        f"Of {counts.rows:,} records {counts.examples:,} are scored, {counts.copies:,} are "
        f"copies of these and {counts.quarantined:,} cannot be used."
    ]
    medians = {
        name: indicator[PREDICTION].median
        for name, indicator in facts.spread.items()
        if name not in (None, OTHERS) and indicator[PREDICTION].median is not None
    }
    if len(medians) > 1:
        low, high = (pick(medians, key=lambda name: medians[name]) for pick in (min, max))  # type: ignore[arg-type,return-value]
        said.append(
            f"By the median of their examples {short[str(low)]} is the best source "
            f"({figure(medians[low])}) and {short[str(high)]} the worst "
            f"({figure(medians[high])})."
        )
    if whole.quantiles:
        said.append(
            f"The best twentieth of the examples lies below {figure(whole.quantiles[0])}, "
            f"the worst above {figure(whole.quantiles[-1])}."
        )
    if facts.terms and facts.terms[0].sd:
        first = facts.terms[0]
        said.append(
            f"What moves predictions most is {first.name}: "
            f"{100 * first.share:.0f} % of the terms' summed spread."
        )
    return said


def figure(value: float | None) -> str:
    """Four significant digits, with a true minus; a dash for nothing."""
    if value is None or value != value:
        return "–"
    text = f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"
    return text.replace("-", "−")


def _card(facts: Told, name: str) -> dict[str, Any]:
    """One number's distribution: all examples as a histogram, each source as a strip below it."""
    edges, binned, _ = facts.bins.get(name, (np.zeros(2), np.zeros(1, dtype=np.int64), 0))
    scale = charts.Scale(float(edges[0]), float(edges[-1]))
    groups = [
        (source, indicator[name], charts.strip(indicator[name], scale))
        for source, indicator in facts.spread.items()
        if source is not None
    ]
    ordered = sorted(groups, key=lambda item: _last_if_none(item[1].median))
    return {
        "name": name,
        "about": _ABOUT.get(name, ""),
        "path": charts.histogram_path(binned),
        "scale": scale,
        "whole": facts.spread[None][name],
        "groups": ordered,
    }


def _heat(correlations: pd.DataFrame) -> Sequence[tuple[str, list[tuple[str, float | None]]]]:
    return [
        (str(name), [(str(other), None if pd.isna(r) else float(r)) for other, r in row.items()])
        for name, row in correlations.iterrows()
    ]


def _last_if_none(value: float | None) -> float:
    return float("inf") if value is None else value


def _environment() -> "Environment":
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ModuleNotFoundError:
        raise UserError("Jinja2 is not installed: pip install 'instructmining[report]'") from None
    made = Environment(
        loader=FileSystemLoader(conf_folder() / "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "count": "{:,}".format,
        "figure": figure,
        "snippet": partial(snippet, characters=_SNIPPET),
    }
    return made
