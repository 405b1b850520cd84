"""Many elliptical Gaussians added to a map, in stamps as large as their brightness asks for."""

import numpy as np

HALVES = np.unique(np.round(3 * 1.25 ** np.arange(28)).astype(int))  # half widths of stamps: 3, 4, 5, 6, 7, ... 1240
PIXELS = 1 << 20  # drawn at once


def draw_gaussians(
    image: np.ndarray,
    middle: np.ndarray,
    peak: np.ndarray,
    variances: tuple[np.ndarray, np.ndarray, np.ndarray],
    floor: float,
) -> None:
    """Add Gaussians to a map, in place; of each, what is above `floor`.

    A pixel gets the same sum, bit by bit, in a whole map and in a part of it.

    Args:
        image: `(y, x)` float32, contiguous.
        middle: `(k, 2)`, x and y in pixels, edges counted from 0; may lie outside of the image.
        peak: `(k,)`, in the unit of the image.
        variances: along x, along y, and their covariance, `(k,)` each, square pixels.
        floor: the brightness below which a tail is left out; Gaussians with a lower peak are left out.
    """
    height, width = image.shape
    pixels = image.reshape(-1)
    xx, yy, xy = variances
    reach = np.sqrt(2 * np.log(np.maximum(peak / floor, 1)) * np.maximum(xx, yy))
    half = HALVES[np.searchsorted(HALVES, reach).clip(0, len(HALVES) - 1)]
    corner = np.floor(middle).astype(int)
    near = (peak > floor) & (corner + half[:, None] >= 0).all(axis=1)
    near &= (corner - half[:, None] < (width, height)).all(axis=1)
    # Inverse of the matrix of variances, halved and negative: the exponent's coefficients.
    inverse = np.stack([yy, -2 * xy, xx], axis=1) / (-2 * (xx * yy - xy**2))[:, None]
    for size in np.unique(half[near]):
        members = np.flatnonzero(near & (half == size))
        window = np.arange(-size, size + 1)
        step = max(1, PIXELS // len(window) ** 2)
        for some in np.split(members, range(step, len(members), step)):
            offset = (window + 0.5 - (middle - corner)[some, :, None]).astype("float32")  # (some, 2, window)
            x, y = offset[:, 0, None, :], offset[:, 1, :, None]
            a, b, c = inverse[some].astype("float32").T[:, :, None, None]
            values = y * (b * x)
            values += a * x**2
            values += c * y**2
            np.exp(values, out=values)
            values *= peak[some, None, None].astype("float32")
            columns, rows = (corner[some, axis, None] + window for axis in (0, 1))
            values *= ((columns >= 0) & (columns < width))[:, None, :]
            values *= ((rows >= 0) & (rows < height))[:, :, None]
            place = rows.clip(0, height - 1)[:, :, None] * width + columns.clip(0, width - 1)[:, None, :]
            np.add.at(pixels, place.reshape(-1), values.reshape(-1))


def ellipse_variances(
    major: np.ndarray, minor: np.ndarray, angle: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the variances along x and y and their covariance of Gaussians given by their axes.

    Args:
        major: standard deviations along the major axis.
        minor: and across it.
        angle: of the major axis from x towards y, radians.
    """
    cosine, sine = np.cos(angle), np.sin(angle)
    major, minor = major**2, minor**2
    return major * cosine**2 + minor * sine**2, major * sine**2 + minor * cosine**2, (major - minor) * cosine * sine


def exponential_as_gaussians(count: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """Return Gaussians whose sum is an exponential disc of scale length 1: shares of the flux, and variances.

    The disc is a mixture of Gaussians exactly: `exp(-r)` is the mean of `exp(-r^2 / 4u)` over the density
    `exp(-u) / sqrt(pi u)`, so that the variance `2 u` holds a share of the flux in proportion to `sqrt(u) exp(-u)`. In
    the logarithm of u the trapezoidal rule needs few points; the last ones give the cusp, which a beam smooths.

    Args:
        count: of Gaussians.
    """
    nodes = 8 * np.exp(-1.1 * np.arange(count))
    shares = nodes**1.5 * np.exp(-nodes)
    return shares / shares.sum(), 2 * nodes
