"""What a detector found in one image, and the ways from and to KerasCV, torchvision and astropy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras
import numpy as np

from astrokeras import plots

if TYPE_CHECKING:
    from astropy.table import QTable
    from matplotlib.figure import Figure

BOX_FORMATS = ("xyxy", "yxyx", "xywh", "center_xywh", "rel_xyxy", "rel_yxyx", "rel_xywh", "rel_center_xywh")
_COLUMNS = {"boxes": "float32", "scores": "float32", "labels": "int64", "probability": "float32"}
_COLUMNS |= {"objectness": "float32", "priors": "int64", "params": "float32"}
_DESCRIPTIONS = {
    "score": "by which detections are ranked",
    "label": "number of the class, from 0",
    "class_name": "name of the class",
    "probability": "that an object is there",
    "objectness": "probability times expected overlap",
    "prior": "index of the prior box, -1 if unknown",
}


@dataclass(frozen=True, eq=False, repr=False)
class Detections:
    """The detections of one image, in the order given (detectors give falling scores).

    Args:
        boxes: `(n, 2 * dims)` corners with x first, in pixels of the image given; pixel i covers `[i, i + 1)`.
        scores: `(n,)`, by which they are ranked.
        labels: `(n,)` class numbers from 0; zeros where `None`.
        probability: `(n,)` that an object is there; the scores where `None`.
        objectness: `(n,)` probability times expected overlap; the scores where `None`.
        priors: `(n,)` index of the prior box; -1 where `None`.
        params: `(n, P)` physical values, one column per parameter; no column where `None`.
        class_names: of the classes.
        parameters: P `Parameter` objects that name the columns of `params` and give their units.

    Raises:
        ValueError: if the lengths do not agree, or a box or score is not finite.

    Example:
        >>> from astrokeras.detections import Detections
        >>> found = Detections([[0, 0, 4, 4], [3, 1, 9, 5]], [0.9, 0.4], [0, 1], class_names=("cat", "dog"))
        >>> found[found.scores > 0.5]
        Detections(1 box in 2-D, best score 0.9)
        >>> len(found), found.priors
        (2, array([-1, -1]))
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray | None = None
    probability: np.ndarray | None = None
    objectness: np.ndarray | None = None
    priors: np.ndarray | None = None
    params: np.ndarray | None = None
    class_names: tuple[str, ...] | None = None
    parameters: tuple = ()

    def __post_init__(self) -> None:
        """Fill in what was not given, and check."""
        given = {name: getattr(self, name) for name in _COLUMNS}
        scores = np.asarray(given["scores"], "float32")
        count = len(np.atleast_1d(scores))
        standing_in = {"labels": np.zeros(count), "priors": np.full(count, -1)}
        standing_in |= {"probability": scores, "objectness": scores, "params": np.zeros((count, 0))}
        for name, dtype in _COLUMNS.items():
            column = standing_in[name] if given[name] is None else given[name]
            object.__setattr__(self, name, np.asarray(column).astype(dtype))
        object.__setattr__(self, "class_names", None if self.class_names is None else tuple(self.class_names))
        object.__setattr__(self, "parameters", tuple(self.parameters))
        if self.boxes.ndim != 2 or self.boxes.shape[1] not in (2, 4, 6):
            raise ValueError(f"Expected boxes (n, 2, 4 or 6); received shape {self.boxes.shape}.")
        for name in _COLUMNS:
            shape, rank = getattr(self, name).shape, 2 if name in ("boxes", "params") else 1
            if len(shape) != rank or shape[0] != len(self.boxes):
                expected = f"({len(self.boxes)},{' P' if rank == 2 else ''})"
                raise ValueError(f"Expected {name} {expected}, one per box; received shape {shape}.")
        if self.parameters and self.params.shape[1] != len(self.parameters) and len(self.boxes):
            raise ValueError(
                f"Expected params of {len(self.parameters)} columns, one per parameter; received "
                f"{self.params.shape[1]}."
            )
        bad = ~(np.isfinite(self.boxes).all(axis=1) & np.isfinite(self.scores))
        if bad.any():
            first = int(np.argmax(bad))
            raise ValueError(
                f"Expected finite boxes and scores; detection {first} has {self.boxes[first].tolist()} and score "
                f"{self.scores[first]} ({int(bad.sum())} of {len(bad)} are so): drop them."
            )

    @classmethod
    def empty(cls, dims: int = 2, class_names: Sequence[str] | None = None, parameters: Sequence = ()) -> "Detections":
        """Return no detection, of so many dimensions.

        Example:
            >>> from astrokeras.detections import Detections
            >>> Detections.empty(3)
            Detections(0 boxes in 3-D)
        """
        params = np.zeros((0, len(parameters)))
        return cls(np.zeros((0, 2 * dims)), np.zeros(0), params=params, class_names=class_names, parameters=parameters)

    @property
    def dims(self) -> int:
        """Number of dimensions of the boxes."""
        return self.boxes.shape[1] // 2

    def __len__(self) -> int:
        """Return the number of detections."""
        return len(self.boxes)

    def __getitem__(self, index) -> "Detections":
        """Return those of a mask, a slice, an array of numbers, or one number, as `Detections`."""
        if isinstance(index, int | np.integer):
            index = [range(len(self))[index]]  # raises IndexError beyond the end, so that iteration stops
        return Detections(
            **{name: getattr(self, name)[index] for name in _COLUMNS},
            class_names=self.class_names,
            parameters=self.parameters,
        )

    def __repr__(self) -> str:
        """Say how many there are."""
        best = f", best score {self.scores.max():.3g}" if len(self) else ""
        return f"Detections({len(self)} box{'' if len(self) == 1 else 'es'} in {self.dims}-D{best})"

    def name_of(self, label: int) -> str:
        """Return the name of a class, or its number as text.

        Example:
            >>> from astrokeras.detections import Detections
            >>> Detections.empty(2, ["cat", "dog"]).name_of(1)
            'dog'
        """
        known = self.class_names is not None and 0 <= label < len(self.class_names)
        return str(self.class_names[label]) if known else str(int(label))

    def to_table(self) -> "QTable":
        """Return an astropy table, one detection a row, with units and descriptions; `write("found.ecsv")` keeps them.

        It is printed with 6 digits; ECSV and FITS files have all.

        Raises:
            ValueError: if a parameter is named like another column.

        Example:
            >>> from astrokeras.detections import Detections
            >>> table = Detections([[0, 0, 4, 4]], [0.5]).to_table()
            >>> table.colnames[:5], table["x_max"].unit
            (['x_min', 'y_min', 'x_max', 'y_max', 'score'], Unit("pix"))
        """
        from astropy import units
        from astropy.table import QTable

        axes = "xyz"[: self.dims]
        table = QTable(meta={"boxes": "corners in pixels; pixel i covers [i, i + 1)"})
        for name, edge in zip([f"{axis}_{end}" for end in ("min", "max") for axis in axes], self.boxes.T, strict=True):
            table[name] = units.Quantity(edge, units.pixel, dtype="float32")
            table[name].info.description = f"{'lower' if name.endswith('min') else 'upper'} edge along {name[0]}"
        columns = {"score": self.scores, "label": self.labels}
        if self.class_names is not None:
            columns["class_name"] = np.array([self.name_of(label) for label in self.labels], str)
            table.meta["class_names"] = list(map(str, self.class_names))
        columns |= {"probability": self.probability, "objectness": self.objectness, "prior": self.priors}
        for name, column in columns.items():
            table[name] = column
            table[name].info.description = _DESCRIPTIONS[name]
        for index, column in enumerate(self.params.T):
            parameter = self.parameters[index] if self.parameters else None
            name, unit = (f"param_{index}", None) if parameter is None else (parameter.name, parameter.unit)
            if name in table.colnames:
                raise ValueError(f"Expected parameters named unlike the other columns; received a second {name!r}.")
            table[name] = column if unit is None else units.Quantity(column, unit, dtype="float32")
            table[name].info.description = "regressed parameter"
        for name in table.colnames:
            if table[name].dtype.kind == "f":
                table[name].info.format = ".6g"
        return table

    def to_dict(self) -> dict[str, np.ndarray]:
        """Return torchvision's dict: `boxes` float32 (x first), `labels` int64, `scores` float32.

        Example:
            >>> from astrokeras.detections import Detections
            >>> Detections([[0, 0, 4, 4]], [0.5]).to_dict()["labels"]
            array([0])
        """
        return {"boxes": self.boxes, "labels": self.labels, "scores": self.scores}

    def to_keras_cv(self, bounding_box_format: str = "xyxy", image_shape: Sequence[int] | None = None) -> dict:
        """Return KerasCV's dict of one image: `boxes` `(n, 4)`, `classes`, `confidence`, `num_detections`.

        Args:
            bounding_box_format: one of `BOX_FORMATS`.
            image_shape: `(y, x)`, needed by the `rel_` formats.

        Example:
            >>> from astrokeras.detections import Detections
            >>> Detections([[1, 2, 4, 8]], [0.5]).to_keras_cv("xywh")["boxes"]
            array([[1., 2., 3., 6.]], dtype=float32)
        """
        batch = to_keras_cv([self], None, bounding_box_format, image_shape)
        return {name: column[0] for name, column in batch.items()}

    def plot(self, image=None, **arguments) -> "Figure":
        """Draw the detections on their image; arguments as of `plots.detections`.

        Example:
            >>> import numpy as np
            >>> from astrokeras.detections import Detections
            >>> figure = Detections([[1, 2, 4, 8]], [0.5]).plot(np.zeros((10, 10)))
            >>> len(figure.axes)
            1
        """
        return plots.detections(image, self, **arguments)


