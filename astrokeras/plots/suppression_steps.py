"""Non-maximum suppression, step by step."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from astrokeras import boxes as geometry
from astrokeras.plots.blank import blank_figure
from astrokeras.plots.canvas import check_image, draw_boxes, draw_picture, draw_spectrum, picture_size
from astrokeras.plots.style import SKY, SMALL, TITLE, VERMILION, YELLOW

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WAITING, BEST, REMOVED, KEPT = (
    {"edgecolor": "0.9", "linestyle": "-", "linewidth": 0.9, "zorder": 3},
    {"edgecolor": YELLOW, "linestyle": "-", "linewidth": 3.0, "zorder": 5},
    {"edgecolor": VERMILION, "linestyle": "--", "linewidth": 1.8, "zorder": 4},
    {"edgecolor": SKY, "linestyle": "-", "linewidth": 2.2, "zorder": 4.5},
)
SAID = {"waits": WAITING, "the best that waits": BEST, "removed by it": REMOVED, "kept": KEPT}
KINDS = {"iou": "IoU", "giou": "GIoU", "diou": "DIoU", "diou2": "DIoU2"}
LISTED = 4  # overlaps that are written under a panel


class _Step(NamedTuple):
    """One turn: the box that is taken, those that it removes with their overlaps, and those that wait still."""

    best: int
    removed: np.ndarray
    overlaps: np.ndarray
    waiting: np.ndarray


def suppression_steps(
    image,
    detections,
    *,
    threshold: float = 0.5,
    other_threshold: float | None = None,
    kind: str = "iou",
    steps: int = 6,
    class_names: Sequence[str] | None = None,
    origin: str = "upper",
    title: str = "",
) -> "Figure":
    """Draw how suppression goes: all boxes; the best one, and those that it removes; the next best one; what is kept.

    The rule is that of `boxes.suppress`, which detectors use. A panel shows one turn: the best box that waits is taken,
    and the boxes that overlap it by more than the threshold go; below stand their overlaps, largest first.

    Args:
        image: `(x,)`, `(y, x)` or `(z, y, x)`, with or without channels, as in `plots.detections`; `None` draws the
            boxes alone.
        detections: `Detections` before suppression, such as `detect(images, nms_threshold=1.0)[0]`, in pixels of the
            image.
        threshold: overlap above which a box of the same class is removed.
        other_threshold: likewise for a box of another class; `None` keeps it always.
        kind: of the overlap, one of `boxes.IOU_KINDS`.
        steps: most turns to draw; the last panel shows what all of them leave.
        class_names: of the classes; `None` takes those of the detections, else their numbers.
        origin: where row 0 is: `"upper"` for photographs, `"lower"` for sky images.
        title: above the figure.

    Returns:
        A matplotlib Figure of `steps + 2` panels, or fewer.

    Raises:
        ValueError: if there is no box, `steps` < 1, the image has other axes than the boxes, or a threshold or kind is
            refused by `boxes.suppress`.

    Reference:
        Course, slides on object detection: non-maximum suppression.

    Example:
        >>> import numpy as np
        >>> from astrokeras import plots
        >>> from astrokeras.detections import Detections
        >>> found = Detections([[0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10]], [0.6, 0.9, 0.3])
        >>> figure = plots.suppression_steps(np.zeros((12, 32)), found)
        >>> [axes.get_title() for axes in figure.axes]
        ['3 boxes', '1. take 0.90', '2. take 0.30', '2 kept']
    """
    if not len(detections.boxes) or steps < 1:
        raise ValueError(
            f"Expected at least one box and steps >= 1; received {len(detections.boxes)} boxes and steps={steps}."
        )
    if origin not in ("upper", "lower"):
        raise ValueError(f"Expected origin to be 'upper' or 'lower'; received {origin!r}.")
    boxes, labels, scores = detections.boxes, detections.labels, detections.scores
    image = check_image(image, boxes.shape[1] // 2)
    names = getattr(detections, "class_names", None) if class_names is None else class_names
    turns = _turns(boxes, scores, labels, threshold, other_threshold, kind)
    shown = turns[:steps]
    figure, panels = _panels(image, boxes, len(shown) + 2, origin)
    _draw(panels[0], boxes, f"{len(boxes)} boxes", waits=np.arange(len(boxes)))
    kept: list[int] = []
    for number, (axes, step) in enumerate(zip(panels[1:], shown, strict=False), 1):
        name = "" if names is None and not labels.any() else f" {_name(labels[step.best], names)}"
        said = f"{number}. take{name} {scores[step.best]:.2f}"
        parts = {"waits": step.waiting, "kept": kept, "removed by it": step.removed, "the best that waits": [step.best]}
        _draw(axes, boxes, said, **parts)
        axes.set_xlabel(_sentence(step, kind), fontsize=SMALL)
        kept.append(step.best)
    last = panels[len(shown) + 1]
    _draw(last, boxes, f"{len(turns)} kept", kept=[step.best for step in turns])
    more = len(turns) - len(shown)
    last.set_xlabel(f"after {more} more step{'s' * (more > 1)}" if more else "nothing waits", fontsize=SMALL)
    _legend(figure, boxes.shape[1] // 2)
    limits = f"{KINDS[kind]} > {threshold:g}"
    if other_threshold is not None:
        limits += f" (another class: > {other_threshold:g})"
    figure.suptitle(f"{title}{': ' if title else ''}suppression of boxes with {limits}", fontsize=TITLE)
    return figure


def _turns(boxes, scores, labels, threshold, other_threshold, kind) -> list[_Step]:
    """Go through the boxes that `suppress` keeps, best first, and find which others each of them removes."""
    settings = {"threshold": threshold, "other_threshold": other_threshold, "kind": kind}
    taken = geometry.suppress(boxes, scores, labels, **settings)
    order = np.argsort(-np.asarray(scores, "float64"), kind="stable")
    exact = np.asarray(boxes, "float64")
    turns, waiting = [], order
    for best in taken:
        waiting = waiting[waiting != best]
        overlaps = geometry.iou(exact[waiting], exact[best], kind)
        other = np.inf if other_threshold is None else other_threshold
        over = overlaps > np.where(labels[waiting] == labels[best], threshold, other)
        falling = np.argsort(-overlaps[over], kind="stable")
        turns.append(_Step(int(best), waiting[over][falling], overlaps[over][falling], waiting[~over]))
        waiting = waiting[~over]
    return turns


def _panels(image, boxes: np.ndarray, count: int, origin: str) -> tuple:
    """Return a figure and so many axes with the image in each; only the first has numbers."""
    if boxes.shape[1] == 2:
        figure = blank_figure(9, 1.35 * count + 0.8)
        panels = figure.subplots(count, 1, sharex=True, squeeze=False).ravel()
    else:
        y, x = picture_size(image, boxes)
        columns = count if count <= 4 else min(-(-count // 2), 5)
        rows = -(-count // columns)
        wide = float(np.clip(2.9 * (x / y) ** 0.5, 2.0, 4.5))
        figure = blank_figure(wide * columns + 0.5, (min(wide * y / x, 6) + 0.55) * rows + 0.6)
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes in panels[count:]:
            axes.remove()
    for number, axes in enumerate(panels[:count]):
        if boxes.shape[1] == 2:
            draw_spectrum(axes, image, boxes)
        else:
            draw_picture(axes, image, boxes, origin)
            if number:
                axes.set(xticks=[], yticks=[], ylabel="")
    return figure, panels


def _draw(axes, boxes: np.ndarray, said: str, **parts) -> None:
    """Draw some of the boxes, each part in its style."""
    for part, chosen in parts.items():
        if len(chosen):
            draw_boxes(axes, boxes[np.asarray(chosen, int)], **_style(part, boxes.shape[1] // 2))
    axes.set_title(said, fontsize=TITLE)


def _style(part: str, dims: int) -> dict:
    """Return the lines of a part; on the white of a spectrum, spans are filled and what waits is grey."""
    style = SAID[part]
    if dims > 1:
        return style
    colour = "0.6" if part == "waits" else style["edgecolor"]
    from matplotlib.colors import to_rgba

    return style | {"edgecolor": colour, "facecolor": to_rgba(colour, 0.25), "linewidth": 0.7 * style["linewidth"]}


def _legend(figure, dims: int) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patheffects import Normal, Stroke

    handles = []
    for part in SAID:
        style = _style(part, dims)
        line = Line2D([], [], color=style["edgecolor"], linestyle=style["linestyle"], linewidth=style["linewidth"])
        line.set(label=part, path_effects=[Stroke(linewidth=style["linewidth"] + 1, foreground="0.3"), Normal()])
        handles.append(line)
    figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=SMALL, frameon=False)


def _sentence(step: _Step, kind: str) -> str:
    count = len(step.removed)
    if not count:
        return "removes none"
    listed = ", ".join(f"{overlap:.2f}" for overlap in step.overlaps[:LISTED])
    return f"removes {count}: {KINDS[kind]} {listed}{', ...' * (count > LISTED)}"


def _name(label: int, names: Sequence[str] | None) -> str:
    return str(names[label]) if names is not None and 0 <= label < len(names) else f"class {label}"
