"""What a detector is given to learn: padded arrays, checked before a backend sees them."""

from collections.abc import Mapping, Sequence

import numpy as np

from astrokeras.parameters import Parameter

KEYS = ("boxes", "labels", "params", "difficult", "class_only")
CORNERS = {2: "(x_min, x_max)", 4: "(x_min, y_min, x_max, y_max)", 6: "(x_min, y_min, z_min, x_max, y_max, z_max)"}


def check_targets(
    targets: Mapping,
    *,
    image_shape,
    classes: int,
    params: int | Sequence[Parameter] = 0,
    max_objects: int | None = None,
    names: Sequence[str] | None = None,
) -> dict[str, np.ndarray]:
    """Check the targets of a detector, and return them in their plain form.

    Args:
        targets: dict of padded arrays: `"boxes"` `(B, M, 2 * dims)`, corners with x first, pixels; `"labels"` (or
            `"classes"`) `(B, M)`, 0..classes-1, -1 = padding, -2 = an object of no class; and where used `"params"`
            `(B, M, P)` physical values, `"difficult"` `(B, M)` 0..3, `"class_only"` `(B,)`.
        image_shape: `([z,] y, x, channels)` of all images, or one row for each; `None` for a size leaves it unchecked.
        classes: number of classes; with 0 all objects carry the label 0.
        params: number of parameters of each object, P, or a list of `Parameter`, so that scales are checked too.
        max_objects: refuse images with more objects than this.
        names: of the images, for the messages.

    Returns:
        The same keys with float32 boxes and params, int32 labels and difficult, bool class_only; padding is zero.

    Raises:
        ValueError: that names the image and the object (both counted from 0), if a box has min >= max, its centre
            outside the image, or NaN; if a label or difficulty is out of range; if params are not finite, of another
            width, or not above 0 on a log scale; if shapes do not fit; if a class-only image has other than one object.

    Example:
        >>> import numpy as np, astrokeras
        >>> targets = {"boxes": np.array([[[2, 2, 9, 9], [0, 0, 0, 0]]]), "labels": np.array([[1, -1]])}
        >>> checked = astrokeras.datasets.check_targets(targets, image_shape=(16, 16, 3), classes=2)
        >>> checked["boxes"].dtype, checked["labels"].dtype
        (dtype('float32'), dtype('int32'))
        >>> astrokeras.datasets.check_targets(targets, image_shape=(16, 16, 3), classes=1)
        Traceback (most recent call last):
        ValueError: Expected labels in 0..0, -1 (padding) or -2 (no class); image 0, object 0 has 1.
    """
    parameters = [] if isinstance(params, int | np.integer) else list(params)
    found = _arrays(targets, len(parameters) or int(params or 0))
    boxes, labels = found["boxes"], found["labels"]
    dims = boxes.shape[2] // 2
    shape = np.asarray(image_shape, "float64")
    if shape.shape[-1] != dims + 1 or shape.ndim > 2 or (shape.ndim == 2 and len(shape) != len(boxes)):
        raise ValueError(
            f"Expected boxes of as many dimensions as the images have axes besides channels; received images "
            f"{tuple(image_shape) if shape.ndim == 1 else shape.shape} and boxes of {dims} dimensions."
        )
    if max_objects is not None:
        check_count((labels != -1).sum(axis=1), max_objects, names)

    def refuse(bad: np.ndarray, expected: str, values: np.ndarray):
        if bad.any():
            image, thing = np.argwhere(bad)[0]
            value = values[image, thing].tolist()
            raise ValueError(f"Expected {expected}; {image_name(image, names)}, object {thing} has {value}.")

    highest = "0 (there are no classes)" if classes == 0 else f"0..{classes - 1}"
    none = (labels == -1) if classes == 0 else (labels == -1) | (labels == -2)
    allowed = f"{highest} or -1 (padding)" if classes == 0 else f"{highest}, -1 (padding) or -2 (no class)"
    refuse(~none & ((labels < 0) | (labels >= max(classes, 1))), f"labels in {allowed}", labels)

    real = labels != -1
    low, high = boxes[..., :dims], boxes[..., dims:]
    corners = f"boxes {CORNERS[2 * dims]}"
    refuse(real & ~np.isfinite(boxes).all(axis=-1), f"{corners} of finite numbers", boxes)
    refuse(real & ~(low < high).all(axis=-1), f"{corners} with min < max", boxes)
    extent = np.nan_to_num(shape[..., -2::-1], nan=np.inf)  # x first
    extent = extent[:, None] if shape.ndim == 2 else extent
    with np.errstate(invalid="ignore", over="ignore"):  # padding may hold anything
        inside = ((low + high >= 0) & (low + high < 2 * extent)).all(axis=-1)
    seen = " x ".join(f"{side:g}" for side in extent) if extent.ndim == 1 else "its pixels"
    refuse(real & ~inside, f"{corners} with their centres inside the image of {seen} (x first)", boxes)
    if "params" in found:
        refuse(real & ~np.isfinite(found["params"]).all(axis=-1), "finite params", found["params"])
        for k, parameter in enumerate(parameters):
            values = found["params"][..., k]
            refuse(real & (parameter.scale == "log") & (values <= 0), f"{parameter.name} > 0 (a log scale)", values)
    if "difficult" in found:
        difficult = found["difficult"]
        refuse(real & ((difficult < 0) | (difficult > 3)), "difficult in 0..3", difficult)
    if "class_only" in found:
        wrong = found["class_only"] & (real.sum(axis=1) != 1)
        if wrong.any():
            image = int(wrong.argmax())
            raise ValueError(
                f"Expected exactly one object in an image that is class_only; {image_name(image, names)} has "
                f"{real[image].sum()}."
            )
    for key in ("boxes", "params", "difficult"):
        if key in found:
            found[key] = np.where(real if key == "difficult" else real[..., None], found[key], 0).astype(
                found[key].dtype, copy=False
            )
    return found