def to_keras_cv(
    detections: Sequence[Detections],
    max_detections: int | None = None,
    bounding_box_format: str = "xyxy",
    image_shape: Sequence[int] | None = None,
) -> dict[str, np.ndarray]:
    """Return the detections of several images as KerasCV's dict of padded arrays.

    Args:
        detections: one per image, 2-D.
        max_detections: M, the size of the arrays; the first M of each image stay (sort them first, if they are not);
            `None` takes the largest number in an image.
        bounding_box_format: one of `BOX_FORMATS`.
        image_shape: `(y, x)` of all images, needed by the `rel_` formats.

    Returns:
        `boxes` `(images, M, 4)`, `classes` and `confidence` `(images, M)`, -1 where padded, and `num_detections`.

    Raises:
        ValueError: if the boxes are not 2-D, the format is unknown, or `image_shape` is missing.

    Example:
        >>> from astrokeras.detections import Detections, to_keras_cv
        >>> to_keras_cv([Detections([[0, 0, 4, 4]], [0.5]), Detections.empty()])["classes"]
        array([[ 0],
               [-1]], dtype=int32)
    """
    counts = np.array([len(one) for one in detections], int)
    width = int(counts.max(initial=0)) if max_detections is None else max_detections
    counts = np.minimum(counts, width)
    batch = {
        "boxes": np.full((len(counts), width, 4), -1, "float32"),
        "classes": np.full((len(counts), width), -1, "int32"),
        "confidence": np.full((len(counts), width), -1, "float32"),
        "num_detections": counts.astype("int32"),
    }
    for row, (one, count) in enumerate(zip(detections, counts, strict=True)):
        batch["boxes"][row, :count] = _from_corners(one.boxes[:count], bounding_box_format, image_shape)
        batch["classes"][row, :count] = one.labels[:count]
        batch["confidence"][row, :count] = one.scores[:count]
    return batch


