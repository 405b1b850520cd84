"""What is in a set of images with objects: classes, crowding and sizes of the boxes, as a figure."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from astrokeras.plots.blank import blank_figure, names_of
from astrokeras.plots.style import colours_of, plain_ticks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MANY = 5000  # boxes beyond which counts are drawn, not points


def box_statistics(
    objects: Sequence[Mapping], names: Sequence[str] | None = None, priors=None, title: str = ""
) -> "Figure":
    """Draw objects per class, objects per image, and the sizes of the boxes, with priors where given.

    Args:
        objects: for each image a dict of `"boxes"` `(k, 2 * dims)`, corners with x first, `"labels"` `(k,)` and, where
            known, `"difficult"` `(k,)`, as `DetectionSet.objects` has them.
        names: of the classes; their numbers where `None`.
        priors: sizes in the same pixels, `(priors, dims)`, x first.
        title: above the figure; the numbers of images and objects are added.

    Returns:
        A matplotlib Figure; of 3-D boxes it shows width and height.

    Raises:
        ValueError: if there are no objects, a label has no name, or priors are of another dimension.

    Example:
        >>> import astrokeras
        >>> train, _ = astrokeras.datasets.simulated_scenes(train=10, test=1, size=32)
        >>> figure = astrokeras.plots.box_statistics(train.objects, train.class_names, priors=[[8, 8], [12, 12]])
        >>> len(figure.axes)
        3
    """
    labels = np.concatenate([one["labels"] for one in objects])
    boxes = np.concatenate([one["boxes"] for one in objects])
    dims = boxes.shape[1] // 2
    names = names_of(names, int(labels.max(initial=-1)) + 1)
    priors = np.zeros((0, dims)) if priors is None else np.asarray(priors, float)
    if len(labels) == 0 or labels.max() >= len(names) or priors.ndim != 2 or priors.shape[1] != dims:
        raise ValueError(
            f"Expected objects, a name for each label, and priors (priors, {dims}); received {len(labels)} objects "
            f"with labels up to {labels.max(initial=-1)}, {len(names)} names, priors {priors.shape}."
        )
    difficult = np.concatenate([one["difficult"] for one in objects]) > 0 if "difficult" in objects[0] else labels < -2
    figure = blank_figure(13, max(4.0, 0.24 * len(names) + 1))
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.1, 1, 1.3))
    figure.suptitle(f"{title}{', ' if title else ''}{len(objects)} images, {len(labels)} objects")
    colours = colours_of(len(names))
    _draw_classes(left, names, colours, labels, difficult)
    _draw_crowding(middle, np.array([len(one["labels"]) for one in objects]))
    _draw_sizes(figure, right, boxes[:, dims:] - boxes[:, :dims], labels, colours, priors)
    return figure


def _draw_classes(axes, names: list[str], colours: np.ndarray, labels: np.ndarray, difficult: np.ndarray) -> None:
    groups = [labels[(labels >= 0) & which] for which in (~difficult, difficult)]
    plain, hard = (np.bincount(group, minlength=len(names)) for group in groups)
    places = np.arange(len(names))
    axes.barh(places, plain, color=colours)
    axes.barh(places, hard, left=plain, color=colours, alpha=0.4)
    for place, total in zip(places, plain + hard, strict=True):
        axes.annotate(f"{total}", (total, place), (3, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.18 * (plain + hard).max())
    axes.set_xlabel("objects")
    axes.set_title(f"objects per class{' (pale: difficult)' * bool(hard.any())}", fontsize=10)


def _draw_crowding(axes, counts: np.ndarray) -> None:
    step = max(1, -(-int(counts.max()) // 60))  # at most 60 bars
    edges = np.arange(counts.min() // step * step, counts.max() + step + 1, step) - 0.5
    axes.hist(counts, edges, color="0.6", edgecolor="white", linewidth=0.4)
    axes.axvline(counts.mean(), color="black", linestyle="--", linewidth=1, label=f"mean {counts.mean():.1f}")
    axes.legend(frameon=False)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("objects in an image")
    axes.set_ylabel("images")
    axes.set_title("objects per image", fontsize=10)


def _draw_sizes(figure, axes, sizes: np.ndarray, labels: np.ndarray, colours: np.ndarray, priors: np.ndarray) -> None:
    """Draw a point for each box in the colour of its class, or counts where there are too many."""
    axes.set(xlabel="width (pixels)", title="sizes of the boxes", xscale="log")
    axes.title.set_fontsize(10)
    if sizes.shape[1] == 1:
        axes.hist(sizes[:, 0], _edges(sizes[:, 0]), color="0.6")
        for i, width in enumerate(priors[:, 0]):
            axes.axvline(width, color="black", label=None if i else "priors")
        axes.set_ylabel("objects")
    else:
        axes.set(ylabel="height (pixels)", yscale="log")
        if len(sizes) > MANY:
            from matplotlib.colors import LogNorm

            edges = [_edges(sizes[:, 0]), _edges(sizes[:, 1])]
            shown = axes.hist2d(sizes[:, 0], sizes[:, 1], edges, cmin=1, norm=LogNorm(), cmap="viridis")[3]
            figure.colorbar(shown, ax=axes, label="objects")
        else:
            order = np.random.default_rng(0).permutation(len(sizes))  # no class on top of the others
            chosen = np.array([*colours, (0.5, 0.5, 0.5)])[labels[order].clip(-1)]
            axes.scatter(*sizes[order, :2].T, s=9, c=chosen, alpha=0.5, linewidths=0)
        axes.plot(*priors[:, :2].T, "P", color="black", markeredgecolor="white", markersize=10, label="priors")
        plain_ticks(axes.yaxis)
    if len(priors):
        axes.legend(loc="upper left", framealpha=0.9)
    plain_ticks(axes.xaxis)


def _edges(sizes: np.ndarray) -> np.ndarray:
    """Return edges of bins that grow with the size; whole numbers where the sizes are, lest some bins stay empty."""
    edges = np.geomspace(sizes.min() / 1.01, sizes.max() * 1.01, 41)
    return edges if (sizes % 1).any() else np.unique([np.floor(edges[0]), *np.round(edges), np.ceil(edges[-1])]) + 0.5
