"""Draw the subsets that models are finetuned on; NumPy and pandas, no Spark.

A rule is only known where its subsets lay, so their mean indicators should spread over what the
candidates allow. `spread`: every proposal tilts the pool by a direction in the space of normal
scores (rank → normal quantile, so that no outlier steers it) and by a random mixture of sources;
of eight proposals per subset those are kept that lie farthest from the ones kept before. `random`:
mixtures of sources alone, as the paper combined its data sets.
"""

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


@dataclass(frozen=True)
class Design:
    """Subsets of the candidates.

    Attributes:
        subsets: row numbers of the candidates, one array per subset, no row twice in one.
        means: mean indicators of each subset, in the candidates' units.
        mix: share of each source in each subset.
    """

    subsets: tuple[Rows, ...]
    means: pd.DataFrame
    mix: pd.DataFrame


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
    codes, names = pd.factorize(candidates["source"], sort=True)
    wanted = count if design == "random" else _PROPOSALS * count
    tilts = _tilts(len(indicators), wanted, seed) * (design == "spread")
    proposals = [_draw(scores @ tilt, codes, size, generator) for tilt in tilts]
    if design == "spread":
        centers = np.array([scores[rows].mean(axis=0) for rows in proposals])
        proposals = [proposals[i] for i in _far_apart(centers, count)]
    values = candidates[indicators].to_numpy(float)
    means = pd.DataFrame([values[rows].mean(axis=0) for rows in proposals], columns=indicators)
    shares = [np.bincount(codes[rows], minlength=len(names)) / size for rows in proposals]
    return Design(tuple(proposals), means, pd.DataFrame(shares, columns=list(names)))


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


def _draw(
    tilt: NDArray[np.float64], codes: Rows, size: int, generator: np.random.Generator
) -> Rows:
    """Weighted draw without replacement: the largest of log weight + Gumbel noise."""
    counts = np.bincount(codes)
    shares = generator.dirichlet(np.ones(len(counts)))
    weights = tilt + np.log(np.maximum(shares, 1e-12) / counts)[codes]
    keys = weights + generator.gumbel(size=len(codes))
    return np.sort(np.argpartition(-keys, size)[:size]).astype(np.int64)


def _far_apart(points: NDArray[np.float64], count: int) -> list[int]:
    """Greedily the point farthest from all chosen ones, from the most central one on."""
    first = int(np.argmin(((points - points.mean(axis=0)) ** 2).sum(axis=1)))
    chosen = [first]
    distance = ((points - points[first]) ** 2).sum(axis=1)
    while len(chosen) < count:
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, ((points - points[chosen[-1]]) ** 2).sum(axis=1))
    return chosen
