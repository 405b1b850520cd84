"""From pixels to the sky and back, through astropy's WCS: positions, frequencies and angles, many at once."""

import warnings
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from astropy.wcs import WCS

STEP = 0.5  # pixels on each side of a source, to see where an angle points on the sky


def pixel_to_sky(wcs: "WCS", pixels: np.ndarray) -> dict[str, np.ndarray]:
    """Return the sky positions of pixels.

    Args:
        wcs: celestial, with a spectral axis or without, as `SurveyImage.wcs`.
        pixels: `(n, dims)`, x first, from 0 and whole at pixel centres: box coordinates minus 0.5.

    Returns:
        Dict of arrays `(n,)` float64: `ra` (0..360) and `dec` in degrees, in the frame of `frame_of`, and `frequency`
        (Hz) of a cube; without a rest frequency a velocity axis gives `velocity` (m/s). NaN where there is no sky.

    Example:
        >>> from astropy.wcs import WCS
        >>> from astrokeras import survey
        >>> wcs = WCS(naxis=2)
        >>> wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [10.0, 0.0], [-0.5, 0.5]
        >>> wcs.wcs.crpix = [1, 1]
        >>> {name: value.round(3).tolist() for name, value in survey.pixel_to_sky(wcs, [[0, 0], [-2, 0]]).items()}
        {'ra': [10.0, 11.0], 'dec': [0.0, 0.0]}
    """
    wcs, spectral = _in_frequency(wcs)
    pixels = np.asarray(pixels, "float64")
    if len(pixels):
        world = np.asarray(wcs.all_pix2world(pixels[:, : wcs.naxis], 0), "float64")
    else:
        world = np.zeros((0, wcs.naxis))
    ra, dec = world[:, wcs.wcs.lng], world[:, wcs.wcs.lat]
    if not _is_native(_frame(wcs)):
        from astropy.coordinates import SkyCoord

        known = np.isfinite(ra) & np.isfinite(dec)
        there = SkyCoord(ra[known], dec[known], unit="deg", frame=_frame(wcs)).icrs
        ra, dec = np.full((2, len(ra)), np.nan)
        ra[known], dec[known] = there.ra.deg, there.dec.deg
    sky = {"ra": np.mod(ra, 360), "dec": dec}
    return sky if spectral is None else sky | {spectral: world[:, wcs.wcs.spec]}


def sky_to_pixel(wcs: "WCS", ra: np.ndarray, dec: np.ndarray, frequency: np.ndarray | None = None) -> np.ndarray:
    """Return the pixels of sky positions.

    Args:
        wcs: celestial, with a spectral axis or without, as `SurveyImage.wcs`.
        ra: `(n,)` degrees, in the frame of `frame_of`.
        dec: `(n,)` degrees.
        frequency: `(n,)` Hz, for the channel of a cube; `None` gives x and y only.

    Returns:
        `(n, 2)` or `(n, 3)` float64, x first, from 0 and whole at pixel centres; NaN where the WCS has no pixel.

    Example:
        >>> from astropy.wcs import WCS
        >>> from astrokeras import survey
        >>> wcs = WCS(naxis=2)
        >>> wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [10.0, 0.0], [-0.5, 0.5]
        >>> survey.sky_to_pixel(wcs, [10.0], [0.5]).round(3).tolist()
        [[-1.0, 0.0]]
    """
    wcs, spectral = _in_frequency(wcs)
    ra, dec = np.broadcast_arrays(np.asarray(ra, "float64"), np.asarray(dec, "float64"))
    if not _is_native(_frame(wcs)):
        from astropy.coordinates import SkyCoord

        there = SkyCoord(ra, dec, unit="deg").transform_to(_frame(wcs)).spherical
        ra, dec = there.lon.deg, there.lat.deg
    if frequency is None and wcs.naxis > 2:
        wcs = wcs.sub(sorted((wcs.wcs.lng + 1, wcs.wcs.lat + 1)))
    world = np.zeros((len(ra), wcs.naxis))
    world[:, wcs.wcs.lng], world[:, wcs.wcs.lat] = ra, dec
    if frequency is not None and spectral is not None and wcs.naxis > 2:
        world[:, wcs.wcs.spec] = frequency
    return np.asarray(wcs.all_world2pix(world, 0, quiet=True), "float64") if len(world) else world


def sky_angles(wcs: "WCS", pixels: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Return angles of the image as position angles on the sky.

    Args:
        wcs: celestial, as `SurveyImage.wcs`.
        pixels: `(n, dims)` where, x first, as for `pixel_to_sky`.
        angles: `(n,)` degrees from the x axis towards the y axis.

    Returns:
        `(n,)` degrees from north through east, 0..360.

    Example:
        >>> from astropy.wcs import WCS
        >>> from astrokeras import survey
        >>> wcs = WCS(naxis=2)
        >>> wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [10.0, 0.0], [-0.5, 0.5]
        >>> survey.sky_angles(wcs, [[-1, -1], [-1, -1]], [100, 180]).round(3).tolist()  # up is north, left is east
        [10.0, 90.0]
    """
    pixels, turn = np.asarray(pixels, "float64"), np.deg2rad(np.asarray(angles, "float64"))
    step = np.zeros_like(pixels)
    step[:, 0], step[:, 1] = STEP * np.cos(turn), STEP * np.sin(turn)
    before, here, after = (pixel_to_sky(wcs, pixels + sign * step) for sign in (-1, 0, 1))
    ra, dec = np.deg2rad(here["ra"]), np.deg2rad(here["dec"])
    east = np.stack([-np.sin(ra), np.cos(ra), np.zeros_like(ra)], axis=1)
    north = np.stack([-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)], axis=1)
    along = _direction(after) - _direction(before)
    return np.mod(np.rad2deg(np.arctan2((along * east).sum(axis=1), (along * north).sum(axis=1))), 360)


def frame_of(wcs: "WCS") -> str:
    """Return the frame of right ascension and declination: the image's if it is ICRS or FK5 (J2000), else ICRS.

    Example:
        >>> from astropy.wcs import WCS
        >>> from astrokeras import survey
        >>> wcs = WCS(naxis=2)
        >>> wcs.wcs.ctype = ["GLON-TAN", "GLAT-TAN"]
        >>> survey.frame_of(wcs)
        'icrs'
    """
    frame = _frame(wcs)
    return frame.name if _is_native(frame) else "icrs"


def _is_native(frame) -> bool:
    return frame.name == "icrs" or (frame.name == "fk5" and frame.equinox.jyear_str == "J2000.000")


def _direction(sky: dict) -> np.ndarray:
    """Return unit vectors `(n, 3)`."""
    ra, dec = np.deg2rad(sky["ra"]), np.deg2rad(sky["dec"])
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1)


def _frame(wcs):
    from astropy.wcs.utils import wcs_to_celestial_frame

    return wcs_to_celestial_frame(wcs)


def _in_frequency(wcs):
    """Return a WCS whose spectral axis is a frequency where that can be, and the name of that axis."""
    wcs.wcs.set()
    if wcs.wcs.spec < 0:
        return wcs, None
    if wcs.wcs.ctype[wcs.wcs.spec].startswith("FREQ"):
        return wcs, "frequency"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = wcs.deepcopy()
        if other.wcs.has_cd():  # which wcslib would leave in the old unit
            matrix = other.wcs.cd.copy()
            del other.wcs.cd
            other.wcs.pc, other.wcs.cdelt = matrix, np.ones(len(matrix))
        try:
            other.wcs.sptr("FREQ-???")
            return other, "frequency"
        except Exception:  # wcslib's own kinds: no rest frequency
            return wcs, "velocity"
