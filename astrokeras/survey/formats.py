"""Catalogues as files: ECSV, FITS, VOTable, CSV, ds9 regions, and what the SKA data challenges take."""

import contextlib
import io
import json
import os
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from astrokeras.whole_file import replacing

if TYPE_CHECKING:
    from astropy.table import QTable

META = "AKMETA"  # keyword of the FITS header, and name of the VOTable's INFO, that hold the metadata as JSON
UNITS = {"ra": "deg", "dec": "deg", "pa": "deg", "inclination": "deg", "frequency": "Hz", "velocity": "m / s"}
UNITS |= {name: "pix" for axis in "xyz" for name in (axis, f"{axis}_min", f"{axis}_max")}
UNITS |= {"flux": "Jy", "apparent_flux": "Jy", "bmaj": "arcsec", "bmin": "arcsec", "hi_size": "arcsec", "w20": "km / s"}


class Field(NamedTuple):
    """One column of a challenge's text: its name there, ours, its unit, how it is printed, what stands in for it."""

    name: str
    ours: tuple[str, ...]
    unit: str | None
    text: str
    default: float | None = None


CHALLENGES = {
    "sdc1": (
        Field("id", ("id",), None, "%d"),
        Field("ra_core", ("ra_core", "ra"), "deg", "%.9f"),
        Field("dec_core", ("dec_core", "dec"), "deg", "%.9f"),
        Field("ra_cent", ("ra_cent", "ra"), "deg", "%.9f"),
        Field("dec_cent", ("dec_cent", "dec"), "deg", "%.9f"),
        Field("flux", ("flux",), "Jy", "%.7g"),
        Field("core_frac", ("core_frac",), None, "%.6f", 0.0375),
        Field("b_maj", ("b_maj", "bmaj"), "arcsec", "%.6f"),
        Field("b_min", ("b_min", "bmin"), "arcsec", "%.6f"),
        Field("pa", ("pa",), "deg", "%.4f"),
        Field("size", ("size",), None, "%d", 2),
        Field("class", ("class",), None, "%d", 3),
    ),
    "sdc2": (
        Field("id", ("id",), None, "%d"),
        Field("ra", ("ra",), "deg", "%.9f"),
        Field("dec", ("dec",), "deg", "%.9f"),
        Field("hi_size", ("hi_size",), "arcsec", "%.6f"),
        Field("line_flux_integral", ("line_flux_integral", "flux"), "Jy Hz", "%.7g"),
        Field("central_freq", ("central_freq", "frequency"), "Hz", "%.3f"),
        Field("pa", ("pa",), "deg", "%.4f"),
        Field("i", ("i", "inclination"), "deg", "%.4f"),
        Field("w20", ("w20",), "km / s", "%.6f"),
    ),
}


