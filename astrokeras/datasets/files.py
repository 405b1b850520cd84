"""Where sets of images come from: a file of the user, the cache, or a download with a checksum."""

import os
from pathlib import Path

import keras
import numpy as np

Split = tuple[np.ndarray, np.ndarray]


def fetch(file: str, url: str, sha256: str) -> Path:
    """Find a file in the cache folder of Keras, or download it there and check it.

    Args:
        file: name in `KERAS_HOME/datasets` (`~/.keras/datasets`).
        url: its source.
        sha256: checksum that a download must have.

    Raises:
        ConnectionError: if the source cannot be reached; names the file, its source and where to put it.
    """
    home = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser()
    cached = home / "datasets" / file
    if cached.is_file():
        return cached
    try:
        partial = keras.utils.get_file(f"{file}.part", url, file_hash=sha256, cache_dir=str(home))
    except Exception as error:  # urllib, sockets and hashes fail in many ways
        raise ConnectionError(
            f"Could not download {file} from {url}: get it by hand and put it at {cached}, or pass its path."
        ) from error
    os.replace(partial, cached)
    return cached


def existing(path: str | os.PathLike, what: str) -> Path:
    """Return the path if there is such a file or folder.

    Raises:
        FileNotFoundError: otherwise; names the path.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"Expected {what}; there is nothing at {path}: check the path.")
    return path


def read_npz(path: Path) -> tuple[Split, Split]:
    """Read a `.npz` with `x_train, y_train, x_test, y_test`, or with images packed as JPEG.

    The packed form, for `train` and `test` each: `jpeg_train`, all JPEG files end to end as one uint8
    array, and `offsets_train`, where each starts and the last ends.

    Returns:
        `(x_train, y_train), (x_test, y_test)`; images `(n, y, x, channels)`, labels `(n,)` int.

    Raises:
        ValueError: if the file is no such set.
    """
    splits = []
    for part, (x, y) in zip(("train", "test"), _parts(path), strict=True):
        y = y.reshape(-1)
        if len(x) != len(y) or x.ndim not in (3, 4):
            raise ValueError(
                f"Expected {path} to hold as many images (n, y, x[, channels]) as labels (n,); received "
                f"x_{part} {x.shape}, y_{part} {y.shape}."
            )
        splits.append((x if x.ndim == 4 else x[..., None], y.astype("int64")))
    return splits[0], splits[1]


def arrays(path: str | os.PathLike) -> tuple[Split, Split]:
    """Load your own data from a `.npz` file with `x_train, y_train, x_test, y_test`.

    Args:
        path: of the file, as `numpy.savez(path, x_train=..., y_train=..., x_test=..., y_test=...)` writes it.

    Returns:
        `(x_train, y_train), (x_test, y_test)` as they were stored: inputs `(n, ..., channels)`; labels `(n,)`, or
        columns `(n, columns)` for several labels, vote counts or values.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it lacks an array, or inputs and labels are not equally many.

    Example:
        >>> import os, tempfile, numpy as np, astrokeras
        >>> path = os.path.join(tempfile.mkdtemp(), "my.npz")
        >>> np.savez(path, x_train=np.zeros((4, 8, 1)), y_train=np.arange(4), x_test=np.zeros((2, 8, 1)), y_test=[0, 1])
        >>> (x, y), (x_test, y_test) = astrokeras.datasets.arrays(path)
        >>> x.shape, y_test.tolist()
        ((4, 8, 1), [0, 1])
    """
    path = existing(path, "a .npz file")
    splits = _parts(path)
    for part, (x, y) in zip(("train", "test"), splits, strict=True):
        if x.ndim < 3 or len(x) != len(y) or len(x) == 0:
            raise ValueError(
                f"Expected {path} to hold as many inputs (n, ..., channels) as labels; received x_{part} {x.shape}, "
                f"y_{part} {y.shape}."
            )
    return splits


def _parts(path: Path) -> tuple[Split, Split]:
    try:
        with np.load(path) as archive:
            found = {key: archive[key] for key in archive.files}
    except (OSError, ValueError, EOFError, TypeError) as error:  # TypeError: a .npy file
        raise ValueError(f"Expected a whole .npz file; {path} is damaged or of another kind.") from error
    splits = []
    for part in ("train", "test"):
        if f"jpeg_{part}" in found:
            found[f"x_{part}"] = _unpack_jpeg(found[f"jpeg_{part}"], found[f"offsets_{part}"])
        missing = [key for key in (f"x_{part}", f"y_{part}") if key not in found]
        if missing:
            raise ValueError(
                f"Expected {path} to hold x_train, y_train, x_test, y_test; it lacks {', '.join(missing)} and "
                f"holds {', '.join(sorted(found)) or 'nothing'}."
            )
        splits.append((found[f"x_{part}"], found[f"y_{part}"]))
    return splits[0], splits[1]


def _unpack_jpeg(blob: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    import io

    from PIL import Image
    from rich.progress import track

    ends = zip(offsets[:-1], offsets[1:], strict=True)
    images = [
        np.asarray(Image.open(io.BytesIO(blob[start:end].tobytes())))
        for start, end in track(ends, "decoding JPEG", total=len(offsets) - 1, transient=True)
    ]
    return np.stack(images)
