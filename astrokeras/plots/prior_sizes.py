"""Prior sizes of a detector beside the sizes of the objects that it shall find."""

from typing import TYPE_CHECKING

import numpy as np

from astrokeras.boxes import centers_and_sizes, interval_iou
from astrokeras.plots.blank import blank_figure
from astrokeras.plots.style import SMALL, TITLE, colours_of, grid, plain_ticks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MANY = 20_000  # points beyond which a random part is drawn
AXES = ("width", "height", "depth")


def prior_sizes(boxes, priors, title: str = "") -> "Figure":
    """Draw how well prior sizes stand for the sizes of the boxes of a set.

    Each box belongs to the prior that overlaps it most when both have one centre, as `boxes.kmeans_priors` has it, and
    has its colour. Panels: the sizes with the priors on them (1-D: how many of each size; 3-D: also width and depth);
    the priors to scale with their shares of the boxes (not in 1-D); how many boxes overlap their prior by how much.

    Args:
        boxes: `(n, 2 * dims)` corners with x first, in pixels of the network's input.
        priors: `(priors, dims)` sizes in the same pixels, x first.
        title: above the figure; the counts and the mean IoU are added.

    Returns:
        A matplotlib Figure of 2 (1-D), 3 (2-D) or 4 (3-D) panels.

    Raises:
        ValueError: if there is no box, the shapes do not fit, or a size is not above 0.

    Reference:
        Redmon & Farhadi 2017, arXiv:1612.08242, section 2 (dimension clusters) and figure 2.

    Example:
        >>> import astrokeras
        >>> boxes = [[0, 0, 10, 10], [0, 0, 20, 10], [5, 5, 45, 45]]
        >>> figure = astrokeras.plots.prior_sizes(boxes, [[10, 10], [40, 40]])
        >>> figure.get_suptitle(), len(figure.axes)
        ('2 priors, 3 boxes, mean IoU 0.833', 3)
    """
    sizes, priors = _checked(boxes, priors)
    dims = sizes.shape[1]
    overlaps = interval_iou(*([(-s / 2, s / 2) for s in part] for part in (sizes.T[:, :, None], priors.T[:, None])))
    owner, best = overlaps.argmax(axis=1), overlaps.max(axis=1)
    colours = colours_of(len(priors))
    pairs = {1: 1, 2: 1, 3: 2}[dims]
    widths = [1.25] * pairs + [1] * (dims > 1) + [1]
    figure = blank_figure(4.4 * sum(widths), 4.3)
    panels = list(figure.subplots(1, len(widths), width_ratios=widths))
    some = np.random.default_rng(0).permutation(len(sizes))[:MANY]  # no prior's boxes on top of the others
    if dims == 1:
        _draw_widths(panels[0], sizes[:, 0], owner, priors[:, 0], colours)
    for other, axes in enumerate(panels[: pairs * (dims > 1)], 1):
        _draw_sizes(axes, sizes[some], owner[some], priors, colours, other)
    if dims > 1:
        _draw_priors(panels[-2], priors, np.bincount(owner, minlength=len(priors)) / len(sizes), colours)
    _draw_overlaps(panels[-1], best, owner, colours)
    counts = f"{len(priors)} prior{'s' * (len(priors) > 1)}, {len(sizes):,} boxes, mean IoU {best.mean():.3f}"
    figure.suptitle(f"{title}{': ' if title else ''}{counts}", fontsize=TITLE)
    return figure


def _checked(boxes, priors) -> tuple[np.ndarray, np.ndarray]:
    boxes, priors = np.asarray(boxes, float), np.asarray(priors, float)
    fits = boxes.ndim == 2 and boxes.shape[1] in (2, 4, 6) and len(boxes) > 0
    if not fits or priors.ndim != 2 or not len(priors) or priors.shape[1] != boxes.shape[1] // 2:
        raise ValueError(
            "Expected boxes (n, 2 * dims) with n > 0 and priors (priors, dims) of the same dims; received shapes "
            f"{boxes.shape} and {priors.shape}."
        )
    sizes = centers_and_sizes(boxes)[1]
    for name, some in (("boxes", sizes), ("priors", priors)):
        wrong = np.flatnonzero(~((some > 0) & np.isfinite(some)).all(axis=1))
        if len(wrong):
            raise ValueError(
                f"Expected {name} of sizes above 0; number {wrong[0]} has {some[wrong[0]].tolist()}: drop it first."
            )
    return sizes, priors


