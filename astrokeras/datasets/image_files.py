"""Images in files, decoded when they are asked for: sets larger than the memory."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from astrokeras.datasets.files import existing

SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp")


class ImageFiles:
    """An array of RGB images that stay in their files until they are indexed.

    `files[3]`, `files[10:20]`, `files[[4, 1]]` decode those images; `np.asarray(files)` decodes all. Each image is cut
    to its central square (of `crop` pixels where given) and resized.

    Args:
        paths: of the images.
        size: pixels along each side of what comes out.
        crop: pixels of the central square that is kept; `None` keeps the largest one.
        names: of the classes, in the order of the labels that go with the images.

    Attributes:
        shape: `(n, size, size, 3)`; `dtype` is uint8, values in 0..255.

    Raises:
        ValueError: if `size` or `crop` is out of range, or on indexing if a file is damaged or smaller than `crop`.

    Example:
        >>> import astrokeras
        >>> astrokeras.datasets.ImageFiles(["a.jpg", "b.jpg"], size=64).shape
        (2, 64, 64, 3)
    """

    dtype = np.dtype("uint8")
    ndim = 4

    def __init__(self, paths, size: int, *, crop: int | None = None, names: Sequence[str] | None = None):
        if size < 1 or (crop is not None and crop < 1):
            raise ValueError(f"Expected size >= 1 and crop >= 1 or None; received size={size}, crop={crop}.")
        self.paths = np.asarray([os.fspath(path) for path in paths])
        self.size = size
        self.crop = crop
        self.names = None if names is None else tuple(names)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of the array, `(n, size, size, 3)`."""
        return (len(self.paths), self.size, self.size, 3)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.paths)

    def __getitem__(self, index) -> np.ndarray:
        """Decode one image `(size, size, 3)` or several `(n, size, size, 3)`."""
        paths = self.paths[index]
        if isinstance(paths, str):
            return self._read(paths)
        return np.stack([self._read(path) for path in paths]) if len(paths) else np.zeros((0, *self.shape[1:]), "uint8")

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        """Decode all."""
        images = self[:]
        return images if dtype is None else images.astype(dtype)

    def _read(self, path: str) -> np.ndarray:
        from PIL import Image, UnidentifiedImageError

        try:
            with Image.open(path) as opened:
                image = opened.convert("RGB")
        except (UnidentifiedImageError, OSError) as error:
            raise ValueError(
                f"Expected an image that Pillow can read; {path} is missing, damaged or of another kind."
            ) from error
        side = min(image.size) if self.crop is None else self.crop
        left, top = (image.width - side) // 2, (image.height - side) // 2
        if left < 0 or top < 0:
            raise ValueError(
                f"Expected images of at least {side}x{side} pixels for crop={side}; {path} has "
                f"{image.width}x{image.height}."
            )
        box = (left, top, left + side, top + side)
        return np.asarray(image.crop(box).resize((self.size, self.size), Image.Resampling.BILINEAR))


def image_folder(
    path: str | os.PathLike, size: int = 128, *, crop: int | None = None, test: float = 0.1
) -> tuple[tuple[ImageFiles, np.ndarray], tuple[ImageFiles, np.ndarray]]:
    """Find labelled images in a folder with one subfolder per class.

    With `train/CLASS/...` and `test/CLASS/...` (or `val/CLASS/...`) these parts are taken; with `CLASS/...` alone a
    share `test` is held out by a hash of the file's name, so that the split never depends on order or chance.

    Args:
        path: the folder.
        size: pixels along each side, after cutting and resizing.
        crop: pixels of the central square that is kept; `None` keeps the largest one.
        test: share of the images that is held out, where the folder has no such part.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: `ImageFiles` (RGB, uint8 in 0..255; `x_train.names` holds the classes)
        and labels `(n,)` int, classes in alphabetical order.

    Raises:
        FileNotFoundError: if there is no such folder.
        ValueError: if it has no subfolders, a class has no images in one of the parts, or `test` is out of range.

    Example:
        >>> import astrokeras
        >>> astrokeras.datasets.image_folder("nowhere")
        Traceback (most recent call last):
        FileNotFoundError: Expected a folder of images; there is nothing at nowhere: check the path.
    """
    path = existing(path, "a folder of images")
    if not 0 < test < 1:
        raise ValueError(f"Expected test between 0 and 1; received test={test}.")
    held_out = _test_part(path)
    if held_out is not None:
        parts = [_by_class(path / "train"), _by_class(held_out)]
        if list(parts[0]) != list(parts[1]):
            raise ValueError(
                f"Expected the same classes in {path / 'train'} and {held_out}; received {', '.join(parts[0])} and "
                f"{', '.join(parts[1])}."
            )
    else:
        found = _by_class(path)
        far = {name: [in_test(file.name, test) for file in files] for name, files in found.items()}
        parts = [
            {name: [f for f, out in zip(files, far[name], strict=True) if out == part] for name, files in found.items()}
            for part in (False, True)
        ]
    names = list(parts[0])
    splits = []
    for part, what in zip(parts, ("train", "test"), strict=True):
        empty = [name for name in names if not part[name]]
        if empty:
            raise ValueError(
                f"Expected images of every class in {path}; the {what} part has none of {', '.join(empty)}: add some, "
                "or remove the folder."
            )
        labels = np.repeat(np.arange(len(names)), [len(part[name]) for name in names])
        splits.append((ImageFiles([f for name in names for f in part[name]], size, crop=crop, names=names), labels))
    return splits[0], splits[1]


def in_test(identity: str, share: float) -> bool:
    """Tell whether an object belongs to the test part: by a hash of its name or number, so always the same.

    Example:
        >>> from astrokeras.datasets.image_files import in_test
        >>> sum(in_test(str(i), 0.1) for i in range(1000))
        106
    """
    return int.from_bytes(hashlib.sha256(identity.encode()).digest()[:8], "big") < share * 2**64


def class_folders(path: str | os.PathLike) -> list[str]:
    """Return the names of the classes of a folder that `image_folder` reads: its subfolders in which images lie.

    Example:
        >>> import tempfile
        >>> from astrokeras.datasets.image_files import class_folders
        >>> class_folders(tempfile.mkdtemp())
        []
    """
    path = Path(path)
    path = path if _test_part(path) is None else path / "train"
    return [name for name in _subfolders(path) if any(map(_is_image, (path / name).rglob("*")))]


def _subfolders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def _test_part(path: Path) -> Path | None:
    """The folder of the test images, where a set comes in parts."""
    parts = (path / part for part in ("test", "val"))
    return next((part for part in parts if part.is_dir()), None) if (path / "train").is_dir() else None


def _by_class(folder: Path) -> dict[str, list[Path]]:
    names = _subfolders(folder)
    if len(names) < 2:
        raise ValueError(f"Expected {folder} to have one subfolder per class, at least 2; found {len(names)}.")
    return {name: sorted(filter(_is_image, (folder / name).rglob("*"))) for name in names}
