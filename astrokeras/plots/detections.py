"""Detections drawn on their spectrum, image or cube."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from astrokeras.plots.blank import blank_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MANY = 40  # boxes beyond which the lines are thin and the tags go


def detections(
    image,
    detections,
    targets: Mapping | None = None,
    class_names: Sequence[str] | None = None,
    *,
    origin: str = "upper",
    title: str = "",
) -> "Figure":
    """Draw boxes on an image: detections in the colour of their class with the score, true objects dashed.

    Spectra show spans along x; cubes show their maximum along z with the boxes seen along z. Numbers on the axes are
    pixel edges: pixel i covers `[i, i + 1)`.

    Args:
        image: `(x,)`, `(y, x)` or `(z, y, x)`, with or without a last axis of channels: uint8, or floats of any range
            (shown from their 1st to 99.5th percentile); three channels are colours, others are averaged (a spectrum
            draws each). `None` draws the boxes alone.
        detections: `Detections` of this image, in its pixels; `None` draws the targets alone.
        targets: the objects of this image: `"boxes"` `(m, 2 * dims)`, `"labels"` `(m,)`; -1 is padding.
        class_names: of the classes; `None` takes those of the detections, else their numbers.
        origin: where row 0 is: `"upper"` for photographs, `"lower"` for sky images.
        title: above the figure; the number of detections is added.

    Returns:
        A matplotlib Figure.

    Raises:
        ValueError: if there is nothing to draw, or the image does not have the dimensions of the boxes.

    Example:
        >>> import numpy as np
        >>> from astrokeras import plots
        >>> from astrokeras.detections import Detections
        >>> figure = plots.detections(np.zeros((8, 8)), Detections([[1, 1, 4, 6]], [0.9], [0]), class_names=["galaxy"])
        >>> figure.axes[0].texts[0].get_text()
        'galaxy 0.90'
    """
    if detections is None and targets is None:
        raise ValueError("Expected detections or targets to draw; received neither.")
    if origin not in ("upper", "lower"):
        raise ValueError(f"Expected origin to be 'upper' or 'lower'; received {origin!r}.")
    groups = []  # boxes, labels, scores or None
    if targets is not None:
        labels = np.asarray(targets["labels"], int)
        groups.append((np.asarray(targets["boxes"], float)[labels != -1], labels[labels != -1], None))
    if detections is not None:
        groups.append((detections.boxes, detections.labels, detections.scores))
        class_names = detections.class_names if class_names is None else class_names
    dims = groups[-1][0].shape[1] // 2
    image = None if image is None else np.asarray(image)
    if image is not None and image.ndim not in (dims, dims + 1):
        raise ValueError(
            f"Expected an image of {dims} axes, and perhaps channels, as the boxes have; received shape {image.shape}."
        )
    everything = np.concatenate([group[0] for group in groups])
    figure, axes = (_spectrum if dims == 1 else _picture)(image, everything, origin)
    for boxes, labels, scores in groups:
        _draw(axes, boxes, labels, scores is None)
    if detections is not None and len(detections) <= MANY:
        _tag(axes, detections, class_names)
    handles = _legend(groups, class_names)
    if handles:
        columns = min(len(handles), 4)
        figure.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize=8, frameon=False)
    axes.set_title(f"{title}{': ' if title else ''}{_counts(groups)}", fontsize=10)
    return figure


def _draw(axes, boxes: np.ndarray, labels: np.ndarray, true: bool) -> None:
    """Draw one group of boxes, one collection a class; true objects dashed, paler (darker on white), on top."""
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle
    from matplotlib.patheffects import Normal, Stroke

    dims = boxes.shape[1] // 2
    width = 0.8 if len(boxes) > MANY else 1.6
    for label in np.unique(labels):
        colour, chosen = _colour(label, dims), boxes[labels == label]
        low, high = chosen[:, :dims], chosen[:, dims:]
        if dims == 1:
            low, high = (np.column_stack([edge, np.full(len(edge), height)]) for edge, height in ((low, 0), (high, 1)))
        sizes = high - low
        collection = PatchCollection([Rectangle(at[:2], *size[:2]) for at, size in zip(low, sizes, strict=True)])
        fill = (*colour, 0.2) if dims == 1 and not true else "none"
        edge = 0.5 * colour + (0 if dims == 1 else 0.5) if true else colour
        collection.set(facecolor=fill, edgecolor=edge, linestyle="--" if true else "-", linewidth=width)
        collection.set_zorder(3.5 if true else 3)
        if dims == 1:
            collection.set_transform(axes.get_xaxis_transform())
        else:
            collection.set_path_effects([Stroke(linewidth=width + 1, foreground=(0, 0, 0, 0.6)), Normal()])
        axes.add_collection(collection, autolim=False)


def _tag(axes, detections, class_names: Sequence[str] | None) -> None:
    """Write class and score above each box, inside it where there is no room; upright on spans."""
    dims = detections.dims
    (left, right), (bottom, ceiling) = axes.get_xlim(), axes.get_ylim()
    for box, label, score in zip(detections.boxes, detections.labels, detections.scores, strict=True):
        colour = _colour(label, dims)
        text = f"{score:.2f}" if class_names is None else f"{_name(label, class_names)} {score:.2f}"
        dark = colour @ (0.299, 0.587, 0.114) < 0.55
        style = {"fontsize": 7, "color": "white" if dark else "black", "clip_on": True, "zorder": 4}
        style["bbox"] = {"facecolor": colour, "edgecolor": "none", "pad": 1.0, "alpha": 0.85}
        if dims == 1:
            place = {"transform": axes.get_xaxis_transform(), "rotation": 90, "ha": "center", "va": "top"}
            axes.text(box.mean(), 0.97, text, **place, **style)
            continue
        top = box[1] if bottom > ceiling else box[dims + 1]
        room = abs(ceiling - top) > 0.05 * abs(ceiling - bottom)
        far = box[0] > left + 0.85 * (right - left)
        x = min(box[dims], right) if far else max(box[0], left)
        axes.text(x, top, text, ha="right" if far else "left", va="bottom" if room else "top", **style)


def _legend(groups: list, class_names: Sequence[str] | None) -> list:
    """Return a line for each class with its counts, and one that says what is dashed."""
    from matplotlib.lines import Line2D

    handles = []
    for label in np.unique(np.concatenate([labels for _, labels, _ in groups])):
        counts = _counts([(None, labels[labels == label], scores) for _, labels, scores in groups])
        said = f"{_name(label, class_names)}: {counts}"
        handles.append(Line2D([], [], color=_colour(label, groups[0][0].shape[1] // 2), linewidth=2, label=said))
    if groups[0][2] is None and handles:
        handles.append(Line2D([], [], color="0.4", linestyle="--", linewidth=1.6, label="true"))
    return handles


def _counts(groups: list) -> str:
    return ", ".join(f"{len(labels)} {'true' if scores is None else 'found'}" for _, labels, scores in groups[::-1])


def _spectrum(image: np.ndarray | None, boxes: np.ndarray, origin: str) -> tuple:
    figure = blank_figure(9, 3.4)
    axes = figure.add_subplot()
    if image is None:
        axes.set(xlim=(boxes.min(initial=0), boxes.max(initial=1)), yticks=[])
    else:
        channels = image.reshape(len(image), -1).T
        for index, values in enumerate(channels):
            colour = "black" if len(channels) == 1 else str(0.6 * index / (len(channels) - 1))
            axes.stairs(values, np.arange(len(values) + 1), baseline=None, color=colour, linewidth=0.9)
        known = channels[np.isfinite(channels)]
        low, high = (known.min(), known.max()) if known.size else (0, 1)
        axes.set(xlim=(0, len(image)), ylim=(low - 0.05 * (high - low), high + 0.35 * (high - low) + 1e-12))
    axes.set_xlabel("x (pixels)")
    return figure, axes


def _picture(image: np.ndarray | None, boxes: np.ndarray, origin: str) -> tuple:
    dims = boxes.shape[1] // 2
    if image is None:
        shown = None
        y, x = (max(boxes[:, dims + axis].max(initial=1), 1) for axis in (1, 0))
    else:
        if dims == 3:
            image = np.fmax.reduce(image, axis=0)  # NaN only where all are
        y, x = image.shape[:2]
        shown = image if image.ndim == 2 or image.shape[-1] == 3 else image.mean(axis=-1)
    tall = np.clip(6.5 * y / x, 2.2, 9.5)
    figure = blank_figure(max(min(6.5, tall * x / y), 3.2) + 0.7, tall + 1.2)
    axes = figure.add_subplot()
    edges = (0, x, y, 0) if origin == "upper" else (0, x, 0, y)
    if shown is not None:
        if shown.dtype != np.uint8:
            shown = _stretched(shown)
        whole = {"vmin": 0, "vmax": 255} if shown.dtype == np.uint8 else {"vmin": 0, "vmax": 1}
        axes.imshow(shown, cmap="gray", origin=origin, extent=edges, interpolation="nearest", **whole)
    axes.set(xlim=edges[:2], ylim=edges[2:], aspect="equal", xlabel="x (pixels)", ylabel="y (pixels)")
    return figure, axes


def _stretched(image: np.ndarray) -> np.ndarray:
    """Bring floats to 0..1 between their 1st and 99.5th percentile."""
    image = image.astype("float32")
    known = image[np.isfinite(image)]
    low, high = np.percentile(known, (1, 99.5)) if known.size else (0, 1)
    return np.clip((np.nan_to_num(image, nan=low) - low) / max(high - low, 1e-30), 0, 1)


def _colour(label: int, dims: int) -> np.ndarray:
    """Return a colour of each class, far from its neighbours: bright for pictures, darker for spectra on white."""
    from matplotlib.colors import hsv_to_rgb

    return hsv_to_rgb(((0.09 + 0.618034 * label) % 1, 0.8, 1.0 if dims > 1 else 0.75))


def _name(label: int, class_names: Sequence[str] | None) -> str:
    known = class_names is not None and 0 <= label < len(class_names)
    return str(class_names[label]) if known else f"class {label}"
