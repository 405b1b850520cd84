"""How the shape of a map goes from layer to layer, and what each layer may say of it."""

import math

import numpy as np

from astrokeras.cianna_files.checks import (
    LARGEST,
    RANGE,
    Problem,
    check_activation,
    check_dropout,
    check_finite,
    check_flag,
    check_sizes,
    check_yolo,
)
from astrokeras.cianna_files.records import (
    LEAST_RATE,
    CiannaNetwork,
    Conv,
    Dense,
    Layer,
    LocalNorm,
    Norm,
    Pool,
    output_size,
)

Shape = tuple[int, ...]  # of a map, (x, y, z, channels); behind a dense layer, (units,)


def first_shape(network: CiannaNetwork) -> Shape:
    """Return the shape of the input, refused where it is none."""
    check_sizes("input size and channels", (*network.input_size, network.channels), 1)
    return _counted((*network.input_size, network.channels))


def follow(layer: Layer, shape: Shape, before: Layer | None) -> tuple[Shape, dict[str, Shape]]:
    """Return the shape behind a layer and the shapes of its weights by their name in the record.

    Args:
        layer: whose weights need not be there yet.
        shape: in front of it.
        before: the layer before, None for the first.

    Raises:
        Problem: if the layer cannot be, or not there.
    """
    if before is not None and before.activation in ("YOLO", "SMAX"):
        raise Problem(f"expected the end of the file behind a layer with the activation {before.activation}")
    check_activation(layer.activation)
    if layer.activation == "YOLO" and not isinstance(layer, Conv):
        raise Problem("expected the activation YOLO on a convolution")
    if isinstance(layer, Conv):
        return _follow_conv(layer, shape, before)
    if isinstance(layer, Dense):
        check_sizes("neurons", (layer.units,), 1)
        check_dropout(layer.dropout)
        check_finite("bias", layer.bias_value)
        return (layer.units,), {"weights": (math.prod(shape) + 1, layer.units + 1)}
    if len(shape) == 1:
        raise Problem("expected a convolution or a dense layer behind a dense layer")
    if isinstance(layer, Pool):
        return _follow_pool(layer, shape), {}
    if layer.activation == "SMAX":
        raise Problem("expected no activation SMAX on a normalisation")
    if isinstance(layer, Norm):
        if layer.group_size < 1 or shape[3] % layer.group_size:
            raise Problem(f"expected a group size that divides {shape[3]} channels; received {layer.group_size}")
        groups = shape[3] // layer.group_size
        check_sizes(f"groups to leave out of {groups}", (layer.set_off,), 0, groups + 1)
        return shape, {"gamma": (groups,), "beta": (groups,)}
    check_sizes("range", (layer.depth,), 1, RANGE)
    check_finite("k, alpha and beta", layer.k, layer.alpha, layer.beta)
    return shape, {}


def first_problem(network: CiannaNetwork) -> tuple[int, str] | None:
    """Return number (from 1; 0 for the input) and reason of the first layer that no file may hold; None if all fit.

    Example:
        >>> from astrokeras import cianna_files as files
        >>> pool = files.Pool((4, 4, 1), (4, 4, 1), (0, 0, 0), False, 0.0, "SUM", "LIN")
        >>> files.first_problem(files.CiannaNetwork((8, 8, 1), 3, [pool]))
        (1, "expected a pooling MAX or AVG; received 'SUM'")
    """
    number, before = 0, None
    try:
        shape = first_shape(network)
        for number, layer in enumerate(network.layers, start=1):
            shape, arrays = follow(layer, shape, before)
            for name, of in arrays.items():
                if np.shape(getattr(layer, name)) != of:
                    raise Problem(f"expected {name} of shape {of}; received {np.shape(getattr(layer, name))}")
            before = layer
        if not network.layers:
            raise Problem("expected at least one layer")
    except Problem as problem:
        return number, str(problem)
    return None


