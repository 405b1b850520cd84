"""From the detections of an image to a catalogue: positions on the sky, units, and where it comes from."""

import os
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from astrokeras import runtime
from astrokeras.detections import Detections
from astrokeras.survey.image import SurveyImage, open_image, wcs_cards
from astrokeras.survey.sky import frame_of, pixel_to_sky, sky_angles, sky_to_pixel

if TYPE_CHECKING:
    from astropy.table import QTable

BLOCK = 1024  # pixels along the side of the parts in which a primary beam is read
CONVENTIONS = {
    "boxes": "corners in pixels; pixel i covers [i, i + 1)",
    "positions": "x, y, z in pixels from 0, whole at pixel centres: middle of the box minus 0.5",
}
DESCRIPTIONS = {
    "id": "number in this catalogue",
    "ra": "right ascension",
    "dec": "declination",
    "x": "middle along x, from 0, whole at pixel centres",
    "y": "middle along y, from 0, whole at pixel centres",
    "z": "middle along z, from 0, whole at pixel centres",
    "frequency": "at the middle of the box",
    "velocity": "at the middle of the box",
    "objectness": "probability times expected overlap",
    "probability": "that an object is there",
    "score": "by which detections are ranked",
    "label": "number of the class, from 0",
    "class_name": "name of the class",
    "prior": "index of the prior box, -1 if unknown",
    "tile": "number of the tile, -1 if unknown",
}


