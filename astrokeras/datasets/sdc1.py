"""SKA's first science data challenge: its files, CIANNA's selection and boxes, and patches to train on."""

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from astrokeras.datasets import files
from astrokeras.datasets.beam_noise import beam_kernel, noise_rows
from astrokeras.datasets.field_patches import FieldPatches, touching
from astrokeras.datasets.fits_blocks import FitsWindows
from astrokeras.datasets.simulated_continuum_field import BEAM, TRAINING_AREA
from astrokeras.datasets.simulated_radio_fields import SIGMA
from astrokeras.parameters import Parameter

if TYPE_CHECKING:
    from astropy.table import Table

COLUMNS = (
    *("id", "ra_core", "dec_core", "ra_cent", "dec_cent", "flux", "core_frac", "b_maj", "b_min", "pa", "size"),
    *("class", "selection", "x", "y"),
)
UNITS = dict.fromkeys(("ra_core", "dec_core", "ra_cent", "dec_cent", "pa"), "deg") | {
    **dict.fromkeys(("b_maj", "b_min"), "arcsec"),
    "flux": "Jy",
}
SDC1_PARAMETERS = (  # ranges of CIANNA's train_cat_norm_lims.txt
    Parameter("flux", "Jy", scale="log", range=(1.97e-6, 2e-3)),
    Parameter("bmaj", "arcsec", scale="log", range=(0.9, 60.0)),
    Parameter("bmin", "arcsec", scale="log", range=(0.3, 30.0)),
    Parameter("pa", "deg", angle=180),
)
FLUX_LIMITS = (1.9e-6, 2e-3)  # Jy; CIANNA's clip of the values to learn
SIDES = (5.0, 64.0)  # pixels, of a box
BORDER = 10  # pixels inside of the training area
SOURCE = "https://owncloud.ia2.inaf.it/index.php/s"
FILES = {  # name: share, size
    "SKAMid_B1_1000h_v3.fits": ("hbasFhd4YILNkCr", "4.3 GB"),
    "PrimaryBeam_B1.fits": ("ZbaSDe7zGBYgxL1", "0.3 MB"),
    "TrainingSet_B1_v2.txt": ("iTOVkIL6EfXkcdR", "some 30 MB"),
    "True_560_v2.txt": ("CZENkk6JdyVqIHw", "some 0.6 GB"),
}
WHOLE = 32768  # pixels along a side of the challenge's image


@dataclasses.dataclass(frozen=True)
class SurveyFiles:
    """Where the files of a challenge are.

    Attributes:
        image: the FITS image or cube.
        truth: the table of all sources, to judge with.
        training: the table of the sources to train on.
        primary_beam: FITS image, or `None`.
    """

    image: Path
    truth: Path
    training: Path
    primary_beam: Path | None = None


def sdc1(folder: str | os.PathLike) -> SurveyFiles:
    """Find the files of SKA's first data challenge at 560 MHz, 1000 hours.

    Args:
        folder: with `SKAMid_B1_1000h_v3.fits`, `PrimaryBeam_B1.fits`, `TrainingSet_B1_v2.txt` and `True_560_v2.txt`.

    Raises:
        FileNotFoundError: if one is missing; tells where it is to be had and how large it is.

    Reference:
        Bonaldi et al. 2021, MNRAS 500, 3821.

    Example:
        >>> import astrokeras
        >>> astrokeras.datasets.sdc1("nowhere")
        Traceback (most recent call last):
        FileNotFoundError: Expected SKAMid_B1_1000h_v3.fits, ... in nowhere; ...
    """
    sources = {name: (f"{SOURCE}/{share}/download", size) for name, (share, size) in FILES.items()}
    image, beam, training, truth = challenge_files(folder, sources)
    return SurveyFiles(image, truth, training, beam)


def challenge_files(folder: str | os.PathLike, sources: dict[str, tuple[str, str]]) -> list[Path]:
    """Return the paths of files in a folder, given with their address and size.

    Raises:
        FileNotFoundError: if one is missing.
    """
    folder = Path(folder)
    missing = {name: about for name, about in sources.items() if not (folder / name).is_file()}
    if missing:
        raise FileNotFoundError(
            f"Expected {', '.join(missing)} in {folder}; there is no such file: get "
            + ", ".join(f"{name} ({size}) from {address}" for name, (address, size) in missing.items())
            + "."
        )
    return [folder / name for name in sources]


