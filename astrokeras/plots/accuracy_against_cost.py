"""Which of several models is worth its cost?"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from astrokeras.plots.blank import blank_figure
from astrokeras.plots.style import BLUE, SMALL, TITLE, grid, plain_ticks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PLACES = ((6, 6, "left"), (6, -12, "left"), (-6, 6, "right"), (-6, -12, "right"))  # of a name beside its point


def accuracy_against_cost(
    names: Sequence[str],
    accuracy: Sequence[float],
    cost: Sequence[float],
    *,
    quantity: str = "multiply-adds of one image",
    score: str = "accuracy",
    title: str = "",
) -> "Figure":
    """Draw a point for each model, and the line below which a model is beaten at its own cost.

    Full points are the models for which no other is as good and as cheap, and better in one of the two.

    Args:
        names: of the models.
        accuracy: `(n,)`, or another score of which more is better.
        cost: `(n,)` above 0: multiply-adds, seconds, joules, bytes.
        quantity: what the cost is, with its unit.
        score: what the accuracy is.
        title: above the figure.

    Returns:
        A matplotlib Figure; the cost has a logarithmic axis.

    Raises:
        ValueError: if there are no models, not as many numbers as names, or a cost is not above 0.

    Example:
        >>> from astrokeras import plots
        >>> figure = plots.accuracy_against_cost(["small", "large", "worse"], [0.97, 0.99, 0.96], [1e6, 4e6, 5e6])
        >>> figure.axes[0].get_xlabel()
        'multiply-adds of one image'
    """
    accuracy, cost = np.asarray(accuracy, float), np.asarray(cost, float)
    if not len(names) or accuracy.shape != (len(names),) or cost.shape != (len(names),):
        raise ValueError(
            f"Expected one accuracy and one cost for each of the names, one or more; received {len(names)} names, "
            f"accuracy {accuracy.shape} and cost {cost.shape}."
        )
    if not (cost > 0).all() or not np.isfinite(accuracy).all():
        raise ValueError(f"Expected each cost above 0 and finite accuracies; received {cost} and {accuracy}.")
    best = _unbeaten(accuracy, cost)
    figure = blank_figure(6.4, 4.4)
    axes = figure.subplots()
    order = np.argsort(cost[best], kind="stable")
    axes.set_xscale("log")
    front = cost[best][order], accuracy[best][order]
    axes.step(*front, where="post", color=BLUE, linewidth=1.2, alpha=0.6)
    points = {"color": BLUE, "markersize": 7, "linestyle": ""}
    axes.plot(*front, "o", label="not beaten", **points)
    if not best.all():
        axes.plot(cost[~best], accuracy[~best], "o", markerfacecolor="white", label="beaten", **points)
        figure.legend(loc="outside lower center", ncols=2, fontsize=SMALL, frameon=False)
    axes.margins(0.16)
    axes.set(xlabel=quantity, ylabel=score)
    axes.set_title(title, fontsize=TITLE)
    if cost.max() < 1e4 * cost.min() and 1e-3 < cost.min() and cost.max() < 1e5:
        plain_ticks(axes.xaxis)
    grid(axes)
    _name_points(figure, axes, names, accuracy, cost)
    return figure


def _unbeaten(accuracy: np.ndarray, cost: np.ndarray) -> np.ndarray:
    """Return `(n,)` whether no other model is as good and as cheap, and better in one of the two."""
    as_good = (accuracy >= accuracy[:, None]) & (cost <= cost[:, None])
    better = (accuracy > accuracy[:, None]) | (cost < cost[:, None])
    return ~(as_good & better).any(axis=1)


def _name_points(figure, axes, names, accuracy, cost) -> None:
    """Write each name where it covers the least of points and of other names."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()
    spots = axes.transData.transform(np.column_stack([cost, accuracy]))
    taken = [np.concatenate([spot - 5, spot + 5]) for spot in spots]
    frame = axes.get_window_extent(renderer).extents
    for index in np.argsort(-accuracy, kind="stable"):
        tried = []
        for x, y, side in PLACES:
            text = axes.annotate(
                names[index],
                (cost[index], accuracy[index]),
                (x, y),
                textcoords="offset points",
                ha=side,
                fontsize=SMALL,
            )
            box = text.get_window_extent(renderer).extents
            covered = sum(_overlap(box, other) for other in taken)
            outside = (box[2:] - box[:2]).prod() - _overlap(box, frame)
            tried.append((covered + outside, text, box))
        chosen = min(range(len(tried)), key=lambda one: tried[one][0])
        for number, (_, text, _) in enumerate(tried):
            if number != chosen:
                text.remove()
        taken.append(tried[chosen][2])


def _overlap(one: np.ndarray, other: np.ndarray) -> float:
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    return float(sides.clip(0).prod())
