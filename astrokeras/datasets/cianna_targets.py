"""CIANNA's target vectors, and the padded arrays of this library."""

import os
from collections.abc import Mapping

import numpy as np

from astrokeras.datasets import files
from astrokeras.datasets.check_targets import CORNERS, image_name


def cianna_targets(
    vectors: np.ndarray | str | os.PathLike,
    *,
    classes: int,
    dims: int = 2,
    params: int = 0,
    difficult: bool = True,
    max_objects: int | None = None,
) -> dict[str, np.ndarray]:
    """Turn CIANNA's target vectors into targets.

    Each vector is `[count, object 1, object 2, ...]`, an object `class, xmin, ymin, zmin, xmax, ymax, zmax, params...,
    difficulty`; the rest is not read. Classes count from 1; 0 and what is beyond `classes` is no class (label -2). A
    count of -1 means class only: one object, whose box only says where to look.

    Args:
        vectors: `(n, 1 + M * (7 + params + difficult))`, or a file of float32 with such rows.
        classes: number of classes; with 0 all objects get the label 0.
        dims: number of axes to keep, x first; CIANNA always writes three.
        params: number of parameters of each object.
        difficult: whether the vectors have the difficulty (CIANNA's `diff_flag`).
        max_objects: M, which a file does not tell.

    Returns:
        Dict of `"boxes"` `(n, M, 2 * dims)`, `"labels"` `(n, M)`, and where there are some `"params"`, `"difficult"`,
        `"class_only"`.

    Raises:
        ValueError: if the rows are not of such a length, or a count is out of range; names the image.

    Reference:
        CIANNA (Cornu), examples/PASCAL and SKAO_SDC1; astrokeras writes them with `to_cianna_targets`.

    Example:
        >>> import numpy as np, astrokeras
        >>> vector = np.array([[1, 3, 10, 20, 0, 30, 50, 1, 0]])
        >>> targets = astrokeras.datasets.cianna_targets(vector, classes=5)
        >>> targets["labels"].tolist(), targets["boxes"].tolist(), targets["difficult"].tolist()
        ([[2]], [[[10.0, 20.0, 30.0, 50.0]]], [[0]])
    """
    if not 1 <= dims <= 3 or classes < 0 or params < 0:
        raise ValueError(
            f"Expected dims 1, 2 or 3, classes >= 0, params >= 0; received dims={dims}, classes={classes}, "
            f"params={params}."
        )
    width = 7 + params + bool(difficult)
    if isinstance(vectors, str | os.PathLike):
        vectors = _read(vectors, width, max_objects)
    vectors = np.asarray(vectors, "float32")
    if vectors.ndim != 2 or vectors.shape[1] < 1 + width or (vectors.shape[1] - 1) % width:
        raise ValueError(
            f"Expected vectors (n, 1 + M * {width}), {width} numbers an object (7, {params} params, "
            f"{'' if difficult else 'no '}difficulty); received shape {vectors.shape}."
        )
    rows = vectors[:, 1:].reshape(len(vectors), -1, width)
    count = vectors[:, 0]
    wrong = ~np.isin(count, [-1, *range(rows.shape[1] + 1)])
    if wrong.any():
        image = int(wrong.argmax())
        raise ValueError(
            f"Expected counts in 0..{rows.shape[1]}, or -1 (class only); {image_name(image)} has {count[image]:g}."
        )
    real = np.arange(rows.shape[1]) < np.abs(count)[:, None]
    rows = np.where(real[..., None], rows, 0)
    number = rows[..., 0].astype("int32")
    labels = np.where((number >= 1) & (number <= classes), number - 1, -2) if classes else np.zeros_like(number)
    targets = {
        "boxes": np.concatenate([rows[..., 1 : 1 + dims], rows[..., 4 : 4 + dims]], axis=-1),
        "labels": np.where(real, labels, -1).astype("int32"),
    }
    if params:
        targets["params"] = rows[..., 7 : 7 + params]
    if difficult:
        targets["difficult"] = rows[..., -1].astype("int32")
    if (count == -1).any():
        targets["class_only"] = count == -1
    return targets


def to_cianna_targets(targets: Mapping, *, difficult: bool = True) -> np.ndarray:
    """Turn targets into CIANNA's target vectors, as `cianna_targets` reads them.

    Args:
        targets: dict of padded arrays, as `check_targets` returns it; padding may stand anywhere. Unused axes become
            the pixel 0..1, as CIANNA's examples write them; a label -2 becomes the class 0.
        difficult: write the difficulty (0 where the targets have none), as CIANNA's `diff_flag` expects it.

    Returns:
        `(n, 1 + M * (7 + params + difficult))` float32; `tofile` writes what a CIANNA script reads.

    Raises:
        ValueError: if the boxes are not of 1, 2 or 3 dimensions.

    Example:
        >>> import numpy as np, astrokeras
        >>> targets = {"boxes": np.array([[[10, 20, 30, 50]]]), "labels": np.array([[2]])}
        >>> astrokeras.datasets.to_cianna_targets(targets).astype(int).tolist()
        [[1, 3, 10, 20, 0, 30, 50, 1, 0]]
    """
    boxes, labels = np.asarray(targets["boxes"]), np.asarray(targets["labels"])
    if boxes.shape[-1] not in CORNERS or boxes.shape[:2] != labels.shape:
        raise ValueError(
            f"Expected boxes (n, M, 2, 4 or 6) and labels (n, M); received shapes {boxes.shape} and {labels.shape}."
        )
    dims = boxes.shape[-1] // 2
    corners = np.zeros((*labels.shape, 6))
    corners[..., 3 + dims :] = 1
    corners[..., :dims], corners[..., 3 : 3 + dims] = boxes[..., :dims], boxes[..., dims:]
    columns = [np.maximum(labels + 1, 0)[..., None], corners]
    if "params" in targets:
        columns.append(np.asarray(targets["params"]))
    if difficult:
        columns.append(np.asarray(targets.get("difficult", np.zeros(labels.shape)))[..., None])
    rows = np.concatenate(columns, axis=-1)
    real = labels != -1
    order = np.argsort(~real, axis=1, kind="stable")[..., None]  # objects first
    rows = np.take_along_axis(np.where(real[..., None], rows, 0), order, axis=1)
    count = np.where(targets.get("class_only", False), -1, real.sum(axis=1))
    return np.concatenate([count[:, None], rows.reshape(len(rows), -1)], axis=1).astype("float32")


def _read(path, width: int, max_objects: int | None) -> np.ndarray:
    path = files.existing(path, "a file of target vectors")
    if max_objects is None:
        raise ValueError(f"Expected max_objects to read {path}; received None: pass CIANNA's max_nb_obj_per_image.")
    length = 4 * (1 + max_objects * width)
    if path.stat().st_size == 0 or path.stat().st_size % length:
        raise ValueError(
            f"Expected {path} to hold rows of {length // 4} float32 for max_objects={max_objects}; its "
            f"{path.stat().st_size} bytes do not divide so: check max_objects, params and difficult."
        )
    return np.fromfile(path, "<f4").reshape(-1, length // 4)
