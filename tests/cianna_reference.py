"""25 networks saved by CIANNA 1.0 with what CIANNA computed, and some made by hand."""

import dataclasses
import functools
import re
from pathlib import Path

import numpy as np

from astrokeras import cianna_files as files
from astrokeras.cianna_files import CiannaNetwork, Conv, Dense, LocalNorm, Norm, Pool, Yolo


@dataclasses.dataclass(frozen=True)
class Reference:
    """One network; arrays are `(image, channel, z, y, x)`, behind a dense layer `(image, neuron)`."""

    name: str
    binary: bytes
    text: bytes
    input: np.ndarray
    output: np.ndarray
    output_with_pivot: np.ndarray | None = None  # dense only: the last column is the pivot
    output_boxes: np.ndarray | None = None  # YOLO only: CIANNA's converted output
    output_cpu_build: np.ndarray | None = None  # where CIANNA's CPU build computes something else

    def write(self, folder: Path, binary: bool = True) -> Path:
        """Write one of the two files, byte by byte as CIANNA wrote it; return its path."""
        path = folder / f"{self.name}.{'bin' if binary else 'txt'}.dat"
        path.write_bytes(self.binary if binary else self.text)
        return path


@functools.cache
def reference_networks() -> dict[str, Reference]:
    """Return the networks by their names."""
    found: dict[str, dict] = {}
    with np.load(Path(__file__).parent / "data" / "cianna_models.npz") as arrays:
        for key, values in arrays.items():
            name, part = key.split("/")
            found.setdefault(name, {})[part] = values.tobytes() if part in ("binary", "text") else values
    return {name: Reference(name, **parts) for name, parts in found.items()}


SENTENCE = re.compile(r"\S*net\.dat(, layer \d+)?, (byte|line) \d+: expected .*: the file is damaged, or not of CIANNA")
RELU = "RELU_S800.00_L0.05"
SLOPES = np.array([[1, 6, -6], [1, 1.5, -1.5], [1, 6, -6], [1, 6, -6], [1, 6, -6], [1, 1.25, -0.25]], "float32")


def values(*shape):
    """Return float32 weights that 6 digits hold exactly."""
    return np.random.default_rng(len(shape)).integers(-999, 999, shape).astype("float32") / 8


def conv(
    filters, kernel, size, channels, activation=RELU, padding=(0, 0, 0), inner=(0, 0, 0), strides=(1, 1, 1), **more
):
    weights = values(filters, int(np.prod(kernel)) * channels + 1)
    return Conv(filters, kernel, strides, padding, inner, size, channels, 0.0, 0.5, activation, weights, **more)


def pool(size, kind="MAX", activation="LIN", is_global=False, dropout=0.0, padding=(0, 0, 0)):
    return Pool(size, size, padding, is_global, dropout, kind, activation)


def detector():
    """All kinds of layers of maps, with a YOLO layer at the end: 2 boxes, 1 class, 1 parameter."""
    yolo = Yolo(2, 1, 1, 2, True, np.array([[4, 3, 0], [8.5, 6, 0]], "float32"), SLOPES)
    layers = [
        conv(4, (3, 3, 1), (6, 5, 1), 2, padding=(1, 1, 0)),
        Norm(2, 1, "LIN", values(2), values(2)),
        pool((2, 2, 1), dropout=0.25),
        LocalNorm(3, 2.0, 0.0001, 0.75, "LOGI_S6.00_B1.00"),
        conv(20, (1, 1, 1), (3, 2, 1), 4, "YOLO", yolo=yolo),
    ]
    return CiannaNetwork((6, 5, 1), 2, layers)


HAND_MADE = {
    "detector": detector(),
    "spectrum": CiannaNetwork(
        (32, 1, 1),
        2,
        [
            conv(3, (5, 1, 1), (32, 1, 1), 2, strides=(2, 1, 1)),
            pool((14, 1, 1), "AVG", is_global=True),
            Dense(2, 0.5, -1.0, "SMAX", values(4, 3)),
        ],
    ),
    "cube": CiannaNetwork(
        (5, 4, 3),
        1,
        [
            conv(4, (3, 2, 2), (5, 4, 3), 1, "RELU", padding=(1, 0, 1), inner=(0, 1, 0)),
            Norm(4, 0, "RELU_S6.00_L0.10", values(1), values(1)),
            pool((2, 3, 2), "AVG", "LOGI", padding=(1, 2, 0)),
        ],
    ),
    "dense to map": CiannaNetwork(
        (3, 1, 1),
        1,
        [Dense(12, 0.0, 0.1, RELU, values(4, 13)), conv(2, (2, 2, 1), (3, 2, 1), 2, "RELU_Sinf_L0.00")],
    ),
}


def written(tmp_path, network, binary=True):
    """Return path and bytes of a network's file."""
    files.write(tmp_path / "net.dat", network, binary=binary)
    return tmp_path / "net.dat", (tmp_path / "net.dat").read_bytes()


def arrays_of(layer):
    return [array for array in vars(layer).values() if isinstance(array, np.ndarray)]


def header_bytes(network):
    """Return the offsets of all bytes of a binary file that are not weights, and of the ends of its layers."""
    at, headers, ends = 16, list(range(16)), []
    for layer in network.layers:
        size = 1 + {Conv: 116, Pool: 124, Norm: 88, LocalNorm: 56, Dense: 52}[type(layer)]
        if getattr(layer, "yolo", None) is not None:
            size += 20 + 12 * layer.yolo.boxes + 72
        headers += range(at, at + size)
        at += size + 4 * sum(array.size for array in arrays_of(layer))
        ends.append(at)
    return headers, ends
