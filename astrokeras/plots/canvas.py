"""What boxes are drawn on: a spectrum, an image, or a cube seen along z; and the boxes as outlines."""

import numpy as np


def check_image(image, dims: int) -> np.ndarray | None:
    """Return the image as an array, if it has the axes of the boxes, with or without channels."""
    image = None if image is None else np.asarray(image)
    if image is not None and image.ndim not in (dims, dims + 1):
        raise ValueError(
            f"Expected an image of {dims} axes, and perhaps channels, as the boxes have; received shape {image.shape}."
        )
    return image


def draw_spectrum(axes, image: np.ndarray | None, boxes: np.ndarray) -> None:
    """Draw each channel of a spectrum, with room for tags above it."""
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


def picture_size(image: np.ndarray | None, boxes: np.ndarray) -> tuple[float, float]:
    """Return (y, x) in pixels of what `draw_picture` shows."""
    dims = boxes.shape[1] // 2
    if image is None:
        return tuple(max(boxes[:, dims + axis].max(initial=1), 1) for axis in (1, 0))
    return image.shape[dims - 2 : dims]


def draw_picture(axes, image: np.ndarray | None, boxes: np.ndarray, origin: str) -> None:
    """Draw an image, or the maximum of a cube along z; numbers on the axes are pixel edges."""
    y, x = picture_size(image, boxes)
    edges = (0, x, y, 0) if origin == "upper" else (0, x, 0, y)
    if image is not None:
        if boxes.shape[1] == 6:
            image = np.fmax.reduce(image, axis=0)  # NaN only where all are
        shown = image if image.ndim == 2 or image.shape[-1] == 3 else image.mean(axis=-1)
        if shown.dtype != np.uint8:
            shown = _stretched(shown)
        whole = {"vmin": 0, "vmax": 255} if shown.dtype == np.uint8 else {"vmin": 0, "vmax": 1}
        axes.imshow(shown, cmap="gray", origin=origin, extent=edges, interpolation="nearest", **whole)
    axes.set(xlim=edges[:2], ylim=edges[2:], aspect="equal", xlabel="x (pixels)", ylabel="y (pixels)")


def draw_boxes(axes, boxes: np.ndarray, **style) -> None:
    """Draw boxes as one collection: rectangles with a dark rim, seen along z if 3-D; spans of the height if 1-D."""
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle
    from matplotlib.patheffects import Normal, Stroke

    dims = boxes.shape[1] // 2
    low, high = boxes[:, :dims], boxes[:, dims:]
    if dims == 1:
        low, high = (np.column_stack([edge, np.full(len(edge), height)]) for edge, height in ((low, 0), (high, 1)))
    sizes = high - low
    collection = PatchCollection([Rectangle(at[:2], *size[:2]) for at, size in zip(low, sizes, strict=True)])
    collection.set(**{"facecolor": "none"} | style)
    if dims == 1:
        collection.set_transform(axes.get_xaxis_transform())
    else:
        width = style.get("linewidth", 1) + 1
        collection.set_path_effects([Stroke(linewidth=width, foreground=(0, 0, 0, 0.6)), Normal()])
    axes.add_collection(collection, autolim=False)


def _stretched(image: np.ndarray) -> np.ndarray:
    """Bring floats to 0..1 between their 1st and 99.5th percentile."""
    image = image.astype("float32")
    known = image[np.isfinite(image)]
    low, high = np.percentile(known, (1, 99.5)) if known.size else (0, 1)
    return np.clip((np.nan_to_num(image, nan=low) - low) / max(high - low, 1e-30), 0, 1)
