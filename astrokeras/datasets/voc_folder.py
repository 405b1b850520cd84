"""PASCAL VOC, and sets of one's own in its layout."""

import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from astrokeras.datasets import files
from astrokeras.datasets.clean_objects import clean_objects
from astrokeras.datasets.detection_set import DetectionSet
from astrokeras.datasets.image_files import SUFFIXES
from astrokeras.datasets.original_images import OriginalImages

VOC_CLASSES = ("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow")
VOC_CLASSES += ("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train")
VOC_CLASSES += ("tvmonitor",)


def voc_folder(
    path: str | os.PathLike,
    split: str | None = "train",
    *,
    one_based: bool = True,
    invalid: str = "drop",
    class_names: Sequence[str] | None = None,
) -> DetectionSet:
    """Read one split of a folder in the layout of PASCAL VOC.

    Boxes are corners, x first, with continuous edges: VOC counts pixels from 1 and means both corners to be inside, so
    `(xmin, ymin, xmax, ymax)` becomes `(xmin - 1, ymin - 1, xmax, ymax)`. A box that is empty (min >= max in the file)
    or outside of its image is dropped, what reaches out of the image is cut off (silently up to 1 pixel); one warning
    tells.

    Args:
        path: the folder with `JPEGImages`, `Annotations` and `ImageSets/Main` (of VOC: `VOCdevkit/VOC2007`). Unpack an
            archive first.
        split: name of the list in `ImageSets/Main`, such as `"train"`, `"val"`, `"trainval"`, `"test"`; `None` takes
            all annotations.
        one_based: `False` for sets that count pixels from 0: corners stay as they are written.
        invalid: `"drop"` or `"raise"` for boxes that are degenerate or reach out by more than 1 pixel.
        class_names: in the order of the labels. `None` takes `VOC_CLASSES` where all annotations of the folder, not
            only those of the split, have names from there, and else the names found in them, sorted.

    Returns:
        A `DetectionSet` of files with boxes, labels and difficult (0 or 1).

    Raises:
        FileNotFoundError: if a folder, list, annotation or image is missing; names it.
        ValueError: if a file is damaged, the split is empty, a class is unknown, or with `invalid="raise"`.

    Reference:
        Everingham et al. 2010; CIANNA examples/PASCAL (which leaves corners as they are written).

    Example:
        >>> import astrokeras
        >>> astrokeras.datasets.voc_folder("nowhere")
        Traceback (most recent call last):
        FileNotFoundError: Expected a folder in the layout of PASCAL VOC; there is nothing at nowhere: check the path.
    """
    path = files.existing(path, "a folder in the layout of PASCAL VOC")
    if path.is_file():
        raise ValueError(f"Expected a folder in the layout of PASCAL VOC; {path} is a file: unpack it first.")
    annotations = {file.stem: file for file in sorted(files.existing(path / "Annotations", "a folder").glob("*.xml"))}
    pictures = {
        file.stem: file
        for file in files.existing(path / "JPEGImages", "a folder").iterdir()
        if file.suffix.lower() in SUFFIXES
    }
    stems = list(annotations) if split is None else _listed(path / "ImageSets" / "Main" / f"{split}.txt", annotations)
    if not stems:
        raise ValueError(f"Expected images in the split {split!r} of {path}; there are none.")
    for stem in stems:
        if stem not in annotations:
            files.existing(path / "Annotations" / f"{stem}.xml", f"the annotation of {stem}")
        if stem not in pictures:
            files.existing(path / "JPEGImages" / f"{stem}.jpg", f"the image of {stem}")
    wanted = stems if class_names is not None else list(annotations)
    found = {stem: _objects(annotations[stem], one_based) for stem in wanted}
    if class_names is None:
        present = {name for one in found.values() for name in one["names"]}
        class_names = VOC_CLASSES if present <= set(VOC_CLASSES) else sorted(present)
    number = {name: i for i, name in enumerate(class_names)}
    objects = []
    for stem in stems:
        one = found[stem]
        unknown = [name for name in one["names"] if name not in number]
        if unknown:
            raise ValueError(
                f"Expected classes among {', '.join(class_names)}; {annotations[stem]} has {unknown[0]!r}: add it to "
                "class_names."
            )
        labels = np.array([number[name] for name in one["names"]], "int32")
        objects.append({"boxes": one["boxes"], "labels": labels, "difficult": one["difficult"]})
    images = OriginalImages([pictures[stem] for stem in stems])
    objects = clean_objects(objects, images.sizes, [annotations[stem] for stem in stems], invalid)
    return DetectionSet(images, objects, class_names, [pictures[stem].name for stem in stems])


def _listed(file: Path, annotations: dict) -> list[str]:
    """Return the names in a list; VOC's lists of one class have a second column."""
    lines = [line.strip() for line in files.existing(file, "a list of images").read_text().splitlines()]
    return [line if line in annotations else line.split()[0] for line in lines if line]


def _objects(file: Path, one_based: bool) -> dict:
    """Return names, boxes and difficult of the objects in an annotation."""
    try:
        things = ElementTree.parse(file).getroot().findall("object")
    except (ElementTree.ParseError, OSError, ValueError) as error:
        raise ValueError(f"Expected an annotation in XML; {file} is damaged: {error}.") from error
    names, rows = [], []
    for i, thing in enumerate(things):
        try:
            names.append(thing.find("name").text.strip())
            box = thing.find("bndbox")
            corners = [float(box.find(corner).text) for corner in ("xmin", "ymin", "xmax", "ymax")]
            rows.append([*corners, int(thing.findtext("difficult") or 0)])
        except (AttributeError, TypeError, ValueError) as error:
            raise ValueError(
                f"Expected name, bndbox with four numbers and difficult in each object; {file}, object {i} has others: "
                f"{error}."
            ) from error
    table = np.array(rows, "float64").reshape(-1, 5)
    boxes = table[:, :4]
    if one_based:  # corners that coincide in the file are a slip of the annotator, no pixel: left to be dropped
        boxes = np.where((boxes[:, :2] < boxes[:, 2:]).all(axis=1, keepdims=True), boxes - [1, 1, 0, 0], boxes)
    return {"names": names, "boxes": boxes, "difficult": table[:, 4].astype("int32")}