def from_keras_cv(
    predictions: Mapping,
    bounding_box_format: str = "xyxy",
    image_shape: Sequence[int] | None = None,
    class_names: Sequence[str] | None = None,
) -> list[Detections]:
    """Read what a KerasCV detector predicts.

    Args:
        predictions: `boxes` `(images, M, 4)`, `classes` and `confidence` `(images, M)`; classes < 0 are padding. Arrays
            or tensors; ragged ones go through `keras_cv.bounding_box.to_dense` first.
        bounding_box_format: one of `BOX_FORMATS`.
        image_shape: `(y, x)`, needed by the `rel_` formats.
        class_names: of the classes.

    Returns:
        One `Detections` per image.

    Raises:
        ValueError: if the boxes are not `(images, M, 4)`, the format is unknown, or `image_shape` is missing.

    Example:
        >>> import numpy as np
        >>> from astrokeras.detections import from_keras_cv
        >>> boxes = np.array([[[1, 2, 3, 6], [-1, -1, -1, -1]]])
        >>> found = from_keras_cv({"boxes": boxes, "classes": [[2, -1]], "confidence": [[0.5, -1]]}, "xywh")
        >>> found[0].boxes
        array([[1., 2., 4., 8.]], dtype=float32)
    """
    boxes, classes, confidence = (_numpy(predictions[name]) for name in ("boxes", "classes", "confidence"))
    if boxes.ndim != 3:
        raise ValueError(f"Expected boxes (images, M, 4); received shape {boxes.shape}.")
    boxes = _to_corners(boxes, bounding_box_format, image_shape)
    return [
        Detections(boxes[row][keep], confidence[row][keep], classes[row][keep], class_names=class_names)
        for row, keep in enumerate(classes >= 0)
    ]


