"""Noise as a beam correlates it, in rows that do not depend on how many are made at once."""

from collections.abc import Sequence

import numpy as np


def beam_kernel(sigma: float) -> np.ndarray:
    """Return the taps of a Gaussian along one axis, whose squares sum to 1: white noise keeps its variance.

    Args:
        sigma: standard deviation of the beam, pixels.
    """
    half = int(np.ceil(4.5 * sigma))
    taps = np.exp(-0.5 * (np.arange(-half, half + 1) / sigma) ** 2)
    return (taps / np.sqrt(np.sum(taps**2))).astype("float32")


def beam_noise(white: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Convolve `(rows + k - 1, columns + k - 1)` white noise with the k taps along both axes; `(rows, columns)`.

    Each pixel is summed in the same order whatever the shape: rows made in one go or in several are equal bit by bit.
    """
    rows, columns = (n - len(kernel) + 1 for n in white.shape)
    across = _along(lambda i: white[:, i : i + columns], kernel)
    return _along(lambda i: across[i : i + rows], kernel)


def noise_rows(start: int, stop: int, width: int, kernel: np.ndarray, seed: Sequence[int]) -> np.ndarray:
    """Return rows `start..stop` of an endless field of noise with variance 1, `(stop - start, width)` float32."""
    reach = len(kernel) - 1
    white = np.empty((stop - start + reach, width + reach), "float32")
    for i, row in enumerate(white):  # each row of the field has its own generator
        np.random.default_rng([*seed, start + i]).standard_normal(dtype="float32", out=row)
    return beam_noise(white, kernel)


def _along(shifted, kernel: np.ndarray) -> np.ndarray:
    total = shifted(0) * kernel[0]
    part = np.empty_like(total)
    for i in range(1, len(kernel)):
        np.multiply(shifted(i), kernel[i], out=part)
        total += part
    return total
