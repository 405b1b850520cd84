"""Where a regression is right: predicted against true, and what is left over."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import rich.box
import rich.table

from astrokeras.plots.blank import blank_figure, names_of
from astrokeras.plots.style import SKY, VERMILION

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROWS = 20  # outputs that a table shows one by one


def residual_table(
    truth: np.ndarray, prediction: np.ndarray, names: Sequence[str] | None = None, title: str = ""
) -> rich.table.Table:
    """Write bias and scatter of each output as a table for the terminal.

    Args:
        truth: `(n, outputs)`; NaN where unknown.
        prediction: `(n, outputs)`.
        names: of the outputs; their numbers where `None`.
        title: above the table.

    Returns:
        A `rich` table; with over 20 outputs, equally spaced ones; its last row is over all.

    Example:
        >>> import numpy as np, astrokeras
        >>> astrokeras.plots.residual_table(np.zeros((5, 2)), np.ones((5, 2))).row_count
        3
    """
    error = prediction - truth
    count = error.shape[1]
    names = names_of(names, count)
    table = rich.table.Table(title=title or None, box=rich.box.SIMPLE_HEAD)
    table.add_column("output")
    for heading in ("mean of truth", "bias", "scatter", "rmse"):
        table.add_column(heading, justify="right")
    shown = np.unique(np.linspace(0, count - 1, min(count, ROWS)).round().astype(int))
    for i in shown:
        table.add_row(names[i], *_numbers(truth[:, i], error[:, i]), end_section=i == count - 1)
    table.add_row("all", *_numbers(truth, error))
    return table


def residuals(truth: np.ndarray, prediction: np.ndarray, title: str = "") -> "Figure":
    """Draw predicted against true values, the residuals' histogram, and their bias and scatter per output.

    Args:
        truth: `(n, outputs)`; NaN where unknown.
        prediction: `(n, outputs)`.
        title: above the figure; the root mean square error is added.

    Returns:
        A matplotlib Figure of two panels, three where there are several outputs.

    Raises:
        ValueError: if the shapes differ.

    Example:
        >>> import numpy as np, astrokeras
        >>> len(astrokeras.plots.residuals(np.zeros((5, 2)), np.ones((5, 2))).axes)
        3
    """
    from matplotlib.colors import LogNorm

    truth, prediction = np.asarray(truth, float), np.asarray(prediction, float)
    if truth.shape != prediction.shape or truth.ndim != 2:
        raise ValueError(
            f"Expected truth and prediction (n, outputs); received shapes {truth.shape} and {prediction.shape}."
        )
    error = prediction - truth
    known = np.isfinite(error)
    several = truth.shape[1] > 1
    figure = blank_figure(11 if several else 7.5, 3.6)
    left, middle, *right = figure.subplots(1, 3 if several else 2)
    both = np.concatenate([truth[known], prediction[known]])
    low, high = both.min(), both.max()
    high = high if high > low else low + 1
    left.hist2d(truth[known], prediction[known], bins=80, range=[[low, high]] * 2, norm=LogNorm(), cmap="viridis")
    left.plot([low, high], [low, high], color="black", linewidth=0.8)
    left.set(xlabel="true", ylabel="predicted", aspect="equal")
    spread = max(float(np.ptp(error[known])), 1e-3 * float(np.abs(both).max()), 1e-9)
    centre = (error[known].max() + error[known].min()) / 2
    middle.hist(error[known], bins=80, range=(centre - 0.55 * spread, centre + 0.55 * spread), color=SKY)
    middle.axvline(error[known].mean(), color=VERMILION, label=f"bias {error[known].mean():.3g}")
    middle.set(xlabel="predicted - true", ylabel="number", yscale="log", title=f"scatter {error[known].std():.3g}")
    middle.legend()
    if several:
        places = np.arange(truth.shape[1])
        mean, scatter = np.nanmean(error, axis=0), np.nanstd(error, axis=0)
        right[0].fill_between(places, mean - scatter, mean + scatter, color=SKY, label="scatter")
        right[0].plot(places, mean, color=VERMILION, label="bias")
        right[0].axhline(0, color="black", linewidth=0.8)
        right[0].set(xlabel="output", ylabel="predicted - true")
        right[0].legend()
    rmse = np.sqrt((error[known] ** 2).mean())
    figure.suptitle(f"{title}{', ' if title else ''}rmse {rmse:.3g} on {len(truth)} examples")
    return figure


def _numbers(truth: np.ndarray, error: np.ndarray) -> list[str]:
    values = np.nanmean(truth), np.nanmean(error), np.nanstd(error), np.sqrt(np.nanmean(error**2))
    return [f"{value:.4g}" for value in values]
