"""What a model costs: parameters and multiply-adds, layer by layer."""

import math
from dataclasses import dataclass

import keras
import rich.box
import rich.table

from astrokeras import layers


@dataclass(frozen=True)
class LayerCost:
    """Cost of one layer for one example."""

    name: str
    kind: str
    output_shape: tuple
    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class Cost:
    """Cost of a model for one example; `layers` has one entry per layer."""

    name: str
    layers: tuple[LayerCost, ...]

    @property
    def parameters(self) -> int:
        """Number of weights, trained or not."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def multiply_adds(self) -> int:
        """Multiplications (each with its addition) of one forward pass, biases and activations not counted."""
        return sum(layer.multiply_adds for layer in self.layers)

    def table(self) -> rich.table.Table:
        """Return the table of the layers: `rich.print(cost(model).table())`."""
        table = rich.table.Table(title=f"cost of {self.name}", box=rich.box.SIMPLE_HEAD)
        for heading in ("layer", "kind"):
            table.add_column(heading)
        for heading in ("output shape", "parameters", "multiply-adds"):
            table.add_column(heading, justify="right")
        for layer in self.layers:
            numbers = f"{layer.parameters:,}", f"{layer.multiply_adds:,}"
            table.add_row(layer.name, layer.kind, str(layer.output_shape), *numbers)
        table.add_section()
        table.add_row("total", "", "", f"{self.parameters:,}", f"{self.multiply_adds:,}")
        return table


def cost(model: keras.Model) -> Cost:
    """Count what a model costs for one example.

    Convolutions (also transposed, depthwise and separable, 1-D to 3-D) and dense layers are counted;
    zeros of padding count as pixels, as usual.

    Args:
        model: a functional or sequential model of fixed input size, built.

    Returns:
        A `Cost` with `.parameters`, `.multiply_adds`, `.layers` and `.table()`.

    Raises:
        ValueError: if the input size is not fixed, or the model has not been built.

    Example:
        >>> import astrokeras
        >>> astrokeras.cost(astrokeras.applications.lenet5()).multiply_adds
        1018752
    """
    if not model.built:
        raise ValueError(f"Expected a built model; {model.name!r} is not: call it on one batch, or give it an Input.")
    return Cost(model.name, tuple(_flat(model)))


def _flat(model: keras.Model):
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _flat(layer)
        elif not isinstance(layer, keras.layers.InputLayer):
            shape = tuple(layer.output.shape[1:])
            yield LayerCost(layer.name, type(layer).__name__, shape, layer.count_params(), _multiply_adds(layer))


def _multiply_adds(layer: keras.layers.Layer) -> int:
    convolutions = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
    transposed = (keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose)
    depthwise = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
    separable = (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)
    if isinstance(layer, (keras.layers.Dense, layers.PivotDense)):
        return math.prod(layer.output.shape[1:-1]) * math.prod(layer.kernel.shape)
    if isinstance(layer, transposed):
        return _positions(layer, layer.input.shape) * math.prod(layer.kernel.shape)
    if isinstance(layer, convolutions + depthwise):
        return _positions(layer, layer.output.shape) * math.prod(layer.kernel.shape)
    if isinstance(layer, separable):
        kernels = math.prod(layer.depthwise_kernel.shape) + math.prod(layer.pointwise_kernel.shape)
        return _positions(layer, layer.output.shape) * kernels
    return 0


def _positions(layer: keras.layers.Layer, shape) -> int:
    if None in shape[1:]:
        raise ValueError(
            f"Expected a fixed input size; layer {layer.name!r} has shape {tuple(shape[1:])}: build the model with one."
        )
    return math.prod(shape[1:-1])
