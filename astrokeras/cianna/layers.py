"""The layer calls of CIANNA: each appends a record with weights drawn by CIANNA's rules."""

import math
from collections.abc import Sequence

import numpy as np

from astrokeras.cianna import state
from astrokeras.cianna.activations import BIAS, complete
from astrokeras.cianna.initializers import draw, scaling_of
from astrokeras.cianna.shapes import before_conv, before_norm, last_shape
from astrokeras.cianna_files import LEAST_RATE, Conv, Dense, LocalNorm, Norm, Pool, output_size


def conv(
    f_size: Sequence[int] | np.ndarray,
    nb_filters: int,
    stride: Sequence[int] | None = None,
    padding: Sequence[int] | None = None,
    int_padding: Sequence[int] | None = None,
    activation: str = "RELU",
    bias: float = math.nan,
    prev_layer: int = -1,
    input_shape: Sequence[int] | None = None,
    drop_rate: float = 0.0,
    init_fct: str = "xavier",
    init_scaling: float = -1.0,
    network: int | None = None,
) -> int:
    """Add a convolution: CIANNA's `conv`.

    Args:
        f_size: of the filters x, y, z; missing ones are 1.
        nb_filters: number of filters.
        stride: per axis.
        padding: zeros on both sides, per axis.
        int_padding: zeros between neighbours, per axis.
        activation: `"RELU"`, `"LIN"`, `"LOGI"`, `"SMAX"`, `"YOLO"`, or what `relu` and `logistic` return.
        bias: value of the bias input; by default that of the activation. The first layer takes that of `init`.
        prev_layer: the layer before; only the last one (-1) can be served.
        input_shape: x, y, z, channels of the map behind a dense layer.
        drop_rate: of the dropout, before the activation.
        init_fct: `"xavier"`, `"xavier_U"`, `"lecun"`, `"lecun_U"`, `"normal"` or `"uniform"`.
        init_scaling: factor of the initial weights.
        network: number of the network; the last one where it is not given.

    Returns:
        The number of the layer, from 0.

    Raises:
        ValueError: where CIANNA ends the program: a stride above the filter size, a wrong number of YOLO filters, ...

    Example:
        >>> from astrokeras import cianna as cnn
        >>> cnn.init([28, 28], 1, 10, network=0, no_logo=1)
        network 0: input 28x28x1, 1 channel; targets of 10; batch of 8; float32
        >>> cnn.conv([5, 5], 8, padding=[2, 2])
        layer 1: conv 8 filters 5x5x1, RELU_S800.00_L0.05, bias 0.1: 28x28x1x8, 208 weights
        0
    """
    net = _open(network, prev_layer)
    kernel, strides = state.sizes("f_size", f_size, (1, 1, 1)), state.sizes("stride", stride, (1, 1, 1))
    pads = state.sizes("padding", padding, (0, 0, 0), least=0)
    inner = state.sizes("int_padding", int_padding, (0, 0, 0), least=0)
    if any(s > f for s, f in zip(strides, kernel, strict=True)):
        raise ValueError(f"Expected a stride of conv up to its f_size {kernel}; received {strides}.")
    if nb_filters < 1:
        raise ValueError(f"Expected nb_filters >= 1; received {nb_filters}.")
    *size, channels = before_conv(net.records, input_shape)
    activation, setup = complete(activation), net.yolo
    described = None
    if activation == "YOLO":
        described = setup.layer if setup is not None else None
        needed = 0 if described is None else described.boxes * (8 + described.classes + described.params)
        if nb_filters != needed:
            raise ValueError(
                f"Expected {needed} filters of the YOLO layer, as set_yolo_params returned; received {nb_filters}."
            )
    inputs = math.prod(kernel) * channels + 1
    weights = _drawn(net, init_fct, init_scaling, (nb_filters, inputs), inputs, nb_filters)
    bias = _bias(net, activation, bias)
    layer = Conv(
        int(nb_filters), kernel, strides, pads, inner, tuple(size), channels, _rate(drop_rate), bias, activation,
        weights, described,
    )  # fmt: skip
    after = _positive(output_size(layer, tuple(size)), "conv")
    return _append(net, layer, f"conv {nb_filters} filters {_x(kernel)}", f"{_x(after)}x{nb_filters}", weights.size)


