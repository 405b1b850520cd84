"""A set of images and objects as a folder in the layout of PASCAL VOC."""

import os
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from astrokeras.datasets.detection_set import DetectionSet


def write_voc(images: "DetectionSet", folder: str | os.PathLike, split: str) -> None:
    """Write images as PNG, annotations that count pixels from 1, and the list of the split, last.

    Example:
        >>> import tempfile, astrokeras
        >>> train, _ = astrokeras.datasets.simulated_scenes(train=2, test=1, size=32)
        >>> folder = tempfile.mkdtemp()
        >>> train.write_voc(folder)
        >>> back = astrokeras.datasets.voc_folder(folder, class_names=train.class_names)
        >>> bool((back[1][0] == train[1][0]).all() and (back[1][1]["boxes"] == train[1][1]["boxes"]).all())
        True
    """
    from PIL import Image

    pictures, annotations, lists = (Path(folder, name) for name in ("JPEGImages", "Annotations", "ImageSets/Main"))
    for made in (pictures, annotations, lists):
        made.mkdir(parents=True, exist_ok=True)
    stems = [Path(name).stem for name in images.names]
    if len(set(stems)) < len(stems):
        raise ValueError("Expected images of different names; some are equal: give the set names.")
    for i, stem in enumerate(stems):
        image, objects = images[i]
        labels = objects["labels"]
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (1, 3):
            raise ValueError(
                f"Expected uint8 images (y, x, 1 or 3); {stem} is {image.dtype} of shape {image.shape}: scale it first."
            )
        if not ((labels >= 0) & (labels < len(images.class_names))).all():
            raise ValueError(
                f"Expected labels of the {len(images.class_names)} class_names; {stem} has {labels.tolist()}."
            )
        Image.fromarray(image.squeeze(2) if image.shape[2] == 1 else image).save(pictures / f"{stem}.png")
        root = ElementTree.Element("annotation")
        ElementTree.SubElement(root, "filename").text = f"{stem}.png"
        size = ElementTree.SubElement(root, "size")
        for key, value in zip(("height", "width", "depth"), image.shape, strict=True):
            ElementTree.SubElement(size, key).text = str(value)
        corners = (objects["boxes"].astype("float64") + [1, 1, 0, 0]).tolist()
        for row, label, difficult in zip(corners, labels, objects.get("difficult", 0 * labels), strict=True):
            thing = ElementTree.SubElement(root, "object")
            ElementTree.SubElement(thing, "name").text = images.class_names[label]
            ElementTree.SubElement(thing, "difficult").text = str(difficult)
            box = ElementTree.SubElement(thing, "bndbox")
            for key, value in zip(("xmin", "ymin", "xmax", "ymax"), row, strict=True):
                ElementTree.SubElement(box, key).text = f"{value:.17g}"
        ElementTree.indent(root)
        ElementTree.ElementTree(root).write(annotations / f"{stem}.xml")
    (lists / f"{split}.txt").write_text("".join(f"{stem}\n" for stem in stems))
