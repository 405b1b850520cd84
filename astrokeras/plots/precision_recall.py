"""Precision against recall, class by class."""

from typing import TYPE_CHECKING

import numpy as np

from astrokeras.plots.blank import blank_figure, names_of
from astrokeras.plots.style import colours_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from astrokeras.metrics import AveragePrecision

FEW = 10  # classes up to here have a colour and a line of the legend each
ENDS = 4  # of more classes, as many of the best and of the worst have
ROWS = 45  # classes that one panel ranks


def precision_recall(result: "AveragePrecision", title: str = "") -> "Figure":
    """Draw the precision against the recall of each class, with its average precision in the legend.

    Up to 10 classes have a colour each. Of more, the best four and the worst four have, the others are grey, and a
    second panel ranks the average precision of all (two panels beyond 45 classes, and so on).

    Args:
        result: what `metrics.MeanAveragePrecision.result()` returns; the curves are those of its first IoU threshold.
        title: above the figure; the scores are added.

    Returns:
        A matplotlib Figure of one panel, of two or more for more than 10 classes.

    Raises:
        ValueError: if no class has objects.

    Example:
        >>> import numpy as np
        >>> from astrokeras import metrics, plots
        >>> from astrokeras.detections import Detections
        >>> metric = metrics.MeanAveragePrecision()
        >>> metric.update_state([{"boxes": [[0, 0, 4, 4]], "labels": [0]}], [Detections([[0, 0, 4, 4]], [0.5])])
        >>> len(plots.precision_recall(metric.result()).axes)
        1
    """
    values = result.per_threshold[0] if len(result.per_threshold) else np.zeros(0)
    ranked = np.argsort(-values, kind="stable")
    ranked = ranked[np.isfinite(values[ranked])]
    if not len(ranked):
        raise ValueError("Expected a result with objects; received one in which no class has any.")
    names = names_of(result.class_names, len(values))
    few = len(ranked) <= FEW
    panels = 0 if few else -(-len(ranked) // ROWS)
    rows = -(-len(ranked) // max(panels, 1))
    figure = blank_figure(6.4 if few else 6.3 + 3.6 * panels, 4.4 if few else max(4.8, 0.14 * rows + 0.8))
    axes, *rest = figure.subplots(1, 1 + panels, squeeze=False, width_ratios=[1.6] + [1] * panels)[0]
    if few:
        coloured = dict(zip(np.sort(ranked), colours_of(len(ranked)), strict=True))
    else:
        from matplotlib import colormaps

        best, worst = colormaps["winter"], colormaps["autumn"]
        coloured = {label: best(place / ENDS) for place, label in enumerate(ranked[:ENDS])}
        coloured |= {label: worst(place / ENDS) for place, label in enumerate(ranked[: -ENDS - 1 : -1])}
    for label in ranked[::-1]:
        recall, precision = _steps(result.curves[label])
        colour, width, above = (coloured[label], 1.8, 3) if label in coloured else ("0.75", 0.7, 2)
        axes.plot(recall, precision, color=colour, linewidth=width, zorder=above, label=f"_{label}")
    lines = {line.get_label(): line for line in axes.lines}
    shown = [label for label in ranked if label in coloured]
    axes.legend(
        [lines[f"_{label}"] for label in shown],
        [f"{names[label]}  {values[label]:.3f}" for label in shown],
        title=f"AP at IoU {result.iou_thresholds[0]:g}" + ("" if few else f"\n{ENDS} best, {ENDS} worst"),
        fontsize=8,
        title_fontsize=8,
        loc="lower left",
        framealpha=0.9,
    )
    axes.set(xlim=(0, 1.01), ylim=(0, 1.03), xlabel="recall", ylabel="precision")
    axes.grid(color="0.92")
    axes.set_axisbelow(True)
    for panel, other in enumerate(rest):
        some = ranked[panel * rows : (panel + 1) * rows]
        colours = [coloured.get(label, "0.75") for label in some]
        _rank(other, values[some], [names[label] for label in some], colours, rows, values[ranked].mean())
    figure.suptitle(f"{title}{': ' if title else ''}{result.describe().split(' (')[0]}", fontsize=10)
    return figure


def _steps(curve: dict) -> tuple[np.ndarray, np.ndarray]:
    """Return the outline of the area under the precision that falls from the right."""
    falling = np.maximum.accumulate(curve["precision"][::-1])[::-1]
    if not len(falling):
        return np.zeros(1), np.zeros(1)
    recall = np.concatenate([[0.0], curve["recall"]])
    return np.append(np.repeat(recall, 2)[1:], recall[-1]), np.append(np.repeat(falling, 2), [falling[-1], 0.0])


def _rank(axes, values: np.ndarray, names: list[str], colours: list, rows: int, mean: float) -> None:
    places = np.arange(len(values))
    axes.barh(places, values, color=colours, height=0.75)
    size = 8 if rows <= 30 else 6
    axes.set_yticks(places, [f"{name}  {value:.3f}" for name, value in zip(names, values, strict=True)], fontsize=size)
    axes.set(ylim=(rows - 0.4, -0.6), xlim=(0, 1), xlabel="average precision (dotted: mean)")
    axes.axvline(mean, color="black", linewidth=1, linestyle=":")
    axes.grid(axis="x", color="0.92")
    axes.set_axisbelow(True)