def _draw_sizes(axes, sizes, owner, priors, colours, other: int) -> None:
    """Draw a point for each box, its width and another size, and the priors as crosses."""
    point = float(np.clip(6000 / len(sizes), 1.5, 14))
    axes.scatter(sizes[:, 0], sizes[:, other], s=point, c=colours[owner], alpha=0.6, linewidths=0)
    style = {"markeredgecolor": "black", "markeredgewidth": 1.2, "zorder": 4}
    for prior, colour in zip(priors, colours, strict=True):
        axes.plot(prior[0], prior[other], "P", color=colour, markersize=12, **style)
    axes.plot([], [], "P", color="white", markersize=9, label="priors", **style)
    axes.set(xscale="log", yscale="log", xlabel="width (pixels)", ylabel=f"{AXES[other]} (pixels)")
    axes.set_title("sizes of the boxes", fontsize=TITLE)
    axes.legend(loc="upper left", fontsize=SMALL, framealpha=0.9)
    for axis in (axes.xaxis, axes.yaxis):
        plain_ticks(axis)
    grid(axes)


def _draw_widths(axes, widths, owner, priors, colours) -> None:
    """Draw how many boxes have each width, and the priors as lines."""
    low, high = min(widths.min(), priors.min()) / 1.05, max(widths.max(), priors.max()) * 1.05
    parts = [widths[owner == number] for number in range(len(priors))]
    axes.hist(parts, np.geomspace(low, high, 41), stacked=True, color=list(colours))
    for number, prior in enumerate(priors):
        axes.axvline(prior, color="black", linewidth=1.2, label="_" if number else "priors")
    axes.set(xscale="log", xlabel="width (pixels)", ylabel="boxes")
    axes.set_title("sizes of the boxes", fontsize=TITLE)
    axes.legend(loc="upper left", fontsize=SMALL, framealpha=0.9)
    plain_ticks(axes.xaxis)
    grid(axes)


def _draw_priors(axes, priors, shares, colours) -> None:
    """Draw the priors to scale around one centre, the largest below; the legend tells their sizes and shares."""
    from matplotlib.patches import Rectangle

    for number in np.argsort(-priors[:, 0] * priors[:, 1], kind="stable"):
        width, height = priors[number, :2]
        box = Rectangle((-width / 2, -height / 2), width, height, linewidth=2)
        box.set(facecolor=(*colours[number], 0.15), edgecolor=colours[number])
        axes.add_patch(box)
    side = 0.55 * priors[:, :2].max()
    axes.set(xlim=(-side, side), ylim=(side, -side), aspect="equal", xlabel="x (pixels)", ylabel="y (pixels)")
    handles = [Rectangle((0, 0), 1, 1, color=colour) for colour in colours]
    said = [
        f"{' × '.join(f'{size:.3g}' for size in prior)}: {100 * share:.0f} %"
        for prior, share in zip(priors, shares, strict=True)
    ]
    place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.16), "ncols": 2 if len(priors) <= 10 else 3}
    axes.legend(handles, said, fontsize=SMALL, frameon=False, **place)
    axes.set_title("priors, and their shares of the boxes", fontsize=TITLE)


def _draw_overlaps(axes, best, owner, colours) -> None:
    """Draw how many boxes overlap their prior by how much, stacked by prior."""
    parts = [best[owner == number] for number in range(len(colours))]
    axes.hist(parts, np.linspace(0, 1, 41), stacked=True, color=list(colours))
    axes.axvline(best.mean(), color="black", linestyle="--", linewidth=1, label=f"mean {best.mean():.3f}")
    axes.set(xlim=(0, 1), xlabel="IoU with the prior, centres aligned", ylabel="boxes")
    axes.set_title("overlap of boxes and their priors", fontsize=TITLE)
    axes.legend(loc="upper left", fontsize=SMALL, frameon=False)
    grid(axes)
