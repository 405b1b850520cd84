"""How the shape of the data follows from layer to layer."""

import math
from collections.abc import Sequence

from astrokeras.cianna.state import sizes
from astrokeras.cianna_files import CiannaNetwork, Conv, Dense, LocalNorm, Norm, Pool, output_size


def shapes(network: CiannaNetwork) -> list[tuple[int, ...]]:
    """Return the shape of the input and then of each output: x, y, z, channels of a map, or the neurons.

    Example:
        >>> from astrokeras import cianna_files as files
        >>> from astrokeras.cianna.shapes import shapes
        >>> pool = files.Pool((2, 2, 1), (2, 2, 1), (0, 0, 0), False, 0.0, "MAX", "LIN")
        >>> shapes(files.CiannaNetwork((8, 8, 1), 3, [pool]))
        [(8, 8, 1, 3), (4, 4, 1, 3)]
    """
    found = [(*network.input_size, network.channels)]
    for layer in network.layers:
        if isinstance(layer, Dense):
            found.append((layer.units,))
        elif isinstance(layer, Conv):
            size = found[-1][:3] if len(found[-1]) == 4 else layer.input_size
            found.append((*output_size(layer, size), layer.filters))
        elif isinstance(layer, Pool):
            found.append((*output_size(layer, found[-1][:3]), found[-1][3]))
        else:
            found.append(found[-1])
    return found


def last_shape(network: CiannaNetwork) -> tuple[int, ...]:
    """Return the shape of what the last layer puts out."""
    return shapes(network)[-1]


def before_conv(network: CiannaNetwork, input_shape: Sequence[int] | None) -> tuple[int, ...]:
    """Return x, y, z, channels of the map that a convolution behind the last layer sees."""
    shape = last_shape(network)
    if len(shape) == 4:
        return shape
    if input_shape is None:
        raise ValueError(
            "Expected input_shape (x, y, z, channels) of a convolution behind a dense layer; received none."
        )
    if network.layers[-1].dropout > 0:
        raise ValueError("Expected no dropout on a dense layer before a convolution.")
    size = (*sizes("input_shape", input_shape, (1, 1, 1)), int(input_shape[3]) if len(input_shape) > 3 else 1)
    if math.prod(size) != shape[0]:
        raise ValueError(f"Expected input_shape to hold the {shape[0]} neurons before it; received {size}.")
    return size


def before_norm(network: CiannaNetwork, what: str) -> tuple[int, ...]:
    """Return x, y, z, channels of the map that a normalisation behind the last layer sees."""
    if not network.layers or isinstance(network.layers[-1], Norm | LocalNorm | Dense):
        before = type(network.layers[-1]).__name__.lower() if network.layers else "nothing"
        raise ValueError(f"Expected {what} behind a convolution or pooling; received one behind {before}.")
    return last_shape(network)


def fitted(network: CiannaNetwork) -> CiannaNetwork:
    """Set the sizes that layers remember to those of the network's input, which may differ from the file's.

    Raises:
        ValueError: if a map becomes empty, or a dense layer would see another number of inputs.
    """
    shape: tuple[int, ...] = (*network.input_size, network.channels)
    for number, layer in enumerate(network.layers, 1):
        if isinstance(layer, Conv):
            if len(shape) == 4:
                layer.input_size = shape[:3]
            shape = (*output_size(layer, layer.input_size), layer.filters)
        elif isinstance(layer, Pool):
            if layer.is_global:
                layer.pool_size = layer.strides = shape[:3]
            shape = (*output_size(layer, shape[:3]), shape[3])
        elif isinstance(layer, Dense):
            if math.prod(shape) + 1 != len(layer.weights):
                raise ValueError(
                    f"Layer {number}: expected {len(layer.weights) - 1} inputs of the dense layer; the input "
                    f"{network.input_size} gives it {math.prod(shape)}: keep the size of the file."
                )
            shape = (layer.units,)
        if min(shape) < 1:
            raise ValueError(
                f"Layer {number}: the input {network.input_size} leaves it an empty map; give a larger one."
            )
    return network