def pool(
    p_size: Sequence[int] | None = None,
    stride: Sequence[int] | None = None,
    padding: Sequence[int] | None = None,
    prev_layer: int = -1,
    drop_rate: float = 0.0,
    p_type: str = "MAX",
    activation: str = "LIN",
    p_global: int = 0,
    network: int | None = None,
) -> int:
    """Add a pooling: CIANNA's `pool`.

    Args:
        p_size: window x, y, z; missing ones are 2 where the network's input is longer than 1, else 1.
        stride: per axis; the window where it is not given.
        padding: on both sides; what lies there is skipped.
        prev_layer: the layer before; only the last one (-1) can be served.
        drop_rate: of the dropout, before the activation.
        p_type: `"MAX"` or `"AVG"`.
        activation: as for `conv`.
        p_global: 1 takes the whole map as window.
        network: number of the network; the last one where it is not given.

    Returns:
        The number of the layer, from 0.

    Raises:
        ValueError: where CIANNA ends the program: behind another pooling or a layer with dropout, ...

    Example:
        >>> from astrokeras import cianna as cnn
        >>> cnn.init([28, 28], 1, 10, network=0, no_logo=1)
        network 0: input 28x28x1, 1 channel; targets of 10; batch of 8; float32
        >>> cnn.pool(p_type="AVG")
        layer 1: pool AVG 2x2x1, LIN: 14x14x1x1
        0
    """
    net = _open(network, prev_layer)
    layers = net.records.layers
    behind_norm = layers and isinstance(layers[-1], Norm | LocalNorm)
    before = layers[-2] if behind_norm else layers[-1] if layers else None
    if isinstance(before, Pool | Dense):
        raise ValueError(f"Expected pool behind a convolution; received one behind {type(before).__name__.lower()}.")
    if layers and getattr(layers[-1], "dropout", 0) > LEAST_RATE:
        raise ValueError("Expected no dropout in the layer before pool: give drop_rate to the pool instead.")
    *size, channels = last_shape(net.records)
    default = tuple(2 if side > 1 else 1 for side in net.records.input_size)
    window = state.sizes("p_size", p_size, default)
    strides = window if stride is None else state.sizes("stride", stride, (1, 1, 1))
    pads = state.sizes("padding", padding, (0, 0, 0), least=0)
    if p_global:
        window, strides, pads = tuple(size), tuple(size), (0, 0, 0)
    if any(s > w or p >= w for s, p, w in zip(strides, pads, window, strict=True)):
        raise ValueError(f"Expected stride up to and padding below the window {window}; received {strides} and {pads}.")
    kind = "AVG" if p_type == "AVG" else "MAX"
    layer = Pool(window, strides, pads, bool(p_global), _rate(drop_rate), kind, complete(activation, "YOLO"))
    after = _positive(output_size(layer, tuple(size)), "pool")
    return _append(net, layer, f"pool {kind} {_x(window)}", f"{_x(after)}x{channels}")


def norm(
    normalization: str = "GN",
    activation: str = "LIN",
    prev_layer: int = -1,
    group_size: int = 8,
    set_off: int = 0,
    network: int | None = None,
) -> int:
    """Add a group normalisation: CIANNA's `norm`.

    Args:
        normalization: `"GN"`.
        activation: `"LIN"`, `"RELU"` or `"LOGI"`.
        prev_layer: the layer before; only the last one (-1) can be served.
        group_size: channels of a group.
        set_off: so many groups at the end pass unchanged.
        network: number of the network; the last one where it is not given.

    Returns:
        The number of the layer, from 0.

    Raises:
        ValueError: where CIANNA ends the program, and if the groups do not divide the channels.

    Example:
        >>> from astrokeras import cianna as cnn
        >>> cnn.init([8, 8], 1, 10, network=0, no_logo=1)
        network 0: input 8x8x1, 1 channel; targets of 10; batch of 8; float32
        >>> cnn.conv([1, 1], 16)
        layer 1: conv 16 filters 1x1x1, RELU_S800.00_L0.05, bias 0.1: 8x8x1x16, 32 weights
        0
        >>> cnn.norm(group_size=4)
        layer 2: norm groups of 4, LIN: 8x8x1x16, 8 weights
        1
    """
    net = _open(network, prev_layer)
    *size, channels = before_norm(net.records, "norm")
    if not normalization.startswith("GN") or group_size < 1 or channels % group_size:
        raise ValueError(
            f'Expected "GN" with a group_size that divides {channels} channels; received {normalization!r} with '
            f"group_size={group_size}."
        )
    groups = channels // int(group_size)
    if not 0 <= set_off <= groups:
        raise ValueError(f"Expected set_off in 0..{groups} groups; received {set_off}.")
    activation = complete(activation, "SMAX", "YOLO")
    ones, zeros = np.ones(groups, "float32"), np.zeros(groups, "float32")
    layer = Norm(int(group_size), int(set_off), activation, ones, zeros)
    return _append(net, layer, f"norm groups of {group_size}", f"{_x(size)}x{channels}", 2 * groups)


