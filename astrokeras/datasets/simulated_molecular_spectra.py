"""Simulated millimetre spectra: which of 20 species have their lines in it?"""

import numpy as np
from rich.progress import track

from astrokeras.datasets.files import Split
from astrokeras.datasets.simulation import check_at_least

LINES = (12, 60)  # lines of a species, from a light to a complex one
CHUNK = 50  # spectra made at a time


def simulated_molecular_spectra(
    train: int = 1600, test: int = 400, *, samples: int = 35000, species: int = 20, seed: int = 0
) -> tuple[Split, Split]:
    """Simulate spectra of mixtures of synthetic molecules. A simulation: its species do not exist.

    Each species has a fixed list of 12 to 60 lines with a strength and an upper energy each; a mixture holds 1 to 7
    species, each with its own column density (over a factor of 30) and a Boltzmann factor of one temperature per
    spectrum. All lines share one width and one velocity (up to +-12 samples); lines blend; noise is added. The line
    lists are the same for every `seed`.

    Args:
        train: number of training spectra.
        test: number of test spectra.
        samples: of each spectrum, at least 1024.
        species: number of species, at least 2.
        seed: of the mixtures; one seed, one set.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: spectra `(n, samples, 3)` float16 in 0..1, the same spectrum divided by
        its maximum, its square root, and clipped at 8 times the noise; labels `(n, species)` int, 1 = present.

    Raises:
        ValueError: if an argument is out of range.

    Reference:
        After the set-up of Kessler et al. 2025, arXiv:2510.09119 (20 species, 35 000 samples, 3 normalisations).

    Example:
        >>> import astrokeras
        >>> (x, y), _ = astrokeras.datasets.simulated_molecular_spectra(train=4, test=2, samples=2000)
        >>> x.shape, y.shape
        ((4, 2000, 3), (4, 20))
    """
    check_at_least(train=(train, 1), test=(test, 1), samples=(samples, 1024), species=(species, 2))
    lists = _line_lists(samples, species)
    rng = np.random.default_rng((1, seed))
    spectra = np.empty((train + test, samples, 3), "float16")
    labels = np.empty((train + test, species), int)
    starts = range(0, train + test, CHUNK)
    for start in track(starts, "simulating spectra", transient=True, disable=len(starts) * samples < 100_000):
        part = slice(start, min(start + CHUNK, train + test))
        spectra[part], labels[part] = _mixtures(rng, part.stop - part.start, samples, lists)
    return (spectra[:train], labels[:train]), (spectra[train:], labels[train:])


def _line_lists(samples: int, species: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Position (samples), strength and upper energy (K) of each line: (species, lines) each, strength 0 = no line."""
    rng = np.random.default_rng(20)
    position = rng.uniform(0.02, 0.98, (species, LINES[1])) * samples
    strength = rng.lognormal(0, 0.6, (species, LINES[1]))
    strength *= np.arange(LINES[1]) < rng.integers(*LINES, (species, 1), endpoint=True)
    return position, strength, rng.uniform(10, 400, (species, LINES[1]))


def _mixtures(rng: np.random.Generator, count: int, samples: int, lists) -> tuple[np.ndarray, np.ndarray]:
    position, strength, energy = lists
    species, lines = position.shape
    present = rng.random((count, species)).argsort(axis=1) < rng.integers(1, 8, (count, 1))
    density = np.where(present, np.exp(rng.uniform(np.log(0.15), np.log(4.5), (count, species))), 0)
    temperature = rng.uniform(50, 250, (count, 1, 1))
    height = density[..., None] * strength * np.exp(-energy / temperature)  # (count, species, lines)
    width = rng.uniform(1.5, 4, (count, 1, 1))
    centre = position + rng.uniform(-12, 12, (count, 1, 1))
    reach = np.arange(-14, 15)
    near = np.round(centre).astype(int)[..., None] + reach  # (count, species, lines, reach)
    profile = height[..., None] * np.exp(-(((near - centre[..., None]) / width[..., None]) ** 2) / 2)
    flat = np.clip(near, 0, samples - 1) + samples * np.arange(count)[:, None, None, None]
    flux = np.bincount(flat.ravel(), profile.ravel(), count * samples).reshape(count, samples)
    flux = 5 * (1 - np.exp(-flux / 5))  # strong lines saturate
    noise = rng.uniform(0.02, 0.05, (count, 1))
    flux = np.maximum(flux + noise * rng.standard_normal(flux.shape, dtype="float32"), 0)
    clipped = np.minimum(flux / (8 * noise), 1)
    flux = flux / flux.max(axis=1, keepdims=True)
    return np.stack([flux, np.sqrt(flux), clipped], axis=-1), present.astype(int)
