"""Simulated stellar spectra: a Planck continuum with the lines that tell the spectral types O to M."""

import numpy as np

from astrokeras.datasets.files import Split
from astrokeras.datasets.simulation import check_at_least

WAVELENGTH = (346.0, 946.0)  # nm, the range of the Indo-US library
TEMPERATURES = ((30e3, 45e3), (10e3, 30e3), (7500, 10e3), (6000, 7500), (5200, 6000), (3700, 5200), (2500, 3700))  # K
# Lines (nm), their greatest depth, the temperature (K) where they are strongest, and how fast they fade (in ln T).
LINES = (
    ((656.3, 486.1, 434.0, 410.2, 397.0, 388.9), 0.6, 9500.0, 0.45),  # H
    ((587.6, 447.1, 402.6, 667.8), 0.3, 22000.0, 0.4),  # He I
    ((468.6, 541.2, 454.2), 0.3, 42000.0, 0.3),  # He II
    ((393.4, 396.8), 0.7, 5000.0, 0.4),  # Ca II H and K
    ((849.8, 854.2, 866.2), 0.4, 4800.0, 0.4),  # Ca II triplet
    ((589.0, 589.6), 0.5, 4000.0, 0.35),  # Na D
    ((516.7, 517.3, 518.4), 0.45, 4600.0, 0.35),  # Mg b
    ((430.8,), 0.5, 5500.0, 0.25),  # the G band
    ((527.0, 532.8, 438.4, 404.6, 495.8), 0.35, 5000.0, 0.35),  # Fe I
    ((422.7, 616.2), 0.4, 4200.0, 0.3),  # Ca I
)
BANDS = ((476.1, 545.0, 615.9, 665.1, 705.4, 758.9, 843.2), 20.0, 0.6, 3000.0, 0.22)  # heads of TiO, length, as above


def simulated_spectra(
    train: int = 3500, test: int = 700, *, samples: int = 3776, noise: float = 0.015, seed: int = 0
) -> tuple[Split, Split]:
    """Simulate stellar spectra of seven types. A simulation: results on it say nothing of real stars.

    A Planck continuum at a temperature drawn within the type, absorption lines and TiO bands whose depths follow the
    temperature, a radial velocity, rotational broadening, and Gaussian noise. Reddening and the response of the
    instrument change the slope of each spectrum at random, so that the continuum alone does not tell the type, and the
    wavelength scale is off by up to 2.5 nm, so that no single sample does.

    Args:
        train: number of training spectra.
        test: number of test spectra.
        samples: of each spectrum, 346 to 946 nm, at least 256.
        noise: standard deviation, relative to the continuum.
        seed: of the simulation; one seed, one set.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: spectra `(n, samples, 1)` float32 in 0..1, labels `(n,)` int
        (`datasets.SPECTRAL_TYPES`, all equally frequent).

    Raises:
        ValueError: if an argument is out of range.

    Reference:
        The temperatures of the types: Gray & Corbally 2009, Stellar Spectral Classification.

    Example:
        >>> import astrokeras
        >>> (x, y), _ = astrokeras.datasets.simulated_spectra(train=14, test=7)
        >>> x.shape, str(x.dtype)
        ((14, 3776, 1), 'float32')
    """
    check_at_least(train=(train, 1), test=(test, 1), samples=(samples, 256), noise=(noise, 0))
    rng = np.random.default_rng(seed)
    count = train + test
    labels = rng.permutation(np.arange(count) % len(TEMPERATURES))
    spectra = np.concatenate([_spectra(rng, labels[i : i + 256], samples, noise) for i in range(0, count, 256)])
    return (spectra[:train], labels[:train]), (spectra[train:], labels[train:])


def _spectra(rng: np.random.Generator, labels: np.ndarray, samples: int, noise: float) -> np.ndarray:
    count = len(labels)
    wavelength = np.linspace(*WAVELENGTH, samples, dtype="float32")
    low, high = np.log(TEMPERATURES).T
    within = rng.uniform(0.12, 0.88, count)  # types are told apart, not their borders
    temperature = np.exp(low + (high - low) * within[:, None])[np.arange(count), labels, None].astype("float32")
    planck = wavelength**-5.0 / np.expm1(1.4388e7 / (wavelength * temperature))
    flux = planck / planck.mean(axis=1, keepdims=True)
    x = (wavelength - wavelength.mean()) / np.ptp(wavelength) * 2  # -1..1
    response = rng.normal(0, (1.5, 1.0, 0.7, 0.5, 0.3), (count, 5)).astype("float32")  # reddening and the instrument
    flux = flux * np.exp(response @ np.stack([x**power for power in range(1, 6)]))
    shift = 1 + rng.normal(0, 200, (count, 1)).astype("float32") / 2.998e5  # radial velocity, km/s
    zero = rng.uniform(-2.5, 2.5, (count, 1)).astype("float32")  # nm, error of the wavelength calibration
    width = rng.uniform(0.25, 1.2, (count, 1)).astype("float32")  # nm
    vigour = rng.lognormal(0, 0.1, (count, len(LINES) + 1)).astype("float32")
    depth = np.zeros_like(flux)
    for i, (centres, strength, best, fade) in enumerate(LINES):
        share = strength * vigour[:, i : i + 1] * np.exp(-((np.log(temperature / best) / fade) ** 2) / 2)
        wide = width * (1 + 2 * (i == 0))  # hydrogen lines are broad
        for centre in centres:
            depth += share / (1 + ((wavelength - centre * shift - zero) / wide) ** 2)
    heads, length, strength, best, fade = BANDS
    share = strength * vigour[:, -1:] * np.exp(-((np.log(temperature / best) / fade) ** 2) / 2)
    for head in heads:
        behind = wavelength - head * shift - zero
        depth += np.where(behind > 0, share * np.exp(-behind / length), 0)
    flux = flux * np.exp(-depth)
    flux = flux / flux.max(axis=1, keepdims=True) * rng.uniform(0.6, 1, (count, 1))
    flux += noise * flux.mean(axis=1, keepdims=True) * rng.standard_normal(flux.shape, dtype="float32")
    return np.clip(flux, 0, 1).astype("float32")[..., None]