def lrn(
    activation: str = "LIN",
    prev_layer: int = -1,
    range: int = 5,
    k: float = 1.0,
    alpha: float = 1.0,
    beta: float = 0.5,
    network: int | None = None,
) -> int:
    """Add a local response normalisation: CIANNA's `lrn` (which has it on GPUs only).

    Args:
        activation: `"LIN"`, `"RELU"` or `"LOGI"`.
        prev_layer: the layer before; only the last one (-1) can be served.
        range: channels that count.
        k: of the formula, see `layers.LocalResponseNormalization`.
        alpha: likewise.
        beta: likewise.
        network: number of the network; the last one where it is not given.

    Returns:
        The number of the layer, from 0.

    Example:
        >>> from astrokeras import cianna as cnn
        >>> cnn.init([8, 8], 1, 10, network=0, no_logo=1)
        network 0: input 8x8x1, 1 channel; targets of 10; batch of 8; float32
        >>> cnn.pool()
        layer 1: pool MAX 2x2x1, LIN: 4x4x1x1
        0
        >>> cnn.lrn()
        layer 2: lrn over 5 channels, LIN: 4x4x1x1
        1
    """
    net = _open(network, prev_layer)
    *size, channels = before_norm(net.records, "lrn")
    if range < 1:
        raise ValueError(f"Expected range >= 1; received {range}.")
    layer = LocalNorm(int(range), float(k), float(alpha), float(beta), complete(activation, "SMAX", "YOLO"))
    return _append(net, layer, f"lrn over {range} channels", f"{_x(size)}x{channels}")


def dense(
    nb_neurons: int,
    activation: str = "RELU",
    bias: float = math.nan,
    prev_layer: int = -1,
    drop_rate: float = 0.0,
    strict_size: int = 0,
    init_fct: str = "xavier",
    init_scaling: float = -1.0,
    network: int | None = None,
) -> int:
    """Add a dense layer: CIANNA's `dense`.

    Args:
        nb_neurons: number of neurons.
        activation: as for `conv`, without `"YOLO"`.
        bias: value of the bias input; by default that of the activation. The first layer takes that of `init`.
        prev_layer: the layer before; only the last one (-1) can be served.
        drop_rate: of the dropout, before the activation.
        strict_size: has no effect: the layer has the neurons that were asked for (CIANNA may drop one on a GPU).
        init_fct: as for `conv`.
        init_scaling: factor of the initial weights.
        network: number of the network; the last one where it is not given.

    Returns:
        The number of the layer, from 0.

    Raises:
        ValueError: where CIANNA ends the program.

    Example:
        >>> from astrokeras import cianna as cnn
        >>> cnn.init([4], 1, 3, network=0, no_logo=1)
        network 0: input 4x1x1, 1 channel; targets of 3; batch of 8; float32
        >>> cnn.dense(3, activation="SMAX")
        layer 1: dense 3 neurons, SMAX, bias 0.1: 3, 20 weights
        0
    """
    net = _open(network, prev_layer)
    if nb_neurons < 1:
        raise ValueError(f"Expected nb_neurons >= 1; received {nb_neurons}.")
    activation = complete(activation, "YOLO")
    bias, neurons = _bias(net, activation, bias), int(nb_neurons)
    inputs = math.prod(last_shape(net.records)) + 1
    weights = np.zeros((inputs, neurons + 1), "float32")
    weights[:, :-1] = _drawn(net, init_fct, init_scaling, (inputs, neurons), neurons, inputs)
    before = net.records.layers[-1] if net.records.layers else None
    if isinstance(before, Dense):  # its pivot brings our bias
        if before.bias_value == 0:
            raise ValueError(
                "Expected a bias other than 0 on a dense layer that feeds another; its pivot divides by it."
            )
        before.weights[-1, -1] = bias / before.bias_value
    layer = Dense(neurons, _rate(drop_rate), bias, activation, weights)
    return _append(net, layer, f"dense {neurons} neurons", f"{neurons}", weights.size)


