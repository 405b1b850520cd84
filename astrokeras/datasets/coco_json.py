"""Sets in the format of Microsoft COCO: one JSON file and a folder of images."""

import json
import os
from pathlib import Path

import numpy as np

from astrokeras.datasets import files
from astrokeras.datasets.clean_objects import clean_objects
from astrokeras.datasets.detection_set import DetectionSet
from astrokeras.datasets.original_images import OriginalImages

CROWD = 3  # CIANNA's difficulty: nothing is learned from it unless it is found already


def coco_json(path: str | os.PathLike, images_folder: str | os.PathLike, *, invalid: str = "drop") -> DetectionSet:
    """Read a set in the format of COCO ("instances").

    Boxes `[x, y, width, height]` become corners. Categories become the labels 0..n-1 in the order of their ids (COCO's
    own go up to 90 with gaps). A region with `iscrowd` becomes an object of difficulty 3, which the loss and the
    scores leave out; CIANNA's data_prep.py takes it for an ordinary object. A box that is empty or outside of its image
    is dropped, what reaches out of the image is cut off (silently up to 1 pixel); one warning tells.

    Args:
        path: the JSON file, such as `annotations/instances_val2017.json`.
        images_folder: where the files are that it names, such as `val2017`.
        invalid: `"drop"` or `"raise"` for boxes that are degenerate or reach out by more than 1 pixel.

    Returns:
        A `DetectionSet` of files with boxes, labels and difficult (0, or 3 = crowd), in the order of the JSON file.

    Raises:
        FileNotFoundError: if the file, the folder or an image is missing; names it.
        ValueError: if the file is of another kind, or with `invalid="raise"`.

    Reference:
        Lin et al. 2014; https://cocodataset.org/#format-data.

    Example:
        >>> import astrokeras
        >>> astrokeras.datasets.coco_json("nowhere.json", "images")
        Traceback (most recent call last):
        FileNotFoundError: Expected a JSON file of COCO; there is nothing at nowhere.json: check the path.
    """
    path = files.existing(path, "a JSON file of COCO")
    folder = files.existing(images_folder, "a folder of images")
    try:
        content = json.loads(path.read_bytes())
        pictures, categories, annotations = (content[key] for key in ("images", "categories", "annotations"))
        names = [picture["file_name"] for picture in pictures]
        sizes = [(picture["width"], picture["height"]) for picture in pictures]
        row = {picture["id"]: i for i, picture in enumerate(pictures)}
        categories = sorted(categories, key=lambda category: category["id"])
        number = {category["id"]: i for i, category in enumerate(categories)}
        image = np.array([row[one["image_id"]] for one in annotations], int)
        labels = np.array([number[one["category_id"]] for one in annotations], "int32")
        boxes = np.array([one["bbox"] for one in annotations], "float64").reshape(len(annotations), 4)
        crowd = np.array([one.get("iscrowd", 0) for one in annotations], "int32")
        class_names = [category["name"] for category in categories]
    except (ValueError, KeyError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise ValueError(
            f"Expected {path} to be a JSON file of COCO with images, categories and annotations; it is damaged, lacks "
            f"something or names what is not there: {type(error).__name__} {error}."
        ) from error
    if not names:
        raise ValueError(f"Expected images in {path}; there are none.")
    paths = [Path(folder, name) for name in names]
    for file in paths:
        files.existing(file, f"an image that {path.name} names")
    boxes[:, 2:] += boxes[:, :2]
    order = np.argsort(image, kind="stable")
    ends = np.searchsorted(image[order], np.arange(1, len(names)))
    objects = [
        {"boxes": boxes[rows], "labels": labels[rows], "difficult": CROWD * crowd[rows]}
        for rows in np.split(order, ends)
    ]
    sources = [f"{path.name}, {name}" for name in names]
    objects = clean_objects(objects, np.array(sizes), sources, invalid)
    return DetectionSet(OriginalImages(paths, sizes), objects, class_names, names)
