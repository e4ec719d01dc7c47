"""Hinges: an indicator beyond a knot, for what is good or bad only from some value on.

    above: max(indicator − knot, 0)        below: max(knot − indicator, 0)

Two of them make a band: both tails can be bad.
"""

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from itertools import pairwise
from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator

from instructmining.rules.rule_sql import number

_SIDE = re.compile(r"_(?:above|below)_(?:minus_)?\d")


class Hinge(BaseModel):
    """One hinge: an indicator and either `above` or `below`, a knot in the indicator's units."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    indicator: str
    above: float | None = None
    below: float | None = None

    @model_validator(mode="after")
    def _one_side(self) -> Self:
        if (self.above is None) == (self.below is None):
            raise ValueError("a hinge has one of above and below")
        return self

    @property
    def knot(self) -> float:
        """Where it begins."""
        knot = self.below if self.above is None else self.above
        assert knot is not None  # noqa: S101 - a hinge has one of them
        return knot

    @property
    def name(self) -> str:
        """The term's name, as `perplexity_above_120`; the number in it is the knot itself."""
        side = "below" if self.above is None else "above"
        digits = f"{Decimal(repr(float(abs(self.knot)))):f}"
        digits = digits.removesuffix(".0").replace(".", "_")
        return f"{self.indicator}_{side}_{'minus_' * (self.knot < 0)}{digits}"

    @property
    def words(self) -> str:
        """What the name stands for, as `max(perplexity − 120, 0)`."""
        knot = f"{self.knot:g}" if self.knot >= 0 else f"({self.knot:g})"
        if self.above is None:
            return f"max({knot} − {self.indicator}, 0)"
        return f"max({self.indicator} − {knot}, 0)"

    def of(self, value: float) -> float:
        """The hinge of one value of the indicator; NaN stays NaN."""
        if math.isnan(value):
            return value
        return max(value - self.knot if self.above is not None else self.knot - value, 0.0)

    def sql(self, value: str) -> str:
        """The same of an SQL expression; null stays null, which GREATEST would pass over."""
        knot = number(self.knot)
        beyond, rest = (">", "<=") if self.above is not None else ("<", ">=")
        distance = f"{value} - {knot}" if self.above is not None else f"{knot} - {value}"
        return (
            f"CASE WHEN {value} {beyond} {knot} THEN {distance} "
            f"WHEN {value} {rest} {knot} THEN 0E0 END"
        )


def indicator_in(term: str) -> str:
    """The indicator that the name of a term begins with, where its rule is not at hand."""
    return _SIDE.split(term)[0]


def slopes(
    indicator: str, coefficients: Mapping[str, float], hinges: Mapping[str, Hinge]
) -> list[tuple[float, float, float]]:
    """How the prediction changes with an indicator, piece by piece from the lowest values on.

    Args:
        indicator: its name.
        coefficients: of a rule, by term.
        hinges: of the rule, by term.

    Returns:
        Where a piece begins and ends, and the log loss per unit of the indicator there.
    """
    own = {term: hinge for term, hinge in hinges.items() if hinge.indicator == indicator}
    ends = [-math.inf, *sorted({hinge.knot for hinge in own.values()}), math.inf]
    pieces = []
    for low, high in pairwise(ends):
        slope = coefficients.get(indicator, 0.0)
        for term, hinge in own.items():
            if hinge.above is not None and hinge.knot <= low:
                slope += coefficients[term]
            if hinge.below is not None and hinge.knot >= high:
                slope -= coefficients[term]
        pieces.append((low, high, slope))
    return pieces
