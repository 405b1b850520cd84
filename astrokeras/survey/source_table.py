"""Columns of a source table, whatever it is: astropy table, dict of arrays, data frame, FITS, ECSV, VOTable or text."""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

TABLE_FILES = {".fits", ".fit", ".ecsv", ".vot", ".xml"}


def source_columns(source, units: Mapping[str, str | None], what: str = "source table") -> dict[str, np.ndarray]:
    """Return columns of a source table as float64 arrays in given units.

    Text files hold one source a line, columns separated by spaces or commas, after any lines that are not numbers; the
    last of those gives the columns' names if it holds all that are asked for, else they come in the order asked.

    Args:
        source: astropy `Table` or `QTable`, dict of arrays, structured array, data frame, or path of a FITS, ECSV,
            VOTable or text file.
        units: for each column the unit of the result (astropy's words), `None` without; columns that carry no unit
            are taken to be in it.
        what: how errors call the table.

    Returns:
        Dict of arrays `(n,)`; masked values are NaN; an `id` that is no number becomes one.

    Raises:
        ValueError: if a column is missing, is no numbers, holds infinities, or differs in length.

    Example:
        >>> from astropy import units
        >>> from astrokeras.survey.source_table import source_columns
        >>> source_columns({"flux": [2.0, 3.0] * units.mJy}, {"flux": "Jy"})
        {'flux': array([0.002, 0.003])}
    """
    if isinstance(source, str | os.PathLike):
        what = f"{what} {str(source)!r}"
        source = _read(Path(source), list(units), what)
    has = getattr(source, "colnames", None)
    if has is None:
        has = getattr(getattr(source, "dtype", None), "names", None)
    if has is None:
        has = list(source.keys()) if hasattr(source, "keys") else []
    lacks = [name for name in units if name not in has]
    if lacks:
        raise ValueError(
            f"Expected the {what} to have the columns {', '.join(units)}; it lacks {', '.join(lacks)} (it has "
            f"{', '.join(map(str, has)) or 'none'}): rename or add them."
        )
    columns = {name: _values(source[name], unit, name, what) for name, unit in units.items()}
    if len({len(values) for values in columns.values()}) > 1:
        lengths = ", ".join(f"{name} {len(values)}" for name, values in columns.items())
        raise ValueError(f"Expected the columns of the {what} to have one length; received {lengths}.")
    return columns


def _values(column, unit: str | None, name: str, what: str) -> np.ndarray:
    mask = getattr(column, "mask", None)
    bare = getattr(column, "unmasked", column)
    values = np.ma.getdata(np.asarray(getattr(bare, "value", bare)))
    if name == "id" and values.dtype.kind not in "iuf":
        values = np.unique(values, return_inverse=True)[1]
    try:
        values = values.astype(float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"Expected numbers in the column {name} of the {what}; received {values.dtype}.") from error
    if values.ndim != 1:
        raise ValueError(f"Expected one number a source in the column {name} of the {what}; received {values.shape}.")
    if unit is not None and getattr(column, "unit", None) is not None:
        from astropy.units import Quantity, UnitsError

        try:
            values = Quantity(values, column.unit).to_value(unit)
        except UnitsError as error:
            raise ValueError(
                f"Expected the column {name} of the {what} in a unit like {unit}; received {column.unit}."
            ) from error
    if isinstance(mask, np.ndarray):
        values[mask] = np.nan
    endless = np.flatnonzero(np.isinf(values))
    if len(endless):
        raise ValueError(
            f"Expected finite numbers in the column {name} of the {what}; row {endless[0]} is infinite: remove it."
        )
    return values


def _read(path: Path, names: list[str], what: str):
    """Return a table or a dict of columns from a file."""
    if not path.is_file():
        raise ValueError(f"Expected the {what} to be a file; there is none at that path.")
    if path.suffix.lower() in TABLE_FILES:
        from astropy.table import QTable

        return QTable.read(path)
    skipped, header, line = 0, names, ""
    with open(path) as file:
        for line in file:
            words = line.lstrip("# ").replace(",", " ").split()
            if not line.startswith("#") and words and all(map(_is_number, words)):
                break
            if set(names) <= set(words):
                header = line.rpartition(":")[2].lstrip("# ").replace(",", " ").split()  # words may stand in front
            skipped += 1
        else:
            return {name: np.zeros(0) for name in names}
    try:
        rows = np.loadtxt(path, skiprows=skipped, delimiter="," if "," in line else None, ndmin=2)
    except ValueError as error:
        raise ValueError(
            f"Expected rows of {len(header)} numbers in the {what}; it cannot be read: {error}."
        ) from error
    if rows.shape[1] != len(header):
        raise ValueError(
            f"Expected {len(header)} columns ({', '.join(header)}) in the {what}; received {rows.shape[1]}."
        )
    return dict(zip(header, rows.T, strict=True))


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
