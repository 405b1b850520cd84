"""Sets in the text format of Darknet and Ultralytics: one line an object, in shares of the image."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from astrokeras.datasets import files
from astrokeras.datasets.clean_objects import clean_objects
from astrokeras.datasets.detection_set import DetectionSet
from astrokeras.datasets.image_files import SUFFIXES
from astrokeras.datasets.original_images import OriginalImages


def yolo_text(
    images_folder: str | os.PathLike,
    labels_folder: str | os.PathLike,
    class_names: Sequence[str],
    *,
    invalid: str = "drop",
) -> DetectionSet:
    """Read images, and for each a text file of the same name with lines `class x_center y_center width height`.

    The class counts from 0, the rest are shares of the image's width and height. An image without a text file has no
    objects. A box that is empty or outside of its image is dropped, what reaches out of the image is cut off (silently
    up to 1 pixel); one warning tells.

    Args:
        images_folder: of the images, such as `images/train`.
        labels_folder: of the text files, such as `labels/train`.
        class_names: in the order of the class numbers.
        invalid: `"drop"` or `"raise"` for boxes that are degenerate or reach out by more than 1 pixel.

    Returns:
        A `DetectionSet` of files with boxes and labels, in the order of the file names.

    Raises:
        FileNotFoundError: if a folder is missing.
        ValueError: if there are no images, no text file has the name of an image, a line is of another form (such as
            polygons) or has an unknown class, or with `invalid="raise"`; names the file and its object.

    Reference:
        Redmon et al. 2016 (Darknet); https://docs.ultralytics.com/datasets/detect.

    Example:
        >>> import astrokeras
        >>> astrokeras.datasets.yolo_text("nowhere", "labels", ["cat"])
        Traceback (most recent call last):
        FileNotFoundError: Expected a folder of images; there is nothing at nowhere: check the path.
    """
    pictures = files.existing(images_folder, "a folder of images")
    folder = files.existing(labels_folder, "a folder of text files")
    paths = sorted(file for file in pictures.iterdir() if file.suffix.lower() in SUFFIXES)
    texts = [folder / f"{file.stem}.txt" for file in paths]
    if not any(text.is_file() for text in texts):
        raise ValueError(
            f"Expected images in {pictures} with text files of the same names in {folder}; found {len(paths)} images, "
            "no such file."
        )
    images = OriginalImages(paths)
    tables = [_table(text, len(class_names)) for text in texts]
    objects = []
    for table, size in zip(tables, images.sizes, strict=True):
        center, half = table[:, 1:3] * size, table[:, 3:5] * size / 2
        boxes = np.concatenate([center - half, center + half], axis=1)
        objects.append({"boxes": boxes, "labels": table[:, 0].astype("int32")})
    objects = clean_objects(objects, images.sizes, texts, invalid)
    return DetectionSet(images, objects, class_names, [path.name for path in paths])


def _table(text: Path, classes: int) -> np.ndarray:
    """Return class, centre and size of the objects in a text file, `(k, 5)`."""
    if not text.is_file():
        return np.zeros((0, 5))
    lines = [line.split() for line in text.read_text().splitlines() if line.strip()]
    try:
        table = np.array(lines, "float64").reshape(len(lines), 5)
    except ValueError as error:
        raise ValueError(
            f"Expected lines of class, x_center, y_center, width, height in {text}; it has others: {error}."
        ) from error
    wrong = ~np.isin(table[:, 0], np.arange(classes))
    if wrong.any():
        raise ValueError(
            f"Expected classes 0..{classes - 1}; {text}, object {wrong.argmax()} has {table[wrong.argmax(), 0]:g}: "
            "complete class_names, or correct the file."
        )
    return table
