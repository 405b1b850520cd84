"""MNIST: 70 000 handwritten digits."""

import os

from astrokeras.datasets import files

URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
SHA256 = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"


def mnist(path: str | os.PathLike | None = None) -> tuple[files.Split, files.Split]:
    """Load MNIST.

    Args:
        path: an `mnist.npz` with `x_train, y_train, x_test, y_test`; `None` looks in the cache of Keras
            and downloads it there.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: 60 000 and 10 000 images `(n, 28, 28, 1)` uint8 in
        0..255 (divide by 255 for `lenet5`), labels `(n,)` int in 0..9.

    Raises:
        FileNotFoundError: if `path` does not exist.
        ValueError: if the file is no such set.
        ConnectionError: without a network; the sentence names the file, its source and where to put it.

    Reference:
        LeCun, Cortes, Burges, CC BY-SA 3.0.

    Example:
        >>> import astrokeras
        >>> astrokeras.datasets.mnist("nowhere.npz")
        Traceback (most recent call last):
        FileNotFoundError: Expected the file mnist.npz; there is nothing at nowhere.npz: check the path.
    """
    if path is None:
        return files.read_npz(files.fetch("mnist.npz", URL, SHA256))
    return files.read_npz(files.existing(path, "the file mnist.npz"))
