"""ASIRRA: cats and dogs."""

import os
from pathlib import Path

import numpy as np

from astrokeras.datasets import files
from astrokeras.datasets.image_files import SUFFIXES, ImageFiles

NAMES = ("cat", "dog")


def asirra(
    path: str | os.PathLike, *, size: int = 128, count: int = 25000, test: int = 1024
) -> tuple[files.Split, files.Split]:
    """Load ASIRRA, split as the course does: the last 1024 cats and the last 1024 dogs are the test images.

    Args:
        path: the course's `asirra_bin_128.dat` (or `asirra_bin_256.dat`: uint8, all cats, then all dogs), or a folder
            with the images, as `cat.0.jpg`, `dog.0.jpg`, ... or in subfolders `Cat` and `Dog`.
        size: pixels along each side of images from a folder; a binary file has its own.
        count: images in a binary file.
        test: test images of each class.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: images `(n, y, x, 3)` uint8 in 0..255, RGB (`ImageFiles` for a folder),
        labels `(n,)` int, 0 = cat, 1 = dog.

    Raises:
        FileNotFoundError: if there is nothing at `path`.
        ValueError: if a binary file has another size, or a class has no more than `test` images.

    Reference:
        Elson et al. 2007 (Microsoft Research, Petfinder.com); the course's share of the binary: ASIRRA practical.

    Example:
        >>> import astrokeras
        >>> astrokeras.datasets.asirra("nowhere.dat")
        Traceback (most recent call last):
        FileNotFoundError: Expected asirra_bin_128.dat or a folder; there is nothing at nowhere.dat: check the path.
    """
    path = files.existing(path, "asirra_bin_128.dat or a folder")
    if path.is_dir():
        groups = [_files(path, name) for name in NAMES]
    else:
        pixels, rest = divmod(path.stat().st_size, count * 3)
        side = round(pixels**0.5)
        if rest or side**2 != pixels or side == 0:
            raise ValueError(
                f"Expected {path} to hold {count} square RGB images of uint8; its {path.stat().st_size} bytes do not "
                "divide so: check the file, or pass its count."
            )
        images = np.memmap(path, "uint8", "r", shape=(count, side, side, 3))
        groups = [images[: count // 2], images[count // 2 :]]
    for name, group in zip(NAMES, groups, strict=True):
        if len(group) <= test:
            raise ValueError(f"Expected more than test={test} images of each class; {path} has {len(group)} of {name}.")
    splits = []
    for part in (slice(None, -test), slice(-test, None)):
        parts = [group[part] for group in groups]
        labels = np.repeat([0, 1], [len(images) for images in parts])
        if path.is_dir():
            splits.append((ImageFiles([*parts[0], *parts[1]], size, names=NAMES), labels))
        else:
            splits.append((np.concatenate(parts), labels))
    return splits[0], splits[1]


def _files(folder: Path, name: str) -> list[Path]:
    """Images of one class: in a subfolder of its name, or with its name in front; in the order of their numbers."""
    found = [
        file
        for file in folder.rglob("*")
        if file.suffix.lower() in SUFFIXES
        and (file.parent.name.lower() in (name, f"{name}s") or file.name.lower().startswith(f"{name}."))
    ]
    return sorted(found, key=lambda file: (len(file.name), file.name))
