"""Layers that compute with rounded inputs and weights, and learn as if nothing were rounded."""

import inspect
from typing import Any

import keras
import numpy as np
from keras import ops

from astrokeras import layers
from astrokeras.export import plain_model
from astrokeras.models import YoloDetector

TRANSPOSED = (keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose)
WITH_KERNEL = TRANSPOSED + (
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv1D,
    keras.layers.SeparableConv2D,
    keras.layers.Dense,
    layers.PivotDense,
)


def round_to_bits(x, bits: int, low, high) -> Any:
    """Round to the `2**bits` values that integers can tell apart between `low` and `high`; 0 is one of them.

    The gradient is 1 inside of the range and 0 outside of it, as if there were the cut but no rounding
    (straight-through). Where `high` is not above `low`, `x` comes back as it is.

    Args:
        x: tensor or array of float32.
        bits: of the integers, 2..16.
        low: smallest value, at most 0; a number or a tensor that fits `x`.
        high: largest value, at least 0; likewise.

    Returns:
        Tensor of the shape of `x`.

    Raises:
        ValueError: if `bits` is not an integer in 2..16.

    Reference:
        Jacob et al. 2018, arXiv:1712.05877, section 2.1; Bengio et al. 2013, arXiv:1308.3432 (straight-through).

    Example:
        >>> import numpy as np
        >>> from astrokeras.quantization import round_to_bits
        >>> x = np.array([-0.6, 0.2, 0.6, 2.6, 9.0], "float32")
        >>> np.array(round_to_bits(x, 2, 0.0, 3.0)).tolist()
        [0.0, 0.0, 1.0, 3.0, 3.0]
    """
    _check_bits(bits)
    levels = 2.0**bits - 1
    known = high > low
    step = ops.where(known, ops.cast(high - low, "float32"), 1.0) / levels
    lowest = -ops.round(-low / step)  # integer of the smallest value: 0 stays 0
    cut = ops.clip(x, lowest * step, (lowest + levels) * step)
    rounded = ops.round(cut / step) * step
    return ops.where(known, _straight_through(cut, rounded), x)


