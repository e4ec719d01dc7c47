"""Pictures of an evaluation."""

from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def arms_figure(means: pd.DataFrame, losses: pd.DataFrame) -> "Figure":
    """Mean loss of every arm with its interval, every seed as a dot; one panel per set.

    Args:
        means: of `comparison.means`.
        losses: `evaluation`, `arm`, `seed`, `loss`.
    """
    from matplotlib.figure import Figure

    names = list(means["evaluation"].unique())
    figure = Figure(figsize=(4.8 * len(names), 3.2), layout="constrained")
    panels = figure.subplots(1, len(names), squeeze=False)[0]
    for axes, name in zip(panels, names, strict=True):
        rows = means[means["evaluation"] == name].reset_index(drop=True)
        seen = losses[losses["evaluation"] == name]
        places = {arm: place for place, arm in enumerate(rows["arm"])}
        axes.plot(seen["loss"], seen["arm"].map(places), "o", alpha=0.4, markersize=4)
        reach = (rows["high"] - rows["loss"]).fillna(0.0)
        axes.errorbar(rows["loss"], range(len(rows)), xerr=reach, fmt="D", color="black", capsize=4)
        axes.set_yticks(range(len(rows)), rows["arm"])
        axes.invert_yaxis()
        axes.set(xlabel="loss, nats per token (lower is better)", title=name)
    return figure


def sizes_figure(curve: pd.DataFrame, target: str) -> "Figure":
    """Loss against size, one line per arm, with intervals over seeds.

    Args:
        curve: `arm`, `size`, `loss`, `low`, `high`.
        target: name of the evaluation set.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    for arm, rows in curve.groupby("arm", sort=False):
        rows = rows.sort_values("size")
        axes.errorbar(
            rows["size"],
            rows["loss"],
            yerr=(rows["high"] - rows["loss"]).fillna(0.0),
            marker="o",
            capsize=3,
            label=arm,
        )
    axes.set(xscale="log", xlabel="examples", ylabel=f"loss on {target}, nats per token")
    axes.legend()
    return figure
