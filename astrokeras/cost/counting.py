"""Parameters, multiply-adds and the memory of activations, layer by layer."""

import re
from dataclasses import dataclass

import keras
import rich.box
import rich.table

from astrokeras.cost.multiply_adds import multiply_adds
from astrokeras.cost.speed import Measured, measured
from astrokeras.plots.network_graph import Placed, placed_layers


@dataclass(frozen=True)
class LayerCost:
    """Cost of one call of a layer for one example; `memory` is that of its output in bytes."""

    name: str
    kind: str
    output_shape: tuple
    parameters: int
    multiply_adds: int
    memory: int


@dataclass(frozen=True)
class Cost:
    """Cost of a model for one example; `layers` has one entry per call of a layer.

    Attributes:
        name: of the model.
        layers: in the order in which they are computed, those of nested models too.
        input_memory: bytes of the inputs.
        inference_memory: bytes of activations that have to be held at once in a forward pass: for layers in a chain
            the largest input with its output; shortcuts are held until they are used.
        measured: time and energy, where they were measured.
    """

    name: str
    layers: tuple[LayerCost, ...]
    input_memory: int
    inference_memory: int
    measured: Measured | None = None

    @property
    def parameters(self) -> int:
        """Number of weights, trained or not."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def multiply_adds(self) -> int:
        """Multiplications (each with its addition) of one forward pass, biases and activations not counted."""
        return sum(layer.multiply_adds for layer in self.layers)

    @property
    def training_memory(self) -> int:
        """Bytes of the inputs and of what all layers hand on, which training keeps for the gradient."""
        return self.input_memory + sum(layer.memory for layer in self.layers)

    def table(self) -> rich.table.Table:
        """Return the table of the layers: `rich.print(cost(model).table())`."""
        table = rich.table.Table(title=f"cost of {self.name}", box=rich.box.SIMPLE_HEAD)
        for heading in ("layer", "kind"):
            table.add_column(heading)
        for heading in ("output shape", "parameters", "multiply-adds", "memory (KiB)"):
            table.add_column(heading, justify="right")
        for layer in self.layers:
            numbers = f"{layer.parameters:,}", f"{layer.multiply_adds:,}", f"{layer.memory / 1024:,.1f}"
            table.add_row(layer.name, layer.kind, str(layer.output_shape), *numbers)
        table.add_section()
        held = f"{self.training_memory / 1024:,.1f}"
        table.add_row("total", "", "", f"{self.parameters:,}", f"{self.multiply_adds:,}", held)
        caption = f"total with the inputs; at once in a forward pass: {self.inference_memory / 1024:,.1f} KiB"
        table.caption = caption if self.measured is None else f"{caption}\n{self.measured.describe()}"
        return table


def cost(
    model: keras.Model,
    *,
    measure: bool = False,
    batch_size: int = 1,
    watts: float | None = None,
    carbon_intensity: float | None = None,
) -> Cost:
    """Count what a model costs for one example, and measure it if asked.

    Convolutions (also transposed, depthwise and separable, 1-D to 3-D), dense layers and multi-head attention are
    counted; zeros of padding count as pixels, as usual. The memory is that of what layers hand on, at the precision in
    which each computes; what a backend holds within a layer comes on top. Only what leads from the inputs to the
    outputs is counted: of a GAN the discriminator.

    Args:
        model: a functional or sequential model of fixed input size, built; a detector too.
        measure: also time `predict_on_batch` for 2 seconds, on noise, and read the energy where the machine tells
            (nvidia-smi, RAPL).
        batch_size: examples in a call of that.
        watts: power of the whole machine at work, from which energy is estimated where the machine does not tell.
        carbon_intensity: grams of CO2 for a kWh, as the supplier of the electricity states it.

    Returns:
        A `Cost` with `.parameters`, `.multiply_adds`, `.training_memory`, `.inference_memory` (bytes), `.layers`,
        `.measured` and `.table()`.

    Raises:
        ValueError: if the input size is not fixed, or the model has not been built.

    Example:
        >>> import astrokeras
        >>> found = astrokeras.cost(astrokeras.applications.lenet5())
        >>> found.multiply_adds, found.training_memory, found.inference_memory
        (1018752, 56464, 31360)
    """
    if not model.built:
        raise ValueError(f"Expected a built model; {model.name!r} is not: call it on one batch, or give it an Input.")
    placed = placed_layers(model)
    for one in placed:
        if None in one.shape:
            raise ValueError(
                f"Expected a fixed input size; layer {one.name!r} has shape {one.shape}: build the model with one."
            )
    memory = [_bytes(model, index, one) for index, one in enumerate(placed)]
    layers, seen = [], set()
    for one, size in zip(placed, memory, strict=True):
        if one.layer is None:
            continue
        given = [placed[source].shape for source in one.sources]
        weights = 0 if id(one.layer) in seen else one.layer.count_params()  # a shared layer is held once
        seen.add(id(one.layer))
        adds = multiply_adds(one.layer, given, one.shape)
        layers.append(LayerCost(one.name, type(one.layer).__name__, one.shape, weights, adds, size))
    found = measured(model, batch_size, watts, carbon_intensity) if measure else None
    inputs = sum(size for one, size in zip(placed, memory, strict=True) if one.layer is None)
    return Cost(model.name, tuple(layers), inputs, _held_at_once(placed, memory), found)


def _bytes(model: keras.Model, index: int, one: Placed) -> int:
    dtype = model.inputs[index].dtype if one.layer is None else one.layer.compute_dtype
    bits = re.search(r"\d+", dtype)
    size = 1
    for side in one.shape:
        size *= side
    return size * (int(bits[0]) // 8 if bits else 1)


def _held_at_once(placed: list[Placed], memory: list[int]) -> int:
    """Return the largest sum of outputs that are made and still needed."""
    last = [len(placed)] * len(placed)  # outputs of the model are held to the end
    for index, one in enumerate(placed):
        for source in one.sources:
            last[source] = index
    return max(
        sum(size for size, until in zip(memory[: index + 1], last, strict=False) if until >= index)
        for index in range(len(placed))
    )