def targets_from_keras_cv(
    targets: Mapping, bounding_box_format: str = "xyxy", image_shape: Sequence[int] | None = None
) -> dict[str, np.ndarray]:
    """Turn KerasCV's target dict into ours.

    Args:
        targets: `boxes` `(..., M, 4)` and `classes` `(..., M)`, -1 where padded; other entries stay as they are.
        bounding_box_format: one of `BOX_FORMATS`.
        image_shape: `(y, x)`, needed by the `rel_` formats.

    Returns:
        `boxes` `(..., M, 4)` float32 corners with x first, in pixels, and `labels` `(..., M)` int32; padding has zeros
        and -1.

    Raises:
        ValueError: if the boxes have no 4 columns, the format is unknown, or `image_shape` is missing.

    Example:
        >>> import numpy as np
        >>> from astrokeras.detections import targets_from_keras_cv
        >>> theirs = {"boxes": np.array([[[5, 5, 4, 2]]]), "classes": np.array([[3]])}
        >>> ours = targets_from_keras_cv(theirs, "center_xywh")
        >>> ours["boxes"], ours["labels"]
        (array([[[3., 4., 7., 6.]]], dtype=float32), array([[3]], dtype=int32))
    """
    labels = _numpy(targets["classes"]).astype("int32")
    boxes = _to_corners(_numpy(targets["boxes"]), bounding_box_format, image_shape)
    others = {name: value for name, value in targets.items() if name not in ("boxes", "classes")}
    return {"boxes": np.where(labels[..., None] == -1, np.float32(0), boxes), "labels": labels, **others}


def targets_to_keras_cv(
    targets: Mapping, bounding_box_format: str = "xyxy", image_shape: Sequence[int] | None = None
) -> dict[str, np.ndarray]:
    """Turn our targets into KerasCV's dict.

    Args:
        targets: `boxes` `(..., M, 4)` corners with x first, in pixels, and `labels` `(..., M)`, -1 where padded; other
            entries stay as they are.
        bounding_box_format: one of `BOX_FORMATS`.
        image_shape: `(y, x)`, needed by the `rel_` formats.

    Returns:
        `boxes` float32 and `classes` int32 of the same shapes; padding has -1 in both.

    Raises:
        ValueError: if the boxes are not 2-D, the format is unknown, or `image_shape` is missing.

    Example:
        >>> import numpy as np
        >>> from astrokeras.detections import targets_to_keras_cv
        >>> ours = {"boxes": np.array([[[0, 0, 4, 8]]]), "labels": np.array([[3]])}
        >>> targets_to_keras_cv(ours, "rel_yxyx", image_shape=(16, 16))["boxes"]
        array([[[0.  , 0.  , 0.5 , 0.25]]], dtype=float32)
    """
    classes = _numpy(targets["labels"]).astype("int32")
    boxes = _from_corners(_numpy(targets["boxes"]), bounding_box_format, image_shape)
    others = {name: value for name, value in targets.items() if name not in ("boxes", "labels")}
    return {"boxes": np.where(classes[..., None] == -1, np.float32(-1), boxes), "classes": classes, **others}


def _to_corners(boxes: np.ndarray, bounding_box_format: str, image_shape) -> np.ndarray:
    boxes = boxes.astype("float32") * _scale(boxes, bounding_box_format, image_shape)
    first, second = boxes[..., :2], boxes[..., 2:]
    kind = bounding_box_format.removeprefix("rel_")
    if kind == "yxyx":
        first, second = first[..., ::-1], second[..., ::-1]
    elif kind == "xywh":
        second = first + second
    elif kind == "center_xywh":
        first, second = first - second / 2, first + second / 2
    return np.concatenate([first, second], axis=-1)


def _from_corners(boxes: np.ndarray, bounding_box_format: str, image_shape) -> np.ndarray:
    scale = _scale(boxes, bounding_box_format, image_shape)
    first, second = boxes[..., :2].astype("float32"), boxes[..., 2:].astype("float32")
    kind = bounding_box_format.removeprefix("rel_")
    if kind == "yxyx":
        first, second = first[..., ::-1], second[..., ::-1]
    elif kind == "xywh":
        second = second - first
    elif kind == "center_xywh":
        first, second = (first + second) / 2, second - first
    return np.concatenate([first, second], axis=-1) / scale


def _scale(boxes: np.ndarray, bounding_box_format: str, image_shape) -> np.ndarray:
    """Check, and return by what the numbers of a format are multiplied to be pixels, `(4,)`."""
    if bounding_box_format not in BOX_FORMATS:
        raise ValueError(
            f"Expected bounding_box_format to be one of {', '.join(BOX_FORMATS)}; received {bounding_box_format!r}."
        )
    if boxes.shape[-1] != 4:
        raise ValueError(f"Expected 2-D boxes (..., 4), all that KerasCV knows; received shape {boxes.shape}.")
    if not bounding_box_format.startswith("rel_"):
        return np.ones(4, "float32")
    if image_shape is None:
        raise ValueError(f"Expected image_shape=(y, x) with the format {bounding_box_format!r}; received None.")
    y, x = image_shape[:2]
    return np.array([y, x, y, x] if bounding_box_format == "rel_yxyx" else [x, y, x, y], "float32")


def _numpy(array) -> np.ndarray:
    return keras.ops.convert_to_numpy(array)
