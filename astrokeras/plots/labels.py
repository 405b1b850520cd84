"""Precision, recall and F1 of independent labels, as a figure and as text."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import rich.box
import rich.table

from astrokeras import metrics
from astrokeras.plots.blank import blank_figure, names_of, slanted
from astrokeras.plots.style import GREEN, SKY, VERMILION

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def label_table(
    truth: np.ndarray, scores: np.ndarray, thresholds=0.5, names: Sequence[str] | None = None, title: str = ""
) -> rich.table.Table:
    """Write precision, recall and F1 of each label as a table for the terminal.

    Args:
        truth: `(n, labels)`, 1 where a label applies.
        scores: `(n, labels)`, as the model predicts them.
        thresholds: one for all, or `(labels,)`.
        names: of the labels; their numbers where `None`.
        title: above the table.

    Returns:
        A `rich` table; its last row holds the means.

    Example:
        >>> import numpy as np, astrokeras
        >>> astrokeras.plots.label_table(np.eye(3), np.eye(3)).row_count
        4
    """
    found = metrics.label_scores(truth, scores, thresholds)
    count = truth.shape[1]
    names = names_of(names, count)
    table = rich.table.Table(title=title or None, box=rich.box.SIMPLE_HEAD)
    table.add_column("label")
    for heading in ("examples", "threshold", *found):
        table.add_column(heading, justify="right")
    limits = np.broadcast_to(np.asarray(thresholds, float), (count,))
    for i in range(count):
        row = (f"{int(truth[:, i].sum())}", f"{limits[i]:.2f}", *(f"{values[i]:.4f}" for values in found.values()))
        table.add_row(names[i], *row, end_section=i == count - 1)
    table.add_row("mean", "", "", *(f"{values.mean():.4f}" for values in found.values()))
    return table


def label_scores(
    truth: np.ndarray, scores: np.ndarray, thresholds=0.5, names: Sequence[str] | None = None, title: str = ""
) -> "Figure":
    """Draw the F1 of each label as bars, its precision and recall as marks.

    Args:
        truth: `(n, labels)`, 1 where a label applies.
        scores: `(n, labels)`, as the model predicts them.
        thresholds: one for all, or `(labels,)`.
        names: of the labels; their numbers where `None`.
        title: above the figure; the macro F1 is added.

    Returns:
        A matplotlib Figure.

    Example:
        >>> import numpy as np, astrokeras
        >>> len(astrokeras.plots.label_scores(np.eye(3), np.eye(3)).axes)
        1
    """
    found = metrics.label_scores(truth, scores, thresholds)
    count = truth.shape[1]
    names = names_of(names, count)
    figure = blank_figure(max(5.0, 0.35 * count + 2), 3.6)
    axes = figure.add_subplot()
    places = np.arange(count)
    axes.bar(places, found["F1"], color=SKY, label="F1")
    axes.plot(places, found["precision"], "v", color=VERMILION, markersize=5, label="precision")
    axes.plot(places, found["recall"], "^", color=GREEN, markersize=5, label="recall")
    axes.set_xticks(places, names, **slanted(names))
    axes.set_ylim(0, 1.05)
    axes.set_xlabel("label")
    axes.set_ylabel("score")
    axes.set_title(f"{title}{', ' if title else ''}macro F1 {found['F1'].mean():.3f} of {len(truth)}")
    axes.legend(loc="lower center", ncols=3, framealpha=0.9)
    return figure
