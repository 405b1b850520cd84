"""SKA's second science data challenge: its files, CIANNA's selection and boxes, and patches to train on."""

import os
from typing import TYPE_CHECKING

import numpy as np

from astrokeras.datasets.field_patches import FieldPatches
from astrokeras.datasets.fits_blocks import FitsWindows
from astrokeras.datasets.sdc1 import SurveyFiles, challenge_files, read_numbers, sky_to_pixels
from astrokeras.datasets.simulated_hi_cube import BEAM, COLUMNS, LIGHT, PIXEL, REST
from astrokeras.parameters import Parameter

if TYPE_CHECKING:
    from astropy.table import Table

UNITS = {"ra": "deg", "dec": "deg", "hi_size": "arcsec", "line_flux_integral": "Jy Hz", "central_freq": "Hz"}
UNITS |= {"pa": "deg", "i": "deg", "w20": "km / s"}
SDC2_PARAMETERS = (
    Parameter("flux", "Jy Hz", scale="log", range=(1.0, 1000.0)),
    Parameter("hi_size", "arcsec", range=(0.0, 60.0)),
    Parameter("w20", "km / s", scale="log", range=(10.0, 1000.0)),
    Parameter("pa", "deg", angle=360, zero="y"),
    Parameter("inclination", "deg", range=(0.0, 90.0)),
)
CONTINUUM = 3e-3  # Jy/beam, above which pixels are set to 0
PAGE = "https://sdc2.astronomers.skatelescope.org/sdc2-challenge/data"
SETS = {"dev": ("0.25 square degrees", "10 GB"), "ldev": ("1 square degree", "40 GB")}
ROWS = 64  # of each channel that its noise is measured on


def sdc2(folder: str | os.PathLike, which: str = "ldev") -> SurveyFiles:
    """Find the files of a development set of SKA's second data challenge.

    Args:
        folder: with `sky_ldev_v2.fits` and `sky_ldev_truthcat_v2.txt`, or those of `dev`.
        which: `"dev"` or `"ldev"`.

    Raises:
        FileNotFoundError: if one is missing; tells where it is to be had and how large it is.
        ValueError: if there is no such set.

    Reference:
        Hartley et al. 2023, MNRAS 523, 1967.

    Example:
        >>> import astrokeras
        >>> astrokeras.datasets.sdc2("nowhere")
        Traceback (most recent call last):
        FileNotFoundError: Expected sky_ldev_v2.fits, sky_ldev_truthcat_v2.txt in nowhere; ...
    """
    if which not in SETS:
        raise ValueError(f'Expected which to be "dev" or "ldev"; received {which!r}.')
    sources = {
        f"sky_{which}_v2.fits": (PAGE, f"{SETS[which][0]}, {SETS[which][1]}"),
        f"sky_{which}_truthcat_v2.txt": (PAGE, "below 1 MB"),
    }
    image, truth = challenge_files(folder, sources)
    return SurveyFiles(image, truth, truth)


def sdc2_catalogue(path: str | os.PathLike) -> "Table":
    """Read a table of sources of the challenge, or of `simulated_hi_cube`.

    Args:
        path: text of nine columns; lines before the numbers are skipped.

    Returns:
        astropy `Table` with the columns `id ra dec hi_size line_flux_integral central_freq pa i w20`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it holds other columns.

    Example:
        >>> import astrokeras
        >>> cube = astrokeras.datasets.simulated_hi_cube("cube.fits", size=16, channels=16)
        >>> astrokeras.datasets.sdc2_catalogue(cube.truth).colnames[3:5]
        ['hi_size', 'line_flux_integral']
    """
    from astropy.table import Table

    rows = read_numbers(path, (9,), "a table of sources of SDC2")
    table = Table(rows, names=COLUMNS.split(), dtype=["i8", *["f8"] * 8])
    for name, unit in UNITS.items():
        table[name].unit = unit
    return table


