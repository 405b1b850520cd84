"""Keras models as CIANNA's networks."""

import math
import os

import keras
import numpy as np

from astrokeras import cianna_files, layers
from astrokeras.cianna.activation_texts import Refused, function_text, layer_text
from astrokeras.cianna_files import LEAST_RATE, CiannaNetwork, Conv, Dense, LocalNorm, Norm, Pool
from astrokeras.weights import yolo_record

FIRST_BIAS, BIAS = 0.1, 0.5  # CIANNA gives the first layer the bias of `init`, 0.1 by default, whatever the file says


def save_model(model: keras.Model, path: str | os.PathLike, binary: bool = True) -> None:
    """Write a model as a file that CIANNA loads.

    Any chain of layers that `Network` builds can be written: convolutions, pools, group and local response
    normalisation, dense layers, reshapes between them, upsampling, and a YOLO head; also what `load_model` has read,
    whose binary files come out byte for byte the same. What Keras has and CIANNA lacks is written as what computes the
    same: `"same"` padding that is uneven as a wider kernel, a `normalization` layer and `upsample` as convolutions, the
    bias of a dense layer behind a non-linear one as one more neuron of constant output in front of it, and
    the dropout of Keras, behind the activation, by weights divided by `1 - rate` (equal in inference, AVG_MODEL).

    Args:
        model: functional, one input and one output, no branches.
        path: of the file, replaced if it exists.
        binary: CIANNA's exact binary form; else its text form, with 6 digits.

    Raises:
        ValueError: if CIANNA cannot express a layer; the sentence names it. Nothing is written then.

    Reference:
        CIANNA 1.0 (Cornu, https://github.com/Deyht/CIANNA), `save`.

    Example:
        >>> import astrokeras
        >>> model = astrokeras.applications.lenet5()
        >>> astrokeras.cianna.save_model(model, "lenet5.dat")
        >>> astrokeras.cianna.load_model("lenet5.dat").output_shape
        (None, 10)
    """
    cianna_files.write(path, records(model), binary)


def records(model: keras.Model) -> CiannaNetwork:
    """Return a model in CIANNA's records; as `save_model`, without the file.

    Example:
        >>> import astrokeras
        >>> net = astrokeras.Network((8, 8, 1)).conv(4, 3).pool(2)
        >>> [type(record).__name__ for record in astrokeras.cianna.records(net.build()).layers]
        ['Conv', 'Pool']
    """
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ValueError(
            f"{model.name}: expected one input and one output; received {len(model.inputs)} and {len(model.outputs)}."
        )
    shape = model.inputs[0].shape[1:]
    if None in shape or not 2 <= len(shape) <= 4:
        raise ValueError(f"{model.name}: expected an input ([z, [y,]] x, channels) of fixed size; received {shape}.")
    writer, names = _Writer(shape), []
    before = model.inputs[0]
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        if layer.input is not before:
            raise ValueError(f"{model.name}, {layer.name}: expected a chain of layers; CIANNA 1.0 has no branches.")
        try:
            writer.add(layer)
        except Refused as refused:
            raise ValueError(f"{model.name}, {layer.name}: {refused}; CIANNA cannot express it.") from None
        before = layer.output
        names += [layer.name] * (len(writer.records) - len(names))
    network = writer.network()
    refused = cianna_files.first_problem(network) or cianna_files.cianna_refuses(network)
    if refused is not None:
        number, reason = refused
        raise ValueError(f"{model.name}, {names[number - 1]}: {reason}; CIANNA cannot express it.")
    _keep_names(network, getattr(model, "_cianna_names", ()))
    return network


