"""How many examples: a search over the size of a subset, one integer, by flaml's BlendSearch.

The search pays in tokens trained on and starts from several sizes, small and large: a loss that
rises at medium sizes and falls again at large ones (a second descent) would otherwise stay unseen,
since a search from the cheapest start goes on around the first valley. It goes on from the best of
the starts. Sizes are on a log scale.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from instructmining.errors import UserError

_SAME = 0.02  # sizes this close (relative) are one: seeds move the loss by more


class SizePoint(NamedTuple):
    """One size that was tried: mean loss, and the tokens that it cost."""

    size: int
    loss: float
    tokens: float


def start_points(low: int, high: int, count: int = 6) -> list[int]:
    """Sizes spread evenly on a log scale, both ends among them."""
    return sorted({round(float(size)) for size in np.geomspace(low, high, count)})


def search_size(
    loss_of: Callable[[int], tuple[float, float]],
    low: int,
    high: int,
    trials: int,
    points: Sequence[int] = (),
    budget: float | None = None,
    seed: int = 0,
) -> list[SizePoint]:
    """Try sizes where the loss promises to be low.

    Args:
        loss_of: mean loss at a size, and the tokens trained on for it.
        low: smallest size, tried first.
        high: largest.
        trials: sizes at most; every start point is tried, whatever their number.
        points: start points; none: six, spread between the ends.
        budget: tokens; after the start points none is tried that exceeds it.
        seed: of the search.

    Returns:
        What was tried, by size.

    Raises:
        UserError: flaml is not installed, or the sizes leave nothing to search.
    """
    if not 0 < low < high:
        raise UserError(f"sizes from {low} to {high} leave nothing to search")
    starts = sorted({low, *(points or start_points(low, high))})
    search = _blend_search(low, high, starts, seed)
    tried: dict[int, SizePoint] = {}
    for trial in range(4 * max(trials, len(starts))):  # the search may name a size again
        if len(tried) >= max(trials, len(starts)) or _over(budget, tried, starts):
            break
        asked = search.suggest(str(trial))
        if asked is None:  # every thread of the search waits for a result, or repeats itself
            continue
        size = _known(asked["size"], tried)
        if size not in tried:
            tried[size] = SizePoint(size, *loss_of(size))
        point = tried[size]
        search.on_trial_complete(
            str(trial), {"loss": point.loss, "tokens": point.tokens, "config": asked}
        )
    return sorted(tried.values())


def _known(size: int, tried: Iterable[int]) -> int:
    """A size tried before that is as good as the same, else the size itself."""
    near = [tried_size for tried_size in tried if abs(tried_size - size) <= _SAME * size]
    return min(near, key=lambda tried_size: abs(tried_size - size)) if near else int(size)


def _over(budget: float | None, tried: dict[int, SizePoint], starts: Sequence[int]) -> bool:
    """Whether the tokens are spent; the start points are tried in any case."""
    spent = sum(point.tokens for point in tried.values())
    return budget is not None and len(tried) >= len(starts) and spent >= budget


def _blend_search(low: int, high: int, starts: Sequence[int], seed: int) -> Any:
    try:
        from flaml import BlendSearch, tune
        from optuna import logging
    except ModuleNotFoundError:
        raise UserError(
            "the search for a size needs flaml: pip install 'instructmining[fit]', or "
            "name the sizes"
        ) from None
    logging.set_verbosity(logging.WARNING)
    return BlendSearch(
        metric="loss",
        mode="min",
        space={"size": tune.lograndint(low, high + 1)},
        low_cost_partial_config={"size": low},
        cost_attr="tokens",
        seed=seed,
        points_to_evaluate=[{"size": size} for size in starts],
        num_samples=-1,
    )
