"""CIANNA's networks as Keras models."""

import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
from keras import ops

from astrokeras import cianna_files, layers
from astrokeras.cianna_files import CiannaNetwork, Conv, Dense, LocalNorm, Norm, Pool
from astrokeras.layers.yolo_head import PARTS
from astrokeras.models import YoloDetector
from astrokeras.parameters import Parameter, columns


def load_model(
    path: str | os.PathLike,
    input_shape: Sequence[int] | None = None,
    layers: int | None = None,
    *,
    name: str | None = None,
    parameters: Sequence[Parameter] | None = None,
    loss: Mapping | None = None,
    **detector,
) -> keras.Model:
    """Open a model file of CIANNA, binary or text, as a Keras model that answers the same.

    The model is made of Keras's layers and ours: it trains, and saves as `.keras`. Layers are named by kind and order
    (`conv1`, `pool1`, `dense1`, ...). It has as many spatial axes as the file uses, and takes the values that CIANNA
    was given: no normalisation is added. Inference is CIANNA's AVG_MODEL. A file that ends in a YOLO layer gives a
    `models.YoloDetector`, with the priors, slopes and class settings of the file.

    Args:
        path: of the file.
        input_shape: `([z, [y,]] x, channels)` in place of the file's; the channels must stay.
        layers: only the first so many layers, pools and norms counted (CIANNA's transfer learning).
        name: of the model; the file's by default.
        parameters: of a detector; by default linear ones, `"param0"`, ...
        loss: settings of `losses.YoloLoss` of a detector; the file does not hold them.
        **detector: `class_names`, `score_threshold`, `nms_threshold`, ... of `models.YoloDetector`.

    Returns:
        The model. Its map outputs are `(batch, [z, [y,]] x, filters)`; a global pool at the end gives
        `(batch, filters)`.

    Raises:
        FileNotFoundError: if there is no file.
        ValueError: if the file is damaged (the sentence names the layer and the byte or line), or `input_shape` does
            not fit it.

    Reference:
        CIANNA 1.0 (Cornu, https://github.com/Deyht/CIANNA), `load` and the forward pass of each layer.

    Example:
        >>> import astrokeras
        >>> net = astrokeras.Network((28, 28, 1)).conv(8, 5).pool(2).dense(10, activation="softmax")
        >>> astrokeras.cianna.save_model(net.build(), "net.dat")
        >>> astrokeras.cianna.load_model("net.dat").output_shape
        (None, 10)
    """
    network = cianna_files.read(path, layers)
    name = name or re.sub(r"\W", "_", Path(path).stem)
    try:
        return build(network, input_shape=input_shape, name=name, parameters=parameters, loss=loss, **detector)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def build(
    network: CiannaNetwork,
    *,
    input_shape: Sequence[int] | None = None,
    name: str = "network",
    parameters: Sequence[Parameter] | None = None,
    loss: Mapping | None = None,
    **detector,
) -> keras.Model:
    """Build the Keras model of a network in CIANNA's records, with its weights; arguments as in `load_model`.

    Example:
        >>> import numpy as np, astrokeras
        >>> from astrokeras import cianna_files as files
        >>> dense = files.Dense(2, 0.0, 0.5, "LIN", np.ones((4, 3), "float32"))
        >>> model = astrokeras.cianna.build(files.CiannaNetwork((3, 1, 1), 1, [dense]))
        >>> model.predict(np.ones((1, 3, 1)), verbose=0).tolist()  # 1 + 1 + 1 + 0.5 of the bias
        [[3.5, 3.5]]
    """
    builder = _Builder(network, input_shape)
    for number, record in enumerate(network.layers):
        try:
            builder.add(number, record)
        except ValueError as error:
            raise ValueError(f"layer {number + 1}: {error}") from None
    yolo = getattr(network.layers[-1], "yolo", None)
    if yolo is None:
        if loss or parameters or detector:
            raise ValueError("expected loss, parameters and settings of a detector only where the last layer is YOLO")
        model = keras.Model(builder.input, builder.x, name=name)
    else:
        if parameters is None:
            parameters = [Parameter(f"param{i}") for i in range(yolo.params)]
        if columns(parameters) != yolo.params:
            raise ValueError(
                f"expected parameters of {yolo.params} columns, as the file has; got {columns(parameters)}"
            )
        model = YoloDetector(builder.input, builder.x, loss=loss, parameters=parameters, name=name, **detector)
    for layer, values in builder.weights:
        for weight, value in zip(layer.weights, values, strict=True):
            weight.assign(value)
    model._cianna_names = [record.names for record in network.layers]  # leftover bytes, for equal files
    return model


