"""The data of a network: TRAIN, VALID, TEST and a buffer of each, which a second thread may fill during training."""

from collections.abc import Callable
from typing import Any

import numpy as np

from astrokeras.cianna import state

NAMES = tuple(f"{part}{suffix}" for part in ("TRAIN", "VALID", "TEST") for suffix in ("", "_buf"))


class Dataset:
    """Images and targets of one set, in CIANNA's order and in that of the model.

    Args:
        inputs: `(n, z, y, x, channels)` float32.
        targets: `(n, out_dim)` float32, as the script gave them.
    """

    def __init__(self, inputs: np.ndarray, targets: np.ndarray):
        self.inputs, self.targets = inputs, targets
        self.order = np.arange(len(inputs))
        self._converted: tuple = (None, None)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.inputs)

    def shuffle(self, rng: np.random.Generator) -> None:
        """Change the order of the images for good."""
        rng.shuffle(self.order)

    def images(self, rows: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Return images in the input shape of the model (CIANNA's axes of one pixel may be missing there)."""
        return self.inputs[rows].reshape(len(rows), *shape)

    def converted(self, convert: Callable, model) -> Any:
        """Return the targets as a model wants them, converted once for it."""
        if self._converted[0] is not model:
            self._converted = model, convert(self.targets)
        return self._converted[1]

    def batches(self, size: int, draws: np.random.Generator | None = None):
        """Yield (rows, number of real ones): all batches are of one size, the last one repeats images to fill up.

        Args:
            size: of a batch.
            draws: draw each image at random from all, one by one (`b_size=1`).
        """
        for start in range(0, len(self), size):
            if draws is not None:
                yield draws.integers(len(self), size=size), size
                continue
            rows = self.order[start : start + size]
            yield np.resize(rows, size), len(rows)


def create_dataset(
    dataset: str, size: int, input: np.ndarray, target: np.ndarray, network: int | None = None, silent: int = 0
) -> None:
    """Copy data into a set of the network: CIANNA's `create_dataset`.

    A buffer (`"TRAIN_buf"`) may be filled from another thread while the network trains; `swap_data_buffers` then puts
    it in the place of its set.

    Args:
        dataset: `"TRAIN"`, `"VALID"`, `"TEST"`, or one of these with `_buf`.
        size: number of images, the first ones of the arrays.
        input: `(n, channels * z * y * x)`, an image as a vector in this order, x fastest.
        target: `(n, out_dim)`; more columns are not read.
        network: number of the network; the last one where it is not given.
        silent: 1 prints nothing.

    Raises:
        ValueError: if the name is unknown or an array is too small.

    Example:
        >>> import numpy as np
        >>> from astrokeras import cianna as cnn
        >>> cnn.init([4, 4], 1, 2, network=0, no_logo=1)
        network 0: input 4x4x1, 1 channel; targets of 2; batch of 8; float32
        >>> cnn.create_dataset("TRAIN", 6, np.zeros((6, 16)), np.zeros((6, 2)))
        TRAIN: 6 images in 1 batches
    """
    net = state.find(network)
    _check_name(dataset)
    (x, y, z), channels = net.records.input_size, net.records.channels
    if size < 1:
        raise ValueError(f"Expected size >= 1 of {dataset}; received size={size}.")
    inputs = _rows("input", dataset, input, size, net.input_length).reshape(size, channels, z, y, x)
    inputs = np.array(np.moveaxis(inputs, 1, -1), dtype="float32", order="C")
    targets = np.array(_rows("target", dataset, target, size, net.outputs), dtype="float32", order="C")
    net.datasets[dataset] = Dataset(inputs, targets)
    if not silent:
        print(f"{dataset}: {size} images in {-(-size // net.batch_size)} batches")


def delete_dataset(dataset: str, network: int | None = None, silent: int = 0) -> None:
    """Forget a set of the network: CIANNA's `delete_dataset`.

    Args:
        dataset: its name; one that is not filled is left as it is.
        network: number of the network; the last one where it is not given.
        silent: 1 prints nothing.

    Raises:
        ValueError: if the name is unknown.

    Example:
        >>> from astrokeras import cianna as cnn
        >>> cnn.init([4, 4], 1, 2, network=0, no_logo=1)
        network 0: input 4x4x1, 1 channel; targets of 2; batch of 8; float32
        >>> cnn.delete_dataset("TRAIN_buf", silent=1)
    """
    net = state.find(network)
    _check_name(dataset)
    net.datasets.pop(dataset, None)
    if not silent:
        print(f"{dataset}: deleted")


def swap_data_buffers(dataset: str, network: int | None = None) -> None:
    """Exchange a set and its buffer: CIANNA's `swap_data_buffers`.

    Args:
        dataset: `"TRAIN"`, `"VALID"` or `"TEST"`.
        network: number of the network; the last one where it is not given.

    Raises:
        ValueError: if the name is another one, or the buffer was not filled.

    Example:
        >>> import numpy as np
        >>> from astrokeras import cianna as cnn
        >>> cnn.init([2], 1, 1, network=0, no_logo=1)
        network 0: input 2x1x1, 1 channel; targets of 1; batch of 8; float32
        >>> cnn.create_dataset("TRAIN_buf", 3, np.ones((3, 2)), np.ones((3, 1)), silent=1)
        >>> cnn.swap_data_buffers("TRAIN")
    """
    net = state.find(network)
    _check_name(dataset, ("TRAIN", "VALID", "TEST"))
    buffer = f"{dataset}_buf"
    if buffer not in net.datasets:
        raise ValueError(f"Expected {buffer} to be filled before it is swapped: call create_dataset({buffer!r}, ...).")
    first, second = net.datasets.get(dataset), net.datasets[buffer]
    net.datasets[dataset] = second
    if first is None:
        del net.datasets[buffer]
    else:
        net.datasets[buffer] = first


def filled(net: state.NetworkState, name: str, purpose: str) -> Dataset:
    """Return a set of the network, which must be there."""
    if name not in net.datasets:
        raise ValueError(f"Expected the set {name} {purpose}: call create_dataset({name!r}, ...) first.")
    return net.datasets[name]


def _check_name(name: str, known: tuple[str, ...] = NAMES) -> None:
    if name not in known:
        raise ValueError(f"Expected the set to be one of {', '.join(known)}; received {name!r}.")


def _rows(what: str, name: str, values, size: int, width: int) -> np.ndarray:
    values = np.asarray(values)
    values = values.reshape(len(values), -1) if values.ndim else values
    if values.ndim != 2 or values.shape[0] < size or values.shape[1] < width:
        raise ValueError(
            f"Expected {what} of {name} as at least {size} rows of {width} numbers; received shape {values.shape}."
        )
    return values[:size, :width]
