"""CIFAR-10: 60 000 small colour photographs of 10 classes."""

import os
import pickle
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from astrokeras.datasets import files

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def cifar10(
    path: str | os.PathLike | None = None, *, classes: Sequence[str] | None = None
) -> tuple[files.Split, files.Split]:
    """Load CIFAR-10.

    Args:
        path: the published `cifar-10-python.tar.gz`, or an `.npz` with `x_train, y_train, x_test, y_test`
            (or JPEG-packed images, see `datasets.files.read_npz`); `None` looks in the cache of Keras
            and downloads the published file there.
        classes: keep these only, such as `("cat", "dog")`, labelled in this order.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: 50 000 and 10 000 images `(n, 32, 32, 3)` uint8 in 0..255,
        RGB, labels `(n,)` int in 0..9 (`datasets.CIFAR10_CLASSES`).

    Raises:
        FileNotFoundError: if `path` does not exist.
        ValueError: if the file is no such set, or a class is unknown.
        ConnectionError: without a network; the sentence names the file, its source and where to put it.

    Reference:
        Krizhevsky 2009.

    Example:
        >>> import astrokeras
        >>> astrokeras.datasets.cifar10("nowhere.npz")
        Traceback (most recent call last):
        FileNotFoundError: Expected a file with CIFAR-10; there is nothing at nowhere.npz: check the path.
    """
    if path is None:
        path = files.fetch("cifar-10-python.tar.gz", URL, SHA256)
    path = files.existing(path, "a file with CIFAR-10")
    unknown = [name for name in classes or () if name not in CIFAR10_CLASSES]
    if unknown:
        raise ValueError(f"Expected classes among {', '.join(CIFAR10_CLASSES)}; received {', '.join(unknown)}.")
    splits = files.read_npz(path) if path.suffix == ".npz" else _read_archive(path)
    return splits if classes is None else tuple(_only(split, classes) for split in splits)


def _only(split: files.Split, classes: Sequence[str]) -> files.Split:
    """Keep some classes; number them anew."""
    new = np.full(len(CIFAR10_CLASSES), -1)
    new[[CIFAR10_CLASSES.index(name) for name in classes]] = np.arange(len(classes))
    images, labels = split
    kept = new[labels] >= 0
    return images[kept], new[labels[kept]]


class _Plain(pickle.Unpickler):
    """Unpickler of the published batches: NumPy arrays, lists, numbers and strings, nothing else."""

    ALLOWED = {
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("_codecs", "encode"),
    }

    def find_class(self, module, name):
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} has no place in CIFAR-10")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def _read_archive(path: Path) -> tuple[files.Split, files.Split]:
    batches = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                name = Path(member.name).name
                if name.startswith("data_batch_") or name == "test_batch":
                    batches[name] = _Plain(archive.extractfile(member), encoding="bytes").load()
        train = [batches[f"data_batch_{i}"] for i in range(1, 6)]
        return _join(train), _join([batches["test_batch"]])
    except (tarfile.TarError, pickle.UnpicklingError, KeyError, EOFError, OSError) as error:
        raise ValueError(
            f"Expected cifar-10-python.tar.gz or an .npz with CIFAR-10; {path} is damaged or of another kind ({error})."
        ) from error


def _join(batches: list[dict]) -> files.Split:
    images = np.concatenate([batch[b"data"] for batch in batches]).reshape(-1, 3, 32, 32)
    labels = np.concatenate([np.asarray(batch[b"labels"]) for batch in batches])
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1)), labels.astype("int64")