def catalogue(
    detections: Detections,
    image: SurveyImage,
    *,
    tiles: np.ndarray | None = None,
    primary_beam: SurveyImage | str | np.ndarray | Callable | None = None,
    meta: Mapping | None = None,
) -> "QTable":
    """Make a catalogue of detections, one a row, in their order.

    Args:
        detections: of the whole image, boxes `(n, 2 * dims)` in its pixels, x first.
        image: as `open_image` returns it. Its WCS gives `ra` and `dec` (in the image's own frame if that is ICRS or
            FK5, else ICRS) and, of a cube, `frequency`; angles are turned from the image's axes to east of north.
        tiles: `(n,)` number of the tile in which each was found.
        primary_beam: by what fluxes are divided: an image or its path (sampled at the source's place on the sky), an
            array `(y, x)` of the image's own pixels, or a function of `ra` and `dec` `(n,)` in degrees. Between pixels
            it is interpolated linearly. The fluxes as detected stay in columns named `apparent_...`.
        meta: more metadata, such as the model, its hash and the thresholds.

    Returns:
        Table with units, of the columns id, ra, dec, x, y[, z][, frequency], x_min ... (box), objectness, probability,
        score, label[, class_name], prior, tile, and one per parameter. Without a WCS it lacks ra, dec and frequency,
        and angles stay those of the image.

    Raises:
        ValueError: if boxes and image differ in dimensions, a length does not suit, the primary beam does not suit the
            image, or a parameter is named like another column.

    Warns:
        UserWarning: if the image has no WCS, or the primary beam is not above 0 at a source (its flux is NaN).

    Example:
        >>> import numpy as np
        >>> from astropy.nddata import CCDData
        >>> from astropy.wcs import WCS
        >>> from astrokeras import Detections, survey
        >>> wcs = WCS(naxis=2)
        >>> wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [10.0, 0.0], [-0.5, 0.5]
        >>> image = survey.open_image(CCDData(np.zeros((8, 8)), unit="Jy", wcs=wcs))
        >>> table = survey.catalogue(Detections([[2, 2, 5, 3]], [0.9]), image)
        >>> table["x", "y"][0].as_void().tolist(), table["ra"].unit
        ((3.0, 2.0), Unit("deg"))
    """
    from astropy import units
    from astropy.table import QTable

    dims, wcs = len(image.shape), image.wcs
    if len(detections) and detections.dims != dims:
        raise ValueError(
            f"Expected boxes of {dims} dimensions for {image.name}, whose shape is {image.shape}; received boxes of "
            f"{detections.dims}."
        )
    boxes = detections.boxes.reshape(-1, 2 * dims)
    tiles = np.full(len(boxes), -1) if tiles is None else np.asarray(tiles, "int64")
    if tiles.shape != (len(boxes),):
        raise ValueError(f"Expected tiles ({len(boxes)},), one per detection; received shape {tiles.shape}.")
    pixels = (boxes[:, :dims].astype("float64") + boxes[:, dims:]) / 2 - 0.5
    sky = {} if wcs is None else pixel_to_sky(wcs, pixels)
    if wcs is None:
        warnings.warn(
            f"{image.name} has no WCS: the catalogue has pixels, and neither ra nor dec.", UserWarning, stacklevel=2
        )

    axes = "xyz"[:dims]
    edges = [f"{axis}_{end}" for end in ("min", "max") for axis in axes]
    columns = {"id": np.arange(len(boxes))} | {name: sky[name] * units.deg for name in ("ra", "dec") if name in sky}
    columns |= {axis: column * units.pixel for axis, column in zip(axes, pixels.T, strict=True)}
    spectral = {"frequency": units.Hz, "velocity": units.m / units.s}
    columns |= {name: sky[name] * unit for name, unit in spectral.items() if name in sky}
    columns |= {name: column * units.pixel for name, column in zip(edges, boxes.T, strict=True)}
    columns |= {name: getattr(detections, name) for name in ("objectness", "probability")}
    columns |= {"score": detections.scores, "label": detections.labels}
    if detections.class_names is not None:
        columns["class_name"] = np.array([detections.name_of(label) for label in detections.labels], str)
    columns |= {"prior": detections.priors, "tile": tiles}
    beam = None if primary_beam is None else _beam_values(primary_beam, image, sky, pixels)
    for name, column in _parameter_columns(detections, wcs, pixels, beam).items():
        if name in columns:
            raise ValueError(f"Expected parameters named unlike the other columns; received a second {name!r}.")
        columns[name] = column

    table = QTable(columns, meta=_metadata(image, detections, primary_beam) | dict(meta or {}))
    for name in table.colnames:
        table[name].info.description = DESCRIPTIONS.get(name, "edge of the box" if name in edges else None)
    for parameter in detections.parameters:
        turned = getattr(parameter, "angle", None)
        about = ("from north through east" if wcs is not None else "from the image's axes") if turned else "regressed"
        corrected = beam is not None and f"apparent_{parameter.name}" in columns
        table[parameter.name].info.description = "divided by the primary beam" if corrected else about
        if corrected:
            table[f"apparent_{parameter.name}"].info.description = "as detected, primary beam included"
    return table


def _parameter_columns(detections: Detections, wcs, pixels: np.ndarray, beam: np.ndarray | None) -> dict:
    """Return the columns of the parameters: angles on the sky, fluxes without the primary beam, units."""
    from astropy import units

    columns = {}
    for index, values in enumerate(detections.params.T):
        if not detections.parameters:
            columns[f"param_{index}"] = values
            continue
        parameter = detections.parameters[index]
        unit = None if parameter.unit is None else units.Unit(parameter.unit)
        period = getattr(parameter, "angle", None)
        if period and wcs is not None:
            first = 90 if parameter.zero == "y" else 0
            values = sky_angles(wcs, pixels, values.astype("float64") + first).astype("float32")
            values = (90 - np.mod(90 - values, 180)) if period == 180 else np.mod(values, 360)
        if beam is not None and _is_flux(unit):
            columns[f"apparent_{parameter.name}"] = values * unit
            values = (values / beam).astype("float32")
        columns[parameter.name] = values if unit is None else values * unit
    return columns


def _is_flux(unit) -> bool:
    from astropy import units

    kinds = (units.Jy, units.Jy * units.Hz, units.Jy * units.m / units.s, units.Jy / units.beam)
    return unit is not None and any(unit.is_equivalent(kind) for kind in kinds)


