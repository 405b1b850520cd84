"""A simulated cube of the second SKA data challenge: rotating discs of neutral hydrogen in noise, as FITS."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from astrokeras.datasets.beam_noise import beam_kernel, beam_noise
from astrokeras.datasets.fits_blocks import write_fits
from astrokeras.datasets.simulated_radio_fields import SIGMA
from astrokeras.datasets.simulated_survey import SimulatedSurvey, mark_as_simulation
from astrokeras.datasets.simulation import check_at_least

CENTRE = (180.0, -30.0)  # RA and Dec, degrees
PIXEL, BEAM = 2.8, 7.0  # arcsec
BAND, CHANNEL = (9.5e8, 1.15e9), 3e4  # Hz
REST = 1.420405752e9  # Hz
LIGHT = 299792.458  # km/s
HUBBLE, MATTER = 67.0, 0.32
DENSITY = 233245 / 20  # sources per square degree in the whole band
KNEE, SLOPE = 10**9.94, -1.25  # of the mass function, solar masses
LIGHTEST, HEAVIEST = 10**8.56, 10**11  # solar masses
DISPERSION = 10.0  # km/s, of the gas in each place
RINGS, SECTORS = 10, 32  # of a disc
COLUMNS = "id ra dec hi_size line_flux_integral central_freq pa i w20"
FORMAT = "%d %.8f %.8f %.5f %.6f %.1f %.4f %.4f %.4f"
VOXELS = 1 << 22  # written at once


def simulated_hi_cube(
    path: str | os.PathLike,
    size: int = 128,
    channels: int = 512,
    seed: int = 0,
    *,
    start: float = BAND[0],
    noise: float = 1.0,
    density: float = 1.0,
) -> SimulatedSurvey:
    """Simulate a cube of SKA's second data challenge. A simulation: no continuum, no interference, no absorption.

    As published: pixel, beam, channels, noise of each channel (it grows with the frequency), place on the sky and
    number of sources per square degree. Galaxies are thin exponential discs of neutral hydrogen with the size that goes
    with their mass, any inclination and direction; the rotation rises and stays flat, which makes profiles with two
    horns. The noise is white noise convolved with the beam along x and y, independent from channel to channel.

    The files: `NAME.fits` (Jy/beam; axes frequency, y and x) and `NAME_truth.txt`: the line of names, then the nine
    columns of the challenge: `hi_size` the diameter at one solar mass per square parsec (arcsec), `line_flux_integral`
    (Jy Hz), `central_freq` (Hz), `pa` of the receding side (degrees east of north), `i` (degrees), `w20` (km/s; in
    frequency `w20 / c * f^2 / f_rest`). Sources whose middle is in the cube, the lightest far below the noise.

    The cube is written in slabs of channels: the memory does not depend on their number, and no pixel on the slabs.

    Args:
        path: of the cube; the name of the table follows from it.
        size: pixels along x and y, at least 16; 643 and 1286 are the challenge's development sets.
        channels: of 30 kHz, at least 16; 6668 is the challenge's.
        seed: of the simulation; one seed, one cube.
        start: frequency of the first channel, Hz.
        noise: times the published noise; 0 for none.
        density: times the published number of sources; more makes a small cube to train on.

    Returns:
        The paths, and the figures of the cube beside the published ones; `print` it.

    Raises:
        ValueError: if an argument is out of range.

    Reference:
        Hartley et al. 2023, MNRAS 523, 1967 (233 245 sources in 20 square degrees), and the challenge's own simulator,
        github.com/PhilippaHartley/SKAO-SDC2: noise 13.6 to 17.1 uJy/beam from 950 to 1350 MHz for 115 kHz. Wang et al.
        2016, MNRAS 460, 2143 (sizes); Jones et al. 2018, MNRAS 477, 2 (mass function); Meyer et al. 2017, PASA 34, 52
        (flux and mass). Chosen by us: rotation 180 km/s (M / 10^10)^0.28, dispersion 10 km/s, the lightest mass.

    Example:
        >>> import astrokeras
        >>> cube = astrokeras.datasets.simulated_hi_cube("cube.fits", size=16, channels=16)
        >>> cube.image.name, cube.truth.name
        ('cube.fits', 'cube_truth.txt')
    """
    check_at_least(size=(size, 16), channels=(channels, 16), seed=(seed, 0), noise=(noise, 0), density=(density, 0))
    if not BAND[0] <= start <= BAND[1] - CHANNEL * (channels - 1):
        raise ValueError(
            f"Expected {channels} channels of 30 kHz within 950..1150 MHz; received start={start / 1e6:g} MHz."
        )
    path = Path(path)
    header = _header(size, channels, start, seed)
    galaxies, expected = _galaxies(np.random.default_rng([seed, 1]), size, channels, start, density)
    truth = path.with_name(f"{path.stem}_truth.txt")
    _write_truth(truth, galaxies, header)
    squares = np.zeros(channels)
    write_fits(path, header, _slabs(galaxies, size, channels, start, seed, noise, squares))
    figures = {"pixel (arcsec)": (3600 * header["CDELT2"], PIXEL), "beam (arcsec)": (3600 * header["BMAJ"], BEAM)}
    figures["channel (Hz)"] = (header["CDELT3"], CHANNEL)
    if noise:
        rms = np.sqrt(squares / size**2)
        published = channel_noise(start + CHANNEL * np.arange(channels))
        figures |= {
            f"noise (Jy/beam) of the {which} tenth": (rms[part].mean(), published[part].mean())
            for which, part in (("lowest", slice(0, channels // 10)), ("highest", slice(-(channels // 10), None)))
        }
    if expected:
        figures["sources"] = (len(galaxies["x"]), expected / density)
    return SimulatedSurvey(path, truth, None, figures)


def channel_noise(frequency: np.ndarray) -> np.ndarray:
    """Return the published noise of channels of 30 kHz, Jy/beam.

    Args:
        frequency: Hz.
    """
    return (13.6e-6 + 3.5e-6 * (np.asarray(frequency) - 9.5e8) / 4e8) * np.sqrt(115e3 / CHANNEL)


def _header(size: int, channels: int, start: float, seed: int):
    from astropy.io.fits import Header

    header = Header()
    header["SIMPLE"], header["BITPIX"], header["NAXIS"] = True, -32, 3
    header["NAXIS1"], header["NAXIS2"], header["NAXIS3"] = size, size, channels
    axes = (
        ("RA---SIN", CENTRE[0], -PIXEL / 3600, size // 2, "deg"),
        ("DEC--SIN", CENTRE[1], PIXEL / 3600, size // 2, "deg"),
        ("FREQ", start, CHANNEL, 1, "Hz"),
    )
    for axis, (kind, value, step, place, unit) in enumerate(axes, start=1):
        header[f"CTYPE{axis}"], header[f"CRVAL{axis}"], header[f"CDELT{axis}"] = kind, value, step
        header[f"CRPIX{axis}"], header[f"CUNIT{axis}"] = float(place), unit
    header["RADESYS"], header["EQUINOX"], header["RESTFRQ"] = "FK5", 2000.0, REST
    header["BUNIT"], header["BMAJ"], header["BMIN"], header["BPA"] = "JY/BEAM", BEAM / 3600, BEAM / 3600, 0.0
    mark_as_simulation(header, "simulated_hi_cube", seed)
    header["HISTORY"] = "after SKA Science Data Challenge 2"
    return header


def _galaxies(rng, size: int, channels: int, start: float, density: float) -> tuple[dict[str, np.ndarray], float]:
    """Draw the galaxies of the cube; also return how many are expected."""
    redshift = np.linspace(0, REST / BAND[0] - 1, 2000)
    distance = np.concatenate(
        [[0], np.cumsum(np.diff(redshift) * _middle(_hubble_distance(redshift)))]
    )  # Mpc, comoving
    ends = [np.interp(REST / f - 1, redshift, distance) ** 3 for f in (start + CHANNEL * (channels - 0.5), *BAND)]
    nearest, farthest = ends[0], np.interp(REST / (start - CHANNEL / 2) - 1, redshift, distance) ** 3
    share = (farthest - nearest) / (ends[1] - ends[2])
    expected = density * DENSITY * (size * PIXEL / 3600) ** 2 * share
    count = rng.poisson(expected)
    away = rng.uniform(nearest, farthest, count) ** (1 / 3)
    z = np.interp(away, distance, redshift)

    logarithm = np.linspace(np.log(LIGHTEST), np.log(HEAVIEST), 2000)
    number = np.exp((SLOPE + 1) * logarithm - np.exp(logarithm) / KNEE)
    number = np.concatenate([[0], np.cumsum(_middle(number))])
    mass = np.exp(np.interp(rng.random(count), number / number[-1], logarithm))
    galaxies = {
        "x": rng.uniform(0, size, count),
        "y": rng.uniform(0, size, count),
        "central_freq": REST / (1 + z),
        "line_flux_integral": mass / (49.8 * (away * (1 + z)) ** 2),
        "hi_size": 10 ** (0.506 * np.log10(mass) - 3.293) / (1e3 * away / (1 + z)) * np.degrees(3600),
        "pa": rng.uniform(0, 360, count),
        "i": np.degrees(np.arccos(rng.random(count))),
        "rotation": 180 * (mass / 1e10) ** 0.28,
    }
    galaxies["w20"] = _widths(galaxies["rotation"] * np.sin(np.deg2rad(galaxies["i"]))) * (1 + z)
    return galaxies, expected


def _hubble_distance(redshift: np.ndarray) -> np.ndarray:
    return LIGHT / HUBBLE / np.sqrt(MATTER * (1 + redshift) ** 3 + 1 - MATTER)


def _middle(values: np.ndarray) -> np.ndarray:
    return (values[1:] + values[:-1]) / 2


def _disc() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the places of equal clouds in a disc, along its axes in scale lengths, and their share of the rotation."""
    radius = np.linspace(0, 12, 5000)
    within = 1 - (1 + radius) * np.exp(-radius)  # share of the mass of an exponential disc
    radius = np.interp((np.arange(100 * RINGS) + 0.5) / (100 * RINGS), within, radius).reshape(RINGS, 100)
    radius = np.sqrt(np.mean(radius**2, axis=1))  # rings of equal mass
    angle = 2 * np.pi * (np.arange(SECTORS) + 0.5 * (np.arange(RINGS)[:, None] % 2)) / SECTORS
    along, across = (radius[:, None] * turn(angle) for turn in (np.cos, np.sin))
    speed = (1 - np.exp(-radius / 0.5))[:, None] * np.cos(angle)
    return along.ravel(), across.ravel(), speed.ravel()


