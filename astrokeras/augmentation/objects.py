"""The objects of an image: check, choose and cut them; boxes are corners with x first."""

import numpy as np


def checked(image: np.ndarray, objects: dict) -> dict:
    """Return the objects as arrays, boxes float64, once they suit each other and the image."""
    dims = np.ndim(image) - 1
    objects = {key: np.asarray(value) for key, value in objects.items()}
    boxes = objects.get("boxes", np.zeros(0))
    if not 1 <= dims <= 3 or boxes.shape != (len(boxes), 2 * dims):
        raise ValueError(
            "Expected an image ([z, [y,]] x, channels) and boxes (objects, 2 * its dimensions); received shapes "
            f"{np.shape(image)} and {boxes.shape}."
        )
    for key, value in objects.items():
        if value.ndim and len(value) != len(boxes):
            raise ValueError(f"Expected {key} of each of the {len(boxes)} boxes; received shape {value.shape}.")
    return objects | {"boxes": boxes.astype("float64")}


def chosen(objects: dict, which: np.ndarray, boxes: np.ndarray) -> dict:
    """Return copies of these objects, by index or mask, with new boxes (float32)."""
    kept = {key: value[which] if value.ndim else value for key, value in objects.items()}
    return kept | {"boxes": boxes.astype("float32")}


def cut(boxes: np.ndarray, size: np.ndarray, visible: float) -> tuple[np.ndarray, np.ndarray]:
    """Cut boxes at the border of an image (size with x first); also tell which show enough of themselves."""
    dims = len(size)
    inside = np.clip(boxes, 0, np.tile(size, 2))
    volume = np.prod(boxes[:, dims:] - boxes[:, :dims], axis=1)
    left = np.prod(inside[:, dims:] - inside[:, :dims], axis=1)
    return inside, (left > 0) & (left >= visible * volume)