def largest_difference(model: keras.Model, path: str | os.PathLike) -> float:
    """Compare a model with what CIANNA computed.

    Args:
        model: of `load_model`.
        path: of an `.npz` with `input` (image, channel, z, y, x) and `output`, CIANNA's for it: (image, filter, z, y,
            x), or (image, neuron) behind a dense layer.

    Returns:
        The largest absolute difference of the outputs.

    Raises:
        FileNotFoundError: if there is no file.
        ValueError: if it holds no such arrays.

    Example:
        >>> import numpy as np, astrokeras
        >>> model = astrokeras.Network((4, 4, 1)).conv(2, 3).build()
        >>> x = np.ones((1, 4, 4, 1), "float32")
        >>> y = model.predict(x, verbose=0)  # CIANNA's, in earnest
        >>> np.savez("check.npz", input=x.reshape(1, 1, 1, 4, 4), output=np.moveaxis(y, -1, 1)[:, :, None])
        >>> astrokeras.cianna.largest_difference(model, "check.npz")
        0.0
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"Expected an .npz file with input and output; there is none at {path}.")
    try:
        with np.load(path) as arrays:
            x, y = (np.moveaxis(arrays[key], 1, -1) for key in ("input", "output"))
        x, y = x.reshape(len(x), *model.input_shape[1:]), y.reshape(len(y), *model.output_shape[1:])
    except (OSError, KeyError, ValueError) as error:
        raise ValueError(
            f"Expected {path} to hold input for {model.input_shape[1:]} and output for {model.output_shape[1:]}, with "
            f"the channels second: {error}"
        ) from error
    return float(np.abs(model.predict(x, verbose=0) - y).max())


class _Builder:
    """The graph under construction; sizes are x, y, z, shapes are Keras's."""

    def __init__(self, network: CiannaNetwork, input_shape):
        self.records = network.layers
        self.size, self.channels = network.input_size, network.channels
        rank = self._rank(0)
        if input_shape is not None:
            *axes, channels = input_shape
            if channels != self.channels or not rank <= len(axes) <= 3 or min(axes) < 1:
                raise ValueError(
                    f"expected input_shape to be {rank} to 3 sizes and {self.channels} channels; received "
                    f"{tuple(input_shape)}"
                )
            rank = len(axes)
            self.size = (*axes[::-1], 1, 1)[:3]
        self.rank = rank
        self.counts = {}
        self.weights = []
        self.input = self.x = keras.Input((*self.size[:rank][::-1], self.channels), name="input")

    def add(self, number: int, record) -> None:
        """Add what a record stands for."""
        kind = {Conv: "conv", Pool: "pool", Norm: "norm", LocalNorm: "lrn", Dense: "dense"}[type(record)]
        self.counts[kind] = self.counts.get(kind, 0) + 1
        name = f"{kind}{self.counts[kind]}"
        getattr(self, f"_{kind}")(number, record, name)

    def _conv(self, number: int, record: Conv, name: str) -> None:
        if len(self.x.shape) == 2:
            self._reshape(number, record, name)
        rank = self.rank
        kernel, strides, padding, inner = (
            _keras_order(values, rank)
            for values in (record.kernel_size, record.strides, record.padding, record.internal_padding)
        )
        self.size = _fitting(record, self.size)
        if any(inner):
            self.x = layers.InternalPadding(inner, name=f"{name}_internal_padding")(self.x)
        same = all(s == 1 and 2 * p == k - 1 for s, p, k in zip(strides, padding, kernel, strict=True))
        if not same and any(padding):
            padding = padding if rank > 1 else padding[0]
            self.x = self._layer("ZeroPadding")(padding, name=f"{name}_padding")(self.x)
        convolution = self._layer("Conv")(
            record.filters,
            kernel,
            strides=strides,
            padding="same" if same else "valid",
            use_bias=False,
            kernel_initializer=_Kernel(record),
            name=name,
        )
        self.x = convolution(self.x)
        convolution.kernel_initializer = keras.initializers.GlorotUniform()  # what a file of Keras says
        self.channels = record.filters
        bias = layers.ScaledBias(record.bias_value, name=f"{name}_bias")
        self.x = bias(self.x)
        self.weights.append((bias, [record.weights[:, -1]]))
        self._finish(record, name)

    def _pool(self, number: int, record: Pool, name: str) -> None:
        kind = "max" if record.kind == "MAX" else "average"
        window, strides, padding = (
            _keras_order(values, self.rank) for values in (record.pool_size, record.strides, record.padding)
        )
        self.size = _fitting(record, self.size)
        if record.is_global:
            more = next((one for one in self.records[number + 1 :]), None)
            keep = more is not None and not isinstance(more, Dense)
            kind = "GlobalMaxPooling" if kind == "max" else "GlobalAveragePooling"
            self.x = self._layer(kind)(keepdims=keep, name=name)(self.x)
        elif any(padding):
            self.x = layers.PaddedPooling(window, kind, strides=strides, padding=padding, name=name)(self.x)
        else:
            kind = "MaxPooling" if kind == "max" else "AveragePooling"
            unpack = (lambda values: values) if self.rank > 1 else (lambda values: values[0])
            self.x = self._layer(kind)(unpack(window), strides=unpack(strides), name=name)(self.x)
        self._finish(record, name)

    def _norm(self, number: int, record: Norm, name: str) -> None:
        layer = layers.GroupNormalization(record.group_size, per="group", set_off=record.set_off, name=name)
        self.x = layer(self.x)
        self.weights.append((layer, [record.gamma, record.beta]))
        self._finish(record, name)

    def _lrn(self, number: int, record: LocalNorm, name: str) -> None:
        settings = {"k": record.k, "alpha": record.alpha, "beta": record.beta}
        self.x = layers.LocalResponseNormalization(record.depth, **settings, name=name)(self.x)
        self._finish(record, name)

    def _dense(self, number: int, record: Dense, name: str) -> None:
        pixels = self.x.shape[1:-1]
        if len(self.x.shape) > 2:
            if self.channels > 1 and math.prod(pixels) > 1:  # CIANNA's order: channel, z, y, x
                order = (len(pixels) + 1, *range(1, len(pixels) + 1))
                self.x = keras.layers.Permute(order, name=f"{name}_order")(self.x)
            self.x = keras.layers.Flatten(name=f"{name}_flatten")(self.x)
        before = self.records[number - 1] if number else None
        after = self.records[number + 1] if number + 1 < len(self.records) else None
        takes = isinstance(before, Dense)
        if record.weights.shape[0] != self.x.shape[-1] + (0 if takes else 1):
            raise ValueError(
                f"expected {record.weights.shape[0] - 1} inputs; received {self.x.shape[-1] - int(takes)}: leave "
                "input_shape as the file has it, or load fewer layers"
            )
        softmax = cianna_files.activation_values(record.activation)[0] == "SMAX"
        layer = layers.PivotDense(
            record.units,
            _activation(record.activation, 1, f"{name}_activation"),
            dropout=record.dropout,
            bias_value=record.bias_value,
            takes_pivot=takes,
            gives_pivot=isinstance(after, Dense),
            kernel_initializer="zeros",
            dtype="float32" if softmax else None,
            name=name,
        )
        self.x = layer(self.x)
        w = record.weights
        parts = {"kernel": w[:-1, :-1], "bias_kernel": w[-1, :-1], "pivot_kernel": w[:-1, -1], "corner": w[-1, -1]}
        self.weights.append((layer, [parts[weight.name] for weight in layer.weights]))

    def _reshape(self, number: int, record: Conv, name: str) -> None:
        """Read neurons as a map, in the order channel, z, y, x."""
        self.size, self.channels = record.input_size, record.channels
        self.rank = self._rank(number)
        pixels = self.size[: self.rank][::-1]
        self.x = keras.layers.Reshape((self.channels, *pixels), name=f"{name}_reshape")(self.x)
        order = (*range(2, self.rank + 2), 1)
        self.x = keras.layers.Permute(order, name=f"{name}_order")(self.x)

    def _finish(self, record, name: str) -> None:
        if getattr(record, "dropout", 0):
            self.x = layers.UnscaledDropout(record.dropout, name=f"{name}_dropout")(self.x)
        if getattr(record, "yolo", None) is not None:
            self.x = _yolo_head(record.yolo)(self.x)
            return
        activation = _activation(record.activation, len(self.x.shape) - 1, f"{name}_activation")
        if activation is not None:
            self.x = activation(self.x)

    def _layer(self, kind: str):
        return getattr(keras.layers, f"{kind}{self.rank}D")

    def _rank(self, number: int) -> int:
        """Number of axes that the layers from here to the next dense one use; at least 1."""
        used = [size > 1 for size in self.size]
        for record in self.records[number:]:
            if isinstance(record, Dense):
                break
            if isinstance(record, Conv):
                ones = record.kernel_size, record.strides
                zeros = record.padding, record.internal_padding
                if record.yolo is not None:
                    used[record.yolo.fit_dims - 1] = True
            elif isinstance(record, Pool):
                ones, zeros = (() if record.is_global else (record.pool_size, record.strides)), (record.padding,)
            else:
                continue
            for axis in range(3):
                used[axis] |= any(values[axis] > 1 for values in ones) or any(values[axis] > 0 for values in zeros)
        return max(axis + 1 for axis in range(3) if used[axis] or axis == 0)


