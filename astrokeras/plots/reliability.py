"""How sure a model is against how often it is right."""

from typing import TYPE_CHECKING

import numpy as np

from astrokeras.plots.blank import blank_figure
from astrokeras.plots.style import BLUE, ORANGE, SMALL, TITLE, grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def reliability(calibration, title: str = "") -> "Figure":
    """Draw the accuracy against the confidence, bin by bin, with the gap to the diagonal, and how many there are.

    Where the bars end below the diagonal the model is too sure; above, not sure enough.

    Args:
        calibration: what `explain.calibration` returns.
        title: above the figure; the expected calibration error is added.

    Returns:
        A matplotlib Figure of two panels.

    Reference:
        Guo et al. 2017, arXiv:1706.04599, figure 1.

    Example:
        >>> import numpy as np
        >>> from astrokeras import explain, plots
        >>> found = explain.calibration(np.array([[0.9, 0.1], [0.6, 0.4]]), np.array([0, 1]))
        >>> plots.reliability(found, "two examples").axes[0].get_title()
        'two examples: expected calibration error 0.350'
    """
    from matplotlib.colors import to_rgba

    edges, width = calibration.edges[:-1], np.diff(calibration.edges)
    confidence, accuracy, counts = calibration.confidence, calibration.accuracy, calibration.counts
    known = counts > 0
    figure = blank_figure(5.6, 6.4)
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    bars = {"width": width[known], "align": "edge", "linewidth": 0.8}
    axes.bar(edges[known], accuracy[known], color=BLUE, edgecolor="white", label="accuracy", **bars)
    axes.bar(
        edges[known],
        (confidence - accuracy)[known],
        bottom=accuracy[known],
        facecolor=to_rgba(ORANGE, 0.45),
        edgecolor=ORANGE,
        hatch="//",
        label="gap to the confidence",
        **bars,
    )
    axes.plot([0, 1], [0, 1], color="black", linestyle="--", linewidth=1, label="calibrated")
    axes.plot(confidence[known], accuracy[known], "o", color="black", markersize=4, label="mean of the bin")
    axes.set(xlim=(0, 1), ylim=(0, 1.02), ylabel="accuracy (share that is right)")
    axes.set_title(f"{title}{': ' if title else ''}expected calibration error {calibration.error:.3f}", fontsize=TITLE)
    axes.legend(loc="upper left", fontsize=SMALL)
    below.bar(edges, counts / counts.sum(), width=width, align="edge", color="0.55", edgecolor="white")
    below.set(xlabel="confidence (probability of the predicted class)", ylabel="share of\nexamples")
    below.text(0.02, 0.95, f"{counts.sum()} examples", transform=below.transAxes, va="top", fontsize=SMALL)
    for panel in (axes, below):
        grid(panel)
    return figure
