"""Simulated textures: a stand-in for cats and dogs where those are not at hand."""

import numpy as np

from astrokeras.datasets.files import Split
from astrokeras.datasets.simulation import check_at_least, drawer

CHUNK = 256


def simulated_textures(
    train: int = 4000, test: int = 1000, *, size: int = 64, noise: float = 0.08, seed: int = 0
) -> tuple[Split, Split]:
    """Simulate two kinds of fur: striped (0) and spotted (1). A simulation: results on it say nothing of animals.

    Stripes are one wave, spots the product of two crossed ones; both have random direction, wavelength, phase,
    colours, bending and shading, so that no single pixel tells the class, and noise.

    Args:
        train: number of training images.
        test: number of test images.
        size: pixels along each side, at least 8.
        noise: standard deviation, relative to the full range.
        seed: of the simulation; one seed, one set.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: images `(n, size, size, 3)` uint8 in 0..255, RGB, labels `(n,)` int,
        0 = striped, 1 = spotted.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> import astrokeras
        >>> (x, y), _ = astrokeras.datasets.simulated_textures(train=20, test=10)
        >>> x.shape, str(x.dtype)
        ((20, 64, 64, 3), 'uint8')
    """
    check_at_least(train=(train, 1), test=(test, 1), size=(size, 8), noise=(noise, 0))
    rng = np.random.default_rng(seed)
    count = train + test
    labels = rng.permutation(np.arange(count) % 2)
    images = np.concatenate([_textures(rng, labels[i : i + CHUNK], size, noise) for i in range(0, count, CHUNK)])
    return (images[:train], labels[:train]), (images[train:], labels[train:])


def _textures(rng: np.random.Generator, labels: np.ndarray, size: int, noise: float) -> np.ndarray:
    count = len(labels)
    draw = drawer(rng, count)
    y, x = np.mgrid[:size, :size].astype("float32") / size
    angle = draw(0, np.pi)
    bend = draw(-0.6, 0.6)
    along, across = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    along = along + bend * across**2
    frequency = draw(3, 7)
    first = np.sin(2 * np.pi * (frequency * along + draw(0, 1)))
    second = np.sin(2 * np.pi * (frequency * draw(0.8, 1.2) * across + draw(0, 1)))
    # The product's contrast is raised to that of the single wave.
    pattern = np.where(labels[:, None, None] == 0, first, np.clip(1.6 * first * second, -1, 1))
    colour = rng.uniform(0.3, 0.7, (count, 1, 1, 3)).astype("float32")
    contrast = rng.uniform(0.1, 0.3, (count, 1, 1, 3)) * rng.choice(
        [-1, 1], (count, 1, 1, 1)
    )  # light on dark or reverse
    image = colour + contrast.astype("float32") * pattern[..., None]
    image *= (1 + draw(-0.4, 0.4) * (x - 0.5) + draw(-0.4, 0.4) * (y - 0.5))[..., None]
    image += noise * rng.standard_normal(image.shape, dtype="float32")
    return (np.clip(image, 0, 1) * 255).round().astype("uint8")