@keras.saving.register_keras_serializable(package="astrokeras")
class FakeQuantized(keras.layers.Wrapper):
    """A layer with a kernel that computes with its inputs and its kernel rounded to a few bits.

    Numbers stay floats, but only take values that integers of so many bits can tell apart. Inputs have one range for
    the whole map, which is followed in training (a moving average) and then stays; kernels have one range per output
    channel, symmetric around 0. Gradients go through the rounding. Biases are not rounded.

    Args:
        layer: a convolution (also transposed, depthwise or separable) or a dense layer.
        bits: of inputs and weights, 2..16.
        momentum: of the moving average of the range.
        **kwargs: `name` and so on of a Keras layer.

    Input and output shape: those of the layer.

    Raises:
        ValueError: if the layer is of another kind, or `bits` is not an integer in 2..16.

    Reference:
        Jacob et al. 2018, arXiv:1712.05877, section 3; Krishnamoorthi 2018, arXiv:1806.08342 (kernels per channel).

    Example:
        >>> import keras, numpy as np
        >>> from astrokeras.quantization import FakeQuantized
        >>> layer = FakeQuantized(keras.layers.Conv2D(4, 3), bits=4)
        >>> tuple(layer(np.zeros((2, 8, 8, 1), "float32")).shape)
        (2, 6, 6, 4)
    """

    def __init__(self, layer: keras.layers.Layer, bits: int = 8, momentum: float = 0.99, **kwargs):
        if not isinstance(layer, WITH_KERNEL):
            raise ValueError(f"Expected a convolution or a dense layer to quantize; received {type(layer).__name__}.")
        super().__init__(layer, **({"name": layer.name, "dtype": layer.dtype_policy} | kwargs))
        self.bits, self.momentum = _check_bits(bits), float(momentum)
        self.observing = False
        self.trainable = layer.trainable

    def build(self, input_shape=None):
        """Build the layer, and make room for the range of its inputs."""
        super().build(input_shape)
        settings = {"shape": (), "initializer": "zeros", "trainable": False, "dtype": "float32", "autocast": False}
        self.low = self.add_weight(name="low", aggregation="mean", **settings)
        self.high = self.add_weight(name="high", aggregation="mean", **settings)

    def call(self, inputs, training=False):
        """Compute the layer with rounded inputs and kernels."""
        x = ops.cast(inputs, "float32")
        low, high = ops.cast(self.low, "float32"), ops.cast(self.high, "float32")
        if training or self.observing:
            least, most = ops.minimum(ops.min(x), 0.0), ops.maximum(ops.max(x), 0.0)
            if self.observing:
                least, most = ops.minimum(least, low), ops.maximum(most, high)
            else:
                rate = ops.where(high > low, 1 - self.momentum, 1.0)  # the first batch counts fully
                least, most = low + rate * (least - low), high + rate * (most - high)
            low, high = ops.stop_gradient(least), ops.stop_gradient(most)
            self.low.assign(low)
            self.high.assign(high)
        if self.observing:
            return self.layer(inputs)
        rounded = ops.cast(round_to_bits(x, self.bits, low, high), self.compute_dtype)
        layer = self.layer
        variables = [
            [self._rounded(one) if one.name.endswith("kernel") and len(one.shape) > 1 else one.value for one in some]
            for some in (layer.trainable_variables, layer.non_trainable_variables)
        ]
        known = {"training": training} if "training" in inspect.signature(layer.call).parameters else {}
        outputs, states = layer.stateless_call(*variables, rounded, **known)
        for state, one in zip(states, layer.non_trainable_variables, strict=True):
            if one.name.endswith("seed_generator_state"):
                one.assign(state)
        return outputs

    def compute_output_shape(self, input_shape):
        """Return the layer's output shape."""
        return self.layer.compute_output_shape(input_shape)

    def get_config(self):
        """Return the arguments."""
        return super().get_config() | {"bits": self.bits, "momentum": self.momentum}

    def _rounded(self, variable):
        """Return a kernel whose output channels are rounded, each in a symmetric range of its own."""
        kernel = ops.convert_to_tensor(variable.value)
        last = len(kernel.shape) - 1
        if variable.name == "depthwise_kernel" or (  # (y, x, channels, multiplier)
            variable.name == "kernel"
            and isinstance(self.layer, keras.layers.DepthwiseConv1D | keras.layers.DepthwiseConv2D)
        ):
            axes = range(last - 1)
        elif isinstance(self.layer, TRANSPOSED):  # (y, x, outputs, inputs)
            axes = [axis for axis in range(last + 1) if axis != last - 1]
        else:
            axes = range(last)
        steps = 2.0 ** (self.bits - 1) - 1
        largest = ops.max(ops.abs(kernel), axis=list(axes), keepdims=True)
        step = ops.stop_gradient(ops.where(largest > 0, largest, 1.0)) / steps
        return _straight_through(kernel, ops.round(kernel / step) * step)


