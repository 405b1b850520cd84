"""Simulated sightlines: colour-magnitude diagrams of reddened stars and the extinction that reddened them."""

import numpy as np

from astrokeras.datasets.files import Split
from astrokeras.datasets.simulation import check_at_least

REACH = 10.0  # kpc
COLOUR, MAGNITUDE = (-0.5, 4.0), (6.0, 16.0)  # ranges of J-K and K
CHUNK = 100


def simulated_extinction(
    train: int = 4000, test: int = 500, *, size: int = 64, distances: int = 128, stars: int = 3000, seed: int = 0
) -> tuple[Split, Split]:
    """Simulate colour-magnitude diagrams and extinction profiles. A simulation: its Galaxy is a toy.

    Stars (main sequence and giants) lie along a sightline of 10 kpc with a density that falls outwards; clouds of
    dust at random distances redden and dim those behind them (A_K = 0.66 E(J-K)); stars fainter than K = 15.5 are not
    seen. The diagram counts stars in bins of J-K and K.

    Args:
        train: number of training sightlines.
        test: number of test sightlines.
        size: bins of the diagram along each axis, at least 8.
        distances: bins of the profile, 0 to 10 kpc.
        stars: drawn on each sightline, seen or not.
        seed: of the simulation; one seed, one set.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: diagrams `(n, size, size, 1)` float32, axes (K, J-K), `log(1 + count) /
        5`; profiles `(n, distances)` float32, the extinction A_V in magnitudes that each bin of distance adds, per kpc,
        divided by 5.

    Raises:
        ValueError: if an argument is out of range.

    Reference:
        After the method of Cornu et al. 2022, arXiv:2201.05571; A_K / E(J-K): Rieke & Lebofsky 1985.

    Example:
        >>> import astrokeras
        >>> (x, y), _ = astrokeras.datasets.simulated_extinction(train=4, test=2)
        >>> x.shape, y.shape
        ((4, 64, 64, 1), (4, 128))
    """
    check_at_least(train=(train, 1), test=(test, 1), size=(size, 8), distances=(distances, 2), stars=(stars, 1))
    rng = np.random.default_rng(seed)
    count = train + test
    parts = [_sightlines(rng, min(CHUNK, count - i), size, distances, stars) for i in range(0, count, CHUNK)]
    diagrams, profiles = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return (diagrams[:train], profiles[:train]), (diagrams[train:], profiles[train:])


def _sightlines(rng: np.random.Generator, count: int, size: int, distances: int, stars: int):
    edges = np.linspace(0, REACH, distances + 1)
    centres = (edges[1:] + edges[:-1]) / 2
    clouds = 5
    place = rng.uniform(0.3, REACH, (count, clouds, 1))
    depth = rng.exponential(1.2, (count, clouds, 1)) * (rng.random((count, clouds, 1)) < 0.7)  # A_V
    spread = rng.uniform(0.15, 0.5, (count, clouds, 1))
    bell = np.exp(-(((centres - place) / spread) ** 2) / 2) / (spread * np.sqrt(2 * np.pi))
    profile = (depth * bell).sum(axis=1) + rng.uniform(0.05, 0.3, (count, 1))  # A_V per kpc; (count, distances)
    total = np.cumsum(profile, axis=1) * REACH / distances

    distance = REACH * rng.beta(1.8, 1.6, (count, stars))
    bins = np.minimum((distance / REACH * distances).astype(int), distances - 1)
    a_v = np.take_along_axis(total, bins, axis=1)
    giant = rng.random((count, stars)) < 0.35
    colour = np.where(giant, rng.normal(0.65, 0.08, giant.shape), rng.normal(0.4, 0.15, giant.shape))
    absolute = np.where(giant, rng.normal(-1.6, 0.6, giant.shape), 1.5 + 4 * colour + rng.normal(0, 0.3, giant.shape))
    colour = colour + 0.17 * a_v  # E(J-K) of A_V
    magnitude = absolute + 5 * np.log10(distance * 100 + 1e-6) + 0.112 * a_v
    column = (colour - COLOUR[0]) / (COLOUR[1] - COLOUR[0]) * size
    row = (magnitude - MAGNITUDE[0]) / (MAGNITUDE[1] - MAGNITUDE[0]) * size
    seen = (magnitude < 15.5) & (column >= 0) & (column < size) & (row >= 0) & (row < size)
    flat = (np.arange(count)[:, None] * size + row.astype(int)) * size + column.astype(int)
    counts = np.bincount(flat[seen], minlength=count * size * size).reshape(count, size, size, 1)
    return (np.log1p(counts) / 5).astype("float32"), (profile / 5).astype("float32")