def write_catalogue(table: "QTable", path: str | os.PathLike, format: str | None = None) -> Path:
    """Write a catalogue. The file appears when it is whole: on a full disk the old one stays.

    Args:
        table: as `catalogue` makes it; any astropy table with the columns that a format needs.
        path: where to; its ending gives the format, if none is given.
        format: one of

            - `"ecsv"` (.ecsv), `"fits"` (.fits), `"votable"` (.vot, .xml): everything, with units and metadata
              (in FITS, names lose their accents);
            - `"csv"` (.csv): the columns under their names, and nothing else;
            - `"ds9"` (.reg): the boxes, in pixels;
            - `"ds9-ellipses"`: ellipses on the sky, half of `bmaj` and `bmin` from the middle, at `pa`;
            - `"sdc1"`, `"sdc2"`: the text that SKA's first and second data challenge take, the columns' names in the
              first line, as the official scorer's defaults have it. In SDC1, `pa` counts clockwise from the
              longitude-wise direction (90 minus the angle from north through east), right ascension is in -180..180,
              and `core_frac` is 0.0375, `size` 2 and `class` 3 where the table has no such column, as in CIANNA's
              submission.

    Returns:
        The path.

    Raises:
        ValueError: if the format is unknown, or the table lacks a column that it needs.
        FileNotFoundError: if the folder does not exist.
        OSError: if it cannot be written.

    Example:
        >>> import tempfile
        >>> from astropy import units
        >>> from astropy.table import QTable
        >>> from astrokeras import survey
        >>> table = QTable({"id": [0], "ra": [1.5] * units.deg})
        >>> path = survey.write_catalogue(table, tempfile.mkdtemp() + "/found.ecsv")
        >>> survey.read_catalogue(path)["ra"].unit
        Unit("deg")
    """
    path = Path(path)
    write = _WRITERS[_format_of(path, format, _WRITERS)]
    if not hasattr(table, "colnames"):
        raise ValueError(f"Expected an astropy table as catalogue; received {type(table).__name__}.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"Expected a folder for {path}; there is none at {path.parent}: make it first.")
    with _whole(path) as file:
        write(table, file)
    return path


def read_catalogue(path: str | os.PathLike, format: str | None = None) -> "QTable":
    r"""Read a catalogue that `write_catalogue` wrote.

    Args:
        path: of the file; its ending gives the format, if none is given.
        format: `"ecsv"`, `"fits"`, `"votable"`, `"csv"`, `"sdc1"` or `"sdc2"`. CSV holds no units: the columns that
            `catalogue` makes, and the usual parameters, get theirs.

    Returns:
        The table, with units, and with its metadata where the format holds them; a challenge's text under its own names
        and with its own angles.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the format is unknown or cannot be read, or the file is damaged.

    Example:
        >>> import pathlib, tempfile
        >>> from astrokeras import survey
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "found.csv"
        >>> _ = path.write_text("id,ra,dec\n0,1.5,-30.25\n")
        >>> survey.read_catalogue(path)["dec"]
        <Quantity [-30.25] deg>
    """
    path = Path(path)
    read = _READERS[_format_of(path, format, _READERS)]
    if not path.is_file():
        raise FileNotFoundError(f"Expected a catalogue at {path}; there is no such file: check the path.")
    try:
        return read(path)
    except (ValueError, OSError, KeyError, IndexError, TypeError) as error:
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise ValueError(f"Could not read {path} as a catalogue ({reason}): check its format.") from error


def _format_of(path: Path, format: str | None, known: dict) -> str:
    if format is None:
        ends = {".ecsv": "ecsv", ".fits": "fits", ".fit": "fits", ".vot": "votable", ".xml": "votable"}
        format = (ends | {".votable": "votable", ".csv": "csv", ".reg": "ds9"}).get(path.suffix.lower(), path.suffix)
    if format not in known:
        raise ValueError(f"Expected the format of {path} to be one of {', '.join(known)}; received {format!r}.")
    return format


@contextlib.contextmanager
def _whole(path: Path):
    """Give a binary file of another name in the same folder, which takes the place of the old one at the end."""
    with replacing(path) as temporary:
        try:
            with open(temporary, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())  # a full disk may show here only
        except OSError as error:
            raise OSError(
                f"Could not write {path} ({error}); what was there is as it was: free space or choose another folder."
            ) from error


@contextlib.contextmanager
def _as_text(file):
    text = io.TextIOWrapper(file, "utf-8", newline="", write_through=True)
    try:
        yield text
    finally:
        text.detach()


def _plain_meta(table) -> str:
    """Return the metadata as JSON."""

    def plain(value):
        return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)

    return json.dumps(dict(table.meta), default=plain)


def _columns(table):
    """Return the table with plain columns that carry a unit, in place of quantities."""
    from astropy.table import Table

    plain = Table(table)
    plain.meta = {}
    return plain


def _with_units(table, meta: dict, units: dict | None = None) -> "QTable":
    """Return columns as quantities; masked numbers become NaN and -1."""
    from astropy.table import QTable

    for name in table.colnames:
        column = table[name]
        if getattr(column, "mask", None) is not None:
            fill = {"f": np.nan, "i": -1}.get(column.dtype.kind)
            table[name] = column.filled(fill) if fill is not None else column.filled("")
        if units and name in units:
            table[name].unit = units[name]
    quantities = QTable(table)
    quantities.meta = meta
    return quantities


