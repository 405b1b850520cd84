"""CIANNA's binary form: little-endian, 4-byte integers and floats, no alignment."""

import math
import os
from pathlib import Path

import numpy as np

from astrokeras.cianna_files.checks import NAME, Problem, check_activation, check_flag, read_yolo
from astrokeras.cianna_files.records import CiannaNetwork, Conv, Dense, Layer, LocalNorm, Norm, Pool, Yolo


class BinarySource:
    """Values one after the other, checked against the bytes left."""

    def __init__(self, stream, path: Path):
        self.stream, self.path = stream, path
        self.size = os.fstat(stream.fileno()).st_size

    def place(self) -> str:
        """Say where the reader is."""
        return f"byte {self.stream.tell()}"

    def header(self) -> tuple[int, ...]:
        """Read the input's size x, y, z and its channels."""
        return self._integers(4)

    def letter(self) -> str | None:
        """Read the letter of the next layer; None at the end."""
        letter = self.stream.read(1)
        return letter.decode("latin-1") if letter else None

    def layer(self, letter: str) -> Layer:
        """Read what a layer says of itself before its weights."""
        return {"C": self._conv, "P": self._pool, "N": self._norm, "L": self._local_norm, "D": self._dense}[letter]()

    def array(self, *shape: int) -> np.ndarray:
        """Read float32 values, once it is clear that the file has so many."""
        count = math.prod(shape)
        self._needs(4 * count)
        values = np.fromfile(self.stream, "<f4", count)
        if len(values) != count:
            raise Problem(f"expected {count} more values; the file ends")
        return values.astype("float32", copy=False).reshape(shape)

    def _conv(self) -> Conv:
        filters = self._integer()
        kernel, strides, padding, inner, size = (self._integers(3) for _ in range(5))
        channels, dropout, bias = self._integer(), self._float(), self._float()
        activation, name = self._activation()
        yolo = self._yolo() if activation == "YOLO" else None
        return Conv(
            filters, kernel, strides, padding, inner, size, channels, dropout, bias, activation, None, yolo, (name,)
        )

    def _yolo(self) -> Yolo:
        return read_yolo(self._integers(5), self.array)

    def _pool(self) -> Pool:
        window, strides, padding = (self._integers(3) for _ in range(3))
        is_global, dropout = self._integer(), self._float()
        check_flag("global", is_global)
        kind, first = self._name()
        activation, second = self._activation()
        return Pool(window, strides, padding, bool(is_global), dropout, kind, activation, (first, second))

    def _norm(self) -> Norm:
        kind, first = self._name()
        if kind != "GN":
            raise Problem(f"expected a normalisation GN; received {kind!r}")
        group_size, set_off = self._integers(2)
        activation, second = self._activation()
        return Norm(group_size, set_off, activation, names=(first, second))

    def _local_norm(self) -> LocalNorm:
        depth, k, alpha, beta = self._integer(), self._float(), self._float(), self._float()
        activation, name = self._activation()
        return LocalNorm(depth, k, alpha, beta, activation, (name,))

    def _dense(self) -> Dense:
        units, dropout, bias = self._integer(), self._float(), self._float()
        activation, name = self._activation()
        return Dense(units, dropout, bias, activation, names=(name,))

    def _needs(self, count: int) -> None:
        left = self.size - self.stream.tell()
        if count > left:
            raise Problem(f"expected {count} more bytes; the file has {left}")

    def _integer(self) -> int:
        return self._integers(1)[0]

    def _integers(self, count: int) -> tuple[int, ...]:
        return tuple(np.frombuffer(self._bytes(4 * count), "<i4").tolist())

    def _float(self) -> float:
        return np.frombuffer(self._bytes(4), "<f4").item()

    def _name(self) -> tuple[str, bytes]:
        raw = self._bytes(NAME)
        name, end, _ = raw.partition(b"\0")  # what follows is leftover memory
        if not end:
            raise Problem(f"expected a name of less than {NAME} letters; received {raw!r}")
        return name.decode("latin-1"), raw

    def _activation(self) -> tuple[str, bytes]:
        name, raw = self._name()
        return check_activation(name), raw

    def _bytes(self, count: int) -> bytes:
        self._needs(count)
        found = self.stream.read(count)
        if len(found) != count:
            raise Problem(f"expected {count} more bytes; the file ends")
        return found


def write_binary(stream, network: CiannaNetwork) -> None:
    """Write a network that has been checked."""

    def integers(*values: int) -> None:
        stream.write(np.array(values, "<i4").tobytes())

    def floats(*values: float) -> None:
        stream.write(np.array(values, "<f4").tobytes())

    def array(values: np.ndarray) -> None:
        np.ascontiguousarray(values, "<f4").tofile(stream)

    def name(text: str, raw: bytes) -> None:
        kept = len(raw) == NAME and raw.partition(b"\0")[0] == text.encode()
        stream.write(raw if kept else text.encode().ljust(NAME, b"\0"))

    integers(*network.input_size, network.channels)
    for layer in network.layers:
        first, second = (*layer.names, b"", b"")[:2]
        if isinstance(layer, Conv):
            stream.write(b"C")
            integers(layer.filters, *layer.kernel_size, *layer.strides, *layer.padding, *layer.internal_padding)
            integers(*layer.input_size, layer.channels)
            floats(layer.dropout, layer.bias_value)
            name(layer.activation, first)
            if layer.yolo is not None:
                yolo = layer.yolo
                integers(yolo.boxes, yolo.classes, yolo.params, yolo.fit_dims, yolo.class_softmax)
                array(yolo.priors.T)
                array(yolo.slopes)
            array(layer.weights)
        elif isinstance(layer, Pool):
            stream.write(b"P")
            integers(*layer.pool_size, *layer.strides, *layer.padding, layer.is_global)
            floats(layer.dropout)
            name(layer.kind, first)
            name(layer.activation, second)
        elif isinstance(layer, Norm):
            stream.write(b"N")
            name("GN", first)
            integers(layer.group_size, layer.set_off)
            name(layer.activation, second)
            array(layer.gamma)
            array(layer.beta)
        elif isinstance(layer, LocalNorm):
            stream.write(b"L")
            integers(layer.depth)
            floats(layer.k, layer.alpha, layer.beta)
            name(layer.activation, first)
        else:
            stream.write(b"D")
            integers(layer.units)
            floats(layer.dropout, layer.bias_value)
            name(layer.activation, first)
            array(layer.weights)
