"""CIANNA's `load` and `save`."""

from pathlib import Path

from astrokeras.cianna import state
from astrokeras.cianna.shapes import fitted
from astrokeras.cianna.yolo_setup import default_setup
from astrokeras.cianna_files import Conv, read, write


def load(
    file: str,
    iteration: int,
    network: int | None = None,
    nb_layers: int = 0,
    bin: int = 0,
) -> None:
    """Take the layers of a CIANNA model file in the place of those of a network: CIANNA's `load`.

    The size of the input may be another one than in the file. Layers that are added afterwards come behind.

    Args:
        file: its path; binary or text is told by its content.
        iteration: number of iterations that it was trained for.
        network: number of the network; the last one where it is not given.
        nb_layers: take only the first so many; 0 for all.
        bin: has no effect.

    Raises:
        FileNotFoundError: if there is no file.
        ValueError: if it is damaged, has another number of channels, or its YOLO layer does not fit the set-up.

    Example:
        >>> from astrokeras import cianna as cnn
        >>> cnn.init([4], 1, 3, network=0, no_logo=1)
        network 0: input 4x1x1, 1 channel; targets of 3; batch of 8; float32
        >>> cnn.load("none.dat", 0)
        Traceback (most recent call last):
        FileNotFoundError: Expected a CIANNA model file; ...
    """
    net = state.find(network)
    found = read(file, nb_layers if nb_layers > 0 else None)
    size, channels = net.records.input_size, net.records.channels
    if found.channels != channels:
        raise ValueError(f"Expected {file} to have {channels} input channels, as init says; it has {found.channels}.")
    if found.input_size != size:
        print(f"the network of {file} had an input of {_x(found.input_size)}; it will have {_x(size)}, as init says")
        found.input_size = size
    fitted(found)
    if hasattr(found.layers[0], "bias_value"):
        found.layers[0].bias_value = net.bias  # as in CIANNA
    last = found.layers[-1]
    if isinstance(last, Conv) and last.yolo is not None:
        net.yolo = net.yolo or default_setup()
        if net.yolo.no_override and net.yolo.layer is not None:
            given = net.yolo.layer
            needed = given.boxes * (8 + given.classes + given.params)
            if needed != last.filters:
                raise ValueError(
                    f"Expected {needed} filters of the YOLO layer, as set_yolo_params returned; {file} has "
                    f"{last.filters}."
                )
            last.yolo = given
        else:
            net.yolo.layer = last.yolo
    net.set_records(found)
    net.frozen, net.iteration = [0] * len(found.layers), int(iteration)
    print(f"{file}: {len(found.layers)} layers, iteration {iteration}")


def save(file: str, network: int | None = None, bin: int = 0) -> None:
    """Write a network into a CIANNA model file: CIANNA's `save`. The folder `net_save` is made if it is missing.

    Args:
        file: its path.
        network: number of the network; the last one where it is not given.
        bin: 1 writes the binary form, 0 text.

    Raises:
        ValueError: if the network has no layers.

    Example:
        >>> from astrokeras import cianna as cnn
        >>> cnn.init([4], 1, 3, network=0, no_logo=1)
        network 0: input 4x1x1, 1 channel; targets of 3; batch of 8; float32
        >>> cnn.save("net.dat")
        Traceback (most recent call last):
        ValueError: Network 0 has no layers yet...
    """
    net = state.find(network)
    if not net.records.layers:
        raise ValueError(f"Network {net.number} has no layers yet: add some with conv, dense, ... or load.")
    Path("net_save").mkdir(exist_ok=True)
    write(file, net.current_records(), binary=bool(bin))


def _x(size) -> str:
    return "x".join(map(str, size))
