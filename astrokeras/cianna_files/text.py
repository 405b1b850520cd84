"""CIANNA's text form: a line per layer and per row of weights, 6 digits."""

import math
import os
import re
from pathlib import Path

import numpy as np

from astrokeras.cianna_files.checks import Problem, check_activation, check_flag, read_yolo
from astrokeras.cianna_files.records import CiannaNetwork, Conv, Dense, Layer, LocalNorm, Norm, Pool, Size, Yolo

_INT, _FLOAT, _WORD = r"([-+]?\d{1,12})", r"([-+.eE\d]{1,60}|[-+]?inf|[-+]?nan)", r"([A-Z]\S{1,50})"
_TRIPLE = "x".join([_INT] * 3)
_PATTERNS = {
    "header": re.compile(f"{_TRIPLE}x{_INT}"),
    "C": re.compile(
        f"C{_INT}f{_TRIPLE}\\.{_TRIPLE}s{_TRIPLE}p{_TRIPLE}ip{_TRIPLE}x{_INT}idim{_FLOAT}d{_FLOAT}b{_WORD}"
    ),
    "P": re.compile(f"P{_TRIPLE}\\.{_TRIPLE}s{_TRIPLE}p{_INT}g_{_FLOAT}d{_WORD} {_WORD}"),
    "N": re.compile(f"N GN S{_INT}_O{_INT}{_WORD}"),
    "L": re.compile(f"L {_INT} {_FLOAT} {_FLOAT} {_FLOAT} {_WORD}"),
    "D": re.compile(f"D{_INT}n{_FLOAT}d{_FLOAT}b{_WORD}"),
}


class TextSource:
    """Lines of text; empty ones mean nothing, as in CIANNA's own reader."""

    def __init__(self, stream, path: Path):
        self.stream, self.path = stream, path
        self.size = os.fstat(stream.fileno()).st_size
        self.number = 0
        self.line = ""

    def place(self) -> str:
        """Say where the reader is."""
        return f"line {self.number}"

    def header(self) -> tuple[int, ...]:
        """Read the input's size x, y, z and its channels."""
        self._next()
        return tuple(map(int, self._match("header", "WxHxDxC")))

    def letter(self) -> str | None:
        """Read the letter of the next layer; None at the end."""
        return self.line[0] if self._next() else None

    def layer(self, letter: str) -> Layer:
        """Read what a layer says of itself before its weights."""
        return {"C": self._conv, "P": self._pool, "N": self._norm, "L": self._local_norm, "D": self._dense}[letter]()

    def array(self, *shape: int) -> np.ndarray:
        """Read float32 values, a line per row, once it is clear that the file has so many."""
        rows, columns = math.prod(shape[:-1]), shape[-1]
        left = self.size - self.stream.tell()
        if 2 * rows * columns - 1 > left:
            raise Problem(f"expected {rows} lines of {columns} numbers; the file has {left} more bytes")
        values = np.empty((rows, columns), "float32")
        for row in range(rows):
            values[row] = self._numbers(columns)
        return values.reshape(shape)

    def _conv(self) -> Conv:
        values = self._match("C", "C<filters>f<kernel>.<strides>s<padding>p...")
        filters, *sizes, channels = map(int, values[:17])
        dropout, bias = map(_number, values[17:19])
        yolo = self._yolo() if check_activation(values[19]) == "YOLO" else None
        return Conv(filters, *_triples(sizes), channels, dropout, bias, values[19], None, yolo)

    def _yolo(self) -> Yolo:
        five = self._numbers(5).tolist()
        if not all(map(float.is_integer, five)):
            raise Problem("expected five integers: boxes, classes, parameters, fitted axes, softmax of the classes")
        return read_yolo(map(int, five), self.array)

    def _pool(self) -> Pool:
        *sizes, dropout, kind, activation = self._match(
            "P", "P<window>.<strides>s<padding>p<global>g_<dropout>d<kind> <activation>"
        )
        *sizes, is_global = map(int, sizes)
        check_flag("global", is_global)
        return Pool(*_triples(sizes), bool(is_global), _number(dropout), kind, activation)

    def _norm(self) -> Norm:
        group_size, set_off, activation = self._match("N", "N GN S<group size>_O<set off><activation>")
        return Norm(int(group_size), int(set_off), activation)

    def _local_norm(self) -> LocalNorm:
        depth, *rest, activation = self._match("L", "L <range> <k> <alpha> <beta> <activation>")
        return LocalNorm(int(depth), *map(_number, rest), activation)

    def _dense(self) -> Dense:
        units, dropout, bias, activation = self._match("D", "D<neurons>n<dropout>d<bias>b<activation>")
        return Dense(int(units), _number(dropout), _number(bias), activation)

    def _numbers(self, count: int) -> np.ndarray:
        if not self._next():
            raise Problem(f"expected a line of {count} numbers; the file ends")
        words = self.line.split(maxsplit=count)
        if len(words) != count:
            raise Problem(f"expected {count} numbers; received {'more' if len(words) > count else len(words)}")
        return _float32(words, self.line)

    def _next(self) -> bool:
        """Go to the next line that is not empty; False at the end."""
        while line := self.stream.readline():
            self.number += 1
            if not line.isascii():
                raise Problem("expected text; received other bytes")
            self.line = line.decode().strip()
            if self.line:
                return True
        self.line = ""
        return False

    def _match(self, what: str, form: str) -> tuple[str, ...]:
        found = _PATTERNS[what].fullmatch(self.line)
        if found is None:
            raise Problem(f"expected {form}; received {self.line[:60]!r}")
        return found.groups()