def sdc2_selection(flux: np.ndarray, hi_size: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Choose the sources that a detector can learn, as CIANNA does first: by flux, and by flux over volume.

    Args:
        flux: line flux, Jy Hz, `(n,)`.
        hi_size: arcsec, `(n,)`.
        depth: line width in channels, `(n,)`.

    Returns:
        `(n,)` bool: more than 100 Jy Hz, or more than 18 with 0.013 in a voxel of the cylinder of the beam's width.

    Reference:
        Cornu et al. 2026, A&A 707, A203, and its code (Zenodo 18403011), the first of two selections; the second takes
        what a first network finds.

    Example:
        >>> import astrokeras
        >>> astrokeras.datasets.sdc2_selection([10, 30, 30, 200], [5, 5, 30, 30], [20, 20, 60, 60]).tolist()
        [False, True, False, True]
    """
    flux = np.asarray(flux, float)
    volume = np.pi * (np.hypot(hi_size, BEAM) / PIXEL) ** 2 * depth
    return (flux > 100) | ((flux > 18) & (flux / volume > 0.013))


def sdc2_boxes(
    x: np.ndarray, y: np.ndarray, z: np.ndarray, hi_size: np.ndarray, pa: np.ndarray, depth: np.ndarray
) -> np.ndarray:
    """Return CIANNA's boxes: around the square of the source and the beam turned by pa, 2 pixels more, 5 channels more.

    Args:
        x: of the middle in box coordinates, pixels, `(n,)`; likewise y, and z in channels.
        y: see x.
        z: see x.
        hi_size: arcsec, `(n,)`.
        pa: degrees, `(n,)`.
        depth: line width in channels, `(n,)`.

    Returns:
        `(n, 6)` float32, corners with x first.

    Example:
        >>> import numpy as np, astrokeras
        >>> boxes = astrokeras.datasets.sdc2_boxes(*np.full((3, 1), 50.0), np.array([24.0]), np.array([90.0]), [10.0])
        >>> boxes.astype(int).tolist()
        [[43, 43, 40, 56, 56, 60]]
    """
    turn = np.deg2rad(pa)
    side = np.hypot(hi_size, BEAM) / PIXEL * (np.abs(np.cos(turn)) + np.abs(np.sin(turn)))
    half = np.stack([side / 2 + 2, side / 2 + 2, np.asarray(depth) / 2 + 5], axis=1)
    middle = np.stack([x, y, z], axis=1)
    return np.concatenate([middle - half, middle + half], axis=1).astype("float32")


def sdc2_objects(field, image: FitsWindows | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return boxes `(n, 6)` and params `(n, 5)` of the selected sources of a cube, as `sdc2_patches` gives them.

    Args:
        field: what `sdc2` or `simulated_hi_cube` returns.
        image: of the field, where it is open.

    Example:
        >>> import astrokeras
        >>> cube = astrokeras.datasets.simulated_hi_cube("cube.fits", size=16, channels=16)
        >>> boxes, params = astrokeras.datasets.sdc2_objects(cube)
        >>> boxes.shape[1], params.shape[1]
        (6, 5)
    """
    image = FitsWindows(field.image) if image is None else image
    table = sdc2_catalogue(getattr(field, "training", field.truth))
    ra, dec, hi_size, flux, frequency, pa, tilt, w20 = (np.asarray(table[name]) for name in COLUMNS.split()[1:])
    step = image.header["CDELT3"]
    depth = w20 / LIGHT * frequency**2 / REST / step
    kept = sdc2_selection(flux, hi_size, depth)
    ra, dec, hi_size, flux, frequency, pa, tilt, w20, depth = (
        values[kept] for values in (ra, dec, hi_size, flux, frequency, pa, tilt, w20, depth)
    )
    x, y = sky_to_pixels(image.header, ra, dec)
    z = (frequency - image.header["CRVAL3"]) / step + image.header["CRPIX3"] - 0.5
    params = np.stack([flux, hi_size, w20, pa, tilt], axis=1)
    for i, parameter in enumerate(SDC2_PARAMETERS):
        if not parameter.angle:
            params[:, i] = params[:, i].clip(*parameter.range)
    return sdc2_boxes(x, y, z, hi_size, pa, depth), params.astype("float32")


def sdc2_patches(
    field,
    size: tuple[int, int, int] = (256, 64, 64),
    *,
    patches: int = 1600,
    batch_size: int = 8,
    centred: float = 0.3,
    continuum: str | os.PathLike | None = None,
    augment: bool = True,
    seed: int = 0,
    **kwargs,
) -> FieldPatches:
    """Make patches of the challenge's cube, or of a simulated one, to train a detector on.

    As CIANNA: sources chosen by `sdc2_selection`, boxes of `sdc2_boxes`, each channel divided by its noise, 30 % of the
    patches with a source drawn at random, the others anywhere, flips along all axes that turn the angle (a flip of the
    frequency turns the direction of the rotation round). Also quarter turns.

    Args:
        field: what `sdc2` or `simulated_hi_cube` returns.
        size: of a patch, `(z, y, x)`.
        patches: in an epoch.
        batch_size: patches in a batch.
        centred: share of the patches with a source drawn at random.
        continuum: FITS cube of the continuum on the same pixels; those above 3 mJy/beam are set to 0.
        augment: flip and turn.
        seed: of all that is random.
        **kwargs: of `FieldPatches`: `area`, `max_objects`, `workers` and so on.

    Returns:
        Batches `(batch, z, y, x, 1)` in units of the noise of the channel and targets, whose params are
        `SDC2_PARAMETERS`: flux (Jy Hz), hi_size (arcsec), w20 (km/s), pa (degrees east of north, 0..360) and
        inclination (degrees).

    Raises:
        ValueError: if no source is selected, or the patches do not fit.

    Reference:
        Cornu et al. 2026, A&A 707, A203. Ours: quarter turns; the angle of small sources is left as it is.

    Example:
        >>> import astrokeras
        >>> cube = astrokeras.datasets.simulated_hi_cube("cube.fits", size=48, channels=96, density=500)
        >>> batches = astrokeras.datasets.sdc2_patches(cube, (64, 32, 32), patches=4, batch_size=2)
        >>> images, targets = batches[0]
        >>> images.shape, targets["params"].shape[-1]
        ((2, 64, 32, 32, 1), 5)
    """
    image = FitsWindows(field.image)
    boxes, params = sdc2_objects(field, image)
    if not len(boxes):
        raise ValueError(f"Expected sources to train on in {field.image}; none is selected: give more channels.")
    return FieldPatches(
        image,
        boxes,
        params,
        SDC2_PARAMETERS,
        size=size,
        patches=patches,
        batch_size=batch_size,
        centred=centred,
        scale=measured_noise(image),
        mask=None if continuum is None else _bright(continuum),
        turned_by_z=True,
        augment=augment,
        seed=seed,
        **kwargs,
    )


def measured_noise(image: FitsWindows) -> np.ndarray:
    """Return the noise of each channel of a cube, from the middle 64 rows, `(z,)` float32.

    Args:
        image: a cube.
    """
    z, y, x = image.shape
    rows = max(0, (y - ROWS) // 2), min(y, (y + ROWS) // 2)
    noise = np.empty(z, "float32")
    for low in range(0, z, 64):
        some = image.read([(low, min(z, low + 64)), rows, (0, x)])
        middle = np.nanmedian(some, axis=(1, 2), keepdims=True)
        noise[low : low + len(some)] = 1.4826 * np.nanmedian(np.abs(some - middle), axis=(1, 2))
    return np.where(noise > 0, noise, np.float32(1))


def _bright(path: str | os.PathLike) -> np.ndarray:
    """Return where the continuum is bright in any of its channels, `(y, x)`."""
    image = FitsWindows(path)
    planes = (image.read([(k, k + 1), *((0, n) for n in image.shape[1:])])[0] for k in range(image.shape[0]))
    bright = np.zeros(image.shape[1:], bool)
    for plane in planes:
        bright |= plane > CONTINUUM
    return bright
