"""The targets of a detector as one array, since a Keras loss takes one."""

from typing import Any

import keras
import numpy as np

HEAD = 3  # columns in front of the boxes: label, difficult, class_only


def pack_targets(targets: dict) -> Any:
    """Pack detection targets into the array that `YoloLoss` takes as `y_true`.

    Args:
        targets: arrays or tensors, padded to M objects per image:

            - `"boxes"` `(batch, M, 2 * dims)`: corners in pixels of the network's input, x first;
            - `"labels"` (or `"classes"`) `(batch, M)`: 0..classes-1; -1 is padding; -2 an object of no class;
            - `"params"` `(batch, M, params)`, where used: columns of the network (see `Parameter.encode`);
            - `"difficult"` `(batch, M)`, where used: 0..3;
            - `"class_only"` `(batch,)`, where used: learn the class of the one object of this image, not its box.

    Returns:
        `(batch, M, 3 + 2 * dims + params)` float32: label, difficult, class_only, box, params. Nothing is checked here
        (`datasets.check_targets` does that).

    Raises:
        ValueError: if boxes or labels are missing.

    Example:
        >>> import numpy as np, astrokeras
        >>> boxes = np.array([[[10, 20, 40, 60], [0, 0, 0, 0]]])
        >>> astrokeras.losses.pack_targets({"boxes": boxes, "labels": np.array([[2, -1]])})[0, 0]
        array([ 2.,  0.,  0., 10., 20., 40., 60.], dtype=float32)
    """
    labels = targets.get("labels", targets.get("classes"))
    if labels is None or "boxes" not in targets:
        raise ValueError(f'Expected targets with the keys "boxes" and "labels"; received {sorted(targets)}.')
    xp = np if all(isinstance(value, np.ndarray | list) for value in targets.values()) else keras.ops

    def column(values):
        return xp.expand_dims(_float32(xp, values), -1)

    label = column(labels)
    difficult = column(targets["difficult"]) if "difficult" in targets else xp.zeros_like(label)
    class_only = xp.zeros_like(label)
    if "class_only" in targets:
        class_only = class_only + xp.expand_dims(column(targets["class_only"]), -1)
    columns = [label, difficult, class_only, _float32(xp, targets["boxes"])]
    if "params" in targets:
        columns.append(_float32(xp, targets["params"]))
    return xp.concatenate(columns, axis=-1)


def _float32(xp, values):
    return np.asarray(values, "float32") if xp is np else keras.ops.cast(values, "float32")
