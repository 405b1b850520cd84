"""Accuracy against the number of bits of weights and maps."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from astrokeras.plots.blank import blank_figure
from astrokeras.plots.style import SMALL, TITLE, colours_of, grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FLOAT = 32  # the number of bits that stands for float32
MARKERS = "osD^vP*X"


def accuracy_by_bits(accuracies: Mapping, title: str = "") -> "Figure":
    """Draw the accuracy against the number of bits; that of float32 is a dashed line.

    Args:
        accuracies: number of bits -> accuracy in 0..1, as `quantization.accuracy_by_bits` returns it, with 32 for
            float32; or name -> such a dict, for several networks.
        title: above the figure.

    Returns:
        A matplotlib Figure.

    Raises:
        ValueError: if there is no number of bits below 32.

    Reference:
        Course, slides on "frugal AI".

    Example:
        >>> import astrokeras
        >>> figure = astrokeras.plots.accuracy_by_bits({32: 0.99, 8: 0.99, 4: 0.97, 2: 0.4}, "LeNet-5")
        >>> figure.axes[0].get_xlabel()
        'bits of weights and maps'
    """
    runs = dict(accuracies) if any(isinstance(one, Mapping) for one in accuracies.values()) else {"": accuracies}
    counts = sorted({bits for run in runs.values() for bits in run if bits != FLOAT})
    if not counts:
        raise ValueError("Expected accuracies of at least one number of bits below 32; received none.")
    figure = blank_figure(5.6, 3.8)
    axes = figure.subplots()
    for (name, run), colour, marker in zip(runs.items(), colours_of(len(runs)), MARKERS * len(runs), strict=False):
        known = sorted((bits, share) for bits, share in run.items() if bits != FLOAT)
        axes.plot(*zip(*known, strict=True), color=colour, marker=marker, label=name or "rounded")
        if FLOAT in run:
            label = f"{name}, float32" if name else "float32"
            axes.axhline(run[FLOAT], color=colour, linestyle="--", linewidth=1, label=f"{label}: {run[FLOAT]:.4f}")
    axes.set(xlabel="bits of weights and maps", ylabel="accuracy (share that is right)", ylim=(0, 1.03))
    axes.set_xticks(counts)
    axes.invert_xaxis()
    axes.legend(loc="lower left", fontsize=SMALL, frameon=False)
    if title:
        axes.set_title(title, fontsize=TITLE)
    grid(axes)
    return figure
