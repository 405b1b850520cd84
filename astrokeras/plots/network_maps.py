"""The maps of a network: layers that change no shape belong to their neighbour; repeated blocks are found."""

import re
from dataclasses import dataclass, field, replace

import keras

from astrokeras.plots.network_graph import Placed, activation_of, kind_of, placed_layers, times

LONGEST = 12  # maps of the longest block that is looked for
WIDEST = 11  # letters in a line of a name
FOLDED = {"GroupNormalization": "norm", "BatchNormalization": "batch norm", "LocalResponseNormalization": "local norm"}
FOLDED |= {"Rescaling": "rescaling", "Stretch": "stretch", "Normalization": "rescaling", "LayerNormalization": "norm"}


@dataclass
class Map:
    """An output of a layer that is worth a box."""

    name: str
    kind: str
    shape: tuple
    sources: list[int]
    lines: list[str] = field(default_factory=list)
    activation: str = ""

    def text(self) -> list[str]:
        """Return the lines below the box: what was done, the shape (x first, filters last), the name."""
        shape = [] if self.kind == "addition" or not self.shape else [_shape(self.shape)]
        return [*self.lines[:1], *shape, *self.lines[1:], *self.name_lines()]

    def name_lines(self) -> list[str]:
        """Return the name of the layer in short lines."""
        if len(self.name) <= WIDEST:
            return [self.name]
        lines = [""]
        for part in self.name.split("_"):
            if lines[-1] and len(lines[-1]) + len(part) + 1 > WIDEST:
                lines.append("")
            lines[-1] += f"_{part}" if lines[-1] else part
        return lines


def fold(model: keras.Model) -> list[Map]:
    """Return the maps of a model, each behind those that feed it."""
    maps: list[Map] = []
    owner: dict[int, int] = {}
    for number, one in enumerate(placed_layers(model)):
        kind = kind_of(one.layer)
        sources = list(dict.fromkeys(owner[source] for source in one.sources))
        if kind in ("folded", "dropout", "padding", "normalization", "scaling"):
            owner[number] = sources[0]
            _note(maps[sources[0]], one, kind)
            continue
        owner[number] = len(maps)
        activation = "" if one.layer is None or kind == "head" else activation_of(one.layer)
        maps.append(Map(one.name, kind, one.shape, sources, [_said(one, kind)], activation))
    return maps


def _note(into: Map, one: Placed, kind: str) -> None:
    if kind in ("normalization", "scaling"):
        said = FOLDED.get(type(one.layer).__name__, "norm")
    elif kind == "dropout":
        said = f"dropout {one.layer.get_config().get('rate', 0):g}"
    else:
        if kind == "folded" and activation_of(one.layer) != "linear":
            into.activation = activation_of(one.layer)
        return
    if said not in into.lines:
        into.lines.append(said)


def _said(one: Placed, kind: str) -> str:
    """Return what a layer does in a few letters."""
    if one.layer is None:
        return "input"
    config, name = one.layer.get_config(), type(one.layer).__name__
    strides = config.get("strides") or 1
    strides = (strides,) if isinstance(strides, int) else tuple(strides)
    if kind == "convolution":
        step = f" /{times(dict.fromkeys(strides))}" * (max(strides) > 1)
        prefix = "transposed " * ("Transpose" in name) + "depthwise " * ("Depthwise" in name)
        return f"{prefix}conv {times(config['kernel_size'])}{step}"
    if kind == "pooling":
        what = "average" if "Average" in name or config.get("kind") == "average" else "max"
        if name.startswith("Global"):
            return f"global {what}"
        window = config["pool_size"]
        window = (window,) if isinstance(window, int) else window
        return f"{what} pool {times(window)}"
    if kind == "upsampling":
        size = config["size"]
        return f"up {times((size,) if isinstance(size, int) else size)}"
    words = {"dense": "dense", "addition": "add", "concatenation": "concat", "head": "YOLO head"}
    return words.get(kind) or re.sub("(?<=[a-z])(?=[A-Z])", " ", name).lower()


def _shape(shape: tuple) -> str:
    return "×".join("?" if size is None else str(size) for size in (*shape[:-1][::-1], shape[-1]))


def main_path(maps: list[Map]) -> list[int]:
    """Return the way from an input to an output with the most maps; vectors beside maps hardly count."""
    steps = [0.0] * len(maps)
    for number, one in enumerate(maps):
        own = 1.0 if any((size or 2) > 1 for size in one.shape[:-1]) else 0.001
        steps[number] = own + max((steps[source] for source in one.sources), default=0.0)
    fed = {source for one in maps for source in one.sources}
    number = max((number for number in range(len(maps)) if number not in fed), key=lambda number: steps[number])
    path = [number]
    while maps[path[0]].sources:
        path.insert(0, max(maps[path[0]].sources, key=lambda source: steps[source]))
    return path


def repeats(maps: list[Map]) -> tuple[list[Map], list[tuple[int, int, int]]]:
    """Leave out blocks of the main path that equal the block before; return the maps and (first, last, times)."""
    path = main_path(maps)
    place = {number: step for step, number in enumerate(path)}
    consumers = {
        number: [other for other, one in enumerate(maps) if number in one.sources] for number in range(len(maps))
    }
    signs = []
    for step, number in enumerate(path):
        one = maps[number]
        off = any(source not in place for source in one.sources)
        back = tuple(sorted(step - place[source] for source in one.sources if source in place))
        signs.append(step if off or not one.sources else (one.kind, *one.lines, one.activation, one.shape, back))
    blocks, dropped, stands_for, step = [], set(), {}, 0
    while step < len(path):
        length, count = _block(step, signs, path, place, consumers)
        if count > 1:
            blocks.append((path[step], path[step + length - 1], count))
            for extra in range(step + length, step + length * count):
                dropped.add(path[extra])
                stands_for[path[extra]] = path[step + (extra - step) % length]
        step += length * count
    kept = [number for number in range(len(maps)) if number not in dropped]
    new = {number: index for index, number in enumerate(kept)}
    left = [
        replace(maps[number], sources=[new[stands_for.get(source, source)] for source in maps[number].sources])
        for number in kept
    ]
    return left, [(new[first], new[last], count) for first, last, count in blocks]


def _block(step: int, signs: list, path: list[int], place: dict[int, int], consumers: dict) -> tuple[int, int]:
    """Return the length of the block that starts at a step, and how often it comes: 1, 1 if it is not worth it."""
    best = (1, 1)
    for length in range(1, min(LONGEST, (len(signs) - step) // 2) + 1):
        block = signs[step : step + length]
        reach = all(isinstance(sign, tuple) and max(sign[-1]) <= at + 1 for at, sign in enumerate(block))
        count = 1
        while reach and signs[step + count * length : step + (count + 1) * length] == block:
            count += 1
        inside = all(
            place.get(other, len(path)) < step + (at // length + 1) * length  # within its own block
            or (at % length == length - 1 and (at == length * count - 1 or other in place))
            for at in range(length * count)
            for other in consumers[path[step + at]]
        )
        if reach and inside and (count > 2 or (count > 1 and length > 1)) and length * count > best[0] * best[1]:
            best = (length, count)
    return best