class _Writer:
    """The records so far, and how the Keras tensor at this place lies in CIANNA's order.

    `cells` has the shape of the Keras tensor, without the batch axis; its values are the positions in the output of the
    last record, in CIANNA's order (channel, z, y, x). Reshapes, flattening and permutations just move them.
    """

    def __init__(self, shape):
        self.records = []
        self.input = self._three(shape[:-1]), shape[-1]
        self.cells, self.shape = _positions(shape), tuple(shape)  # shape: of the last record's output
        self.padding = self.inner = None
        self.constants = {}  # dense layer -> the row of a constant input, and its value

    def network(self) -> CiannaNetwork:
        if self.padding or self.inner:
            raise ValueError("Expected a convolution behind the padding at the end of the model; CIANNA has none.")
        if not self.records:
            raise ValueError("Expected a model with at least one layer that CIANNA has.")
        return CiannaNetwork(*self.input, self.records)

    def add(self, layer: keras.layers.Layer) -> None:
        for kinds, method in self._methods():
            if isinstance(layer, kinds):
                method(layer)
                return
        if layer.name == "normalization":
            raise Refused(f"received {type(layer).__name__} (build the network with normalization=None)")
        raise Refused(f"received the layer {type(layer).__name__}")

    def _methods(self):
        k = keras.layers
        return (
            ((k.Conv1D, k.Conv2D, k.Conv3D), self._conv),
            ((layers.ScaledBias,), self._scaled_bias),
            ((layers.UnscaledDropout,), self._unscaled_dropout),
            ((k.Dropout,), self._dropout),
            ((layers.PivotDense,), self._pivot_dense),
            ((k.Dense,), self._dense),
            ((layers.YoloHead,), self._yolo),
            ((k.ZeroPadding1D, k.ZeroPadding2D, k.ZeroPadding3D), self._zero_padding),
            ((layers.InternalPadding,), self._internal_padding),
            ((k.MaxPooling1D, k.MaxPooling2D, k.MaxPooling3D), self._max_pool),
            ((k.AveragePooling1D, k.AveragePooling2D, k.AveragePooling3D), self._average_pool),
            ((layers.PaddedPooling,), self._padded_pool),
            ((k.GlobalMaxPooling1D, k.GlobalMaxPooling2D, k.GlobalMaxPooling3D), self._global_max),
            ((k.GlobalAveragePooling1D, k.GlobalAveragePooling2D, k.GlobalAveragePooling3D), self._global_average),
            ((k.UpSampling1D, k.UpSampling2D, k.UpSampling3D), self._upsample),
            ((layers.GroupNormalization,), self._norm),
            ((layers.LocalResponseNormalization,), self._local_norm),
            ((k.Rescaling,), self._rescaling),
            ((k.Flatten, k.Reshape), self._reshape),
            ((k.Permute,), self._permute),
            (
                (k.Activation, k.Softmax, k.ReLU, k.LeakyReLU, layers.SaturatedLeakyReLU, layers.SaturatedSigmoid),
                lambda layer: self._activate(layer_text(layer, self.cells)),
            ),
        )

    # ---- layers with weights

    def _conv(self, layer) -> None:
        self._check_map()
        if layer.groups != 1 or any(step != 1 for step in layer.dilation_rate):
            raise Refused("received groups or dilation")
        kernel = np.asarray(layer.kernel, "float32")  # ([z, [y,]] x, channels, filters)
        size, padding, inner = self.cells.shape[:-1], self.padding, self.inner
        rank = len(size)
        padding, inner = padding or (0,) * rank, inner or (0,) * rank
        if layer.padding == "same":
            if any(padding):
                raise Refused('received padding="same" behind a padding')
            wide = [n + (n - 1) * i for n, i in zip(size, inner, strict=True)]
            kernel, padding = _even_padding(kernel, wide, layer.strides)
        elif layer.padding != "valid":
            raise Refused(f"received padding={layer.padding!r}")
        bias = np.asarray(layer.bias, "float32") if layer.use_bias else None
        self._convolve(kernel, bias, layer.strides, padding, inner)
        self._activate(function_text(layer.activation, self.cells))

    def _convolve(self, kernel, bias, strides, padding, inner) -> None:
        """Append a convolution with a kernel ([z, [y,]] x, channels, filters)."""
        size, channels = self.cells.shape[:-1], self.cells.shape[-1]
        self._order_as_map()
        value = BIAS if self.records else FIRST_BIAS
        filters = kernel.shape[-1]
        weights = np.zeros((filters, kernel[..., 0].size + 1), "float32")
        weights[:, :-1] = np.moveaxis(kernel, (-1, -2), (0, 1)).reshape(filters, -1)
        if bias is not None:
            weights[:, -1] = bias / np.float32(value)
        three = self._three
        record = Conv(
            filters,
            three(kernel.shape[:-2]),
            three(strides),
            three(padding, 0),
            three(inner, 0),
            three(size),
            channels,
            0.0,
            value,
            "LIN",
            weights,
        )
        self._append(record, cianna_files.output_size(record, three(size)), len(size), filters)

    def _scaled_bias(self, layer) -> None:
        record = self._open("a bias")
        if not isinstance(record, Conv) or record.weights[:, -1].any():
            raise Refused("received a bias without a convolution of its own")
        record.bias_value = layer.value
        record.weights[:, -1] = np.asarray(layer.bias, "float32")

    def _pivot_dense(self, layer) -> None:
        w = np.empty((layer.kernel.shape[0] + 1, layer.units + 1), "float32")
        rows = self._rows(layer.takes_pivot)
        w[rows, :-1], w[rows, -1] = layer.kernel, layer.pivot_kernel
        w[-1, :-1], w[-1, -1] = layer.bias_kernel, layer.corner
        text = "LIN" if layer.activation is None else layer_text(layer.activation, np.arange(layer.units))
        self.records.append(Dense(layer.units, layer.dropout, layer.bias_value, text, w))
        self.cells = np.arange(layer.units + int(layer.gives_pivot))
        self.shape = self.cells.shape

    def _dense(self, layer) -> None:
        bias = np.asarray(layer.bias, "float32") if layer.use_bias else np.zeros(layer.units, "float32")
        kernel = np.asarray(layer.kernel, "float32")
        w = np.zeros((len(kernel) + 1, layer.units + 1), "float32")
        w[self._rows(False), :-1] = kernel
        w[-1, -1] = 1.0
        self.records.append(Dense(layer.units, 0.0, BIAS if self.records else FIRST_BIAS, "LIN", w))
        if bias.any():
            record = self.records[-1]
            row, value = self._bias_input(len(self.records) - 1)
            record.weights[row, :-1] = bias / np.float32(value)
        self.cells = np.arange(layer.units)
        self.shape = self.cells.shape
        self._activate(function_text(layer.activation, self.cells))

    def _bias_input(self, number: int) -> tuple[int, float]:
        """Provide a dense layer with an input of constant value; return its row in the weights, from the end, and it.

        Behind a map that is the layer's bias input. Behind a linear dense layer it is the pivot, behind another one,
        whose pivot is 0, one more neuron of constant output; either takes a constant input of that layer in turn.
        """
        if number in self.constants:
            return self.constants[number]
        record, before = self.records[number], self.records[number - 1] if number else None
        if not isinstance(before, Dense):
            found = -1, record.bias_value
        elif before.activation == "LIN":
            row, value = self._bias_input(number - 1)
            before.weights[row, -1] = np.float32(record.bias_value) / np.float32(value)
            found = -1, record.bias_value
        else:
            record.weights = np.insert(record.weights, len(record.weights) - 1, 0, axis=0)
            found = -2, self._constant_neuron(number - 1)
        self.constants[number] = found
        return found

    def _constant_neuron(self, number: int) -> float:
        """Give a non-linear dense layer a last neuron of constant output, and return that."""
        record = self.records[number]
        kind, saturation, _ = cianna_files.activation_values(record.activation)
        column = np.zeros(len(record.weights), "float32")
        output = 0.5  # a sigmoid of 0
        if kind == "RELU":
            output = min(1.0, saturation)
            row, value = self._bias_input(number)
            scale = 1 - record.dropout if record.dropout > LEAST_RATE else 1.0
            column = np.zeros(len(record.weights), "float32")
            column[row] = output / value / scale
        elif kind != "LOGI":
            raise Refused(f"received a bias behind the activation {record.activation}")
        record.weights = np.insert(record.weights, record.units, column, axis=1)
        record.units += 1
        return output

    def _rows(self, takes_pivot: bool) -> np.ndarray:
        """Rows of the weights, in CIANNA's order, of the inputs in Keras's."""
        if self.cells.ndim != 1:
            raise Refused("received a dense layer on a map")
        self._no_padding()
        return self.cells[:-1] if takes_pivot else self.cells

    def _yolo(self, layer) -> None:
        record = self._open("a YOLO head")
        if not isinstance(record, Conv) or record.activation != "LIN" or record.dropout:
            raise Refused("expected a linear convolution in front of a YOLO head")
        record.activation, record.yolo = "YOLO", yolo_record(layer)

    def _norm(self, layer) -> None:
        self._check_map()
        self._no_padding()
        gamma, beta = np.asarray(layer.gamma, "float32"), np.asarray(layer.beta, "float32")
        if abs(layer.epsilon - 1e-3) > 1e-9:
            raise Refused(f"received epsilon={layer.epsilon}, where CIANNA has 1e-3")
        if layer.per == "channel":
            per_group = [values.reshape(-1, layer.group_size) for values in (gamma, beta)]
            if any((values != values[:, :1]).any() for values in per_group):
                raise Refused("received a gamma and beta per channel, where CIANNA has one per group (per='group')")
            gamma, beta = (values[:, 0] for values in per_group)
        self.records.append(Norm(layer.group_size, layer.set_off, "LIN", gamma, beta))

    def _local_norm(self, layer) -> None:
        self._check_map()
        self._no_padding()
        self.records.append(LocalNorm(layer.depth, layer.k, layer.alpha, layer.beta, "LIN"))

    # ---- layers without weights

    def _max_pool(self, layer) -> None:
        self._pool("MAX", layer.pool_size, layer.strides, None, layer.padding)

    def _average_pool(self, layer) -> None:
        self._pool("AVG", layer.pool_size, layer.strides, None, layer.padding)

    def _padded_pool(self, layer) -> None:
        kind = "MAX" if layer.kind == "max" else "AVG"
        self._pool(kind, layer._size, layer._strides, layer._padding, "valid")

    def _pool(self, kind, window, strides, padding, mode) -> None:
        self._check_map()
        ends = [(-(-n // s) - 1) * s + w > n for n, s, w in zip(self.cells.shape, strides, window, strict=False)]
        if mode != "valid" and any(ends):
            raise Refused(f"received padding={mode!r}")
        self._no_padding()
        size, channels = self.cells.shape[:-1], self.cells.shape[-1]
        three = self._three
        padding = padding or (0,) * len(size)
        record = Pool(three(window), three(strides), three(padding, 0), False, 0.0, kind, "LIN")
        self._append(record, cianna_files.output_size(record, three(size)), len(size), channels)

    def _global_max(self, layer) -> None:
        self._global("MAX", layer.keepdims)

    def _global_average(self, layer) -> None:
        self._global("AVG", layer.keepdims)

    def _global(self, kind: str, keepdims: bool) -> None:
        self._check_map()
        self._no_padding()
        size, channels = self._three(self.cells.shape[:-1]), self.cells.shape[-1]
        self._append(Pool(size, size, (0, 0, 0), True, 0.0, kind, "LIN"), (1, 1, 1), self.cells.ndim - 1, channels)
        if not keepdims:
            self.cells = self.cells.reshape(-1)

    def _upsample(self, layer) -> None:
        """Zeros in between, then a kernel of ones."""
        self._check_map()
        if getattr(layer, "interpolation", "nearest") != "nearest":
            raise Refused(f"received interpolation={layer.interpolation!r}")
        rank, channels = self.cells.ndim - 1, self.cells.shape[-1]
        factors = layer.size if isinstance(layer.size, tuple) else (layer.size,) * rank
        kernel = np.broadcast_to(np.eye(channels, dtype="float32"), (*factors, channels, channels))
        gaps = tuple(factor - 1 for factor in factors)
        self._no_padding()
        self._convolve(kernel, None, (1,) * rank, gaps, gaps)

    def _rescaling(self, layer) -> None:
        self._check_map()
        self._no_padding()
        rank, channels = self.cells.ndim - 1, self.cells.shape[-1]
        scale, offset = (np.broadcast_to(np.float32(value), channels) for value in (layer.scale, layer.offset))
        self._convolve(
            np.diag(scale).reshape((1,) * rank + (channels,) * 2), offset, (1,) * rank, (0,) * rank, (0,) * rank
        )

    def _zero_padding(self, layer) -> None:
        self._check_map()
        pads = layer.padding if isinstance(layer.padding[0], (tuple, list)) else (layer.padding,)
        if any(low != high for low, high in pads) or self.padding:
            raise Refused(f"received a padding of {layer.padding}, not once and the same on both sides")
        self.padding = tuple(low for low, _ in pads)

    def _internal_padding(self, layer) -> None:
        self._check_map()
        if self.padding or self.inner:
            raise Refused("received two paddings in a row")
        rank = self.cells.ndim - 1
        self.inner = (layer.amount,) * rank if isinstance(layer.amount, int) else tuple(layer.amount)

    def _reshape(self, layer) -> None:
        self._no_padding()
        self.cells = self.cells.reshape(layer.output.shape[1:])

    def _permute(self, layer) -> None:
        self._no_padding()
        self.cells = self.cells.transpose([axis - 1 for axis in layer.dims])

    def _unscaled_dropout(self, layer) -> None:
        record = self._open("a dropout")
        if not isinstance(record, (Conv, Pool)) or record.activation != "LIN" or record.dropout:
            raise Refused("received a dropout that is neither behind a convolution nor behind a pooling")
        record.dropout = layer.rate

    def _dropout(self, layer) -> None:
        record = self._open("a dropout")
        if not isinstance(record, (Conv, Dense)) or record.dropout:
            raise Refused("received a dropout that is neither behind a convolution nor behind a dense layer")
        record.dropout = layer.rate
        if layer.rate > LEAST_RATE:
            scaled = record.weights if isinstance(record, Conv) else record.weights[:, :-1]
            scaled /= np.float32(1 - layer.rate)

    def _activate(self, text: str) -> None:
        if text == "LIN":
            return
        record = self._open("an activation")
        if record.activation != "LIN":
            raise Refused(f"received a second activation behind {record.activation}")
        record.activation = text

    # ---- order and place

    def _append(self, record, size, rank: int, channels: int) -> None:
        self.records.append(record)
        self.shape = (*size[:rank][::-1], channels)
        self.cells = _positions(self.shape)
        self.padding = self.inner = None

    def _order_as_map(self) -> None:
        """Let the neurons in front of a convolution stand in CIANNA's order of a map."""
        wanted = _positions(self.cells.shape)
        if self.cells.shape == self.shape and (self.cells == wanted).all():
            return
        record = self.records[-1] if self.records else None
        if not isinstance(record, Dense):
            raise Refused("received a reshape between two maps")
        if record.dropout > LEAST_RATE:
            raise Refused("received a map of neurons with a dropout")
        order = np.empty(self.cells.size, int)
        order[wanted.ravel()] = self.cells.ravel()
        record.weights[:, :-1] = record.weights[:, order]

    def _open(self, what: str):
        if not self.records or self.padding or self.inner:
            raise Refused(f"received {what} without a layer in front")
        return self.records[-1]

    def _no_padding(self) -> None:
        if self.padding or self.inner:
            raise Refused("received a padding with another layer than a convolution behind it")

    def _check_map(self) -> None:
        if self.cells.ndim < 2:
            raise Refused("received a vector in front of a layer of maps")

    @staticmethod
    def _three(values, missing: int = 1) -> tuple[int, int, int]:
        """Keras's z, y, x as CIANNA's x, y, z."""
        return (*(int(value) for value in values[::-1]), missing, missing)[:3]


def _positions(shape) -> np.ndarray:
    """Positions in CIANNA's order (channel, z, y, x) of the values of a map of Keras; a vector stays in order."""
    if len(shape) == 1:
        return np.arange(shape[0])
    return np.moveaxis(np.arange(math.prod(shape)).reshape(shape[-1], *shape[:-1]), 0, -1)


def _even_padding(kernel: np.ndarray, size, strides) -> tuple[np.ndarray, tuple[int, ...]]:
    """Write padding="same", which may pad more at the end, as an even padding and zeros in front of the kernel."""
    padding, zeros = [], []
    for n, window, step in zip(size, kernel.shape, strides, strict=False):
        total = max((-(-n // step) - 1) * step + window - n, 0)
        padding.append(total - total // 2)
        zeros.append((total - 2 * (total // 2), 0))
    return np.pad(kernel, [*zeros, (0, 0), (0, 0)]), tuple(padding)


def _keep_names(network: CiannaNetwork, names) -> None:
    """Give records the names that they were read with, where they mean the same."""
    if len(names) != len(network.layers):
        return
    for record, kept in zip(network.layers, names, strict=True):
        if not kept or not kept[-1]:
            continue
        text = kept[-1].partition(b"\0")[0].decode("latin-1")
        if cianna_files.activation_values(text) == cianna_files.activation_values(record.activation):
            record.activation = text
        record.names = kept
