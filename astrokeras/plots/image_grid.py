"""A look at a set of images: some of each class, side by side."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from astrokeras.plots.blank import blank_figure, names_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def image_grid(images, labels: np.ndarray, names: Sequence[str] | None = None, columns: int = 8) -> "Figure":
    """Draw the first images of each class, one class a row.

    Args:
        images: `(n, y, x, channels)` with 1 or 3 channels, uint8 in 0..255 or floats in 0..1; an array or `ImageFiles`.
        labels: `(n,)` class numbers.
        names: of the classes; their numbers where `None`.
        columns: images of each class.

    Returns:
        A matplotlib Figure.

    Raises:
        ValueError: if there are not as many labels as images, or the images have other shapes.

    Example:
        >>> import astrokeras
        >>> (x, y), _ = astrokeras.datasets.simulated_galaxies(20, 5, size=16)
        >>> figure = astrokeras.plots.image_grid(x, y, astrokeras.datasets.GALAXY_CLASSES, columns=3)
        >>> len(figure.axes)
        15
    """
    labels = np.asarray(labels)
    if len(images.shape) != 4 or images.shape[-1] not in (1, 3) or labels.shape != images.shape[:1]:
        raise ValueError(
            f"Expected images (n, y, x, 1 or 3) and as many labels (n,); received shapes {images.shape} and "
            f"{labels.shape}."
        )
    count = int(labels.max()) + 1
    names = names_of(names, count)
    figure = blank_figure(1.1 * columns + 1.4, 1.1 * count)
    for row, all_axes in enumerate(figure.subplots(count, columns, squeeze=False)):
        chosen = np.flatnonzero(labels == row)[:columns]
        for axes, index in zip(all_axes, chosen, strict=False):
            image = np.asarray(images[int(index)])
            axes.imshow(image if image.shape[-1] == 3 else image[..., 0], cmap="gray")
        for axes in all_axes:
            axes.set_xticks([])
            axes.set_yticks([])
            axes.set_frame_on(False)
        all_axes[0].set_ylabel(names[row], rotation=0, ha="right", va="center")
    return figure
