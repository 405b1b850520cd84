"""Read and write a file: which form it has, and where in it something is wrong."""

import math
import os
from pathlib import Path

from astrokeras.cianna_files.binary import BinarySource, write_binary
from astrokeras.cianna_files.checks import Problem
from astrokeras.cianna_files.records import CiannaNetwork
from astrokeras.cianna_files.shapes import first_problem, first_shape, follow
from astrokeras.cianna_files.text import TextSource, write_text
from astrokeras.whole_file import replacing


def read(path: str | os.PathLike, layers: int | None = None) -> CiannaNetwork:
    """Read a file, binary or text (its content tells).

    Args:
        path: of the file.
        layers: read only the first so many.

    Raises:
        FileNotFoundError: if there is no file.
        ValueError: if it is damaged; names the layer and the byte (text: the line).

    Example:
        >>> import pathlib, tempfile, numpy as np
        >>> from astrokeras import cianna_files as files
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "net.dat"
        >>> dense = files.Dense(2, 0.0, 0.1, "LIN", np.zeros((4, 3), "float32"))
        >>> files.write(path, files.CiannaNetwork((3, 1, 1), 1, [dense]))
        >>> files.read(path).layers[0].weights.shape
        (4, 3)
    """
    path = Path(path)
    if layers is not None and layers < 1:
        raise ValueError(f"Expected layers >= 1 or None; received layers={layers}.")
    if not path.exists():
        raise FileNotFoundError(f"Expected a CIANNA model file; there is none at {path}: check the path.")
    if not path.is_file():
        raise ValueError(f"Expected a CIANNA model file; {path} is no file: give the path of one.")
    with open(path, "rb") as stream:
        start = stream.read(16)
        stream.seek(0)
        if not start:
            raise ValueError(f"Expected a CIANNA model file; {path} is empty (byte 0): save or copy it again.")
        is_text = all(32 <= byte < 127 or byte in b"\r\n\t" for byte in start)
        return _read_network((TextSource if is_text else BinarySource)(stream, path), layers)


def write(path: str | os.PathLike, network: CiannaNetwork, binary: bool = True) -> None:
    """Write a file under a temporary name, then move it to its own.

    Args:
        path: of the file, replaced if it exists.
        network: what to write.
        binary: write CIANNA's binary form, exact and small; else its text form, with 6 digits.

    Raises:
        ValueError: if the layers do not fit each other; `read` would not take such a file.

    Example:
        >>> import pathlib, tempfile, numpy as np
        >>> from astrokeras import cianna_files as files
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "net.dat"
        >>> dense = files.Dense(1, 0.0, 0.1, "LIN", np.ones((2, 2), "float32"))
        >>> files.write(path, files.CiannaNetwork((1, 1, 1), 1, [dense]), binary=False)
        >>> print(path.read_text().splitlines()[1])
        D1n0.000000d0.100000bLIN
    """
    path = Path(path)
    found = first_problem(network)
    if found is not None:
        number, problem = found
        where = f", layer {number}" if number else ""
        raise ValueError(f"{path}{where}: {problem}: no such network can be written.")
    with replacing(path) as temporary, open(temporary, "wb") as stream:  # closed before it is moved
        (write_binary if binary else write_text)(stream, network)


def _read_network(source: BinarySource | TextSource, limit: int | None) -> CiannaNetwork:
    layers, where = [], ""
    try:
        *size, channels = source.header()
        network = CiannaNetwork(tuple(size), channels, layers)
        shape, before = first_shape(network), None
        while len(layers) < (limit or math.inf):
            where = f", layer {len(layers) + 1}"
            letter = source.letter()
            if letter is None:
                break
            if letter not in "CPNLD":
                raise Problem(f"expected a layer C, P, N, L or D; received {letter!r}")
            layer = source.layer(letter)
            shape, arrays = follow(layer, shape, before)
            for name, of in arrays.items():
                setattr(layer, name, source.array(*of))
            layers.append(layer)
            before = layer
        if not layers:
            raise Problem("expected at least one layer; the file ends")
    except Problem as problem:
        raise ValueError(
            f"{source.path}{where}, {source.place()}: {problem}: the file is damaged, or not of CIANNA 1.0."
        ) from None
    return network
