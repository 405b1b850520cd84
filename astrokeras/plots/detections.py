"""Detections drawn on their spectrum, image or cube."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from astrokeras.plots.blank import blank_figure
from astrokeras.plots.canvas import check_image, draw_boxes, draw_picture, draw_spectrum, picture_size
from astrokeras.plots.style import SMALL, TITLE, box_colour

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

    Difficult objects are dashed among true ones drawn alone, which are solid then, and dotted beside detections.
    Spectra show spans along x; cubes show their maximum along z with the boxes seen along z. Numbers on the axes are
    pixel edges: pixel i covers `[i, i + 1)`.

    Args:
        image: `(x,)`, `(y, x)` or `(z, y, x)`, with or without a last axis of channels: uint8, or floats of any range
            (shown from their 1st to 99.5th percentile); three channels are colours, others are averaged (a spectrum
            draws each). `None` draws the boxes alone.
        detections: `Detections` of this image, in its pixels; `None` draws the targets alone.
        targets: the objects of this image: `"boxes"` `(m, 2 * dims)`, `"labels"` `(m,)`; -1 is padding;
            where known `"difficult"` `(m,)`, above 0 for difficult ones.
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
    difficult = np.zeros(0, bool)
    if targets is not None:
        labels = np.asarray(targets["labels"], int)
        real = labels != -1
        groups.append((np.asarray(targets["boxes"], float)[real], labels[real], None))
        difficult = (np.asarray(targets.get("difficult", np.zeros(len(labels)))) > 0)[real]
    if detections is not None:
        groups.append((detections.boxes, detections.labels, detections.scores))
        class_names = detections.class_names if class_names is None else class_names
    dims = groups[-1][0].shape[1] // 2
    image = check_image(image, dims)
    figure, axes = (_spectrum if dims == 1 else _picture)(image, np.concatenate([group[0] for group in groups]), origin)
    lines = ("-", "--") if detections is None else ("--", ":")  # true ones, and difficult ones among them
    for boxes, labels, scores in groups:
        if scores is not None:
            _draw(axes, boxes, labels, "-", found=True)
        else:
            for hard, line in zip((~difficult, difficult), lines, strict=True):
                _draw(axes, boxes[hard], labels[hard], line, alone=detections is None)
    if detections is not None and len(detections) <= MANY:
        _tag(axes, detections, class_names)
    handles = _legend(groups, class_names, lines, bool(difficult.any()))
    if handles:
        columns = min(len(handles), 4)
        figure.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize=SMALL, frameon=False)
    axes.set_title(f"{title}{': ' if title else ''}{_counts(groups)}", fontsize=TITLE)
    return figure


def _draw(axes, boxes: np.ndarray, labels: np.ndarray, line: str, *, found: bool = False, alone: bool = False) -> None:
    """Draw one group of boxes, a collection a class; true ones beside found ones are paler (darker on white)."""
    dims = boxes.shape[1] // 2
    width = 0.8 if len(boxes) > MANY else 1.6
    for label in np.unique(labels):
        colour = box_colour(label, dims)
        fill = (*colour, 0.2) if dims == 1 and (found or alone) else "none"
        edge = colour if found or alone else 0.5 * colour + (0 if dims == 1 else 0.5)
        style = {"facecolor": fill, "edgecolor": edge, "linestyle": line, "linewidth": width}
        draw_boxes(axes, boxes[labels == label], zorder=3 if found else 3.5, **style)


def _tag(axes, detections, class_names: Sequence[str] | None) -> None:
    """Write class and score above each box, inside it where there is no room; upright on spans."""
    dims = detections.dims
    (left, right), (bottom, ceiling) = axes.get_xlim(), axes.get_ylim()
    for box, label, score in zip(detections.boxes, detections.labels, detections.scores, strict=True):
        colour = box_colour(label, dims)
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


def _legend(groups: list, class_names: Sequence[str] | None, lines: tuple[str, str], difficult: bool) -> list:
    """Return a line for each class with its counts, and those that say what is not solid."""
    from matplotlib.lines import Line2D

    handles = []
    for label in np.unique(np.concatenate([labels for _, labels, _ in groups])):
        counts = _counts([(None, labels[labels == label], scores) for _, labels, scores in groups])
        said = f"{_name(label, class_names)}: {counts}"
        handles.append(Line2D([], [], color=box_colour(label, groups[0][0].shape[1] // 2), linewidth=2, label=said))
    if groups[0][2] is None and handles:
        said = [("true", lines[0])] * (lines[0] != "-") + [("difficult", lines[1])] * difficult
        handles += [Line2D([], [], color="0.4", linestyle=line, linewidth=1.6, label=name) for name, line in said]
    return handles


def _counts(groups: list) -> str:
    return ", ".join(f"{len(labels)} {'true' if scores is None else 'found'}" for _, labels, scores in groups[::-1])


def _spectrum(image: np.ndarray | None, boxes: np.ndarray, origin: str) -> tuple:
    figure = blank_figure(9, 3.4)
    axes = figure.add_subplot()
    draw_spectrum(axes, image, boxes)
    return figure, axes


def _picture(image: np.ndarray | None, boxes: np.ndarray, origin: str) -> tuple:
    y, x = picture_size(image, boxes)
    tall = np.clip(6.5 * y / x, 2.2, 9.5)
    figure = blank_figure(max(min(6.5, tall * x / y), 3.2) + 0.7, tall + 1.2)
    axes = figure.add_subplot()
    draw_picture(axes, image, boxes, origin)
    return figure, axes


def _name(label: int, class_names: Sequence[str] | None) -> str:
    known = class_names is not None and 0 <= label < len(class_names)
    return str(class_names[label]) if known else f"class {label}"
