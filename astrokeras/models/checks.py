"""What models ask of arrays of images before they train."""

from collections.abc import Mapping

import keras
import numpy as np

PART = 4096  # images looked at together


def range_of(network: keras.Model) -> tuple[float, float] | None:
    """Return the range of images that a network can make: 0..1 behind a sigmoid, else `None`.

    Example:
        >>> import astrokeras
        >>> from astrokeras.models.checks import range_of
        >>> range_of(astrokeras.applications.autoencoder().decoder)
        (0.0, 1.0)
    """
    sigmoid = getattr(network.layers[-1], "activation", None) is keras.activations.sigmoid
    return (0.0, 1.0) if sigmoid else None


def check_images(x, value_range, name: str, classes: int | None = None, shape: tuple | None = None) -> None:
    """Refuse images out of range, and classes that are none; what is no array is not looked at.

    Args:
        x: `(count, ..., channels)`, or, with classes, a dict of `image` and `class`.
        value_range: lowest and highest value; `None` asks for finite ones only.
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
        low, high = value_range or (-np.inf, np.inf)
        slack = 1e-3 * (high - low) if value_range else 0
        for start in range(0, len(images), PART):
            part = images[start : start + PART].reshape(len(images[start : start + PART]), -1)
            wrong = ~(np.isfinite(part) & (part >= low - slack) & (part <= high + slack))
            if wrong.any():
                row, column = np.argwhere(wrong)[0]
                hint = ": divide uint8 images by 255" if (low, high) == (0, 1) and part[row, column] > 1 else ""
                wanted = f"images in {low:g}..{high:g}" if value_range else "finite images"
                raise ValueError(
                    f"{name}: expected {wanted}; received {part[row, column]} in image {start + row}{hint}."
                )
    if isinstance(labels, np.ndarray) and classes is not None:
        wrong = np.flatnonzero((labels < 0) | (labels >= classes))
        if len(wrong):
            raise ValueError(
                f"{name}: expected classes from 0 to {classes - 1}; received {labels[wrong[0]]} for image {wrong[0]}."
            )