def _widths(rotation: np.ndarray) -> np.ndarray:
    """Return the widths of profiles at 20 % of their peak for projected rotations, km/s."""
    _, _, speed = _disc()
    steps = np.linspace(0, 400, 101)
    velocity = np.linspace(0, 500, 1001)
    # Profiles are symmetric: the outermost place where one reaches 20 %.
    profiles = np.stack([np.exp(-0.5 * ((velocity[:, None] - v * speed) / DISPERSION) ** 2).sum(axis=1) for v in steps])
    above = profiles >= 0.2 * profiles.max(axis=1, keepdims=True)
    last = above.shape[1] - 1 - above[:, ::-1].argmax(axis=1)
    rows = np.arange(len(steps))
    upper, lower = profiles[rows, last], profiles[rows, last + 1]
    part = (upper - 0.2 * profiles.max(axis=1)) / (upper - lower)
    return np.interp(rotation, steps, 2 * (velocity[last] + part * (velocity[1] - velocity[0])))


def _slabs(galaxies, size: int, channels: int, start: float, seed: int, noise: float, squares) -> Iterator[np.ndarray]:
    """Yield the cube from the first channel, so many channels at once; fill in the sums of squares of the noise."""
    kernel = beam_kernel(BEAM / PIXEL * SIGMA)
    rms = noise * channel_noise(start + CHANNEL * np.arange(channels))
    step = max(1, VOXELS // size**2)
    middle = (galaxies["central_freq"] - start) / CHANNEL + 0.5  # box coordinate
    reach = galaxies["w20"] / LIGHT * galaxies["central_freq"] ** 2 / REST / CHANNEL / 2 + 10
    disc = _disc()
    for low in range(0, channels, step):
        slab = np.zeros((min(step, channels - low), size, size), "float32")
        for i in np.flatnonzero((middle + reach > low) & (middle - reach < low + len(slab))):
            _add({name: values[i] for name, values in galaxies.items()}, middle[i], reach[i], disc, slab, low)
        for k in range(len(slab)) if noise else ():
            white = np.random.default_rng([seed, 0, low + k]).standard_normal(
                (size + len(kernel) - 1,) * 2, dtype="float32"
            )
            plane = beam_noise(white, kernel) * np.float32(rms[low + k])
            squares[low + k] = np.sum(plane**2, dtype="float64")
            slab[k] += plane
        yield slab


def _add(galaxy: dict[str, float], middle: float, reach: float, disc, slab: np.ndarray, low: int) -> None:
    """Add a galaxy to a slab whose first channel is `low`: clouds of its disc, each a beam wide."""
    along, across, speed = disc
    scale = galaxy["hi_size"] / 4 / PIXEL  # the surface density at that size asks for 2 scale lengths
    tilt, pa = np.deg2rad(galaxy["i"]), np.deg2rad(galaxy["pa"])
    across = across * np.cos(tilt)
    # The receding side lies at pa from north (y) towards east (-x).
    x = galaxy["x"] + scale * (-np.sin(pa) * along + np.cos(pa) * across)
    y = galaxy["y"] + scale * (np.cos(pa) * along + np.sin(pa) * across)
    per_speed = galaxy["central_freq"] / LIGHT / CHANNEL  # channels per km/s
    z = middle - per_speed * galaxy["rotation"] * np.sin(tilt) * speed
    beam, width = BEAM / PIXEL * SIGMA, np.hypot(per_speed * DISPERSION, np.sqrt(1 / 12))
    wide = scale * 6 + 5 * beam
    ends = []
    for at, half, n in ((middle - low, reach, len(slab)), *((galaxy[axis], wide, slab.shape[1]) for axis in "yx")):
        ends.append((max(0, int(at - half)), min(n, int(at + half) + 1)))
    if any(first >= last for first, last in ends):
        return
    lines = [
        np.exp(-0.5 * ((np.arange(*end) + 0.5 - place[:, None]) / sigma) ** 2)
        for end, place, sigma in zip(ends, (z - low, y, x), (width, beam, beam), strict=True)
    ]
    flux = galaxy["line_flux_integral"] / CHANNEL / len(x) / (width * np.sqrt(2 * np.pi))
    plane = (lines[1][:, :, None] * lines[2][:, None, :]).reshape(len(x), -1)
    shape = [last - first for first, last in ends]
    slab[tuple(slice(*end) for end in ends)] += (flux * (lines[0].T @ plane)).reshape(shape).astype("float32")


def _write_truth(path: Path, galaxies: dict[str, np.ndarray], header) -> None:
    from astropy.wcs import WCS

    ra, dec = WCS(header).celestial.wcs_pix2world(galaxies["x"] - 0.5, galaxies["y"] - 0.5, 0)
    names = ("hi_size", "line_flux_integral", "central_freq", "pa", "i", "w20")
    partial = path.with_name(f"{path.name}.part")
    with open(partial, "w") as file:
        file.write(COLUMNS + "\n")
        np.savetxt(file, np.stack([np.arange(len(ra)), ra, dec, *(galaxies[name] for name in names)], axis=1), FORMAT)
    os.replace(partial, path)