def _write_ecsv(table, file) -> None:
    copied = table.copy(copy_data=False)
    copied.meta = json.loads(_plain_meta(table))
    with _as_text(file) as text:
        copied.write(text, format="ascii.ecsv")


def _read_ecsv(path) -> "QTable":
    from astropy.table import QTable

    return QTable.read(path, format="ascii.ecsv")


def _write_fits(table, file) -> None:
    from astropy.io import fits

    plain = _columns(table)
    for name in plain.colnames:
        if plain[name].dtype.kind == "U":  # FITS holds ASCII only
            words, place = np.unique(plain[name], return_inverse=True)
            words = [unicodedata.normalize("NFKD", word).encode("ascii", "ignore").decode() for word in words]
            plain[name] = np.array(words, "U")[place]
    hdu = fits.table_to_hdu(plain)
    for number, name in enumerate(table.colnames, 1):
        if table[name].info.description:
            hdu.header[f"TCOMM{number}"] = table[name].info.description
    hdu.header[META] = _plain_meta(table)
    versions = table.meta.get("versions", {}) if isinstance(table.meta.get("versions"), dict) else {}
    hdu.header["HISTORY"] = f"astrokeras {versions.get('astrokeras', '')}, image {table.meta.get('image', 'unknown')}"
    try:
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(file)
    except AttributeError as error:  # astropy 8 stumbles over its own message when a disk is full
        raise error.__context__ if isinstance(error.__context__, OSError) else error


def _read_fits(path) -> "QTable":
    from astropy.io import fits
    from astropy.table import Table

    with fits.open(path, memmap=False) as hdus:
        header = next(hdu.header for hdu in hdus if isinstance(hdu, fits.BinTableHDU))
        table = Table.read(hdus, format="fits", character_as_bytes=False)
        meta = json.loads(header[META]) if META in header else {}
        for number, name in enumerate(table.colnames, 1):
            table[name].info.description = header.get(f"TCOMM{number}")
    return _with_units(table, meta)


def _write_votable(table, file) -> None:
    from astropy.io.votable import from_table, tree

    document = from_table(_columns(table))
    resource = document.resources[0]
    resource.infos.append(tree.Info(ID=META, name=META, value=_plain_meta(table)))
    document.to_xml(file)


def _read_votable(path) -> "QTable":
    from astropy.io.votable import parse

    document = parse(str(path))
    infos = [info.value for resource in document.resources for info in resource.infos if info.name == META]
    table = document.get_first_table().to_table(use_names_over_ids=True)
    return _with_units(table, json.loads(infos[0]) if infos else {})


def _write_csv(table, file) -> None:
    plain = _columns(table)
    for name in plain.colnames:
        plain[name].info.format = None  # it would cut the numbers to what is shown
    with _as_text(file) as text:
        plain.write(text, format="ascii.csv")


def _read_csv(path) -> "QTable":
    from astropy.table import Table

    return _with_units(Table.read(path, format="ascii.csv"), {}, UNITS)


def _write_ds9(table, file) -> None:
    _need(table, ("x_min", "y_min", "x_max", "y_max"), "ds9")
    low_x, low_y, high_x, high_y = (_in_unit(table[name], "pix") for name in ("x_min", "y_min", "x_max", "y_max"))
    # ds9 counts from 1 at the middle of the first pixel, which is 0.5 in box coordinates.
    shapes = (low_x + high_x) / 2 + 0.5, (low_y + high_y) / 2 + 0.5, high_x - low_x, high_y - low_y
    _write_regions(table, file, "image", "box(%.3f,%.3f,%.3f,%.3f,0) # text={%d}", shapes)


def _write_ellipses(table, file) -> None:
    _need(table, ("ra", "dec", "bmaj", "bmin", "pa"), "ds9-ellipses")
    ra, dec, angle = (_in_unit(table[name], "deg") for name in ("ra", "dec", "pa"))
    major, minor = (_in_unit(table[name], "arcsec") / 2 for name in ("bmaj", "bmin"))
    # ds9 turns the first axis from west through north.
    shapes = ra, dec, major, minor, np.mod(angle + 90, 360)
    line = 'ellipse(%.9f,%.9f,%.4f",%.4f",%.3f) # text={%d}'
    _write_regions(table, file, str(table.meta.get("frame", "icrs")), line, shapes)


