"""The confusion matrix as a figure and as text, with recall and precision margins as CIANNA prints it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import rich.box
import rich.table

from astrokeras.plots.blank import blank_figure, names_of, slanted

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def confusion_matrix(matrix: np.ndarray, names: Sequence[str] | None = None, title: str = "") -> "Figure":
    """Draw a confusion matrix with the recall of each row and the precision of each column.

    Args:
        matrix: `(classes, classes)` counts, row = true class, column = predicted class.
        names: of the classes; their numbers where `None`.
        title: above the figure; the overall accuracy is added.

    Returns:
        A matplotlib Figure.

    Raises:
        ValueError: if the matrix is not square, or there are not as many names as classes.

    Example:
        >>> import numpy as np, astrokeras
        >>> figure = astrokeras.plots.confusion_matrix(np.array([[9, 1], [2, 8]]), ["cat", "dog"])
        >>> len(figure.axes)
        1
    """
    from matplotlib.colors import PowerNorm

    matrix, names = _checked(matrix, names)
    recall, precision, accuracy = margins(matrix)
    n = len(matrix)
    shares = np.full((n + 1, n + 1), np.nan)
    shares[:n, :n] = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)

    side = max(4.0, 0.62 * (n + 1) + 1.6)
    figure = blank_figure(side, side)
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.4, vmin=0, vmax=1))  # the power makes rare errors visible
    size = 9 if n <= 20 else 5
    for row in range(n):
        for column in range(n):
            colour = "white" if shares[row, column] > 0.25 else "black"
            axes.text(column, row, f"{matrix[row, column]:g}", ha="center", va="center", color=colour, fontsize=size)
        axes.text(n, row, _percent(recall[row]), ha="center", va="center", fontsize=size)
        axes.text(row, n, _percent(precision[row]), ha="center", va="center", fontsize=size)
    axes.text(n, n, _percent(accuracy), ha="center", va="center", fontsize=size, fontweight="bold")
    axes.axhline(n - 0.5, color="black", linewidth=1)
    axes.axvline(n - 0.5, color="black", linewidth=1)
    axes.set_xticks(range(n + 1), [*names, "recall"], **slanted(names))
    axes.set_yticks(range(n + 1), [*names, "precision"])
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.set_title(f"{title}{', ' if title else ''}accuracy {_percent(accuracy)} of {matrix.sum():g}")
    return figure


def confusion_table(matrix: np.ndarray, names: Sequence[str] | None = None, title: str = "") -> rich.table.Table:
    """Write a confusion matrix as a table for the terminal, with the same margins.

    Args:
        matrix: `(classes, classes)` counts, row = true class, column = predicted class.
        names: of the classes; their numbers where `None`.
        title: above the table.

    Returns:
        A `rich` table: `rich.print(table)`.

    Raises:
        ValueError: if the matrix is not square, or there are not as many names as classes.

    Example:
        >>> import numpy as np, astrokeras
        >>> table = astrokeras.plots.confusion_table(np.array([[9, 1], [2, 8]]))
        >>> table.row_count
        3
    """
    matrix, names = _checked(matrix, names)
    recall, precision, accuracy = margins(matrix)
    table = rich.table.Table(title=title or None, box=rich.box.SIMPLE_HEAD, padding=(0, 1), collapse_padding=True)
    table.add_column("true \\ predicted")
    for name in [*names, "recall"]:
        table.add_column(name, justify="right")
    for i, (name, row) in enumerate(zip(names, matrix, strict=True)):
        table.add_row(name, *(f"{count:g}" for count in row), _percent(recall[i]), end_section=i == len(names) - 1)
    table.add_row("precision", *(_percent(share) for share in precision), _percent(accuracy))
    return table


def margins(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Return recall per true class, precision per predicted class (NaN where none), and accuracy.

    Example:
        >>> import numpy as np
        >>> from astrokeras.plots import margins
        >>> recall, precision, accuracy = margins(np.array([[9, 1], [2, 8]]))
        >>> recall.tolist(), round(float(precision[0]), 3), accuracy
        ([0.9, 0.8], 0.818, 0.85)
    """
    diagonal = np.diag(matrix).astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = diagonal / matrix.sum(axis=1)
        precision = diagonal / matrix.sum(axis=0)
        return recall, precision, float(diagonal.sum() / matrix.sum())


def _checked(matrix: np.ndarray, names: Sequence[str] | None) -> tuple[np.ndarray, list[str]]:
    matrix = np.asarray(matrix)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"Expected a matrix (classes, classes); received shape {matrix.shape}.")
    names = names_of(names, len(matrix))
    if len(names) != len(matrix):
        raise ValueError(f"Expected {len(matrix)} names, one per class; received {len(names)}.")
    return matrix, names


def _percent(share: float) -> str:
    return "-" if np.isnan(share) else f"{100 * share:.2f}%" if share < 0.99995 else "100%"
