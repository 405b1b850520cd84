"""Images side by side: samples, reconstructions, the way from noise to an image, nearest neighbours."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from astrokeras.plots.blank import blank_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def image_rows(
    images,
    row_names: Sequence[str] | None = None,
    column_names: Sequence[str] | None = None,
    title: str = "",
    *,
    size: float = 0.8,
    cmap: str = "gray",
) -> "Figure":
    """Draw a table of images, with names at the left and above.

    Args:
        images: `(rows, columns, y, x, channels)` with 1 or 3 channels, uint8 in 0..255 or floats in 0..1; what lies
            beyond is drawn as the nearest end.
        row_names: at the left of each row, or `None`.
        column_names: above each column, or `None`.
        title: above the figure.
        size: of an image, in inches.
        cmap: matplotlib's colours of images of one channel; `"Greys"` is ink on paper.

    Returns:
        A matplotlib Figure with one axes.

    Raises:
        ValueError: if the shape is another, a value is NaN, or there are not as many names as rows or columns.

    Example:
        >>> import numpy as np, astrokeras
        >>> figure = astrokeras.plots.image_rows(np.zeros((2, 5, 8, 8, 1)), ["real", "generated"])
        >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
        ['real', 'generated']
    """
    images = _checked(images, 5, "images (rows, columns, y, x, 1 or 3)")
    rows, columns = images.shape[:2]
    for what, names, count in (("row", row_names, rows), ("column", column_names, columns)):
        if names is not None and len(names) != count:
            raise ValueError(f"Expected {count} {what}_names, one per {what}; received {len(names)}.")
    return _draw(images, row_names, column_names, title, size, cmap)


def sample_grid(
    images, columns: int | None = None, title: str = "", *, size: float = 0.8, cmap: str = "gray"
) -> "Figure":
    """Draw images in a grid, without classes: what a generator made.

    Args:
        images: `(n, y, x, channels)` with 1 or 3 channels, uint8 in 0..255 or floats in 0..1.
        columns: images in a row; as many as rows where `None`.
        title: above the figure.
        size: of an image, in inches.
        cmap: colours of images of one channel.

    Returns:
        A matplotlib Figure.

    Raises:
        ValueError: if the shape is another, a value is NaN, or `columns` < 1.

    Example:
        >>> import numpy as np, astrokeras
        >>> figure = astrokeras.plots.sample_grid(np.zeros((10, 8, 8, 1)), columns=5)
        >>> figure.axes[0].images[0].get_array().shape  # two rows of 8 pixels, five columns, 1 pixel between
        (17, 44)
    """
    images = _checked(images, 4, "images (n, y, x, 1 or 3)")
    columns = math.ceil(math.sqrt(len(images))) if columns is None else columns
    if columns < 1:
        raise ValueError(f"Expected columns >= 1; received {columns}.")
    rows = math.ceil(len(images) / columns)
    table = np.full((rows * columns, *images.shape[1:]), np.nan if images.shape[-1] == 1 else 1.0, "float32")
    table[: len(images)] = images
    return _draw(table.reshape(rows, columns, *images.shape[1:]), None, None, title, size, cmap)


def reconstructions(images, rebuilt, noisy=None, title: str = "", *, size: float = 0.8, cmap: str = "gray") -> "Figure":
    """Draw images above what an auto-encoder made of them.

    Args:
        images: `(n, y, x, channels)` with 1 or 3 channels, uint8 in 0..255 or floats in 0..1.
        rebuilt: of the same shape, the outputs.
        noisy: of the same shape, what the network saw where that is not the images themselves, or `None`.
        title: above the figure.
        size: of an image, in inches.
        cmap: colours of images of one channel.

    Returns:
        A matplotlib Figure.

    Raises:
        ValueError: if the shapes differ, or a value is NaN.

    Example:
        >>> import numpy as np, astrokeras
        >>> images = np.zeros((6, 8, 8, 1))
        >>> figure = astrokeras.plots.reconstructions(images, images, noisy=images)
        >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
        ['image', 'noisy', 'rebuilt']
    """
    parts = {"image": images} | ({} if noisy is None else {"noisy": noisy}) | {"rebuilt": rebuilt}
    parts = {name: _checked(part, 4, f"{name} (n, y, x, 1 or 3)") for name, part in parts.items()}
    shapes = {part.shape for part in parts.values()}
    if len(shapes) > 1:
        raise ValueError(f"Expected images and rebuilt images of one shape; received {', '.join(map(str, shapes))}.")
    return image_rows(np.stack(list(parts.values())), list(parts), title=title, size=size, cmap=cmap)


def image_chain(
    chains, steps: Sequence[int] | None = None, title: str = "", *, size: float = 0.8, cmap: str = "gray"
) -> "Figure":
    """Draw how images come out of noise, one image a row.

    Args:
        chains: `(rows, steps, y, x, channels)` with 1 or 3 channels, uint8 in 0..255 or floats in 0..1.
        steps: the time of each step, above its column; `None` for no names.
        title: above the figure.
        size: of an image, in inches.
        cmap: colours of images of one channel.

    Returns:
        A matplotlib Figure.

    Raises:
        ValueError: if the shape is another, a value is NaN, or there are not as many times as steps.

    Example:
        >>> import numpy as np, astrokeras
        >>> figure = astrokeras.plots.image_chain(np.zeros((2, 3, 8, 8, 1)), [1000, 500, 0])
        >>> [label.get_text() for label in figure.axes[0].get_xticklabels()]
        ['t = 1000', '500', '0']
    """
    names = None if steps is None else [f"t = {step}" if i == 0 else f"{step}" for i, step in enumerate(steps)]
    return image_rows(chains, column_names=names, title=title, size=size, cmap=cmap)


def nearest_images(
    samples, images, indices: np.ndarray, title: str = "", *, size: float = 0.8, cmap: str = "gray"
) -> "Figure":
    """Draw each sample beside its nearest training images, the nearest first.

    Args:
        samples: `(n, y, x, channels)` with 1 or 3 channels, uint8 in 0..255 or floats in 0..1.
        images: `(m, y, x, channels)`, the training images; an array or `ImageFiles`.
        indices: `(n, count)` of the neighbours (`metrics.nearest_images`).
        title: above the figure.
        size: of an image, in inches.
        cmap: colours of images of one channel.

    Returns:
        A matplotlib Figure.

    Raises:
        ValueError: if the shapes do not fit, or a value is NaN.

    Example:
        >>> import numpy as np, astrokeras
        >>> images = np.zeros((6, 8, 8, 1))
        >>> figure = astrokeras.plots.nearest_images(images[:2], images, np.array([[0, 3, 4], [1, 5, 2]]))
        >>> [label.get_text() for label in figure.axes[0].get_xticklabels()]
        ['sample', '1', '2', '3']
    """
    samples, indices = _checked(samples, 4, "samples (n, y, x, 1 or 3)"), np.asarray(indices)
    if indices.ndim != 2 or len(indices) != len(samples) or tuple(images.shape[1:]) != samples.shape[1:]:
        raise ValueError(
            f"Expected images of {samples.shape[1:]} and indices ({len(samples)}, count); received images of "
            f"{tuple(images.shape[1:])} and indices of shape {indices.shape}."
        )
    near = _checked(np.asarray(images[indices.reshape(-1)]), 4, "images (m, y, x, 1 or 3)")
    near = near.reshape(*indices.shape, *samples.shape[1:])
    names = ["sample", *(str(i + 1) for i in range(indices.shape[1]))]
    return image_rows(np.concatenate([samples[:, None], near], axis=1), None, names, title, size=size, cmap=cmap)


def _draw(images: np.ndarray, row_names, column_names, title: str, size: float, cmap: str) -> "Figure":
    """One picture of all images, with a gap between them; NaN is blank."""
    rows, columns, height, width, channels = images.shape
    gap = max(1, max(height, width) // 14)
    tall, wide = height + gap, width + gap
    sheet = np.full((rows, tall, columns, wide, channels), np.nan if channels == 1 else 1.0, "float32")
    sheet[:, :height, :, :width] = images.transpose(0, 2, 1, 3, 4)
    sheet = sheet.reshape(rows * tall, columns * wide, channels)[: rows * tall - gap, : columns * wide - gap]

    inch = size / max(height, width)
    side = 0.15 + (0.1 * max(len(str(name)) for name in row_names) if row_names is not None else 0)
    head = 0.1 + 0.3 * bool(title) + 0.25 * (column_names is not None)
    figure = blank_figure(inch * sheet.shape[1] + side, inch * sheet.shape[0] + head)
    axes = figure.add_subplot()
    axes.imshow(sheet[..., 0] if channels == 1 else sheet, cmap=cmap, vmin=0, vmax=1)
    axes.set_frame_on(False)
    axes.tick_params(length=0, top=False, labeltop=True, labelbottom=False)
    axes.set_yticks(*_ticks(row_names, rows, tall, height))
    axes.set_xticks(*_ticks(column_names, columns, wide, width))
    if title:
        axes.set_title(title)
    return figure


def _checked(images, axes: int, expected: str) -> np.ndarray:
    """Float32 in 0..1."""
    images = np.asarray(images)
    if images.ndim != axes or images.shape[-1] not in (1, 3) or not images.size:
        raise ValueError(f"Expected {expected}; received shape {images.shape}.")
    if images.dtype == np.uint8:
        return images.astype("float32") / 255
    if np.isnan(images).any():
        raise ValueError(f"Expected {expected} without NaN; received NaN in {int(np.isnan(images).sum())} values.")
    return np.clip(images.astype("float32"), 0, 1)


def _ticks(names: Sequence[str] | None, count: int, step: int, side: int) -> tuple[list[float], list[str]]:
    """Middles of the rows or columns, and their names."""
    if names is None:
        return [], []
    return [i * step + (side - 1) / 2 for i in range(count)], [str(name) for name in names]
