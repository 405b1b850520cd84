"""The layers of a model and what feeds each of them, nested models opened."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import keras

ALSO_FOLDED = ("Flatten", "Activation", "ReLU", "Softmax", "SaturatedLeakyReLU", "SaturatedSigmoid", "ScaledBias")
SIGNS = {"linear": "LIN", "relu_leaky": "RELU", "sigmoid": "LOGI", "softmax": "SMAX"}


class Placed(NamedTuple):
    """A call of a layer: which calls feed it, and shapes without the batch axis."""

    name: str
    layer: keras.layers.Layer | None  # None: an input of the model
    sources: tuple[int, ...]
    given: tuple  # shape of its first input
    shape: tuple


def placed_layers(model: keras.Model) -> list[Placed]:
    """Return the inputs of a model and all calls of its layers, each behind those that feed it.

    Raises:
        ValueError: if the model is not functional or sequential, or not built.
    """
    inputs = getattr(model, "inputs", None)
    if not isinstance(model, keras.Model) or not inputs:
        raise ValueError(
            f"Expected a functional or sequential model that is built; received {type(model).__name__}: give it an "
            "Input, or call it on a batch."
        )
    placed: list[Placed] = []
    known: dict[int, int] = {}  # tensor -> call that made it
    for tensor in inputs:
        known[id(tensor)] = len(placed)
        placed.append(Placed(tensor.name, None, (), (), tuple(tensor.shape[1:])))
    _place(model, known, placed)
    return placed


def _place(model: keras.Model, known: dict[int, int], placed: list[Placed]) -> None:
    calls = [(layer, call) for layer in model.layers for call in layer._inbound_nodes if call.input_tensors]
    while calls:
        ready = [(layer, call) for layer, call in calls if all(id(tensor) in known for tensor in call.input_tensors)]
        if not ready:
            return  # calls that belong to another model
        for layer, call in ready:
            sources = tuple(dict.fromkeys(known[id(tensor)] for tensor in call.input_tensors))
            if isinstance(layer, keras.Model) and getattr(layer, "inputs", None):
                inner = {id(own): known[id(given)] for own, given in zip(layer.inputs, call.input_tensors, strict=True)}
                _place(layer, inner, placed)
                known |= {
                    id(given): inner[id(own)] for own, given in zip(layer.outputs, call.output_tensors, strict=True)
                }
                continue
            known |= {id(tensor): len(placed) for tensor in call.output_tensors}
            given, made = call.input_tensors[0], max(call.output_tensors, key=lambda tensor: len(tensor.shape))
            placed.append(Placed(layer.name, layer, sources, tuple(given.shape[1:]), tuple(made.shape[1:])))
        done = {id(call) for _, call in ready}
        calls = [(layer, call) for layer, call in calls if id(call) not in done]


def kind_of(layer: keras.layers.Layer | None) -> str:
    """Return what a layer does, in a word."""
    if layer is None:
        return "input"
    name, config = type(layer).__name__, layer.get_config()
    for kind, fits in {
        "convolution": "kernel_size" in config,
        "pooling": "pool_size" in config or name.startswith("Global"),
        "dense": "units" in config,
        "upsampling": name.startswith("UpSampling"),
        "addition": name == "Add",
        "concatenation": name == "Concatenate",
        "padding": name.startswith(("ZeroPadding", "InternalPadding")),
        "dropout": "Dropout" in name,
        "normalization": name.endswith("Normalization"),
        "scaling": name in ("Rescaling", "Stretch", "Normalization"),
        "head": name == "YoloHead",
        "folded": name in ALSO_FOLDED or name.endswith("ReLU"),
    }.items():
        if fits:
            return kind
    return "other"


def activation_of(layer: keras.layers.Layer) -> str:
    """Return the name of a layer's activation, `"linear"` where it has none."""
    name = type(layer).__name__
    if name in ("SaturatedLeakyReLU", "SaturatedSigmoid"):
        return {"SaturatedLeakyReLU": "relu_leaky", "SaturatedSigmoid": "sigmoid"}[name]
    if name.endswith("ReLU") or name == "Softmax":
        return re.sub("(?<=[a-z])(?=[A-Z])", "_", name).lower()
    function = getattr(layer, "activation", None)
    return getattr(function, "__name__", type(function).__name__ if function else "linear")


def times(values: Sequence[int], sign: str = "×") -> str:
    """Write sizes in the order of boxes, x first, from those of an array."""
    return sign.join(map(str, tuple(values)[::-1]))
