"""Convolution by hand: kernels to look at, convolution as a matrix product, and internal padding.

Networks do not turn the kernel round, as mathematicians do: an output is the sum of the pixels below the kernel, each
times the number that lies on it. So it is here. All functions take spectra, images and cubes.
"""

import math
from collections.abc import Sequence

import numpy as np

# The four filters of the course's slide, (y, x), with their usual numbers: sharpen, the mean as blur, the Laplacian as
# edge, an emboss as elevation, which shows the image as a landscape that is lit from one corner.
KERNELS = {
    "sharpen": np.array([[0.0, -1.0, 0.0], [-1.0, 5.0, -1.0], [0.0, -1.0, 0.0]]),
    "blur": np.full((3, 3), 1 / 9),
    "edge": np.array([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]]),
    "elevation": np.array([[-2.0, -1.0, 0.0], [-1.0, 1.0, 1.0], [0.0, 1.0, 2.0]]),
}


def convolve(image, kernel, *, strides: int | Sequence[int] = 1, padding: int | Sequence[int] = 0) -> np.ndarray:
    """Convolve a spectrum, an image or a cube with a kernel.

    Args:
        image: `([z, [y,]] x)` with a kernel of as many axes; `([z, [y,]] x, channels)` with a kernel of one axis less,
            which filters each channel by itself, or of one axis more.
        kernel: `([z, [y,]] x)`, such as one of `KERNELS`; or `([z, [y,]] x, channels, filters)`, as a layer of Keras
            has it.
        strides: pixels between two outputs, one for all axes or one for each in (z, y, x) order.
        padding: zeros around the image, on both sides, likewise; 1 keeps the size with a kernel of 3.

    Returns:
        Floats with the axes of the image, smaller by the kernel; `filters` in the place of the channels.

    Raises:
        ValueError: if the axes or channels of image and kernel do not fit, the kernel is larger than the padded image,
            or strides or padding are out of range.

    Reference:
        The course's slide on filters.

    Example:
        >>> import numpy as np
        >>> from astrokeras.explain.filters import KERNELS, convolve
        >>> step = np.repeat([[0.0, 0.0, 9.0, 9.0]], 4, axis=0)
        >>> convolve(step, KERNELS["edge"]).tolist(), convolve(step, KERNELS["blur"]).round(9).tolist()
        ([[9.0, -9.0], [9.0, -9.0]], [[3.0, 6.0], [3.0, 6.0]])
    """
    image, kernel = np.asarray(image), np.asarray(kernel, "float64")
    more = kernel.ndim - image.ndim
    if more not in (-1, 0, 1) or (more == 1 and kernel.shape[-2] != image.shape[-1]):
        raise ValueError(
            "Expected a kernel with as many axes as the image, one less (each channel by itself), or one more "
            f"(..., channels of the image, filters); received image {image.shape} and kernel {kernel.shape}: add or "
            "drop axes."
        )
    size = kernel.shape[:-2] if more == 1 else kernel.shape
    windows = _windows(image[..., None] if more == 0 else image, size, strides, padding)
    if more == 1:
        kernel = np.moveaxis(kernel, -2, 0)  # (channels, [z, [y,]] x, filters), as the windows have them
        return np.tensordot(windows, kernel, len(size) + 1)
    found = np.tensordot(windows, kernel, len(size))
    return found[..., 0] if more == 0 else found


def im2col(
    image, size: int | Sequence[int], *, strides: int | Sequence[int] = 1, padding: int | Sequence[int] = 0
) -> np.ndarray:
    """Write the pixels below the kernel as a row, for each place of the kernel: convolution becomes a matrix product.

    `im2col(image, 3) @ kernel.reshape(-1, filters)` are the outputs, one place a row, of a layer whose kernel is
    `(3, 3, channels, filters)`; CIANNA and cuDNN compute it like this. If `slope` is the gradient with respect to these
    outputs, that of the kernel is `im2col(image, 3).T @ slope`, and that of the image is
    `col2im(slope @ kernel.reshape(-1, filters).T, image.shape, 3)`.

    Args:
        image: `([z, [y,]] x, channels)`.
        size: of the kernel, one for all axes or one for each in (z, y, x) order.
        strides: pixels between two places, likewise.
        padding: zeros around the image, on both sides, likewise.

    Returns:
        `(places, pixels of the kernel * channels)`; places row by row, columns in the order of Keras's kernels.

    Raises:
        ValueError: if the kernel is larger than the padded image, or size, strides or padding are out of range.

    Reference:
        Chellapilla et al. 2006, "High Performance Convolutional Neural Networks for Document Processing".

    Example:
        >>> import numpy as np
        >>> from astrokeras.explain.filters import im2col
        >>> im2col(np.arange(6).reshape(2, 3, 1), 2).tolist()
        [[0, 1, 3, 4], [1, 2, 4, 5]]
    """
    image = np.asarray(image)
    windows = _windows(image, _each(size, image.ndim - 1, "size", 1), strides, padding)
    dims = image.ndim - 1
    return np.moveaxis(windows, dims, -1).reshape(math.prod(windows.shape[:dims]), -1)


