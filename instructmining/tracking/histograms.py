"""Pictures for MLflow and the report, drawn from counts: never from rows."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray


def histogram(
    name: str, edges: "NDArray[np.float64]", counts: "NDArray[np.int64]", missing: int = 0
) -> "Figure":
    """One indicator's distribution over the examples.

    Args:
        name: the indicator, as it is called in the tables.
        edges: n + 1 ascending bin edges, in the indicator's unit.
        counts: n counts of examples.
        missing: examples without a value; they are named, not drawn.
    """
    # Figure without pyplot: no window system and no figures that stay in memory.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.2))
    axes = figure.add_axes((0.14, 0.17, 0.83, 0.72))  # to fit a layout draws everything twice
    axes.stairs(counts, edges, fill=True)
    axes.set(xlabel=name, ylabel="examples", ylim=(0, None))
    absent = f", {missing:,} without a value" if missing else ""
    axes.set_title(f"{name}: {int(counts.sum()):,} examples{absent}", fontsize="medium")
    return figure