def merge(
    prev_layer_a: int = -1,
    prev_layer_b: int = -1,
    merge_type: str = "ADD",
    activation: str = "LIN",
    network: int | None = None,
) -> int:
    """Refuse `merge` of CIANNA's development version: here a network is a chain of layers, as in CIANNA 1.0's files.

    Raises:
        ValueError: always; `astrokeras.Network` has `add` and `concat`.

    Example:
        >>> from astrokeras import cianna as cnn
        >>> cnn.merge(-1, 0, "CONCAT")
        Traceback (most recent call last):
        ValueError: Expected a chain of layers, as CIANNA 1.0's files hold it; ...
    """
    raise ValueError(
        f"Expected a chain of layers, as CIANNA 1.0's files hold it; received merge({prev_layer_a}, {prev_layer_b}, "
        f"{merge_type!r}): build such a network with astrokeras.Network, which has add and concat."
    )


def set_frozen_layers(froz_array: Sequence[int] | np.ndarray, network: int | None = None) -> None:
    """Choose the layers that training leaves as they are: CIANNA's `set_frozen_layers`.

    Args:
        froz_array: one entry per layer from the first on, 1 to freeze it; layers beyond keep their state.
        network: number of the network; the last one where it is not given.

    Raises:
        ValueError: if there are fewer layers.

    Example:
        >>> from astrokeras import cianna as cnn
        >>> cnn.init([4], 1, 3, network=0, no_logo=1)
        network 0: input 4x1x1, 1 channel; targets of 3; batch of 8; float32
        >>> cnn.dense(3, activation="SMAX")
        layer 1: dense 3 neurons, SMAX, bias 0.1: 3, 20 weights
        0
        >>> cnn.set_frozen_layers([1])
    """
    net = state.find(network)
    flags = [int(flag) for flag in np.ravel(froz_array)]
    if len(flags) > len(net.records.layers):
        raise ValueError(f"Expected at most {len(net.records.layers)} flags, one per layer; received {len(flags)}.")
    net.frozen[: len(flags)] = flags


def _open(network: int | None, previous: int) -> state.NetworkState:
    """Return a network, ready to grow behind its last layer."""
    net = state.find(network)
    count = len(net.records.layers)
    if previous not in (-1, count - 1):
        raise ValueError(
            f"Expected prev_layer=-1 or {count - 1}, the last layer, since a network is a chain here; received "
            f"{previous}."
        )
    net.forget_model()
    return net


def _append(net: state.NetworkState, layer, what: str, shape: str, weights: int = 0) -> int:
    net.records.layers.append(layer)
    net.frozen.append(0)
    number = len(net.records.layers)
    bias = f", bias {layer.bias_value:g}" if hasattr(layer, "bias_value") else ""
    dropout = f", dropout {layer.dropout:g}" if getattr(layer, "dropout", 0) > LEAST_RATE else ""
    count = f", {weights:,} weights" if weights else ""
    print(f"layer {number}: {what}, {layer.activation}{bias}{dropout}: {shape}{count}")
    return number - 1


def _drawn(net: state.NetworkState, rule: str, scaling: float, shape, first: int, second: int) -> np.ndarray:
    return draw(net.rng, rule, shape, first, second, scaling_of(rule, scaling))


def _bias(net: state.NetworkState, activation: str, given: float) -> float:
    if not net.records.layers:
        return net.bias
    return float(np.float32(BIAS[activation[:4].split("_")[0]] if math.isnan(given) else given))


def _rate(rate: float) -> float:
    if not 0 <= rate < 1:
        raise ValueError(f"Expected drop_rate from 0 to below 1; received {rate}.")
    return float(np.float32(rate))


def _positive(size: tuple[int, ...], what: str) -> tuple[int, ...]:
    if min(size) < 1:
        raise ValueError(f"Expected {what} to leave a map of at least one pixel; received an output of {_x(size)}.")
    return size


def _x(size: Sequence[int]) -> str:
    return "x".join(map(str, size))