def fake_quantize(
    model: keras.Model, bits: int = 8, *, calibration=None, keep=(), momentum: float = 0.99, batch_size: int = 64
) -> keras.Model:
    """Return a copy of a model that computes with inputs and kernels rounded to a few bits, and can be trained so.

    Each convolution and dense layer becomes a `FakeQuantized` of the same name. Compile and `fit` it for
    quantization-aware training; it saves and reopens as `.keras`. `quantize` and `without_fakes` take the trained one.

    Args:
        model: functional or sequential, or a detector; not changed. A fake-quantized one gets the new number of bits.
        bits: of inputs and weights, 2..16.
        calibration: inputs `(n, ...)` from which the ranges of all maps are measured; without it they are found in
            training, and until then only the weights are rounded.
        keep: names of layers that are not rounded.
        momentum: of the ranges in training.
        batch_size: of the calibration.

    Returns:
        A `YoloDetector` for a detector, otherwise a functional `keras.Model`; not compiled.

    Raises:
        ValueError: if `bits` is not an integer in 2..16, or a layer to keep is unknown.

    Reference:
        Jacob et al. 2018, arXiv:1712.05877, section 3.

    Example:
        >>> import astrokeras
        >>> from astrokeras.quantization import fake_quantize
        >>> model = fake_quantize(astrokeras.applications.lenet5(weights="mnist"), bits=4)
        >>> [type(layer).__name__ for layer in model.layers[1:3]]
        ['FakeQuantized', 'MaxPooling2D']
    """
    _check_bits(bits)
    model = without_fakes(model)
    plain = plain_model(model)
    names = {layer.name for layer in leaves(plain)}
    if set(keep) - names:
        raise ValueError(f"Expected layers to keep that are in the model; received {', '.join(set(keep) - names)}.")

    def clone(layer):
        copy = type(layer).from_config(layer.get_config())
        fake = isinstance(layer, WITH_KERNEL) and layer.name not in keep
        return FakeQuantized(copy, bits, momentum) if fake else copy

    copy = keras.models.clone_model(plain, clone_function=clone, recursive=True)
    for old, new in zip(leaves(plain), leaves(copy), strict=True):
        (new.layer if isinstance(new, FakeQuantized) else new).set_weights(old.get_weights())
    if calibration is not None:
        _observe(copy, np.asarray(calibration, "float32"), batch_size)
    return _as_before(copy, model)


def without_fakes(model: keras.Model) -> keras.Model:
    """Return a model with the layers inside of its `FakeQuantized` ones; a model without such is returned itself.

    Args:
        model: what `fake_quantize` returned, trained or not.

    Example:
        >>> import astrokeras
        >>> from astrokeras.quantization import fake_quantize, without_fakes
        >>> model = fake_quantize(astrokeras.applications.lenet5(weights="mnist"))
        >>> type(without_fakes(model).get_layer("conv1")).__name__
        'Conv2D'
    """
    if not any(isinstance(layer, FakeQuantized) for layer in leaves(model)):
        return model
    plain = plain_model(model)

    def clone(layer):
        inner = layer.layer if isinstance(layer, FakeQuantized) else layer
        return type(inner).from_config(inner.get_config())

    copy = keras.models.clone_model(plain, clone_function=clone, recursive=True)
    for old, new in zip(leaves(plain), leaves(copy), strict=True):
        new.set_weights((old.layer if isinstance(old, FakeQuantized) else old).get_weights())
    return _as_before(copy, model)


def _observe(model: keras.Model, inputs: np.ndarray, batch_size: int) -> None:
    """Measure the ranges of all maps, with nothing rounded."""
    fakes = [layer for layer in leaves(model) if isinstance(layer, FakeQuantized)]
    for fake in fakes:
        fake.observing = True
    for start in range(0, len(inputs), batch_size):
        model(inputs[start : start + batch_size], training=False)
    for fake in fakes:
        fake.observing = False


def _as_before(network: keras.Model, model: keras.Model) -> keras.Model:
    """Return the network as a detector, if the model was one."""
    if not isinstance(model, YoloDetector):
        return network
    detector = YoloDetector.from_config(model.get_config() | {"network": network.get_config()})
    detector.set_weights(network.get_weights())
    return detector


def leaves(model: keras.Model):
    """Yield the layers of a model, and of the models in it, in order."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from leaves(layer)
        else:
            yield layer


def _check_bits(bits: int) -> int:
    if isinstance(bits, bool) or bits != int(bits) or not 2 <= bits <= 16:
        raise ValueError(f"Expected bits as an integer in 2..16; received {bits!r}.")
    return int(bits)


def _straight_through(x, value):
    return ops.stop_gradient(value) + (x - ops.stop_gradient(x))
