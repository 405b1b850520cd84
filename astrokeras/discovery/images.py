"""The images of the objects: found in a folder or a stack, read one by one, drawn for the eye."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from astrokeras.survey import open_image

PICTURES = (".png", ".jpg", ".jpeg")
FITS = (".fits", ".fit", ".fts", ".fits.gz", ".fits.fz")
SUFFIXES = (*PICTURES, *FITS, ".npy")
NUMBERS = "buif"  # kinds of dtypes
CHANNELS = 4  # an array (a, b, c) with more than these behind is a cube, not an image
PERCENTILES = 0.5, 99.8  # of the pixels, drawn black and white
SOFTENING = 10  # of the inverse hyperbolic sine by which floats are drawn


class ObjectImages:
    """A sequence of images, one an object, which stay in their files until they are asked for.

    Args:
        source: a folder (FITS, PNG, JPEG and npy files, also in folders below; hidden ones are left out), the path of
            an `.npy` stack, or an array `(n, y, x)` or `(n, y, x, channels)`.

    Attributes:
        ids: of the objects: the path within the folder, or the number within the stack. They are the same each time.
        folder: where the files are, `None` for a stack.
        name: of the folder or file, or `"array"`.
        fingerprint: tells one stack from another; empty for a folder, whose ids tell enough.

    `images[3]` or `images["a/b.fits"]` reads one as `(y, x, channels)`, uint8 or float32.

    Raises:
        FileNotFoundError: if there is no such folder or file.
        ValueError: if there is no image in it, a link leads out of the folder, or, on reading, if a file is missing,
            damaged or no image.

    Example:
        >>> import numpy as np
        >>> from astrokeras import discovery
        >>> images = discovery.ObjectImages(np.zeros((3, 8, 8), "uint8"))
        >>> images.ids, images["2"].shape
        (['0', '1', '2'], (8, 8, 1))
    """

    def __init__(self, source: str | os.PathLike | np.ndarray):
        self.folder, self._stack, self.fingerprint = None, None, ""
        if isinstance(source, str | os.PathLike):
            path = Path(source)
            self.name = path.resolve().name
            if path.is_dir():
                self.folder = path.resolve()
                self.ids = _files(self.folder)
            elif path.suffix == ".npy" and path.is_file():
                self._stack = _load(path, "r")
            else:
                what = "another file" if path.exists() else "nothing"
                raise FileNotFoundError(
                    f"Expected a folder of images or an .npy stack at {path}; there is {what}: check the path."
                )
        else:
            self.name, self._stack = "array", np.asarray(source)
        if self._stack is not None:
            shape, kind = self._stack.shape, self._stack.dtype.kind
            if len(shape) not in (3, 4) or 0 in shape or kind not in NUMBERS or shape[3:] > (CHANNELS,):
                raise ValueError(
                    f"Expected a stack of images (n, y, x) or (n, y, x, 1..{CHANNELS}) of numbers in {self.name}; "
                    f"received {self._stack.dtype} of shape {shape}."
                )
            self.ids = [str(number) for number in range(shape[0])]
            text = hashlib.sha256(repr((shape, str(self._stack.dtype))).encode())
            for number in np.unique(np.linspace(0, shape[0] - 1, 16).astype(int)):
                text.update(np.ascontiguousarray(self._stack[number]).tobytes())
            self.fingerprint = text.hexdigest()[:16]
        self._place = {name: place for place, name in enumerate(self.ids)}

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.ids)

    def __iter__(self) -> Iterator[np.ndarray]:
        """Read one after the other."""
        return (self[place] for place in range(len(self)))

    def __getitem__(self, which: int | str) -> np.ndarray:
        """Read the image of an object, by its place or its id, as `(y, x, channels)`."""
        place = self._place[which] if isinstance(which, str) else range(len(self))[which]
        if self._stack is not None:
            image, name = self._stack[place], f"{self.name}[{place}]"
        else:
            image, name = _read(self.folder, self.ids[place]), self.ids[place]
        if image.ndim == 3 and image.shape[2] > CHANNELS >= image.shape[0]:
            image = np.moveaxis(image, 0, 2)  # FITS has the colours first
        if image.ndim not in (2, 3) or 0 in image.shape or image.shape[2:] > (CHANNELS,):
            raise ValueError(
                f"Expected an image (y, x) of up to {CHANNELS} channels; {name} has shape {image.shape}: cut it first."
            )
        image = image[..., None] if image.ndim == 2 else image
        return np.array(image, "uint8" if image.dtype == np.uint8 else "float32")


def picture(image: np.ndarray, size: int) -> np.ndarray:
    """Draw an image for the eye: at most so large, RGB, floats stretched by the inverse hyperbolic sine.

    Bytes are shown as they are. Of other numbers, the 0.5th percentile becomes black and the 99.8th white; between,
    faint and bright parts both show. Pixels without a value are black.

    Args:
        image: `(y, x, channels)`, uint8 or float.
        size: pixels of the longer side, at most; smaller images keep their pixels.

    Returns:
        `(y, x, 3)` uint8.

    Reference:
        Lupton et al. 2004, PASP 116, 133 (the stretch).

    Example:
        >>> import numpy as np
        >>> from astrokeras import discovery
        >>> discovery.picture(np.array([[[0.0], [np.nan], [1.0]]]), 8)[0, :, 0].tolist()
        [0, 0, 255]
    """
    from PIL import Image

    if image.dtype != np.uint8:
        known = image[np.isfinite(image)]
        low, high = np.percentile(known, PERCENTILES) if known.size else (0.0, 1.0)
        share = np.clip((np.nan_to_num(image, nan=low, posinf=high, neginf=low) - low) / ((high - low) or 1.0), 0, 1)
        image = np.round(255 * np.arcsinh(SOFTENING * share) / np.arcsinh(SOFTENING)).astype("uint8")
    channels = image.shape[2]
    if channels in (1, 2):
        image = np.repeat(image[..., :1], 3, axis=2)
    drawn = Image.fromarray(np.ascontiguousarray(image[..., :3]))
    drawn.thumbnail((size, size), Image.Resampling.BOX)
    return np.asarray(drawn)


def check_values(image: np.ndarray, name: str | int) -> None:
    """Refuse an image with pixels that have no value.

    Args:
        image: of any shape.
        name: of the image, for the sentence.

    Raises:
        ValueError: if a pixel is NaN or infinite.

    Example:
        >>> import numpy as np
        >>> from astrokeras.discovery.images import check_values
        >>> check_values(np.ones((4, 4)), "a.fits")
    """
    missing = 0 if image.dtype.kind in "bui" else np.count_nonzero(~np.isfinite(image))
    if missing:
        raise ValueError(
            f"Expected numbers in all pixels; image {name} has {missing} without a value: fill them first, as "
            "survey.fill_missing does."
        )


def _files(folder: Path) -> list[str]:
    """Return the paths of the images within a folder, sorted; links may not lead out of it."""
    found = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if not name.startswith(".") and name.lower().endswith(SUFFIXES):
                path = Path(parent, name)
                if path.is_symlink():
                    _inside(folder, path)
                found.append(path.relative_to(folder).as_posix())
    if not found:
        raise ValueError(f"Expected images (FITS, PNG, JPEG, npy) in {folder}; there are none.")
    return sorted(found)


def _inside(folder: Path, path: Path) -> Path:
    target = path.resolve()
    if not target.is_relative_to(folder):
        raise ValueError(f"Expected images inside of {folder}; the link {path.relative_to(folder)} leads out of it.")
    return target


def _load(path: Path, mode: str | None = None) -> np.ndarray:
    try:
        return np.load(path, mmap_mode=mode, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"Expected an array of numbers in {path.name}; it cannot be read as one.") from error


def _read(folder: Path, name: str) -> np.ndarray:
    """Read a file as it is, `(y, x)` or three axes."""
    path = _inside(folder, folder / name)
    if not path.is_file():
        raise ValueError(f"Expected the image {name} in {folder}; it is no longer there: put it back.")
    if name.lower().endswith(".npy"):
        image = _load(path)
        if image.dtype.kind not in NUMBERS:
            raise ValueError(f"Expected an array of numbers in {name}; received {image.dtype}.")
        return image
    if name.lower().endswith(PICTURES):
        from PIL import Image, UnidentifiedImageError

        try:
            with Image.open(path) as opened:
                grey = opened.mode in ("1", "L", "LA") or opened.mode.startswith(("I", "F"))
                kept = opened if opened.mode.startswith(("I", "F")) else opened.convert("L" if grey else "RGB")
                return np.asarray(kept)
        except (UnidentifiedImageError, OSError, SyntaxError) as error:
            raise ValueError(f"Expected an image that Pillow reads; {name} is damaged or of another kind.") from error
    try:
        image = open_image(path)
        return image.read([(0, size) for size in image.shape])
    except (ValueError, OSError) as error:
        raise ValueError(f"Expected a FITS image in {name}: {error}") from error