class _Kernel(keras.initializers.Initializer):
    """The weights of a convolution as the values to start from: a large one is not made twice."""

    def __init__(self, record: Conv):
        self.record = record

    def __call__(self, shape, dtype=None):
        """Turn (filter, channel, z, y, x) into (z, y, x, channel, filter)."""
        *kernel, channels, filters = shape
        weights = ops.convert_to_tensor(self.record.weights)[:, :-1]
        weights = ops.reshape(weights, (filters, channels, *kernel))
        return ops.cast(ops.transpose(weights, (*range(2, 2 + len(kernel)), 1, 0)), dtype)


def _keras_order(values: tuple[int, int, int], rank: int) -> tuple[int, ...]:
    """CIANNA's x, y, z as Keras's z, y, x of so many axes."""
    return tuple(values[:rank][::-1])


def _fitting(record, size):
    after = cianna_files.output_size(record, size)
    if min(after) < 1:
        raise ValueError(f"expected a map that the window fits in; received {size} pixels (x, y, z)")
    return after


def _activation(text: str, rank: int, name: str) -> keras.layers.Layer | None:
    """The layer of an activation; softmax runs over all of an example, as CIANNA's does."""
    kind, saturation, other = cianna_files.activation_values(text)
    if kind == "RELU":
        return layers.SaturatedLeakyReLU(other, saturation, name=name)
    if kind == "LOGI":
        return layers.SaturatedSigmoid(other, saturation, name=name)
    if kind == "SMAX":
        axes = -1 if rank == 1 else list(range(1, rank + 1))
        return keras.layers.Softmax(axis=axes, dtype="float32", name=name)
    return None


def _yolo_head(yolo: cianna_files.Yolo) -> layers.YoloHead:
    slopes = {part: tuple(map(float, row)) for part, row in zip(PARTS, yolo.slopes, strict=True)}
    priors = yolo.priors[:, : yolo.fit_dims].astype(float).tolist()
    return layers.YoloHead(
        priors, yolo.classes, yolo.params, class_softmax=yolo.class_softmax, slopes=slopes, name="yolo"
    )
