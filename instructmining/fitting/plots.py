"""What a fit looks like: each indicator against the loss, predicted against measured, influence."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from instructmining.fitting.regression import OlsFit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLUMNS = 4


def fit_plots(
    runs: pd.DataFrame, fit: OlsFit, predictions: NDArray[np.float64], indicators: Sequence[str]
) -> "dict[str, Figure]":
    """Figures by name.

    Args:
        runs: one row per subset, in the order of the fit.
        fit: whose residuals and influence are drawn.
        predictions: float[n], out of fold.
        indicators: each gets a panel.
    """
    figures = {"each_indicator_alone": _alone(runs, indicators)}
    figures["out_of_fold"] = _out_of_fold(runs["log_loss"].to_numpy(float), predictions)
    if fit.terms:
        figures["residuals"] = _residuals(fit)
        figures["coefficients"] = _coefficients(fit)
    return figures


def _figure(width: float, height: float) -> "Figure":
    # Figure without pyplot: no window system and no figures that stay in memory.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _alone(runs: pd.DataFrame, indicators: Sequence[str]) -> "Figure":
    rows = -(-len(indicators) // _COLUMNS)
    figure = _figure(3 * _COLUMNS, 2.6 * rows)
    panels = figure.subplots(rows, _COLUMNS, squeeze=False, sharey=True)
    y = runs["log_loss"].to_numpy(float)
    for axes, name in zip(panels.flat, indicators, strict=False):
        x = runs[name].to_numpy(float)
        axes.plot(x, y, ".", markersize=4)
        if x.std() > 0:
            slope, intercept = np.polyfit(x, y, 1)
            ends = np.array([x.min(), x.max()])
            axes.plot(ends, intercept + slope * ends)
        axes.set_xlabel(name)
    for axes in panels.flat[len(indicators) :]:
        axes.set_visible(False)
    figure.supylabel("log loss")
    return figure


def _out_of_fold(measured: NDArray[np.float64], predicted: NDArray[np.float64]) -> "Figure":
    figure = _figure(4.5, 4.2)
    axes = figure.subplots()
    axes.plot(predicted, measured, ".")
    axes.axline((float(measured.mean()), float(measured.mean())), slope=1, linewidth=0.8)
    axes.set(xlabel="predicted log loss, out of fold", ylabel="measured log loss")
    return figure


def _residuals(fit: OlsFit) -> "Figure":
    from scipy.stats import probplot

    figure = _figure(12, 3.6)
    left, middle, right = figure.subplots(1, 3)
    left.plot(fit.fitted, fit.residuals, ".")
    left.axhline(0, linewidth=0.8)
    left.set(xlabel="fitted log loss", ylabel="studentized residual")
    (theory, ordered), _ = probplot(fit.residuals)
    middle.plot(theory, ordered, ".")
    middle.axline((0, 0), slope=1, linewidth=0.8)
    middle.set(xlabel="normal quantile", ylabel="studentized residual")
    _influence(right, fit)
    return figure


def _influence(axes: "Axes", fit: OlsFit) -> None:
    axes.plot(fit.leverage, fit.influence, ".")
    for run in np.argsort(-fit.influence)[:3]:
        axes.annotate(str(run), (fit.leverage[run], fit.influence[run]))
    axes.set(xlabel="leverage", ylabel="Cook's distance", title="numbers: rows of fit_table.csv")


def _coefficients(fit: OlsFit) -> "Figure":
    table = fit.table.loc[list(fit.terms)]
    scale = (table["beta"] / table["coefficient"]).to_numpy(float)
    ends = np.sort(np.array([table["low"] * scale, table["high"] * scale]), axis=0)
    places = np.arange(len(table))
    figure = _figure(6, 0.5 * len(table) + 1.2)
    axes = figure.subplots()
    axes.hlines(places, *ends)
    axes.plot(table["beta"], places, "o")
    axes.axvline(0, linewidth=0.8)
    axes.set_yticks(places, list(fit.terms))
    axes.set_xlabel("standardised coefficient, 95 % interval; left: more is better")
    return figure
