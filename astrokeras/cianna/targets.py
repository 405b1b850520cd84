"""From CIANNA's target vectors to what the model of a network is trained on."""

import math
from collections.abc import Callable

import numpy as np

from astrokeras.cianna import state
from astrokeras.cianna.shapes import last_shape
from astrokeras.cianna_files import Conv
from astrokeras.datasets import cianna_targets


def target_converter(net: state.NetworkState) -> Callable:
    """Return the function that turns the `(n, out_dim)` vectors of a network into targets of its model.

    Raises:
        ValueError: if `out_dim` is not the length of the outputs, or YOLO was not told the number of objects.
    """
    model, last, shape = net.built(), net.records.layers[-1], last_shape(net.records)
    if isinstance(last, Conv) and last.yolo is not None:
        if net.yolo.most < 1:
            raise ValueError(
                "Expected max_nb_obj_per_image of set_yolo_params where YOLO computes a loss; received 0: give it, or "
                "call forward with no_error=1."
            )
        settings = {"classes": last.yolo.classes, "params": last.yolo.params, "difficult": net.yolo.loss["difficult"]}
        dims = len(model.input_shape) - 2

        def boxes(vectors: np.ndarray) -> dict[str, np.ndarray]:
            targets = cianna_targets(vectors, dims=dims, **settings)
            targets.setdefault("class_only", np.zeros(len(vectors), bool))
            return targets

        return boxes
    if math.prod(shape) != net.outputs:
        raise ValueError(
            f"Expected the last layer to have the {net.outputs} outputs that init was told (out_dim); it has "
            f"{math.prod(shape)}."
        )
    if len(shape) == 1:
        return lambda vectors: vectors
    x, y, z, filters = shape

    def maps(vectors: np.ndarray) -> np.ndarray:
        last_axis = np.moveaxis(vectors.reshape(-1, filters, z, y, x), 1, -1)
        return np.ascontiguousarray(last_axis).reshape(len(vectors), *model.output_shape[1:])

    return maps
