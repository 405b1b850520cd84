"""What the readers of annotation files do with boxes that no image can hold."""

import warnings
from collections.abc import Sequence

import numpy as np

TOLERANCE = 1.0  # pixels by which a box may reach out of its image without a word


def clean_objects(
    objects: Sequence[dict], sizes: np.ndarray, sources: Sequence, invalid: str = "drop"
) -> list[dict[str, np.ndarray]]:
    """Cut boxes at the edges of their images and drop those of which nothing is left, with one warning.

    A box is degenerate if it has min >= max, is not finite, or lies outside of the image. What reaches out of the
    image is cut off: silently up to 1 pixel (rounding in the annotation), with a word in the warning beyond.

    Args:
        objects: for each image a dict of `"boxes"` `(k, 2 * dims)`, corners with x first, and more arrays `(k, ...)`.
        sizes: `(n, dims)` of the images in pixels, x first.
        sources: for each image the file of its annotation, for the messages.
        invalid: `"drop"` or `"raise"`.

    Raises:
        ValueError: with `"raise"`, naming file and object (counted from 0).

    Example:
        >>> import numpy as np
        >>> from astrokeras.datasets.clean_objects import clean_objects
        >>> objects = [{"boxes": np.array([[1.0, 1.0, 8.5, 5.0]]), "labels": np.array([0])}]
        >>> clean_objects(objects, np.array([[8, 8]]), ["a.xml"])[0]["boxes"].tolist()
        [[1.0, 1.0, 8.0, 5.0]]
    """
    if invalid not in ("drop", "raise"):
        raise ValueError(f'Expected invalid to be "drop" or "raise"; received {invalid!r}.')
    counts = np.array([len(one["boxes"]) for one in objects])
    image = np.repeat(np.arange(len(objects)), counts)
    first = np.cumsum(counts) - counts
    boxes = np.concatenate([one["boxes"] for one in objects]).astype("float64")
    dims = boxes.shape[1] // 2
    extent = np.concatenate([sizes, sizes], axis=1)[image]
    cut = np.clip(boxes, 0, extent)
    with np.errstate(invalid="ignore"):
        degenerate = ~((boxes[:, :dims] < boxes[:, dims:]) & (cut[:, :dims] < cut[:, dims:])).all(axis=1)
        degenerate |= ~np.isfinite(boxes).all(axis=1)
        shortened = ~degenerate & (np.abs(cut - boxes) > TOLERANCE).any(axis=1)
    if degenerate.any() or shortened.any():

        def say(which: np.ndarray) -> str:
            k = int(which.argmax())
            return f"{sources[image[k]]}, object {k - first[image[k]]}: {boxes[k].tolist()}"

        if invalid == "raise":
            raise ValueError(
                "Expected boxes with min < max inside their images; received "
                f"{say(degenerate | shortened)}: repair it, or pass invalid='drop'."
            )
        parts = []
        if degenerate.any():
            parts.append(
                f"Dropped {degenerate.sum()} of {len(boxes)} boxes that are empty or outside of their image (first: "
                f"{say(degenerate)})"
            )
        if shortened.any():
            parts.append(f"Cut {shortened.sum()} at the edges of their image (first: {say(shortened)})")
        warnings.warn(" and ".join(parts) + ".", stacklevel=3)  # at the line that called the reader
    cleaned = []
    for i, one in enumerate(objects):
        rows = slice(first[i], first[i] + counts[i])
        kept = ~degenerate[rows]
        cleaned.append(
            {key: values[kept] for key, values in one.items()} | {"boxes": cut[rows][kept].astype("float32")}
        )
    return cleaned
