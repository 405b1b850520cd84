"""A simulated field of the first SKA data challenge: sources, beam, noise, primary beam and sky positions, as FITS."""

import functools
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from astrokeras.datasets.beam_noise import beam_kernel, noise_rows
from astrokeras.datasets.fits_blocks import write_fits
from astrokeras.datasets.gaussian_stamps import draw_gaussians, ellipse_variances, exponential_as_gaussians
from astrokeras.datasets.simulated_radio_fields import ROUNDNESS, SIGMA
from astrokeras.datasets.simulated_survey import SimulatedSurvey, mark_as_simulation
from astrokeras.datasets.simulation import check_at_least

CENTRE = (0.0, -30.0)  # RA and Dec, degrees
TRAINING_AREA = (-0.6723, 0.0, -29.94, -29.4061)  # of 560 MHz: RA from and to, Dec from and to, degrees
PIXEL = 0.000167847  # degrees
BEAM = 1.5  # full width at half maximum, arcsec
NOISE = 2.6e-7  # Jy/beam, 1000 hours
DENSITY = 674e3  # sources per square degree in the middle of the primary beam
PRIMARY_BEAM = 1.02 * np.degrees(299.792458 / 560 / 15)  # full width at half maximum of a 15 m dish, degrees
FAINTEST, KNEE, BRIGHTEST = 1.8e-7, 3e-6, 0.03  # Jy
SLOPES = (-1.7, -2.2)  # of the number of sources per flux, below and above the knee
PUBLISHED_DENSITY = 611e3  # of the training catalogue, per square degree
CLASSES = {"steep": (1, 0.02, 3.0, 0.8), "flat": (2, 0.01, 0.5, 0.4), "star-forming": (3, 0.97, 0.7, 0.6)}
COLUMNS = "id ra_core dec_core ra_cent dec_cent flux core_frac b_maj b_min pa size class"
FORMAT = "%d %.8f %.8f %.8f %.8f %.6g %.6f %.3f %.3f %.3f %d %d"
HALF_LIGHT = 1.6783469900166605 * 2  # diameter that holds half of the light of an exponential disc, scale lengths
CELL = 512  # pixels along a side of the squares in which sources are drawn
FLOOR = 0.005  # of the noise: fainter tails are left out
MARGIN = 1300  # pixels from which a source can still reach a row
LIMITS = (5e-7, 2e-6)  # Jy, between which the slope of the counts is measured


