"""The images of a batch as the network sees them, with their objects."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from astrokeras.plots.blank import blank_figure
from astrokeras.plots.canvas import draw_boxes
from astrokeras.plots.style import SMALL, TITLE, box_colour

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDE = 11.0  # inches
GAP = 0.03  # between two images, in units of their larger side
LISTED = 12  # classes that the legend has


def augmentation_mosaic(
    images,
    targets=None,
    class_names: Sequence[str] | None = None,
    *,
    columns: int | None = None,
    title: str = "as the network sees it",
) -> "Figure":
    """Draw a batch after augmentation in one sheet, with the boxes or the class of each image.

    All images share one scale of values, so that changes of brightness show; the title tells it. Boxes have the colour
    of their class, difficult ones are dashed. Cubes show their maximum along z, with the boxes seen along z.

    Args:
        images: `(n, [z,] y, x, channels)`: uint8, or floats in 0..255, 0..1 or any range; three channels are colours,
            others are averaged.
        targets: what comes with them: the dict of padded arrays `"boxes"` `(n, m, 2 * dims)` in pixels, `"labels"`
            `(n, m)` (-1 is padding) and, where known, `"difficult"` `(n, m)`; or a list of such dicts, one an image; or
            class numbers `(n,)`; or `None`.
        class_names: of the classes; their numbers where `None`.
        columns: images in a row; as many as rows where `None`.
        title: above the figure; the range of the values is added.

    Returns:
        A matplotlib Figure with one axes; image i starts at column `i % columns`, row `i // columns` of the sheet.

    Raises:
        ValueError: if the shapes do not fit, there are not as many targets as images, or `columns` < 1.

    Example:
        >>> import astrokeras
        >>> train, _ = astrokeras.datasets.simulated_scenes(train=4, test=1, size=32)
        >>> batches = astrokeras.datasets.DetectionDataset(train, batch_size=4)
        >>> figure = astrokeras.plots.augmentation_mosaic(*batches[0], train.class_names)
        >>> figure.axes[0].get_title()
        'as the network sees it: 4 images of 32 × 32 pixels, values in 0..255'
    """
    images = np.asarray(images)
    if images.ndim not in (4, 5) or not len(images) or (columns is not None and columns < 1):
        raise ValueError(
            "Expected images (n, [z,] y, x, channels) with n > 0 and columns >= 1; received shape "
            f"{images.shape} and columns={columns}; spectra: see plots.detections."
        )
    objects, labels = _per_image(targets, len(images), images.ndim - 2)
    pixels = " × ".join(map(str, images.shape[-2:0:-1]))
    if images.ndim == 5:
        images = np.fmax.reduce(images, axis=1)
    low, high = _range(images)
    columns = math.ceil(math.sqrt(len(images))) if columns is None else columns
    sheet, places = _sheet(images, low, high, columns)
    height, width = sheet.shape[:2]
    wide = min(WIDE, 2.6 * columns)
    figure = blank_figure(wide, wide * height / width + 0.8)
    axes = figure.add_subplot()
    axes.imshow(sheet, extent=(0, width, height, 0), interpolation="nearest")
    axes.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[], frame_on=False)
    if objects is not None:
        _draw_objects(figure, axes, objects, places, class_names)
    if labels is not None:
        for label, (x, y) in zip(labels, places, strict=True):
            box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5, "alpha": 0.8}
            axes.text(x, y, _name(label, class_names), fontsize=SMALL, va="top", ha="left", bbox=box)
    said = f"{len(images)} image{'s' * (len(images) > 1)} of {pixels} pixels, values in {low:.4g}..{high:.4g}"
    axes.set_title(f"{title}{': ' if title else ''}{said}", fontsize=TITLE)
    return figure


def _per_image(targets, count: int, dims: int) -> tuple[list | None, np.ndarray | None]:
    """Return for each image boxes, labels and whether they are difficult; or the class of each."""
    if targets is None:
        return None, None
    if isinstance(targets, Mapping):
        keys = [key for key in ("boxes", "labels", "difficult") if key in targets]
        lengths = {key: len(targets[key]) for key in keys}
        if set(lengths.values()) != {count}:
            raise ValueError(f"Expected targets for {count} images; received {lengths or list(targets)}.")
        targets = [{key: targets[key][index] for key in keys} for index in range(count)]
    if len(targets) != count:
        raise ValueError(f"Expected targets for {count} images; received {len(targets)}.")
    if not isinstance(targets[0], Mapping):
        labels = np.asarray(targets)
        if labels.shape != (count,) or labels.dtype.kind not in "iub":
            raise ValueError(
                f"Expected dicts of boxes and labels, or class numbers ({count},); received {labels.dtype} of shape "
                f"{labels.shape}."
            )
        return None, labels
    objects = []
    for index, one in enumerate(targets):
        labels = np.asarray(one["labels"], int)
        boxes = np.asarray(one["boxes"], float) if len(labels) else np.zeros((0, 2 * dims))
        if boxes.shape != (len(labels), 2 * dims):
            expected = (len(labels), 2 * dims)
            raise ValueError(f"Expected boxes {expected}, one per label; image {index} has {boxes.shape}.")
        difficult = np.asarray(one.get("difficult", np.zeros(len(labels)))) > 0
        real = labels != -1
        objects.append((boxes[real], labels[real], difficult[real]))
    return objects, None


def _range(images: np.ndarray) -> tuple[float, float]:
    """Return the values that are black and white: those of the kind of images, or the least and the largest."""
    known = images[np.isfinite(images)] if images.dtype.kind == "f" else images
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    for top in (1, 255):
        if low >= 0 and high <= top and (images.dtype.kind == "f" or top == 255):
            return 0.0, float(top)
    return low, high if high > low else low + 1


def _sheet(images: np.ndarray, low: float, high: float, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Return all images in one, `(y, x, 3)` in 0..1, white between them, and where each starts, `(n, 2)`, x first."""
    if images.shape[-1] != 3:
        images = np.repeat(images.mean(axis=-1, keepdims=True), 3, axis=-1)
    images = np.clip((np.nan_to_num(images.astype("float32"), nan=low) - low) / (high - low), 0, 1)
    y, x = images.shape[1:3]
    gap = max(1, round(GAP * max(y, x)))
    index = np.arange(len(images))
    places = np.column_stack([index % columns * (x + gap), index // columns * (y + gap)])
    sheet = np.ones((int(places[:, 1].max()) + y, min(columns, len(images)) * (x + gap) - gap, 3), "float32")
    for image, (left, top) in zip(images, places, strict=True):
        sheet[top : top + y, left : left + x] = image
    return sheet, places


def _draw_objects(figure, axes, objects: list, places: np.ndarray, class_names: Sequence[str] | None) -> None:
    """Draw the boxes of all images, one collection a class and kind, and a legend of the classes."""
    from matplotlib.lines import Line2D

    dims = objects[0][0].shape[1] // 2
    corners = [(0, 1, 2, 3), (0, 1, 3, 4)][dims == 3]
    boxes = np.concatenate([one[0][:, corners] + np.tile(at, 2) for one, at in zip(objects, places, strict=True)])
    labels, difficult = (np.concatenate([one[part] for one in objects]) for part in (1, 2))
    handles = []
    for label in np.unique(labels):
        for hard, line in ((False, "-"), (True, "--")):
            chosen = (labels == label) & (difficult == hard)
            if chosen.any():
                draw_boxes(axes, boxes[chosen], edgecolor=box_colour(label, 2), linestyle=line, linewidth=1.4, zorder=3)
        said = f"{_name(label, class_names)}: {(labels == label).sum()}"
        handles.append(Line2D([], [], color=box_colour(label, 2), linewidth=2, label=said))
    if len(handles) > LISTED:
        handles = [Line2D([], [], color="0.5", linewidth=2, label=f"{len(labels)} objects of {len(handles)} classes")]
    if difficult.any():
        handles.append(Line2D([], [], color="0.4", linestyle="--", label=f"difficult: {difficult.sum()}"))
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=8, fontsize=SMALL, frameon=False)


def _name(label: int, class_names: Sequence[str] | None) -> str:
    return str(class_names[label]) if class_names is not None and 0 <= label < len(class_names) else f"class {label}"