def sdc1_catalogue(path: str | os.PathLike) -> "Table":
    """Read a table of sources of the challenge, or of `simulated_continuum_field`.

    Args:
        path: text of 12 columns, or the 15 of the training sets, whose sources that were not injected are left out;
            lines before the numbers are skipped.

    Returns:
        astropy `Table` of `id ra_core dec_core ra_cent dec_cent flux core_frac b_maj b_min pa size class`, as the file
        has them: flux in Jy without the primary beam, sizes in arcsec, RA in -180..180, and `pa` in degrees
        "clockwise from the longitude-wise direction", that is from +x of the image.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it holds other columns.

    Example:
        >>> import astrokeras
        >>> field = astrokeras.datasets.simulated_continuum_field("field.fits", size=64)
        >>> astrokeras.datasets.sdc1_catalogue(field.truth).colnames[5:8]
        ['flux', 'core_frac', 'b_maj']
    """
    from astropy.table import Table

    rows = read_numbers(path, (12, 15), "a table of sources of SDC1")
    if rows.shape[1] == 15:
        rows = rows[rows[:, 12] == 1]
    rows[:, [1, 3]] = (rows[:, [1, 3]] + 180) % 360 - 180
    table = Table(rows[:, :12], names=COLUMNS[:12], dtype=["i8", *["f8"] * 9, "i8", "i8"])
    for name, unit in UNITS.items():
        table[name].unit = unit
    return table


def read_numbers(path: str | os.PathLike, widths: tuple[int, ...], what: str) -> np.ndarray:
    """Read a text table `(rows, columns)` whose first lines may be no numbers.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it has none of these widths.
    """
    path = files.existing(path, what)
    with open(path) as file:
        skipped = 0
        for line in file:
            try:
                list(map(float, line.split("#")[0].split() or ["no number"]))
                break
            except ValueError:
                skipped += 1
        else:
            return np.zeros((0, widths[0]))
    try:
        rows = np.loadtxt(path, skiprows=skipped, ndmin=2)
    except ValueError as error:
        raise ValueError(f"Expected {what} in {path}; it cannot be read: {str(error).splitlines()[0]}") from error
    if rows.shape[1] not in widths:
        raise ValueError(
            f"Expected {what} with {' or '.join(map(str, widths))} columns in {path}; received {rows.shape[1]}."
        )
    return rows


