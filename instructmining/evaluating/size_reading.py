"""What a curve of loss against size says, and which size to take.

    s² = variance of the loss over the seeds of a size, pooled over all sizes
    chosen: the smallest size with mean loss ≤ lowest mean loss + s / √n, n seeds a size

A size has few seeds, so that its own variance says little; together they say more. The lowest of
several noisy means is lower than its true value, so the chosen size is measured again at seeds that
had no part in the choice. The rule of one standard error: Breiman et al. 1984.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class SizeChoice:
    """A size, and why it.

    Attributes:
        size: the smallest whose mean loss is within one pooled standard error of the lowest.
        lowest: the size with the lowest mean loss.
        error: the pooled standard error, nats per token; 0 where no size has two seeds.
    """

    size: int
    lowest: int
    error: float

    def sentences(self, name: str, again: pd.DataFrame) -> list[str]:
        """Why this size, and what its loss is at fresh seeds.

        Args:
            name: of the evaluation set.
            again: of `comparison.means`, of the runs at fresh seeds.
        """
        why = "has the lowest mean loss of the selected examples, and no smaller size comes within"
        if self.size != self.lowest:
            why = f"is the smallest size whose loss is, beside that of {self.lowest:,}, within"
        measured = ", ".join(
            f"{row.arm} {row.loss:.4f} [{row.low:.4f}, {row.high:.4f}]"
            for row in again.itertuples()
        )
        seeds = int(again["n"].min())
        return [
            f"{name}: {self.size:,} {why} one pooled standard error ({self.error:.4f})",
            f"{name}: {self.size:,} examples at {seeds} fresh seeds: {measured}",
        ]


def smallest_as_good(curve: pd.DataFrame) -> SizeChoice:
    """Choose a size.

    Args:
        curve: `size`, `n`, `loss`, `sd` of one arm on one evaluation set, as
            `comparison.means` gives them.
    """
    ordered = curve.sort_values("size")
    freedom = (ordered["n"] - 1).to_numpy(float)
    squares = float(np.nansum(ordered["sd"].to_numpy(float) ** 2 * freedom))
    error = np.sqrt(squares / max(1.0, freedom.sum()) / ordered["n"].to_numpy(float))
    losses = ordered["loss"].to_numpy(float)
    best = int(losses.argmin())
    first = int(np.flatnonzero(losses <= losses[best] + error[best])[0])
    sizes = ordered["size"].to_numpy(int)
    return SizeChoice(int(sizes[first]), int(sizes[best]), float(error[best]))


def reading(rows: pd.DataFrame, name: str) -> list[str]:
    """The best size, and whether its loss can be told from that of its neighbours."""
    said = []
    for arm, group in rows.groupby("arm", sort=False):
        best = group.sort_values("loss").iloc[0]
        as_good = group[group["low"] <= best["loss"]]["size"]
        rivals = ", ".join(f"{size:,}" for size in as_good if size != best["size"])
        unsure = f"; within their intervals as good: {rivals}" if rivals else ""
        said.append(
            f"{name}: {arm} has its lowest mean loss, {best['loss']:.4f}, at "
            f"{best['size']:,} examples (n = {best['n']} seeds a size)" + unsure
        )
        if risen := second_descent(group):
            said.append(
                f"{name}: the loss of {arm} rises at {risen:,} examples and falls again "
                "beyond, further apart than their intervals: a second descent"
            )
    return said


def second_descent(group: pd.DataFrame) -> int | None:
    """A size whose interval lies above those of a smaller and of a larger one; None without one."""
    ordered = group.sort_values("size")
    low = ordered["low"].to_numpy(float)
    high = ordered["high"].to_numpy(float)
    for place in range(1, len(ordered) - 1):
        if np.nanmin(high[:place]) < low[place] > np.nanmin(high[place + 1 :]):
            return int(ordered["size"].iloc[place])
    return None
