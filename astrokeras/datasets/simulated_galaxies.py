"""Simulated galaxies: Sersic profiles with arms, bars, edge-on discs and mergers."""

from collections.abc import Callable

import numpy as np
from rich.progress import track

from astrokeras.datasets.files import Split
from astrokeras.datasets.simulation import check_at_least, drawer

GALAXY_CLASSES = ("elliptical", "spiral", "barred spiral", "edge-on", "merger")
ELLIPTICAL, SPIRAL, BARRED, EDGE_ON, MERGER = range(5)
CHUNK = 200
OLD, YOUNG = (1.0, 0.8, 0.55), (0.6, 0.8, 1.0)  # RGB of old and of young stars


def simulated_galaxies(
    train: int = 5000, test: int = 1000, *, size: int = 64, noise: float = 0.03, seed: int = 0
) -> tuple[Split, Split]:
    """Simulate RGB images of galaxies of five classes. A simulation: results on it say nothing of real galaxies.

    Ellipticals are Sersic profiles (n = 2 to 5, axis ratio over 0.4); spirals have a bulge and an exponential disc
    with two to four logarithmic arms, seen up to 60 degrees inclined; barred ones add a bar from which the arms start;
    edge-on discs are thin, some with a dust lane; mergers are two overlapping galaxies with a tidal tail. Direction,
    size, brightness, centre, field stars, sky and noise are drawn at random.

    Args:
        train: number of training images.
        test: number of test images.
        size: pixels along each side, at least 16.
        noise: standard deviation of the sky, relative to the full range.
        seed: of the simulation; one seed, one set.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: images `(n, size, size, 3)` uint8 in 0..255, RGB, labels `(n,)` int
        (`datasets.GALAXY_CLASSES`, all equally frequent).

    Raises:
        ValueError: if an argument is out of range.

    Reference:
        Sersic 1963; logarithmic arms as in Binney & Tremaine 2008, section 6.1.

    Example:
        >>> import astrokeras
        >>> (x, y), _ = astrokeras.datasets.simulated_galaxies(train=10, test=5)
        >>> x.shape, str(x.dtype)
        ((10, 64, 64, 3), 'uint8')
    """
    check_at_least(train=(train, 1), test=(test, 1), size=(size, 16), noise=(noise, 0))
    rng = np.random.default_rng(seed)
    count = train + test
    labels = rng.permutation(np.arange(count) % len(GALAXY_CLASSES))
    starts = track(range(0, count, CHUNK), "simulating galaxies", transient=True, disable=count < 1000)
    images = np.concatenate([_galaxies(rng, labels[start : start + CHUNK], size, noise) for start in starts])
    return (images[:train], labels[:train]), (images[train:], labels[train:])