def _write_regions(table, file, system: str, line: str, shapes) -> None:
    number = np.asarray(table["id"]) if "id" in table.colnames else np.arange(len(table))
    header = f"# Region file format: DS9 version 4.1\nglobal color=green width=1\n{system}"
    np.savetxt(file, np.stack([*shapes, number], axis=1), fmt=line, header=header, comments="", encoding="ascii")


def _write_challenge(table, file, challenge: str) -> None:
    fields = CHALLENGES[challenge]
    columns = []
    for field in fields:
        name = next((name for name in field.ours if name in table.colnames), None)
        if name is None and field.default is None:
            raise ValueError(
                f"Expected a column {' or '.join(field.ours)} for the format {challenge}; the table has "
                f"{', '.join(table.colnames)}."
            )
        values = np.full(len(table), field.default) if name is None else _in_unit(table[name], field.unit)
        if challenge == "sdc1" and field.name.startswith("ra_"):
            values = 180 - np.mod(180 - values, 360)
        elif challenge == "sdc1" and field.name == "pa":
            values = np.mod(90 - values, 180)
        columns.append(values)
    header, text = (" ".join(field[place] for field in fields) for place in (0, 3))
    np.savetxt(file, np.stack(columns, axis=1), fmt=text, header=header, comments="", encoding="ascii")


def _read_challenge(path, challenge: str) -> "QTable":
    from astropy.table import Table

    fields = CHALLENGES[challenge]
    with open(path) as file:
        head = next((number for number, line in enumerate(file) if _is_number(line.split()[:1])), None)
    rows = np.zeros((0, len(fields))) if head is None else np.loadtxt(path, skiprows=head, ndmin=2)
    if rows.shape[1] < len(fields):
        raise ValueError(f"expected {len(fields)} columns, received {rows.shape[1]}")
    whole = [field.text == "%d" for field in fields]
    columns = [column.astype(int) if is_whole else column for column, is_whole in zip(rows.T, whole, strict=False)]
    units = {field.name: field.unit for field in fields if field.unit}
    return _with_units(Table(columns, names=[field.name for field in fields]), {}, units)


def _is_number(words: list[str]) -> bool:
    try:
        return bool(words) and np.isfinite(float(words[0]))
    except ValueError:
        return False


def _need(table, names, format: str) -> None:
    lacks = [name for name in names if name not in table.colnames]
    if lacks:
        raise ValueError(f"Expected the columns {', '.join(names)} for the format {format}; {', '.join(lacks)} lack.")


def _in_unit(column, unit: str | None) -> np.ndarray:
    """Return a column as float64 in a unit; one without a unit is taken to be in it."""
    from astropy import units

    if unit is not None and getattr(column, "unit", None) is not None:
        try:
            return np.asarray(units.Quantity(column).to_value(unit), "float64")
        except units.UnitsError as error:
            raise ValueError(f"Expected the column {column.info.name} in {unit}; it is in {column.unit}.") from error
    return np.asarray(column, "float64")


_WRITERS: dict[str, Callable] = {
    "ecsv": _write_ecsv,
    "fits": _write_fits,
    "votable": _write_votable,
    "csv": _write_csv,
    "ds9": _write_ds9,
    "ds9-ellipses": _write_ellipses,
    "sdc1": lambda table, file: _write_challenge(table, file, "sdc1"),
    "sdc2": lambda table, file: _write_challenge(table, file, "sdc2"),
}
_READERS: dict[str, Callable] = {
    "ecsv": _read_ecsv,
    "fits": _read_fits,
    "votable": _read_votable,
    "csv": _read_csv,
    "sdc1": lambda path: _read_challenge(path, "sdc1"),
    "sdc2": lambda path: _read_challenge(path, "sdc2"),
}
