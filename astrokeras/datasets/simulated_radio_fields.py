"""Simulated radio fields: Gaussian sources seen by a beam, over noise that the beam correlates."""

import numpy as np

from astrokeras.datasets.detection_set import DetectionSet
from astrokeras.datasets.simulation import check_at_least
from astrokeras.parameters import Parameter

RADIO_PARAMETERS = (
    Parameter("flux", "Jy", scale="log", range=(1e-6, 1e-4)),
    Parameter("bmaj", "arcsec", scale="log", range=(0.9, 6.0)),
    Parameter("bmin", "arcsec", scale="log", range=(0.3, 6.0)),
    Parameter("pa", "deg", angle=180),
)
SLOPE = -1.7  # of the number of sources per flux
ROUNDNESS = (1 / 3, 1.0)  # bmin / bmaj
SIGMA = 1 / np.sqrt(8 * np.log(2))  # of a Gaussian, per full width at half maximum
REACH = 4.5  # standard deviations to which a source is drawn
PIXELS = 1 << 21  # drawn at once


def simulated_radio_fields(
    train: int = 400,
    test: int = 100,
    *,
    size: int = 128,
    sources: tuple[int, int] = (15, 50),
    flux: tuple[float, float] = RADIO_PARAMETERS[0].range,
    snr: float = 5.0,
    pixel: float = 0.604,
    beam: float = 1.5,
    noise: float = 2.6e-7,
    seed: int = 0,
) -> tuple[DetectionSet, DetectionSet]:
    """Simulate radio maps with boxes, fluxes, sizes and angles. A simulation: real fields hold far more than this.

    Each source is an elliptical Gaussian at a random place of the field: its flux follows the power law S^-1.7, its
    major axis is drawn evenly in the logarithm, bmin / bmaj is drawn from 1/3 to 1, its angle is any. All is seen with
    a circular Gaussian beam. The noise is white noise convolved with the beam. The defaults are near those of the first
    data challenge of SKA at 560 MHz (Bonaldi et al. 2021).

    Sources whose peak in the map reaches `snr` times the noise are objects; the fainter ones are in the map only. The
    box is the smallest one around the ellipse at one full width at half maximum from the middle (of the source as the
    beam shows it), cut at the edge of the field.

    Args:
        train: number of training fields.
        test: number of test fields.
        size: pixels along each side, at least 16.
        sources: least and largest number of sources in a field, the faint ones included.
        flux: lowest and highest flux, Jy.
        snr: least ratio of peak and noise of an object.
        pixel: arcsec along the side of a pixel.
        beam: full width at half maximum of the beam, arcsec, at least 2 pixels.
        noise: root mean square of the noise, Jy/beam.
        seed: of the simulation; one seed, one set.

    Returns:
        The training and the test fields: images `(n, size, size, 1)` float32 in Jy/beam, with boxes, labels 0 and
        params `(k, 4)`, as `RADIO_PARAMETERS` names them: flux (Jy), bmaj and bmin (full widths at half maximum without
        the beam, arcsec), and pa (degrees, -90..90, of the major axis from x towards y).

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> import astrokeras
        >>> train, test = astrokeras.datasets.simulated_radio_fields(train=8, test=4, size=64, sources=(5, 10))
        >>> train.images.shape, train[0][1]["params"].shape[1], train.class_names
        ((8, 64, 64, 1), 4, ('source',))
    """
    check_at_least(train=(train, 1), test=(test, 1), size=(size, 16), snr=(snr, 0))
    if not 0 <= sources[0] <= sources[1] or sources[1] < 1 or not 0 < flux[0] < flux[1] or noise <= 0:
        raise ValueError(
            "Expected sources (least >= 0, largest >= 1), flux (lowest > 0, highest) and noise above 0; received "
            f"sources={sources}, flux={flux}, noise={noise}."
        )
    if not 0 < 2 * pixel <= beam:
        raise ValueError(
            f"Expected a beam of at least 2 pixels, for the map to hold all there is; received beam={beam} arcsec and "
            f"pixel={pixel} arcsec."
        )
    rng = np.random.default_rng(seed)
    count = train + test
    field = np.repeat(np.arange(count), rng.integers(sources[0], sources[1] + 1, count))
    middle = rng.uniform(0, size, (len(field), 2)).astype("float32")  # x, y
    params = _params(rng, len(field), flux)
    major, minor = (np.hypot(axis, beam) / pixel for axis in params[:, 1:3].T)  # in the map, pixels
    peak = params[:, 0] * (beam / pixel) ** 2 / (major * minor)
    images = _noise(rng, count, size, beam / pixel * SIGMA, noise)
    _draw(images, field, middle, peak, major * SIGMA, minor * SIGMA, np.deg2rad(params[:, 3]))

    bright = np.flatnonzero(peak >= snr * noise)
    boxes = _around(middle, major, minor, np.deg2rad(params[:, 3])).clip(0, size)
    found = [
        {"boxes": boxes[rows], "labels": np.zeros(len(rows), int), "params": params[rows]}
        for rows in np.split(bright, np.searchsorted(field[bright], np.arange(1, count)))
    ]
    names = [f"field_{i:06d}" for i in range(count)]
    return (
        DetectionSet(images[:train, ..., None], found[:train], ("source",), names[:train]),
        DetectionSet(images[train:, ..., None], found[train:], ("source",), names[train:]),
    )