def primary_beam_at(path: str | os.PathLike, ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    """Return the response of the primary beam at positions; 0 outside of its image.

    Args:
        path: of its FITS image.
        ra: degrees, `(n,)`.
        dec: degrees, `(n,)`.

    Example:
        >>> import astrokeras
        >>> field = astrokeras.datasets.simulated_continuum_field("field.fits", size=64)
        >>> astrokeras.datasets.primary_beam_at(field.primary_beam, [0.0], [-30.0]).round(3).tolist()
        [1.0]
    """
    beam = FitsWindows(path)
    values = np.nan_to_num(beam.read([(0, n) for n in beam.shape])).astype("float64")
    x, y = (pixel - 0.5 for pixel in sky_to_pixels(beam.header, ra, dec))
    low = [np.floor(at).astype(int).clip(0, n - 2) for at, n in ((y, beam.shape[0]), (x, beam.shape[1]))]
    v, u = y - low[0], x - low[1]
    response = (1 - v) * ((1 - u) * values[low[0], low[1]] + u * values[low[0], low[1] + 1])
    response += v * ((1 - u) * values[low[0] + 1, low[1]] + u * values[low[0] + 1, low[1] + 1])
    return np.where((v >= 0) & (v <= 1) & (u >= 0) & (u <= 1), response, 0.0)


def sky_to_pixels(header, ra: np.ndarray, dec: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y in box coordinates (pixel i covers [i, i + 1)) of positions in degrees, by a FITS header."""
    from astropy.wcs import WCS

    x, y = WCS(header).celestial.wcs_world2pix(np.asarray(ra, float), np.asarray(dec, float), 0)
    return x + 0.5, y + 0.5


def sdc1_selection(flux: np.ndarray, b_maj: np.ndarray, b_min: np.ndarray, pixel: float = 0.604249) -> np.ndarray:
    """Choose the sources that a detector can learn, as CIANNA does: by flux, and by flux over area.

    Args:
        flux: apparent, behind the primary beam, Jy, `(n,)`.
        b_maj: arcsec, `(n,)`.
        b_min: arcsec, `(n,)`.
        pixel: arcsec.

    Returns:
        `(n,)` bool.

    Reference:
        CIANNA 1.0, examples/SKAO_SDC1/data_gen.py, dataset_perscut; Cornu et al. 2024, A&A 690, A211.

    Example:
        >>> import astrokeras
        >>> astrokeras.datasets.sdc1_selection([1e-6, 3e-6, 3e-6], [1.0, 1.0, 9.0], [0.5, 0.5, 9.0]).tolist()
        [False, True, False]
    """
    flux = np.asarray(flux, float)
    area = np.maximum(b_maj, 1.2) * np.maximum(b_min, 0.6) * (2 / pixel) ** 2
    bright = (flux >= 7e-6) & (flux / area > 1e-7)
    return bright | ((flux > 1.65e-6) & (flux < 7e-6) & (flux / area > 2.5e-7))


def sdc1_boxes(
    x: np.ndarray, y: np.ndarray, b_maj: np.ndarray, b_min: np.ndarray, pa: np.ndarray, pixel: float = 0.604249
) -> np.ndarray:
    """Return CIANNA's boxes: around the rectangle of twice `b_maj` by twice `b_min`, with sides of 5 to 64 pixels.

    Args:
        x: of the middle in box coordinates, pixels, `(n,)`.
        y: likewise.
        b_maj: arcsec, `(n,)`.
        b_min: arcsec, `(n,)`.
        pa: degrees from x, either way round, `(n,)`.
        pixel: arcsec.

    Returns:
        `(n, 4)` float32, corners with x first.

    Example:
        >>> import astrokeras
        >>> astrokeras.datasets.sdc1_boxes([50.0], [50.0], [6.0], [3.0], [90.0], pixel=0.6).round(3).tolist()
        [[45.0, 40.0, 55.0, 60.0]]
    """
    cosine, sine = np.abs(np.cos(np.deg2rad(pa))), np.abs(np.sin(np.deg2rad(pa)))
    major, minor = (2 * np.asarray(axis) / pixel for axis in (b_maj, b_min))
    sides = np.stack([major * cosine + minor * sine, major * sine + minor * cosine], axis=1).clip(*SIDES)
    middle = np.stack([x, y], axis=1)
    return np.concatenate([middle - sides / 2, middle + sides / 2], axis=1).astype("float32")


def sdc1_patches(
    field,
    size: int = 256,
    *,
    area: str = "training",
    patches: int = 1600,
    batch_size: int = 16,
    empty: float = 0.05,
    augment: bool = True,
    seed: int = 0,
    **kwargs,
) -> FieldPatches:
    """Make patches of the challenge's image, or of a simulated one, to train a detector on.

    As CIANNA: sources of the training area chosen by `sdc1_selection`, boxes of `sdc1_boxes`, patches at random places
    of the area less 10 pixels, 5 % of them noise without sources, flips and quarter turns that turn the angle. Noise
    comes from the left and right edges of the challenge's image, where the primary beam lets no source through; for
    any other image it is made, with the rms of the area and correlated by the beam.

    Args:
        field: what `sdc1` or `simulated_continuum_field` returns.
        size: pixels along each side of a patch.
        area: `"training"`, or `"all"` of the image.
        patches: in an epoch.
        batch_size: patches in a batch.
        empty: share of patches without sources.
        augment: flip and turn.
        seed: of all that is random.
        **kwargs: of `FieldPatches`: `max_objects`, `workers` and so on.

    Returns:
        Batches `(batch, y, x, 1)` in Jy/beam and targets, whose params are `SDC1_PARAMETERS`: apparent flux (Jy; behind
        the primary beam), bmaj, bmin (arcsec), and pa in degrees from x towards y of the image, -90..90: the negative
        of that in the challenge's tables.

    Raises:
        ValueError: if no source is selected, or the patches do not fit into the area.

    Reference:
        CIANNA 1.0, examples/SKAO_SDC1/data_gen.py. Ours: values outside of CIANNA's limits are cut to those limits, but
        the angle of sources below 1.8 arcsec is left as it is, not set to 0.

    Example:
        >>> import astrokeras
        >>> field = astrokeras.datasets.simulated_continuum_field("field.fits", size=256)
        >>> batches = astrokeras.datasets.sdc1_patches(field, 64, area="all", patches=8, batch_size=4)
        >>> images, targets = batches[0]
        >>> images.shape, targets["params"].shape[-1]
        ((4, 64, 64, 1), 4)
    """
    if area not in ("training", "all"):
        raise ValueError(f'Expected area to be "training" or "all"; received {area!r}.')
    image = FitsWindows(field.image)
    window = [(0, n) for n in image.shape] if area == "all" else training_window(image)
    boxes, params = sdc1_objects(field, image)
    where = touching(boxes, window)
    if not where.any():
        raise ValueError(f"Expected sources to train on in the {area} area of {field.image}; none is selected.")
    blank = _noise(image, window, size) if empty else None
    return FieldPatches(
        image,
        boxes[where],
        params[where],
        SDC1_PARAMETERS,
        size=(size, size),
        area=window,
        patches=patches,
        batch_size=batch_size,
        empty=empty,
        blank=blank,
        augment=augment,
        seed=seed,
        **kwargs,
    )


def sdc1_objects(field, image: FitsWindows | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return boxes `(n, 4)` and params `(n, 4)` of the selected sources of a field, as `sdc1_patches` gives them.

    Args:
        field: what `sdc1` or `simulated_continuum_field` returns.
        image: of the field, where it is open.

    Example:
        >>> import astrokeras
        >>> field = astrokeras.datasets.simulated_continuum_field("field.fits", size=128)
        >>> boxes, params = astrokeras.datasets.sdc1_objects(field)
        >>> boxes.shape[1], params.shape[1]
        (4, 4)
    """
    image = FitsWindows(field.image) if image is None else image
    table = sdc1_catalogue(getattr(field, "training", field.truth))
    names = ("ra_core", "dec_core", "flux", "b_maj", "b_min", "pa")
    ra, dec, flux, b_maj, b_min, pa = (np.asarray(table[name]) for name in names)
    flux = flux * (primary_beam_at(field.primary_beam, ra, dec) if field.primary_beam else 1)
    pixel = 3600 * abs(image.header["CDELT1"])
    kept = sdc1_selection(flux, b_maj, b_min, pixel)
    x, y = sky_to_pixels(image.header, ra[kept], dec[kept])
    boxes = sdc1_boxes(x, y, b_maj[kept], b_min[kept], pa[kept], pixel)
    limits = FLUX_LIMITS, SDC1_PARAMETERS[1].range, SDC1_PARAMETERS[2].range
    columns = [np.clip(values[kept], *limit) for values, limit in zip((flux, b_maj, b_min), limits, strict=True)]
    params = np.stack([*columns, 90 - (90 + pa[kept]) % 180], axis=1).astype("float32")  # from x towards y: -pa
    return boxes, params


def training_window(image: FitsWindows) -> list[tuple[int, int]]:
    """Return the training area in pixels, `(start, stop)` along y and x, inside of its edges by 10 pixels.

    Args:
        image: with the header of the challenge.
    """
    west, east, south, north = TRAINING_AREA
    x, y = sky_to_pixels(image.header, np.array([east, east, west, west]), np.array([south, north, south, north]))
    # The sky is curved: the smallest rectangle within the four corners.
    ends = (max(y[0], y[2]), min(y[1], y[3])), (max(x[0], x[1]), min(x[2], x[3]))
    return [
        (int(np.clip(low + BORDER, 0, n)), int(np.clip(high - BORDER, 0, n)))
        for (low, high), n in zip(ends, image.shape, strict=True)
    ]


def _noise(image: FitsWindows, window: list[tuple[int, int]], size: int):
    """Return a callable that makes patches of noise."""
    if image.shape == (WHOLE, WHOLE):  # CIANNA's two zones of 2000 x 5600 pixels

        def cut(rng: np.random.Generator) -> np.ndarray:
            y = WHOLE // 2 - 2800 + rng.integers(5600 - size + 1)
            x = rng.choice([250, WHOLE - 2250]) + rng.integers(2000 - size + 1)
            return image.read([(y, y + size), (x, x + size)])

        return cut
    some = image.read([(low, min(high, low + 1024)) for low, high in window])
    rms = 1.4826 * np.nanmedian(np.abs(some - np.nanmedian(some)))
    sigma = image.header.get("BMAJ", BEAM / 3600) / abs(image.header["CDELT1"]) * SIGMA
    kernel = beam_kernel(sigma)

    def make(rng: np.random.Generator) -> np.ndarray:
        return noise_rows(0, size, size, kernel, (int(rng.integers(1 << 31)), 2)) * np.float32(rms)

    return make