def pad_objects(
    objects: Sequence[Mapping], max_objects: int | None = None, names: Sequence[str] | None = None
) -> dict[str, np.ndarray]:
    """Turn the objects of each image into padded targets.

    Args:
        objects: for each image a dict of `"boxes"` `(k, 2 * dims)` and `"labels"` `(k,)`, and where used `"params"`
            `(k, P)`, `"difficult"` `(k,)`, `"class_only"` bool; the same keys in all.
        max_objects: rows for each image, M; `None` takes the largest number of objects, at least 1.
        names: of the images, for the messages.

    Returns:
        Dict of arrays, `"boxes"` `(B, M, 2 * dims)` float32, `"labels"` `(B, M)` int32 with -1 as padding, and the
        other keys.

    Raises:
        ValueError: if an image has more objects than `max_objects`, or other keys or shapes; names the image.

    Example:
        >>> import numpy as np, astrokeras
        >>> objects = [{"boxes": np.array([[1, 2, 5, 9]]), "labels": np.array([3])},
        ...            {"boxes": np.zeros((0, 4)), "labels": np.zeros(0)}]
        >>> targets = astrokeras.datasets.pad_objects(objects, max_objects=2)
        >>> targets["boxes"].shape, targets["labels"].tolist()
        ((2, 2, 4), [[3, -1], [-1, -1]])
    """
    keys = [key for key in KEYS if key in objects[0]]
    counts = np.zeros(len(objects), int)
    for i, one in enumerate(objects):
        counts[i] = len(one["labels"]) if "labels" in one else -1
        rows = {len(one[key]) for key in keys if key in one and key != "class_only"}
        if set(one) != set(keys) or rows != {counts[i]} or np.shape(one["boxes"])[1:] != objects[0]["boxes"].shape[1:]:
            shapes = {key: np.shape(value) for key, value in one.items()}
            raise ValueError(
                f"Expected the objects of an image as a dict of {', '.join(keys)} with one row each; "
                f"{image_name(i, names)} has {shapes}."
            )
    if max_objects is None:
        max_objects = max(int(counts.max()), 1)
    check_count(counts, max_objects, names)
    image = np.repeat(np.arange(len(objects)), counts)
    row = np.arange(len(image)) - np.repeat(np.cumsum(counts) - counts, counts)
    targets = {}
    for key in keys:
        if key == "class_only":
            targets[key] = np.array([one[key] for one in objects], bool)
            continue
        values = np.concatenate([np.asarray(one[key]) for one in objects])
        padded = np.zeros((len(objects), max_objects, *values.shape[1:]), _dtype(key))
        if key == "labels":
            padded -= 1
        padded[image, row] = values
        targets[key] = padded
    return targets


