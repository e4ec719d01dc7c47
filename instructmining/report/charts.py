"""Geometry of the page's pictures in percent and SVG paths; colours are the template's.

Drawn here and not by a plotting library: the page follows the reader's light or dark scheme, weighs
kilobytes, and its numbers stay text.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from instructmining.store.distributions import Spread

WIDTH, HEIGHT = 400, 96  # of a histogram's view box


@dataclass(frozen=True)
class Scale:
    """A stretch of numbers laid on 0 … 100 percent; beyond its ends numbers stay at the ends."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """Percent from the left."""
        width = self.high - self.low
        share = (value - self.low) / width if width > 0 else 0.5
        return round(100 * min(1.0, max(0.0, share)), 2)

    def bar(self, start: float, end: float) -> tuple[float, float]:
        """Left and width, in percent, of what lies between two numbers."""
        left, right = sorted((self.at(start), self.at(end)))
        return left, round(right - left, 2)


def histogram_path(counts: NDArray[np.int64]) -> str:
    """A closed path of steps over `WIDTH` × `HEIGHT`; the highest bin fills the height."""
    top = max(1, int(counts.max()))
    step = WIDTH / len(counts)
    corners = [f"M0 {HEIGHT}"]
    for i, count in enumerate(counts):
        level = HEIGHT * (1 - int(count) / top)
        corners.append(f"V{level:.1f}H{(i + 1) * step:.1f}")
    return "".join([*corners, f"V{HEIGHT}Z"])


@dataclass(frozen=True)
class Strip:
    """Quantiles of one source on a scale, in percent: 5–95 thin, 25–75 thick, a mark at 50."""

    thin: tuple[float, float]
    thick: tuple[float, float]
    mark: float


def strip(spread: Spread, scale: Scale) -> Strip | None:
    """The strip; None where no row has a value."""
    if not spread.quantiles:
        return None
    low, quarter, middle, three, high = spread.quantiles
    return Strip(scale.bar(low, high), scale.bar(quarter, three), scale.at(middle))


def scatter(
    pairs: Sequence[tuple[float, float]],
) -> tuple[list[tuple[float, float]], Scale]:
    """Points in percent on one scale for both axes, y downwards, and the scale."""
    values = [value for pair in pairs for value in pair]
    margin = 0.04 * (max(values) - min(values) or 1.0)
    scale = Scale(min(values) - margin, max(values) + margin)
    return [(scale.at(x), round(100 - scale.at(y), 2)) for x, y in pairs], scale
