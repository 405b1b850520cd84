"""What models ask of arrays of images before they train."""

from collections.abc import Mapping

import numpy as np

PART = 4096  # images looked at together


def check_images(x, value_range, name: str, classes: int | None = None, shape: tuple | None = None) -> None:
    """Refuse images out of range, and classes that are none; what is no array is not looked at.

    Args:
        x: `(count, ..., channels)`, or, with classes, a dict of `image` and `class`.
        value_range: lowest and highest value.
        name: of the model, for the error.
        classes: number of classes, or `None`.
        shape: of an image, or `None` for any.

    Raises:
        ValueError: if a value is NaN or out of range, a class unknown, or the shape another.

    Example:
        >>> import numpy as np
        >>> from astrokeras.models.checks import check_images
        >>> check_images(np.full((1, 2, 2, 1), 255.0), (0.0, 1.0), "gan")
        Traceback (most recent call last):
        ValueError: gan: expected images in 0..1; received 255.0 in image 0: divide uint8 images by 255.
    """
    if classes is not None and not isinstance(x, Mapping) and isinstance(x, np.ndarray):
        raise ValueError(
            f'{name}: expected a dict of "image" and "class", as the model has classes; received an array.'
        )
    images, labels = (x.get("image"), x.get("class")) if isinstance(x, Mapping) else (x, None)
    if isinstance(images, np.ndarray):
        if shape is not None and images.shape[1:] != tuple(shape):
            raise ValueError(f"{name}: expected images of shape {tuple(shape)}; received {images.shape[1:]}.")
        low, high = value_range
        slack = 1e-3 * (high - low)
        for start in range(0, len(images), PART):
            part = images[start : start + PART].reshape(len(images[start : start + PART]), -1)
            wrong = ~((part >= low - slack) & (part <= high + slack))
            if wrong.any():
                row, column = np.argwhere(wrong)[0]
                hint = ": divide uint8 images by 255" if (low, high) == (0, 1) and part[row, column] > 1 else ""
                raise ValueError(
                    f"{name}: expected images in {low:g}..{high:g}; received {part[row, column]} in image "
                    f"{start + row}{hint}."
                )
    if isinstance(labels, np.ndarray) and classes is not None:
        wrong = np.flatnonzero((labels < 0) | (labels >= classes))
        if len(wrong):
            raise ValueError(
                f"{name}: expected classes from 0 to {classes - 1}; received {labels[wrong[0]]} for image {wrong[0]}."
            )