def col2im(
    columns,
    shape: Sequence[int],
    size: int | Sequence[int],
    *,
    strides: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
) -> np.ndarray:
    """Add each value of the matrix to the pixel that `im2col` took it from: the way back of a gradient.

    Args:
        columns: `(places, pixels of the kernel * channels)`.
        shape: of the image, `([z, [y,]] x, channels)`.
        size: as in `im2col`.
        strides: as in `im2col`.
        padding: as in `im2col`.

    Returns:
        Float64 of that shape; what belongs to the padding is dropped.

    Raises:
        ValueError: if the matrix is not of the shape that `im2col` gives.

    Example:
        >>> import numpy as np
        >>> from astrokeras.explain.filters import col2im, im2col
        >>> col2im(np.ones((2, 4)), (2, 3, 1), 2)[..., 0].tolist()  # how many places see each pixel
        [[1.0, 2.0, 1.0], [1.0, 2.0, 1.0]]
    """
    columns, count = np.asarray(columns), math.prod(shape)
    taken = im2col(np.arange(1, count + 1).reshape(shape), size, strides=strides, padding=padding)  # 0: the padding
    if columns.shape != taken.shape:
        raise ValueError(
            f"Expected columns of shape {taken.shape}, as im2col gives for an image of {tuple(shape)}; received "
            f"{columns.shape}."
        )
    return np.bincount(taken.ravel(), columns.ravel(), count + 1)[1:].reshape(shape)


def insert_zeros(image, amount: int | Sequence[int] = 1) -> np.ndarray:
    """Insert zeros between neighbouring pixels: CIANNA's internal padding.

    A convolution behind it is a transposed convolution. With `strides` s and a kernel of k pixels,
    `keras.ops.conv_transpose(image, kernel, s, "valid")` is
    `convolve(insert_zeros(image, s - 1), turned, padding=k - 1)`, where `turned` is the kernel turned round,
    `kernel[::-1, ::-1].swapaxes(-1, -2)`: Keras keeps it with filters before channels.
    `layers.InternalPadding` does the same inside networks.

    Args:
        image: `([z, [y,]] x, channels)`.
        amount: zeros between two neighbours, one for all axes or one for each in (z, y, x) order.

    Returns:
        The image, n pixels along an axis widened to n + (n - 1) * amount.

    Raises:
        ValueError: if `amount` is below 0 or not of one number per axis.

    Reference:
        CIANNA 1.0, `int_padding` of layer "conv"; Dumoulin & Visin 2016, arXiv:1603.07285.

    Example:
        >>> import numpy as np
        >>> from astrokeras.explain.filters import insert_zeros
        >>> insert_zeros(np.array([[1.0], [2.0], [3.0]]), 2)[:, 0].tolist()
        [1.0, 0.0, 0.0, 2.0, 0.0, 0.0, 3.0]
    """
    image = np.asarray(image)
    steps = [one + 1 for one in _each(amount, image.ndim - 1, "amount", 0)]
    widened = [(pixels - 1) * step + 1 for pixels, step in zip(image.shape, steps, strict=False)]
    found = np.zeros((*widened, image.shape[-1]), image.dtype)
    found[tuple(slice(None, None, step) for step in steps)] = image
    return found


def _windows(image: np.ndarray, size: Sequence[int], strides, padding) -> np.ndarray:
    """Return all places of a kernel: `([z, [y,]] x, channels, [kernel z, [kernel y,]] kernel x)`."""
    dims = image.ndim - 1
    strides, padding = _each(strides, dims, "strides", 1), _each(padding, dims, "padding", 0)
    padded = np.pad(image, [(zeros, zeros) for zeros in padding] + [(0, 0)])
    if any(kernel > pixels for kernel, pixels in zip(size, padded.shape, strict=False)):
        raise ValueError(
            f"Expected a kernel of {' x '.join(map(str, padded.shape[:-1]))} pixels at most, the image with its "
            f"padding; received {' x '.join(map(str, size))}."
        )
    windows = np.lib.stride_tricks.sliding_window_view(padded, size, axis=tuple(range(dims)))
    return windows[tuple(slice(None, None, step) for step in strides)]


def _each(value, dims: int, name: str, least: int) -> tuple[int, ...]:
    """Return one number for each axis."""
    found = (value,) * dims if np.ndim(value) == 0 else tuple(value)
    if dims < 1 or len(found) != dims or any(one != int(one) or one < least for one in found):
        raise ValueError(
            f"Expected {name} as an integer >= {least}, or one for each of {dims} axes in front of the channels; "
            f"received {value}."
        )
    return tuple(int(one) for one in found)
