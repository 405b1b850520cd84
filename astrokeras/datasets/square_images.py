"""Images brought to one square size, as CIANNA prepares photographs: padded in the middle of a square, resized."""

import numpy as np


class SquareImages:
    """Images of any size as squares of one size, made when they are asked for.

    Args:
        images: a sequence of images `(y, x, channels)`: an array, a list of arrays, `OriginalImages`.
        size: pixels along each side of what comes out.
        pad: pad to a square with zeros, the image in the middle, then resize; `False` stretches the image instead.

    Example:
        >>> import numpy as np
        >>> from astrokeras.datasets.square_images import SquareImages
        >>> square = SquareImages([np.full((2, 4, 1), 9, "uint8")], 4)[0]
        >>> square[:, 0, 0].tolist()
        [0, 9, 9, 0]
    """

    def __init__(self, images, size: int, pad: bool = True):
        self.images = images
        self.size = size
        self.pad = pad

    @property
    def sizes(self) -> np.ndarray:
        """Width and height of each image, `(n, 2)` int."""
        return np.full((len(self.images), 2), self.size)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    def __getitem__(self, index):
        """Make one image `(size, size, channels)`, or choose several."""
        if not isinstance(index, int | np.integer):
            return SquareImages(select(self.images, index), self.size, self.pad)
        image = np.asarray(self.images[index])
        if self.pad:
            side = max(image.shape[:2])
            y, x = (side - image.shape[0]) // 2, (side - image.shape[1]) // 2
            square = np.zeros((side, side, image.shape[2]), image.dtype)
            square[y : y + image.shape[0], x : x + image.shape[1]] = image
            image = square
        return resize_image(image, self.size)


def select(images, index):
    """Choose several images of a sequence, by a slice or an integer array.

    Example:
        >>> import numpy as np
        >>> from astrokeras.datasets.square_images import select
        >>> select(["a", "b", "c"], np.array([2, 0]))
        ['c', 'a']
    """
    whole = isinstance(index, slice) or not isinstance(images, list)
    return images[index] if whole else [images[i] for i in index]


def square_frames(sizes: np.ndarray, size: int, pad: bool = True) -> np.ndarray:
    """Return where `SquareImages` puts its images: position in the square = scale * position + shift.

    Args:
        sizes: `(n, 2)` width and height of each image.
        size: pixels along each side of the square.
        pad: as in `SquareImages`.

    Returns:
        `(n, 2, 2)`: for each image the scale in x and y, then the shift in x and y in pixels of the square.

    Example:
        >>> import numpy as np
        >>> from astrokeras.datasets.square_images import square_frames
        >>> square_frames(np.array([[8, 4]]), 4).tolist()
        [[[0.5, 0.5], [0.0, 1.0]]]
    """
    sides = sizes.max(axis=1, keepdims=True) if pad else sizes
    scale = np.broadcast_to(size / sides, sizes.shape)
    return np.stack([scale, (sides - sizes) // 2 * scale], axis=1)


def resize_image(image: np.ndarray, size: int) -> np.ndarray:
    """Resize to a square by Pillow's bilinear filter, which averages where it shrinks.

    Args:
        image: `(y, x, channels)`, uint8 or any number type.
        size: pixels along each side.

    Returns:
        `(size, size, channels)`, uint8 for uint8 and float32 for all else.

    Example:
        >>> import numpy as np
        >>> from astrokeras.datasets.square_images import resize_image
        >>> resize_image(np.array([[[0.0], [3.0]], [[3.0], [6.0]]]), 1).item()
        3.0
    """
    from PIL import Image

    if image.dtype != np.uint8:
        image = image.astype("float32")
    if image.shape[:2] == (size, size):
        return image
    parts = [image] if image.dtype == np.uint8 and image.shape[2] == 3 else np.moveaxis(image, 2, 0)
    resized = [
        np.asarray(Image.fromarray(np.ascontiguousarray(part)).resize((size, size), Image.Resampling.BILINEAR))
        for part in parts
    ]
    return resized[0] if resized[0].ndim == 3 else np.stack(resized, axis=2)