def simulated_continuum_field(
    path: str | os.PathLike,
    size: int = 4096,
    frequency: int = 560,
    seed: int = 0,
    *,
    noise: float = 1.0,
    density: float = 1.0,
    rows: int | None = None,
) -> SimulatedSurvey:
    """Simulate a field of SKA's first data challenge. A simulation: no double sources, no side lobes, no clustering.

    As published for 560 MHz and 1000 hours: pixel, beam, noise, place on the sky, density of sources and slope of their
    counts. Star-forming galaxies (97 %) are exponential discs, active nuclei Gaussians with a point-like core; all are
    seen through the primary beam of a 15 m dish (a Gaussian) with the synthesized beam (a Gaussian). The noise is white
    noise convolved with the synthesized beam, even over the field. Sources whose apparent flux is below 0.18 uJy are
    not injected, as in the challenge those below the noise are not.

    The files: `NAME.fits` (Jy/beam; axes Stokes, frequency, y and x), `NAME_primary_beam.fits`, and `NAME_truth.txt`:
    one comment line, then the 12 columns of the challenge. There `flux` is not dimmed by the primary beam; `b_maj` and
    `b_min` are full widths at half maximum of Gaussians (size 2), and of discs (size 3) the diameters that hold half of
    the light over sqrt(2), which is how the challenge's score turns one into the other; `pa` is in degrees from +x
    clockwise, as an image with x to the right and y up shows it (90 - `pa` is east of north).

    The field is written in strips: the memory does not depend on its size, and no pixel on the height of the strips.
    A smaller field of the same seed holds other sources than the middle of a larger one.

    Args:
        path: of the image; the names of the other files follow from it.
        size: pixels along each side, at least 64; 32768 is the challenge's.
        frequency: 560 (MHz).
        seed: of the simulation; one seed, one field.
        noise: times the published noise; 0 for none.
        density: times the published density of sources; 0 for none.
        rows: height of the strips; `None` takes what 8 MB hold.

    Returns:
        The paths, and the figures of the field beside the published ones; `print` it.

    Raises:
        ValueError: if an argument is out of range.

    Reference:
        Bonaldi et al. 2021, MNRAS 500, 3821 (the challenge; beam and noise as in `simulated_radio_fields`). CIANNA 1.0,
        examples/SKAO_SDC1: pixel; 5 251 292 sources in the field and 190 551 of them in the training area, whence the
        density there (611 000 per square degree), and in the middle with the exponent of 0.40 per square degree of its
        fall. Condon et al. 2012, ApJ 758, 23: slope -1.7. Chosen by us: the knee and the slope above it, the sizes.

    Example:
        >>> import astrokeras
        >>> field = astrokeras.datasets.simulated_continuum_field("field.fits", size=128)
        >>> field.image.name, field.truth.name, field.primary_beam.name
        ('field.fits', 'field_truth.txt', 'field_primary_beam.fits')
    """
    check_at_least(size=(size, 64), seed=(seed, 0), noise=(noise, 0), density=(density, 0))
    if frequency != 560:
        raise ValueError(f"Expected frequency=560, the band whose published figures are here; received {frequency}.")
    rows = max(16, (1 << 21) // size) if rows is None else rows
    check_at_least(rows=(rows, 1))
    path = Path(path)
    header = _header(size, PIXEL, (size, size), seed)
    header.update(BUNIT="Jy/beam", BMAJ=BEAM / 3600, BMIN=BEAM / 3600, BPA=0.0)
    sky = _Sky(size, seed, density, header)

    measured = _NoiseFigures()
    truth = path.with_name(f"{path.stem}_truth.txt")
    figures = _write_truth(truth, sky, size, seed)
    beam = _write_primary_beam(path.with_name(f"{path.stem}_primary_beam.fits"), size, seed)
    write_fits(path, header, _strips(sky, size, rows, seed, noise * NOISE, measured))
    published = {"pixel (arcsec)": (3600 * abs(header["CDELT1"]), 3600 * PIXEL)}
    if noise:
        published["noise (Jy/beam)"] = (measured.rms(), NOISE)
        published["beam (arcsec)"] = (measured.width() * 3600 * PIXEL, BEAM)
    return SimulatedSurvey(path, truth, beam, published | figures)


def _header(size: int, pixel: float, shape: tuple[int, int], seed: int):
    """Return the header of an image of the field."""
    from astropy.io.fits import Header

    header = Header()
    header["SIMPLE"], header["BITPIX"], header["NAXIS"] = True, -32, 4
    for axis, length in enumerate((*shape[::-1], 1, 1), start=1):
        header[f"NAXIS{axis}"] = length
    axes = (
        ("RA---SIN", CENTRE[0], -pixel, shape[1] // 2 + 1, "deg"),
        ("DEC--SIN", CENTRE[1], pixel, shape[0] // 2 + 1, "deg"),
        ("FREQ", 5.6e8, 3e8, 1, "Hz"),
        ("STOKES", 1.0, 1.0, 1, ""),
    )
    for axis, (kind, value, step, place, unit) in enumerate(axes, start=1):
        header[f"CTYPE{axis}"], header[f"CRVAL{axis}"], header[f"CDELT{axis}"] = kind, value, step
        header[f"CRPIX{axis}"], header[f"CUNIT{axis}"] = float(place), unit
    header["RADESYS"], header["EQUINOX"] = "FK5", 2000.0
    mark_as_simulation(header, "simulated_continuum_field", seed)
    header["HISTORY"] = f"after SKA Science Data Challenge 1, 560 MHz, 1000 h; {size} pixels"
    return header


class _Sky:
    """The sources of the field, drawn cell by cell, each cell from its own seed."""

    def __init__(self, size: int, seed: int, density: float, header):
        from astropy.wcs import WCS

        self.size, self.seed, self.density = size, seed, density
        self.wcs = WCS(header).celestial
        self.cells = -(-size // CELL)  # along each side
        self._row = functools.lru_cache(maxsize=4)(self._all_of_row)
        self._far = functools.lru_cache(maxsize=2 * -(-MARGIN // CELL) + 4)(self._far_of_row)

    def near(self, start: int, stop: int) -> Iterator[dict[str, np.ndarray]]:
        """Yield, for each row of cells, those of its sources that may reach rows `start..stop` of pixels."""
        for row in range(max(0, (start - MARGIN) // CELL), min(self.cells, (stop + MARGIN) // CELL + 1)):
            beside = start - CELL < (row + 1) * CELL and row * CELL < stop + CELL
            sources = self._row(row) if beside else self._far(row)
            reach = _reach(sources)
            yield _chosen(sources, (sources["y"] > start - reach) & (sources["y"] < stop + reach))

    def _all_of_row(self, row: int) -> dict[str, np.ndarray]:
        cells = [self.cell(row, column) for column in range(self.cells)]
        return {name: np.concatenate([cell[name] for cell in cells]) for name in cells[0]}

    def _far_of_row(self, row: int) -> dict[str, np.ndarray]:
        """Return the few sources that reach beyond the next row of cells: all are too many to keep."""
        sources = self._all_of_row(row)
        return _chosen(sources, _reach(sources) > CELL)

    def cell(self, row: int, column: int) -> dict[str, np.ndarray]:
        """Return the sources of one cell, those that are injected."""
        rng = np.random.default_rng([self.seed, 1, row, column])
        count = rng.poisson(self.density * DENSITY * (CELL * PIXEL) ** 2)
        x, y = CELL * (rng.random((2, count)) + np.array([[column], [row]]))
        flux = _fluxes(rng.random(count))
        kind = np.searchsorted(np.cumsum([share for _, share, _, _ in CLASSES.values()])[:-1], rng.random(count))
        numbers, _, medians, spreads = (np.array(column) for column in zip(*CLASSES.values(), strict=True))
        major = medians[kind] * np.exp(spreads[kind] * rng.standard_normal(count))
        source = {
            "x": x,
            "y": y,
            "flux": flux,
            "apparent": flux * _primary_beam(x, y, self.size),
            "core_frac": rng.random(count) * np.array([0.1, 0.5, 0.0])[kind] + np.array([0.0, 0.5, 0.0])[kind],
            "b_maj": major.clip(0.05, 60),
            "b_min": major.clip(0.05, 60) * rng.uniform(*ROUNDNESS, count),
            "pa": rng.uniform(0, 180, count),
            "size": np.where(numbers[kind] == 3, 3, 2),
            "class": numbers[kind],
        }
        source = {
            name: v if name in "xy" else v.astype("u1" if v.dtype.kind == "i" else "f4") for name, v in source.items()
        }
        return _chosen(source, (source["apparent"] >= FAINTEST) & (x < self.size) & (y < self.size))


def _chosen(sources: dict[str, np.ndarray], which: np.ndarray) -> dict[str, np.ndarray]:
    return {name: values[which] for name, values in sources.items()}


def _reach(sources: dict[str, np.ndarray]) -> np.ndarray:
    """Return how many pixels from its middle a source is drawn at most."""
    return 6.5 * np.sqrt(2) * sources["b_maj"] / (3600 * PIXEL) + 8


def _fluxes(share: np.ndarray) -> np.ndarray:
    """Return the fluxes above which these shares of all sources are: two power laws that meet at the knee."""
    faint, bright = (-(slope + 1) for slope in SLOPES)
    at_knee = (KNEE / FAINTEST) ** -faint
    share = share.clip(at_knee * (BRIGHTEST / KNEE) ** -bright)
    below, above = FAINTEST * share ** (-1 / faint), KNEE * (share / at_knee) ** (-1 / bright)
    return np.where(share > at_knee, below, above)


def _primary_beam(x: np.ndarray, y: np.ndarray, size: int) -> np.ndarray:
    """Return the response of the dish at box coordinates of the field; its middle is that of the reference pixel."""
    middle = size // 2 + 0.5
    return np.exp(-4 * np.log(2) * ((x - middle) ** 2 + (y - middle) ** 2) * (PIXEL / PRIMARY_BEAM) ** 2)


def _strips(sky: _Sky, size: int, rows: int, seed: int, rms: float, measured: "_NoiseFigures") -> Iterator[np.ndarray]:
    """Yield the image from below, so many rows at once."""
    kernel = beam_kernel(BEAM / 3600 / PIXEL * SIGMA)
    for start in range(0, size, rows):
        stop = min(start + rows, size)
        strip = np.zeros((stop - start, size), "float32")
        if sky.density:
            for sources in sky.near(start, stop):
                _draw(strip, start, sources)
        if rms:
            noise = noise_rows(start, stop, size, kernel, (seed, 0))
            noise *= np.float32(rms)
            measured.add(noise)
            strip += noise
        yield strip


def _draw(strip: np.ndarray, start: int, sources: dict[str, np.ndarray]) -> None:
    """Add sources to a strip whose lowest row is `start`, seen with the beam."""
    middle = np.stack([sources["x"], sources["y"] - start], axis=1)
    axes = ellipse_variances(sources["b_maj"], sources["b_min"], np.deg2rad(-sources["pa"]))
    axes = [axis / (3600 * PIXEL) ** 2 for axis in axes]
    beam = (BEAM / 3600 / PIXEL * SIGMA) ** 2
    disc, core = sources["size"] == 3, sources["core_frac"]
    parts = [
        (np.where(disc, share, 0), scale * 2 / HALF_LIGHT**2)
        for share, scale in zip(*exponential_as_gaussians(), strict=True)
    ]
    parts += [(np.where(disc, 0, core), 0.0), (np.where(disc, 0, 1 - core), SIGMA**2)]
    for share, scale in parts:
        xx, yy, xy = (axis * scale for axis in axes)
        xx, yy = xx + beam, yy + beam
        peak = sources["apparent"] * share * beam / np.sqrt(xx * yy - xy**2)
        draw_gaussians(strip, middle, peak, (xx, yy, xy), FLOOR * NOISE)


def _write_truth(path: Path, sky: _Sky, size: int, seed: int) -> dict[str, tuple[float, float]]:
    """Write the table of the sources and count them."""
    from astropy.wcs.utils import pixel_to_skycoord

    partial = path.with_name(f"{path.name}.part")
    west, east, south, north = TRAINING_AREA
    x, y = sky.wcs.wcs_world2pix([east, west], [south, north], 0)
    sides = [np.clip(ends, -0.5, size - 0.5) for ends in (x, y)]
    if min(np.ptp(ends) for ends in sides) == 0:  # a small field: all of it
        sides = [np.array([-0.5, size - 0.5])] * 2
    area = np.prod([np.ptp(ends) for ends in sides]) * PIXEL**2
    count, inside, counts = 0, 0, np.zeros(2)
    with open(partial, "w") as file:
        file.write(f"# SIMULATION by astrokeras, seed {seed}: {COLUMNS}\n")
        for sources in (sky.cell(row, column) for row in range(sky.cells) for column in range(sky.cells)):
            pixels = sources["x"] - 0.5, sources["y"] - 0.5
            place = pixel_to_skycoord(*pixels, sky.wcs)
            ra, dec = (place.ra.deg + 180) % 360 - 180, place.dec.deg
            names = ("flux", "core_frac", "b_maj", "b_min", "pa", "size", "class")
            number = np.arange(count, count + len(ra))
            np.savetxt(file, np.stack([number, ra, dec, ra, dec, *(sources[name] for name in names)], axis=1), FORMAT)
            count += len(ra)
            inside += np.all([(low < at) & (at < high) for at, (low, high) in zip(pixels, sides, strict=True)], 0).sum()
            whole = sources["apparent"] >= FAINTEST / LIMITS[0] * sources["flux"]  # where none at the limits is missing
            counts += [(sources["flux"][whole] > limit).sum() for limit in LIMITS]
    os.replace(partial, path)
    figures = {}
    if count:
        published = PUBLISHED_DENSITY * sky.density
        figures["sources per deg2"] = (inside / area, published)
        figures["slope of the counts"] = (np.log(counts[1] / counts[0]) / np.log(LIMITS[1] / LIMITS[0]) - 1, SLOPES[0])
    return figures


def _write_primary_beam(path: Path, size: int, seed: int, samples: int = 129) -> Path:
    """Write the response of the dish over the field, a little beyond its edges."""
    step = 1.1 * size / (samples - 1)  # pixels of the field
    along = (np.arange(samples) - samples // 2) * step + size // 2 + 0.5
    header = _header(size, PIXEL * step, (samples, samples), seed)
    header.update(BUNIT="", BEAMFWHM=PRIMARY_BEAM)
    return write_fits(path, header, [_primary_beam(along, along[:, None], size)])


class _NoiseFigures:
    """Sums over the noise: its rms, and the width of the beam that correlates it."""

    def __init__(self):
        self.count, self.squares, self.products = 0, 0.0, 0.0

    def add(self, noise: np.ndarray) -> None:
        self.count += noise.size
        self.squares += float(np.sum(noise**2, dtype="float64"))
        self.products += (
            float(np.sum(noise[:, 1:] * noise[:, :-1], dtype="float64")) * noise.shape[1] / (noise.shape[1] - 1)
        )

    def rms(self) -> float:
        return np.sqrt(self.squares / self.count)

    def width(self) -> float:
        """Full width at half maximum, pixels: neighbours of such noise are related by exp(-1 / 4 sigma^2)."""
        return np.sqrt(-1 / (4 * np.log(self.products / self.squares))) / SIGMA