def _float32(words: list[str], line: str) -> np.ndarray:
    try:
        if "_" in line:  # Python's numbers may hold some
            raise ValueError
        with np.errstate(over="ignore"):  # inf, as in C
            return np.array(words, dtype="float64").astype("float32")
    except ValueError:
        raise Problem(f"expected {len(words)} numbers; received {line[:60]!r}") from None


def _number(text: str) -> float:
    return _float32([text], text).item()


def _triples(sizes: list[int]) -> list[Size]:
    return [tuple(sizes[i : i + 3]) for i in range(0, len(sizes), 3)]


def write_text(stream, network: CiannaNetwork) -> None:
    """Write a network that has been checked."""

    def put(line: str) -> None:
        stream.write(f"{line}\n".encode())

    def rows(values: np.ndarray) -> None:
        for row in np.atleast_2d(values).astype("float32", copy=False):
            put(_row(row))

    def triple(values: Size) -> str:
        return "x".join(map(str, values))

    put(f"{triple(network.input_size)}x{network.channels}")
    for layer in network.layers:
        if isinstance(layer, Conv):
            put(
                f"C{layer.filters}f{triple(layer.kernel_size)}.{triple(layer.strides)}s{triple(layer.padding)}p"
                f"{triple(layer.internal_padding)}ip{triple(layer.input_size)}x{layer.channels}idim"
                f"{layer.dropout:f}d{layer.bias_value:f}b{layer.activation} "
            )
            if layer.yolo is not None:
                yolo = layer.yolo
                put(f"{yolo.boxes} {yolo.classes} {yolo.params} {yolo.fit_dims} {int(yolo.class_softmax)}")
                rows(yolo.priors.T)
                rows(yolo.slopes)
            rows(layer.weights)
        elif isinstance(layer, Pool):
            put(
                f"P{triple(layer.pool_size)}.{triple(layer.strides)}s{triple(layer.padding)}p{int(layer.is_global)}g_"
                f"{layer.dropout:f}d{layer.kind} {layer.activation} "
            )
        elif isinstance(layer, Norm):
            put(f"N GN S{layer.group_size}_O{layer.set_off}{layer.activation} ")
            rows(layer.gamma)
            rows(layer.beta)
        elif isinstance(layer, LocalNorm):
            put(f"L {layer.depth} {layer.k:f} {layer.alpha:f} {layer.beta:f} {layer.activation} ")
            continue  # CIANNA writes no empty line here
        else:
            put(f"D{layer.units}n{layer.dropout:f}d{layer.bias_value:f}b{layer.activation} ")
            rows(layer.weights)
        put("")


def _row(row: np.ndarray) -> str:
    values = row.tolist()
    if np.isnan(row).any():  # C shows the sign of a NaN
        return "".join(f"{'-' if math.isnan(v) and math.copysign(1, v) < 0 else ''}{v:g} " for v in values)
    return "%g " * len(values) % tuple(values)