def cianna_refuses(network: CiannaNetwork) -> tuple[int, str] | None:
    """Return number (from 1) and reason of the first layer at which CIANNA 1.0 gives up loading; None if it loads all.

    Files of such networks are read and written here; only CIANNA cannot use them.

    Example:
        >>> from astrokeras import cianna_files as files
        >>> norm = files.LocalNorm(5, 1.0, 1.0, 0.5, "LIN")
        >>> files.cianna_refuses(files.CiannaNetwork((8, 8, 1), 3, [norm]))
        (1, 'a normalisation stands behind a convolution or a pooling')
    """
    layers = [None, None, *network.layers]
    for number, (second, before, layer) in enumerate(zip(layers, layers[1:], layers[2:], strict=False), start=1):
        if isinstance(layer, Norm | LocalNorm) and not isinstance(before, Conv | Pool):
            return number, "a normalisation stands behind a convolution or a pooling"
        if isinstance(layer, Pool):
            map_maker = second if isinstance(before, Norm | LocalNorm) else before
            if not isinstance(map_maker, Conv | None):
                return number, "a pooling stands behind a convolution, or its normalisation"
            if before is not None and getattr(before, "dropout", 0.0) > LEAST_RATE:
                return number, "a pooling does not follow dropout"
    return None


def _follow_conv(layer: Conv, shape: Shape, before: Layer | None) -> tuple[Shape, dict[str, Shape]]:
    size, channels = layer.input_size, layer.channels
    check_sizes("filters, kernel, input and channels", (layer.filters, *layer.kernel_size, *size, channels), 1)
    _check_strides(layer.strides, layer.kernel_size, "kernel")
    check_sizes("padding", (*layer.padding, *layer.internal_padding), 0)
    check_dropout(layer.dropout)
    check_finite("bias", layer.bias_value)
    if isinstance(before, Dense):
        if math.prod(size) * channels != shape[0]:
            raise Problem(
                f"expected a map of the {shape[0]} neurons before it; received {size} with {channels} channels"
            )
        if before.dropout > 0:
            raise Problem("expected no dropout on a dense layer before a convolution")
        shape = (*size, channels)
    if channels != shape[3]:
        raise Problem(f"expected {shape[3]} input channels; received {channels}")
    if (layer.activation == "YOLO") != (layer.yolo is not None):
        raise Problem("expected YOLO settings with the activation YOLO, and only there")
    if layer.yolo is not None:
        check_yolo(layer.yolo, layer.filters)
    after = _after(layer, shape, layer.internal_padding, layer.filters)
    return after, {"weights": (layer.filters, math.prod(layer.kernel_size) * channels + 1)}


def _follow_pool(layer: Pool, shape: Shape) -> Shape:
    check_sizes("window", layer.pool_size, 1)
    _check_strides(layer.strides, layer.pool_size, "window")
    check_sizes("padding", layer.padding, 0)
    check_flag("global", layer.is_global)
    check_dropout(layer.dropout)
    if layer.kind not in ("MAX", "AVG"):
        raise Problem(f"expected a pooling MAX or AVG; received {layer.kind!r}")
    if layer.is_global:
        return (1, 1, 1, shape[3])
    if any(p >= w for p, w in zip(layer.padding, layer.pool_size, strict=True)):
        raise Problem(f"expected a padding below the window {layer.pool_size}; received {layer.padding}")
    return _after(layer, shape, (0, 0, 0), shape[3])


def _after(layer: Conv | Pool, shape: Shape, inner, channels: int) -> Shape:
    """Return the shape behind a window, which must fit; the padded map counts as a map too."""
    _counted((*(n * (i + 1) + 2 * p for n, i, p in zip(shape[:3], inner, layer.padding, strict=True)), shape[3]))
    size = output_size(layer, shape[:3])
    if min(size) < 1:
        raise Problem(f"expected a window that fits the map of {shape[:3]}; it leaves {size}")
    return _counted((*size, channels))


def _counted(shape: Shape) -> Shape:
    if math.prod(shape) > LARGEST:
        raise Problem(f"expected maps of at most {LARGEST} values; received {shape}")
    return shape


def _check_strides(strides, window, what: str) -> None:
    if not all(1 <= s <= w for s, w in zip(strides, window, strict=True)):
        raise Problem(f"expected strides of 1 up to the {what} {window}; received {strides}")