def _params(rng: np.random.Generator, count: int, flux: tuple[float, float]) -> np.ndarray:
    """Draw flux, bmaj, bmin and pa, `(count, 4)`."""
    low, high = (limit ** (SLOPE + 1) for limit in flux)
    flux = (low + rng.random(count) * (high - low)) ** (1 / (SLOPE + 1))
    bmaj = np.exp(rng.uniform(*np.log(RADIO_PARAMETERS[1].range), count))
    bmin = bmaj * rng.uniform(*ROUNDNESS, count)
    return np.stack([flux, bmaj, bmin, rng.uniform(-90, 90, count)], axis=1).astype("float32")


def _noise(rng: np.random.Generator, count: int, size: int, sigma: float, rms: float) -> np.ndarray:
    """Return white noise convolved with a Gaussian (around the edges) and brought to its rms, `(count, size, size)`."""
    y, x = np.fft.fftfreq(size), np.fft.rfftfreq(size)
    kernel = np.exp(-2 * (np.pi * sigma) ** 2 * (y[:, None] ** 2 + x**2))
    whole = np.exp(-2 * (np.pi * sigma) ** 2 * (y[:, None] ** 2 + y**2))
    kernel *= rms / np.sqrt(np.mean(whole**2))  # what is left of the variance of white noise
    images = np.empty((count, size, size), "float32")
    step = max(1, PIXELS // size**2)
    for start in range(0, count, step):
        white = rng.standard_normal((min(step, count - start), size, size), dtype="float32")
        images[start : start + step] = np.fft.irfft2(np.fft.rfft2(white) * kernel, s=(size, size))
    return images


def _draw(images, field, middle, peak, major, minor, angle) -> None:
    """Add Gaussians, given by peak, standard deviations and angle, to their fields, in place."""
    size, reach = images.shape[1], np.ceil(REACH * major).astype(int)
    order = np.argsort(reach)  # sources of one size together
    start = 0
    while start < len(order):
        # As many as fit with the window of the largest among them: it grows along the order.
        cost = np.arange(1, len(order) - start + 1) * (2 * reach[order[start:]] + 1) ** 2
        some = order[start : start + max(1, np.searchsorted(cost, PIXELS))]
        start += len(some)
        window = np.arange(-reach[some].max(), reach[some].max() + 1)
        columns, rows = (np.floor(middle[some, axis]).astype(int)[:, None] + window for axis in (0, 1))  # (k, window)
        x, y = (lines + 0.5 - middle[some, axis, None] for axis, lines in enumerate((columns, rows)))
        x, y = x[:, None, :], y[:, :, None]
        cosine, sine = (turn(angle[some])[:, None, None] for turn in (np.cos, np.sin))
        along, across = cosine * x + sine * y, cosine * y - sine * x
        scaled = (along / major[some, None, None]) ** 2 + (across / minor[some, None, None]) ** 2
        values = peak[some, None, None] * np.exp(-scaled / 2)
        inside = ((columns >= 0) & (columns < size))[:, None, :] & ((rows >= 0) & (rows < size))[:, :, None]
        place = rows.clip(0, size - 1)[:, :, None], columns.clip(0, size - 1)[:, None, :]
        np.add.at(images, (field[some, None, None], *place), np.where(inside, values, 0).astype("float32"))


def _around(middle, major, minor, angle) -> np.ndarray:
    """Return the boxes around ellipses given by their half axes, `(k, 4)`."""
    half = np.stack(
        [
            np.hypot(major * np.cos(angle), minor * np.sin(angle)),
            np.hypot(major * np.sin(angle), minor * np.cos(angle)),
        ],
        axis=1,
    )
    return np.concatenate([middle - half, middle + half], axis=1).astype("float32")
