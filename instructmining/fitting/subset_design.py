"""Draw the subsets that models are finetuned on; NumPy and pandas, no Spark.

A rule is only known where its subsets lay, so their mean indicators should spread over what the
candidates allow. `spread`: every proposal tilts the pool by a direction in the space of normal
scores (rank → normal quantile, so that no outlier steers it) and by a random mixture of sources;
of eight proposals per subset those are kept that lie farthest from the ones kept before. `random`:
mixtures of sources alone, as the paper combined its data sets.

Where there are enough candidates, each subset comes from one of two halves of them, so that a fit
on the subsets of one half meets no example of it in those of the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm, qmc, rankdata

from instructmining.errors import UserError

Rows = NDArray[np.int64]
_PROPOSALS = 8  # per subset
_STRONGEST = 2.0  # tilt: weight e^2 for one standard deviation along the direction
_SUBSETS_PER_HALF = 2  # a half must hold this many times a subset, or the candidates stay whole


@dataclass(frozen=True)
class Design:
    """Subsets of the candidates.

    Attributes:
        subsets: row numbers of the candidates, one array per subset, no row twice in one.
        means: mean indicators of each subset, in the candidates' units.
        mix: share of each source in each subset.
        halves: int[subsets], 0 or 1: the half of the candidates it comes from; None where they
            were too few to be halved.
    """

    subsets: tuple[Rows, ...]
    means: pd.DataFrame
    mix: pd.DataFrame
    halves: Rows | None = None


def draw_subsets(
    candidates: pd.DataFrame,
    indicators: list[str],
    count: int,
    size: int,
    seed: int,
    design: Literal["spread", "random"] = "spread",
) -> Design:
    """Draw `count` subsets of `size` rows each; the same seed draws the same.

    Args:
        candidates: one row per example, without missing values: the indicators, and `source`.
        indicators: what the subsets are spread over.
        count: subsets.
        size: rows of each.
        seed: of everything random.
        design: `spread` or `random`.

    Raises:
        UserError: fewer than twice `size` candidates.
    """
    if len(candidates) < 2 * size:
        raise UserError(
            f"{len(candidates):,} candidates are too few for subsets of {size:,}: "
            "score more data, or lower --size"
        )
    generator = np.random.default_rng(seed)
    scores = _normal_scores(candidates[indicators].to_numpy(float))
    codes, _ = pd.factorize(candidates["source"], sort=True)
    wanted = count if design == "random" else _PROPOSALS * count
    tilts = _tilts(len(indicators), wanted, seed) * (design == "spread")
    parts = _halves(len(candidates), size, generator)
    places = np.arange(wanted) % len(parts)
    proposals = [
        _draw(scores @ tilt, codes, size, parts[place], generator)
        for tilt, place in zip(tilts, places, strict=True)
    ]
    if design == "spread":
        centers = np.array([scores[rows].mean(axis=0) for rows in proposals])
        chosen = _alternately(
            [
                own[_far_apart(centers[own], -(-count // len(parts)))]
                for own in (np.flatnonzero(places == part) for part in range(len(parts)))
            ]
        )[:count]
        proposals, places = [proposals[i] for i in chosen], places[chosen]
    return design_of(candidates, indicators, proposals, places if len(parts) > 1 else None)


def design_of(
    candidates: pd.DataFrame,
    indicators: list[str],
    subsets: Sequence[Rows],
    halves: Rows | None = None,
) -> Design:
    """The design that these subsets make: their mean indicators and their sources.

    Args:
        candidates: as for `draw_subsets`.
        indicators: whose means are taken.
        subsets: row numbers of the candidates.
        halves: int[subsets], or None.
    """
    codes, names = pd.factorize(candidates["source"], sort=True)
    values = candidates[indicators].to_numpy(float)
    means = pd.DataFrame([values[rows].mean(axis=0) for rows in subsets], columns=indicators)
    shares = [np.bincount(codes[rows], minlength=len(names)) / len(rows) for rows in subsets]
    return Design(tuple(subsets), means, pd.DataFrame(shares, columns=list(names)), halves)


def draw_at_random(count: int, size: int, subsets: int, seed: int) -> list[Rows]:
    """Uniform subsets of `count` candidates, on which a rule is tested and never fitted."""
    generator = np.random.default_rng([seed, count])
    return [np.sort(generator.choice(count, size, replace=False)) for _ in range(subsets)]


def describe(design: Design, candidates: pd.DataFrame) -> pd.DataFrame:
    """Per indicator how far the subsets spread.

    Returns:
        Indexed by indicator: `low`, `high`, `sd` of the subsets' means; `spread`, that deviation
        in units of what random subsets of this size would have, drawn without replacement;
        `tied_to`, the indicator whose means go with it most closely, and their correlation `r`.
    """
    means = design.means
    size = len(design.subsets[0])
    count = len(candidates)
    correlation = means.corr().to_numpy(copy=True)
    np.fill_diagonal(correlation, 0.0)
    nearest = np.nanargmax(np.abs(np.nan_to_num(correlation)), axis=1)
    chance = candidates[means.columns].std(ddof=1) * np.sqrt((count - size) / (count * size))
    return pd.DataFrame(
        {
            "low": means.min(),
            "high": means.max(),
            "sd": means.std(ddof=1),
            "spread": means.std(ddof=1) / chance.where(chance > 0),
            "tied_to": [means.columns[i] for i in nearest],
            "r": correlation[np.arange(len(nearest)), nearest],
        }
    )


def condition_number(means: pd.DataFrame) -> float:
    """Of the standardised mean indicators with an intercept; above 30 they can hardly be parted."""
    standard = (means - means.mean()) / means.std(ddof=0).replace(0, np.nan)
    return float(np.linalg.cond(np.column_stack([np.ones(len(means)), standard.fillna(0.0)])))


def _normal_scores(values: NDArray[np.float64]) -> NDArray[np.float64]:
    ranks = rankdata(values, axis=0)
    return np.asarray(norm.ppf((ranks - 0.5) / len(values)))


def _tilts(dimensions: int, count: int, seed: int) -> NDArray[np.float64]:
    """Directions that fill the sphere evenly, with strengths that do so between none and most."""
    points = qmc.Sobol(dimensions + 1, seed=seed).random(1 << (count - 1).bit_length())[:count]
    inside = np.clip(points, 1e-6, 1 - 1e-6)
    directions = norm.ppf(inside[:, 1:])
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return np.asarray(directions * (_STRONGEST * inside[:, :1]))


def _halves(count: int, size: int, generator: np.random.Generator) -> list[NDArray[np.bool_]]:
    """Masks of the two halves of the candidates, or one of all of them."""
    if count < 2 * _SUBSETS_PER_HALF * size:
        return [np.ones(count, bool)]
    first = generator.permutation(count) < count // 2
    return [first, ~first]


def _alternately(lists: Sequence[Rows]) -> Rows:
    """The first of every list, then the second, and so on; the lists are of one length."""
    return np.column_stack(lists).ravel()


def _draw(
    tilt: NDArray[np.float64],
    codes: Rows,
    size: int,
    part: NDArray[np.bool_],
    generator: np.random.Generator,
) -> Rows:
    """Weighted draw without replacement: the largest of log weight + Gumbel noise."""
    counts = np.bincount(codes)
    shares = generator.dirichlet(np.ones(len(counts)))
    weights = tilt + np.log(np.maximum(shares, 1e-12) / counts)[codes]
    keys = np.where(part, weights + generator.gumbel(size=len(codes)), -np.inf)
    return np.sort(np.argpartition(-keys, size)[:size]).astype(np.int64)


def _far_apart(points: NDArray[np.float64], count: int) -> Rows:
    """Greedily the point farthest from all chosen ones, from the most central one on."""
    first = int(np.argmin(((points - points.mean(axis=0)) ** 2).sum(axis=1)))
    chosen = [first]
    distance = ((points - points[first]) ** 2).sum(axis=1)
    while len(chosen) < count:
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, ((points - points[chosen[-1]]) ** 2).sum(axis=1))
    return np.array(chosen)
