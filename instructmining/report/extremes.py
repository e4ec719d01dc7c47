"""The best and the worst examples, each prediction taken apart; texts cut to a stated length."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import functions as F

from instructmining.report.scored import Scored
from instructmining.store.tables import Store


@dataclass(frozen=True)
class Text:
    """A text as far as the page shows it."""

    shown: str
    length: int  # characters of the whole text

    @property
    def cut(self) -> bool:
        """Whether there is more."""
        return len(self.shown) < self.length


@dataclass(frozen=True)
class Step:
    """One term of a prediction.

    Attributes:
        name: of the term.
        value: of its indicator.
        contribution: coefficient × term.
        start: the sum before it.
        moved: contribution minus the pool's mean contribution.
    """

    name: str
    value: float
    contribution: float
    start: float
    moved: float

    @property
    def end(self) -> float:
        """The sum with it."""
        return self.start + self.contribution


@dataclass(frozen=True)
class Explained:
    """An example and how its prediction comes about: intercept + contributions."""

    example_id: str
    source: str
    prediction: float
    percentile: float | None
    out_of_range: bool
    intercept: float
    steps: tuple[Step, ...]
    prompt: Text
    response: Text


def extremes(
    scored: Scored, means: dict[str, float], top: int, characters: int
) -> tuple[list[Explained], list[Explained]]:
    """The `top` best (lowest predicted log loss) and worst; ties by id.

    Args:
        scored: the pool.
        means: by term, its mean contribution over the pool.
        top: of each end.
        characters: of prompt and of response that are shown.
    """
    known = scored.rows.where("predicted_log_loss IS NOT NULL")
    ends = [
        known.orderBy(order("predicted_log_loss"), "example_id").limit(top).collect()
        for order in (F.asc, F.desc)
    ]
    best = ends[0]
    # In a small pool an example would be both: it is shown once, where it ranks.
    seen = {row.example_id for row in best}
    worst = [row for row in ends[1] if row.example_id not in seen]
    text_of = texts(scored.store, [row.example_id for row in [*best, *worst]], characters)
    explained = [
        [_explain(row, scored.terms, means, text_of) for row in rows] for rows in (best, worst)
    ]
    return explained[0], explained[1]


def texts(store: Store, ids: Sequence[str], characters: int) -> dict[str, tuple[Text, Text]]:
    """By id, prompt and response, cut where they are read."""
    if not ids:
        return {}
    rows = store.read("examples").where(F.col("example_id").isin(list(dict.fromkeys(ids))))
    known = {name: F.coalesce(name, F.lit("")) for name in ("prompt", "response")}
    cut = rows.select(
        "example_id",
        *(F.substring(text, 1, characters).alias(name) for name, text in known.items()),
        *(F.length(text).alias(f"{name}_length") for name, text in known.items()),
    )
    return {
        row.example_id: (
            Text(row.prompt, row.prompt_length),
            Text(row.response, row.response_length),
        )
        for row in cut.collect()
    }


def axis(examples: Iterable[Explained]) -> tuple[float, float]:
    """The lowest and highest sum on the way to any prediction: one scale for all of them."""
    sums = [0.0]
    for example in examples:
        sums += [example.intercept, example.prediction, *(step.end for step in example.steps)]
    return min(sums), max(sums)


def _explain(
    row: Any,
    terms: Mapping[str, str],
    means: dict[str, float],
    text_of: dict[str, tuple[Text, Text]],
) -> Explained:
    contributions = {name: row[f"contribution_{name}"] for name in terms}
    intercept = row.predicted_log_loss - sum(contributions.values())
    steps = []
    total = intercept
    for name, part in contributions.items():
        steps.append(Step(name, row[terms[name]], part, total, part - means[name]))
        total += part
    nothing = (Text("", 0), Text("", 0))
    prompt, response = text_of.get(row.example_id, nothing)
    return Explained(
        row.example_id,
        row.source,
        row.predicted_log_loss,
        row.percentile,
        bool(row.out_of_range),
        intercept,
        tuple(steps),
        prompt,
        response,
    )
