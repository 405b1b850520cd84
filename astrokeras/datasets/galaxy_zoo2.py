"""Galaxy Zoo 2: images of SDSS galaxies with the classes or the votes of volunteers."""

import csv
import os
import re
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from astrokeras.datasets import files
from astrokeras.datasets.image_files import ImageFiles, in_test

CLASSES = ("elliptical", "barred spiral", "spiral")
RULES = (re.compile(r"E"), re.compile(r"SB"), re.compile(r"S(?!B)"))  # of gz2class, from its first letter; exclusive


def galaxy_zoo2(
    folder: str | os.PathLike,
    table: str | os.PathLike | None = None,
    *,
    size: int = 64,
    crop: int | None = None,
    answers: Sequence[str] | None = None,
    test: float = 0.05,
    missing: str = "warn",
) -> tuple[tuple[ImageFiles, np.ndarray], tuple[ImageFiles, np.ndarray]]:
    """Find the images of Galaxy Zoo 2 and what volunteers said of them.

    Classes go by the start of `gz2class`: "E" elliptical, "SB" barred spiral, "S" not followed by "B" spiral (in the
    course's notebook barred spirals fall in both); others ("A", a star or artefact) are left out. The test part is
    drawn by a hash of the object's number: it is the same in every session, so that a reloaded network never meets
    its training images there.

    Args:
        folder: with the images, `<asset_id>.jpg`.
        table: `gz2_filename_mapping_with_class.csv` (object id, asset id, gz2class, with a heading); `None` takes the
            one `.csv` file in or beside the folder.
        size: pixels along each side of what comes out.
        crop: pixels of the central square that is kept; `None` keeps the course's files of up to 256 pixels whole and
            the central 256 of the original 424.
        answers: names of columns of the table with vote counts, in place of classes.
        test: share of the galaxies that is held out.
        missing: `"warn"` leaves out galaxies without an image (about 100 in the published set) with a warning;
            `"raise"` refuses them.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: `ImageFiles` (RGB, uint8 in 0..255; `x_train.names` holds the classes)
        and labels `(n,)` int, or vote counts `(n, answers)` float32.

    Raises:
        FileNotFoundError: if folder or table do not exist.
        ValueError: if columns are missing, counts are negative, images are missing with `missing="raise"`, or a class
            has no examples.

    Reference:
        Willett et al. 2013, arXiv:1308.3496; Hart et al. 2016, MNRAS 461, 3663.

    Example:
        >>> import astrokeras
        >>> astrokeras.datasets.galaxy_zoo2("nowhere")
        Traceback (most recent call last):
        FileNotFoundError: Expected a folder with galaxy images; there is nothing at nowhere: check the path.
    """
    folder = files.existing(folder, "a folder with galaxy images")
    if missing not in ("warn", "raise"):
        raise ValueError(f'Expected missing to be "warn" or "raise"; received {missing!r}.')
    table = _the_table(folder) if table is None else files.existing(table, "a table of galaxies")
    with open(table, newline="") as text:
        heading, *rows = list(csv.reader(text)) or [[]]
    columns = _columns(table, heading, answers)
    bad = next((i for i, row in enumerate(rows) if len(row) <= max(columns)), None)
    if bad is not None:
        raise ValueError(f"Expected {len(heading)} columns in each row of {table}; row {bad + 2} has {len(rows[bad])}.")

    identities = [row[columns[0]] for row in rows]
    paths = [folder / f"{row[columns[1]]}.jpg" for row in rows]
    if answers is None:
        labels = np.array([_class(row[columns[2]]) for row in rows], int).reshape(-1)
        known = labels >= 0
    else:
        labels = _counts(table, rows, columns[2:], answers)
        known = np.ones(len(rows), bool)
    there = {entry.name for entry in os.scandir(folder)}
    present = np.array([path.name in there for path in paths], bool)
    absent = [paths[i].name for i in np.flatnonzero(known & ~present)]
    if absent:
        sentence = (
            f"{len(absent)} of {int(known.sum())} galaxies of {table} have no image in {folder} ({absent[0]}, ...)"
        )
        if missing == "raise" or len(absent) == known.sum():
            raise ValueError(
                f'Expected an image of every galaxy; {sentence}: check the folder, or pass missing="warn".'
            )
        warnings.warn(f"{sentence}: left out.", stacklevel=2)
    known &= present
    held_out = np.array([in_test(identity, test) for identity in identities], bool)
    if crop is None:
        crop = _default_crop(paths[int(np.argmax(known))])
    splits = []
    for part, what in ((known & ~held_out, "train"), (known & held_out, "test")):
        chosen = np.flatnonzero(part)
        empty = [] if answers else [name for i, name in enumerate(CLASSES) if not (labels[chosen] == i).any()]
        if empty or not len(chosen):
            raise ValueError(
                f"Expected galaxies of every class in {table}; the {what} part has none of "
                f"{', '.join(empty or CLASSES)}."
            )
        names = None if answers else CLASSES
        splits.append((ImageFiles([paths[i] for i in chosen], size, crop=crop, names=names), labels[chosen]))
    return splits[0], splits[1]


def _the_table(folder: Path) -> Path:
    found = sorted({*folder.glob("*.csv"), *folder.parent.glob("*.csv")})
    if len(found) != 1:
        raise FileNotFoundError(
            f"Expected one .csv file in or beside {folder}; found {len(found)}: put the table of the galaxies "
            "there, or pass its path as table."
        )
    return found[0]


def _columns(table: Path, heading: list[str], answers: Sequence[str] | None) -> list[int]:
    """Places of object id, asset id, and class or answers."""
    plain = [name.strip().lower() for name in heading]
    wanted = [("objid", "dr7objid"), ("asset_id", "asset id")]
    wanted += [("gz2class", "gz2_class")] if answers is None else [(name.lower(),) for name in answers]
    if answers is None and len(heading) == 3 and not set(sum(wanted, ())) & set(plain):
        return [0, 1, 2]  # the course's file, whatever its heading
    places = [next((plain.index(name) for name in names if name in plain), None) for names in wanted]
    if None in places:
        lacking = " and ".join(names[0] for names, place in zip(wanted, places, strict=True) if place is None)
        raise ValueError(f"Expected {table} to have the column {lacking}; it has {', '.join(heading) or 'none'}.")
    return places


def _class(name: str) -> int:
    return next((i for i, rule in enumerate(RULES) if rule.match(name.strip())), -1)


def _counts(table: Path, rows: list, columns: list[int], answers: Sequence[str]) -> np.ndarray:
    try:
        counts = np.array([[float(row[column]) for column in columns] for row in rows], "float32")
    except ValueError as error:
        raise ValueError(
            f"Expected numbers in the columns {', '.join(answers)} of {table}; received {error}."
        ) from error
    bad = ~(counts >= 0).all(axis=1)
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(
            f"Expected vote counts >= 0 in {table}; row {row + 2} has {counts[row].tolist()} ({int(bad.sum())} rows "
            "are so): repair or drop them."
        )
    return counts


def _default_crop(path: Path) -> int | None:
    from PIL import Image

    with Image.open(path) as image:
        return 256 if min(image.size) > 256 else None