def _metadata(image: SurveyImage, detections: Detections, primary_beam) -> dict:
    meta = {"image": image.name, "fingerprint": image.fingerprint, "shape": list(image.shape)} | CONVENTIONS
    meta |= {} if image.wcs is None else {"frame": frame_of(image.wcs), "wcs": wcs_cards(image.wcs)}
    meta |= {} if image.unit is None else {"image_unit": image.unit.to_string()}
    meta |= {} if image.beam is None else {"beam_degrees": list(image.beam)}
    meta |= {} if detections.class_names is None else {"class_names": list(map(str, detections.class_names))}
    if primary_beam is not None:
        named = primary_beam if isinstance(primary_beam, str) else getattr(primary_beam, "name", None)
        meta["primary_beam"] = str(named or getattr(primary_beam, "__name__", type(primary_beam).__name__))
    return meta | {"versions": runtime.versions()}


def _beam_values(primary_beam, image: SurveyImage, sky: dict, pixels: np.ndarray) -> np.ndarray:
    """Return the primary beam at each source, NaN where it is none."""
    if callable(primary_beam):
        if "ra" not in sky:
            raise ValueError(f"Expected an image with a WCS for a primary beam of ra and dec; {image.name} has none.")
        values = np.asarray(primary_beam(sky["ra"], sky["dec"]), "float64")
        if values.shape != (len(pixels),):
            raise ValueError(f"Expected the primary beam to return ({len(pixels)},) values; received {values.shape}.")
    else:
        if isinstance(primary_beam, str | os.PathLike):
            primary_beam = open_image(primary_beam)
        beam = primary_beam if isinstance(primary_beam, SurveyImage) else open_image(primary_beam)
        if len(beam.shape) != 2:
            raise ValueError(f"Expected a primary beam (y, x); received shape {beam.shape}: give one plane of it.")
        if beam.wcs is not None and image.wcs is not None:
            places = sky_to_pixel(beam.wcs, sky["ra"], sky["dec"])
        elif beam.shape == image.shape[-2:]:
            places = pixels[:, :2]
        else:
            raise ValueError(
                f"Expected a primary beam of the image's own pixels {image.shape[-2:]}, or one with a WCS for an image "
                f"with a WCS; received shape {beam.shape}."
            )
        values = _sampled(beam, places)
    usable = values > 0
    if not usable.all():
        warnings.warn(
            f"The primary beam is not above 0 at {np.count_nonzero(~usable)} of {len(values)} sources: their flux is "
            "NaN.",
            UserWarning,
            stacklevel=3,
        )
    return np.where(usable, values, np.nan)


def _sampled(image: SurveyImage, places: np.ndarray) -> np.ndarray:
    """Interpolate an image linearly at places `(n, 2)`, x first; NaN beyond its edges."""
    height, width = image.shape
    values = np.full(len(places), np.nan)
    with np.errstate(invalid="ignore"):
        on = ((places >= -0.5) & (places <= np.array([width, height]) - 0.5)).all(axis=1)
    places = np.clip(places[on], 0, [width - 1, height - 1])
    found, corner = np.zeros(len(places)), np.floor(places).astype(int)
    rest, block = places - corner, corner // BLOCK
    for x, y in np.unique(block, axis=0):  # parts of the image that hold sources
        rows = (block == (x, y)).all(axis=1)
        starts = y * BLOCK, x * BLOCK
        # One pixel more than the part, to interpolate towards.
        part = image.read([(a, min(a + BLOCK, size) + 1) for a, size in zip(starts, image.shape, strict=True)])
        column, row = (corner[rows] - (x * BLOCK, y * BLOCK)).T
        right, up = rest[rows].T
        for dx, dy in np.ndindex(2, 2):
            weight = np.where(dx, right, 1 - right) * np.where(dy, up, 1 - up)
            found[rows] += np.where(weight > 0, weight * part[row + dy, column + dx], 0)
    values[on] = found
    return values