def unpad_targets(targets: Mapping) -> list[dict[str, np.ndarray]]:
    """Turn padded targets into the objects of each image, as `pad_objects` takes them.

    Args:
        targets: dict of padded arrays, as for `check_targets`.

    Example:
        >>> import numpy as np, astrokeras
        >>> targets = {"boxes": np.zeros((1, 2, 4)), "labels": np.array([[3, -1]])}
        >>> astrokeras.datasets.unpad_targets(targets)[0]["labels"].tolist()
        [3]
    """
    found = _arrays(targets, None)
    real = found["labels"] != -1
    return [
        {key: values[i] if key == "class_only" else values[i][real[i]] for key, values in found.items()}
        for i in range(len(real))
    ]


def check_count(counts: np.ndarray, max_objects: int, names: Sequence[str] | None) -> None:
    """Refuse images with more objects than there is room for.

    Raises:
        ValueError: naming the first such image.
    """
    if (counts > max_objects).any():
        image = int((counts > max_objects).argmax())
        raise ValueError(
            f"Expected at most max_objects={max_objects} objects in an image; {image_name(image, names)} has "
            f"{counts[image]}: pass a larger max_objects."
        )


def image_name(index: int, names: Sequence[str] | None = None) -> str:
    """Name an image in a message: by its number, and its file where that is known."""
    return f"image {index}" if names is None else f"image {index} ({names[index]})"


def _dtype(key: str) -> str:
    return "float32" if key in ("boxes", "params") else "int32"


def _arrays(targets: Mapping, params: int | None) -> dict[str, np.ndarray]:
    """Return the arrays of padded targets under their own names, with shapes that fit together."""
    given = {"labels" if key == "classes" else key: np.asarray(value) for key, value in targets.items()}
    unknown = set(given) - set(KEYS)
    if unknown or not {"boxes", "labels"} <= set(given) or len(given) != len(targets):
        raise ValueError(
            f"Expected targets as a dict with boxes, labels (or classes) and, where used, {', '.join(KEYS[2:])}; "
            f"received {', '.join(sorted(map(str, targets))) or 'nothing'}."
        )
    if params and "params" not in given:
        raise ValueError(f"Expected params (B, M, {params}) in the targets; there are none: add them.")
    rows = given["labels"].shape[:2]
    width = given["boxes"].shape[-1] if given["boxes"].ndim == 3 and given["boxes"].shape[-1] in CORNERS else "2 * dims"
    wide = given["params"].shape[-1] if params is None and "params" in given else params
    expected = {
        "boxes": (*rows, width),
        "labels": rows,
        "params": (*rows, wide),
        "difficult": rows,
        "class_only": rows[:1],
    }
    for key, values in given.items():
        if values.shape != expected[key] or len(rows) != 2:
            plain = f"({', '.join(map(str, expected[key]))})" if len(rows) == 2 else "(B, M), labels first"
            raise ValueError(f"Expected {key} of shape {plain} in the targets; received {values.shape}.")
    for key in ("labels", "difficult"):
        broken = key in given and given[key].dtype.kind == "f" and given[key] != np.round(given[key])  # NaN too
        if np.any(broken):
            image, thing = np.argwhere(broken)[0]
            raise ValueError(
                f"Expected whole numbers in {key}; image {image}, object {thing} has {given[key][image, thing]}."
            )
    return {
        key: given[key].astype(bool if key == "class_only" else _dtype(key), copy=False) for key in KEYS if key in given
    }
