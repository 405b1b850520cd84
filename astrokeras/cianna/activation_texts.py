"""Keras's activations in CIANNA's names."""

import keras
import numpy as np

from astrokeras import layers

HARD_SATURATION = 1e9  # of a rectifier that never bends
DEEP_SATURATION = 80.0  # of a sigmoid that is not cut within float32
NO_LEAK = {"relu": 0.0, "leaky_relu": 0.2}


class Refused(Exception):
    """Why a layer cannot be written."""


def layer_text(layer: keras.layers.Layer, cells: np.ndarray) -> str:
    """Return CIANNA's name of what an activation layer does to a tensor of the shape of `cells`."""
    if isinstance(layer, layers.SaturatedLeakyReLU):
        return f"RELU_S{_two(layer.saturation)}_L{_two(layer.leak)}"
    if isinstance(layer, layers.SaturatedSigmoid):
        return f"LOGI_S{_two(layer.saturation)}_B{_two(layer.beta)}"
    if isinstance(layer, keras.layers.Softmax):
        axes = layer.axis if isinstance(layer.axis, (tuple, list)) else [layer.axis]
        return _softmax(cells, len(axes) == cells.ndim)
    if isinstance(layer, keras.layers.LeakyReLU):
        return f"RELU_S{_two(HARD_SATURATION)}_L{_two(float(layer.negative_slope))}"
    if isinstance(layer, keras.layers.ReLU):
        if layer.max_value is not None or layer.threshold:
            raise Refused("received a rectifier with a maximum or a threshold")
        return f"RELU_S{_two(HARD_SATURATION)}_L{_two(float(layer.negative_slope))}"
    return function_text(layer.activation, cells)


def function_text(function, cells: np.ndarray) -> str:
    """Return CIANNA's name of a function of Keras, or of ours."""
    name = getattr(function, "__name__", type(function).__name__)
    if function is layers.relu_leaky:
        return "RELU_S800.00_L0.05"
    if name in NO_LEAK:
        return f"RELU_S{_two(HARD_SATURATION)}_L{_two(NO_LEAK[name])}"
    if name == "softmax":
        return _softmax(cells, False)
    if name == "sigmoid":
        return f"LOGI_S{_two(DEEP_SATURATION)}_B1.00"
    if name == "linear":
        return "LIN"
    raise Refused(f"received the activation {name}")


def _softmax(cells: np.ndarray, over_all: bool) -> str:
    if not over_all and cells.size != cells.shape[-1]:
        raise Refused("received a softmax over the channels of each pixel, where CIANNA's is over the whole map")
    return "SMAX"


def _two(value: float) -> str:
    """CIANNA's two decimals, or more where they are needed."""
    text = f"{value:.2f}"
    return text if float(text) == value else f"{value:.9g}"
