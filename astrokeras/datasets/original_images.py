"""Photographs in files, each of its own size, decoded when they are asked for."""

import os
from functools import cached_property

import numpy as np


class OriginalImages:
    """A sequence of images that stay in their files, each with the size it has there.

    `images[3]` decodes one image `(y, x, 3)` uint8 in 0..255, RGB; `images[10:20]` and `images[[4, 1]]` are shorter
    sequences, nothing decoded.

    Args:
        paths: of the images.
        sizes: `(n, 2)` widths and heights in pixels, where they are known; else they are read from the files' headers.

    Raises:
        ValueError: if a file is missing, damaged, not of 8 bits, or not of the size that was given; names the file.

    Example:
        >>> import astrokeras
        >>> images = astrokeras.datasets.OriginalImages(["a.jpg", "b.jpg", "c.jpg"])
        >>> len(images[1:]), images[[2]].paths.tolist()
        (2, ['c.jpg'])
    """

    def __init__(self, paths, sizes: np.ndarray | None = None):
        self.paths = np.asarray([os.fspath(path) for path in paths], dtype=str)
        self._sizes = None if sizes is None else np.asarray(sizes, "int64").reshape(len(self.paths), 2)

    @cached_property
    def sizes(self) -> np.ndarray:
        """Width and height of each image, `(n, 2)` int."""
        if self._sizes is not None:
            return self._sizes
        sizes = np.zeros((len(self.paths), 2), "int64")
        for i, path in enumerate(self.paths):
            with _opened(path) as image:
                sizes[i] = image.size
        return sizes

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.paths)

    def __getitem__(self, index):
        """Decode one image `(y, x, 3)`, or choose several."""
        paths = self.paths[index]
        if not isinstance(paths, str):
            known = self._sizes if self._sizes is not None else self.__dict__.get("sizes")
            return OriginalImages(paths, None if known is None else known[index])
        with _opened(paths) as image:
            if self._sizes is not None and image.size != tuple(self._sizes[index]):
                raise ValueError(
                    f"Expected {paths} to have {self._sizes[index][0]}x{self._sizes[index][1]} pixels, as its "
                    f"annotation says; it has {image.width}x{image.height}: correct the annotation."
                )
            try:
                return np.asarray(image.convert("RGB"))
            except OSError as error:
                raise ValueError(f"Expected a whole image; {paths} is damaged ({error}).") from error


def _opened(path: str):
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(path)
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(
            f"Expected an image that Pillow can read; {path} is missing, damaged or of another kind."
        ) from error
    if image.mode.startswith(("I", "F")):
        image.close()
        raise ValueError(
            f"Expected an image of 8 bits a channel; {path} has more (Pillow's mode {image.mode}): read it into an "
            "array yourself, and make a DetectionSet of arrays."
        )
    return image