def _galaxies(rng: np.random.Generator, labels: np.ndarray, size: int, noise: float) -> np.ndarray:
    count = len(labels)
    draw = drawer(rng, count)
    y, x = np.mgrid[:size, :size].astype("float32") * 2 / size - 1 + 1 / size  # -1..1
    kind = labels[:, None, None]
    x0, y0 = draw(-0.12, 0.12), draw(-0.12, 0.12)
    radius = draw(0.14, 0.26)
    u, v = _turned(x - x0, y - y0, draw(0, 2 * np.pi))

    elliptical = _sersic(u, v, 1.6 * radius, draw(0.4, 1), draw(2, 5))
    # Discs: the plane of the galaxy is foreshortened along v, unless it is seen edge-on.
    ratio = draw(0.5, 1)
    bulge = draw(0.5, 1) * _sersic(u, v, 0.35 * radius, ratio**0.5, draw(1.5, 3))
    disc, arms = _disc(draw, u, v / ratio, 1.5 * radius, bar=kind == BARRED)
    bar_length = draw(0.55, 0.8) * 1.5 * radius
    bar = draw(0.7, 1.1) * np.exp(-((u / bar_length) ** 4) - (v / ratio / (0.22 * bar_length)) ** 2)
    thin = _edge_on(draw, u, v, 1.6 * radius)

    # Mergers: a second galaxy near the first, and a tail that leaves it on the other side.
    away, angle = draw(0.3, 0.5), draw(0, 2 * np.pi)
    u2, v2 = _turned(x - x0 - away * np.cos(angle), y - y0 - away * np.sin(angle), draw(0, 2 * np.pi))
    second = draw(0.6, 1) * _sersic(u2, v2, draw(0.7, 1) * radius, draw(0.4, 1), 1.5)
    a, b = _turned(x - x0, y - y0, angle + np.pi)
    tail = draw(0.2, 0.4) * np.exp(-(((b - draw(-1.2, 1.2) * a**2) / 0.07) ** 2) - (a / 0.5) ** 2)
    tail = np.where(a > 0, tail, 0)

    old = np.select(
        [kind == ELLIPTICAL, kind == SPIRAL, kind == BARRED, kind == EDGE_ON],
        [elliptical, bulge + 0.5 * disc, 0.6 * bulge + 0.5 * disc + bar, thin],
        0.7 * _sersic(u, v, radius, draw(0.4, 1), 1.5) + second,
    )
    young = np.select(
        [(kind == SPIRAL) | (kind == BARRED), kind == EDGE_ON, kind == MERGER], [arms, 0.3 * thin, tail], 0
    )
    mix = draw(0, 0.5)[..., None]  # so that colour alone does not tell
    red = (1 - mix) * np.array(OLD, "float32") + mix * np.array(YOUNG, "float32")
    image = old[..., None] * red + young[..., None] * np.array(YOUNG, "float32")
    image *= draw(0.55, 1)[..., None] / np.maximum(image.max(axis=(1, 2, 3), keepdims=True), 1e-6)
    image = np.arcsinh(6 * image) / np.arcsinh(6)
    image += _stars(draw, x, y, size)[..., None] * rng.uniform(0.6, 1, (count, 1, 1, 3)).astype("float32")
    image += draw(0.02, 0.08)[..., None] + noise * rng.standard_normal(image.shape, dtype="float32")
    return (np.clip(image, 0, 1) * 255).round().astype("uint8")


def _turned(x, y, angle) -> tuple[np.ndarray, np.ndarray]:
    return np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x


def _sersic(u, v, radius, ratio, n) -> np.ndarray:
    """Sersic profile of effective radius `radius` along u, 1 at 0.2 effective radii."""
    r = np.sqrt(ratio * u**2 + v**2 / ratio) / radius
    steepness = 2 * n - 1 / 3
    return np.minimum(np.exp(-steepness * (np.maximum(r, 1e-4) ** (1 / n) - 0.2 ** (1 / n))), 3)


def _disc(draw: Callable, u, v, scale, bar) -> tuple[np.ndarray, np.ndarray]:
    """An exponential disc and its arms; in a barred galaxy the two arms start at the ends of the bar."""
    r, angle = np.sqrt(u**2 + v**2), np.arctan2(v, u)
    disc = np.exp(-r / (0.45 * scale))
    number = np.where(bar, 2, np.round(draw(1.6, 4.4)))
    pitch = np.tan(np.deg2rad(draw(12, 28))) * np.where(draw(0, 1) < 0.5, -1, 1)
    phase = np.where(bar, 0, draw(0, 2 * np.pi))
    start = np.where(bar, 0.65 * scale, 0.3 * scale)
    wave = np.cos(number * (angle - np.log(np.maximum(r, 1e-3) / start) / pitch - phase))
    strength = draw(0.7, 1.2) / (1 + np.exp(-(r - 0.8 * start) / (0.08 * scale)))
    return disc, strength * disc * np.exp(3 * (wave - 1)) * 1.6


def _edge_on(draw: Callable, u, v, scale) -> np.ndarray:
    thickness = draw(0.06, 0.12) * scale
    disc = np.exp(-np.abs(u) / (0.5 * scale)) / np.cosh(np.minimum(np.abs(v / thickness), 20)) ** 2
    bulge = draw(0.2, 0.8) * _sersic(u, v, 0.2 * scale, 0.8, 2.0)
    lane = draw(-0.4, 0.7) * np.exp(-((v / (0.5 * thickness)) ** 2)) * (np.abs(u) < scale)
    return (disc + bulge) * (1 - np.maximum(lane, 0))


def _stars(draw: Callable, x, y, size: int) -> np.ndarray:
    """Up to three foreground stars."""
    field = 0
    for _ in range(3):
        away = (x - draw(-1, 1)) ** 2 + (y - draw(-1, 1)) ** 2
        brightness = np.maximum(draw(-0.8, 0.8), 0)
        field = field + brightness * np.exp(-away / (2 * (2.0 / size) ** 2))
    return field
