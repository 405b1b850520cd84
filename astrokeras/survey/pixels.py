"""Where the pixels of an image lie: a file, a compressed FITS extension or an array; read by windows."""

import bz2
import gzip
import itertools
import lzma
import math
import mmap
import os
import shutil
import tempfile
import threading
import weakref
import zlib

import numpy as np

PACKED = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open, b"\xfd7": lzma.open}  # by the first two bytes
BAND = 1 << 22  # pixels that are decompressed at once
NARROW = 1 << 14  # bytes

Window = tuple[tuple[int, int], ...]  # (start, stop) along each axis of the array


class DataFile:
    """A file read at any place by any number of threads; pickled as its path.

    A file that gzip, bzip2 or xz packed is unpacked into a temporary file, which vanishes with the object.
    """

    def __init__(self, path: str | os.PathLike, *, unpack: bool = True) -> None:
        """Open the file, and unpack it if it is packed."""
        self.path, self.unpack = os.path.abspath(path), unpack
        file = open(self.path, "rb", buffering=0)
        try:
            opener = PACKED.get(file.read(2)) if unpack else None
            if opener is not None:
                file.close()
                file = _unpacked(self.path, opener)
        except BaseException:
            file.close()
            raise
        self._file = file
        self.size = os.fstat(file.fileno()).st_size
        self._lock = threading.Lock()
        weakref.finalize(self, file.close)

    def __reduce__(self) -> tuple:
        """Pickle the path: another process opens the file again."""
        return _reopened, (self.path, self.unpack)

    def stream(self):
        """Return a file object of its own, for one that seeks."""
        return os.fdopen(os.dup(self._file.fileno()), "rb")

    def read_into(self, view: memoryview, place: int) -> None:
        """Fill the view with the bytes from this place on."""
        while view:
            count = self._read(view, place)
            if not count:
                raise ValueError(f"Expected {len(view)} more bytes in {self.path}; it ends there: copy it again.")
            view, place = view[count:], place + count

    def _read(self, view: memoryview, place: int) -> int:
        if hasattr(os, "preadv"):
            return os.preadv(self._file.fileno(), [view], place)
        with self._lock:  # Windows
            self._file.seek(place)
            return self._file.readinto(view)


class FilePixels:
    """Pixels that lie one after the other in a file."""

    def __init__(self, file: DataFile, offset: int, dtype: np.dtype, shape: tuple[int, ...]) -> None:
        """Note where the array begins."""
        self.file, self.offset, self.dtype, self.shape = file, offset, np.dtype(dtype), tuple(shape)

    def read(self, window: Window) -> np.ndarray:
        """Return the pixels of a window that lies inside, as they are in the file."""
        sizes = [stop - start for start, stop in window]
        last = len(sizes) - 1
        while last > 0 and sizes[last] == self.shape[last]:  # whole rows follow each other in the file
            last -= 1
        steps = [self.dtype.itemsize * math.prod(self.shape[axis + 1 :]) for axis in range(len(sizes))]
        first = self.offset + sum(start * step for (start, _), step in zip(window, steps, strict=True))
        length = sizes[last] * steps[last]
        together = last > 0 and steps[last - 1] <= NARROW  # rows so short that one reads what lies between them too
        outer = last - 1 if together else last
        raw = np.empty(sizes, self.dtype)
        runs = raw.reshape(-1).view("u1").reshape(math.prod(sizes[:outer]), -1, length)
        count, stride = runs.shape[1], steps[outer]
        between = np.empty((count, stride), "u1") if together else None
        places = itertools.product(*(range(0, n * step, step) for n, step in zip(sizes[:outer], steps, strict=False)))
        for run, place in zip(runs, places, strict=True):
            target = run if between is None else between
            self.file.read_into(memoryview(target).cast("B")[: (count - 1) * stride + length], first + sum(place))
            if between is not None:
                run[:] = between[:, :length]
        return raw


class CompressedPixels:
    """Pixels of a tile-compressed FITS extension; only the tiles that a window touches are decompressed."""

    def __init__(self, file: DataFile, index: int, shape: tuple[int, ...]) -> None:
        """Note which extension; it is opened when it is first read."""
        self.file, self.index, self.shape = file, index, tuple(shape)
        self._lock, self._hdus = threading.Lock(), None

    def __getstate__(self) -> dict:
        """Leave the opened file and the lock behind."""
        return {"file": self.file, "index": self.index, "shape": self.shape}

    def __setstate__(self, state: dict) -> None:
        """Start unopened."""
        self.__init__(**state)

    def read(self, window: Window) -> np.ndarray:
        """Return the pixels of a window that lies inside, unscaled."""
        with self._lock:
            hdu = self._opened()
            # Tiles are often whole rows: go band by band, so that no more than BAND pixels are in memory.
            tile = hdu.tile_shape
            width = math.prod(
                min(-(-stop // side) * side, size) - start // side * side
                for (start, stop), side, size in zip(window[1:], tile[1:], self.shape[1:], strict=True)
            )
            step = max(1, BAND // (width * tile[0])) * tile[0]
            (start, stop), *rest = window
            rest = tuple(slice(*edges) for edges in rest)
            cuts = [start, *range((start // step + 1) * step, stop, step), stop]
            bands = [hdu.section[(slice(a, b), *rest)] for a, b in itertools.pairwise(cuts)]
        return np.concatenate(bands) if len(bands) > 1 else bands[0]

    def _opened(self):
        if self._hdus is None:
            from astropy.io import fits

            self._hdus = fits.open(self.file.stream(), memmap=False, do_not_scale_image_data=True)
            weakref.finalize(self, self._hdus.close)
        return self._hdus[self.index]


class ArrayPixels:
    """Pixels of an array, or of what is sliced like one."""

    def __init__(self, array) -> None:
        """Keep the array."""
        self.array, self.shape = array, tuple(map(int, array.shape))

    def read(self, window: Window) -> np.ndarray:
        """Return the pixels of a window that lies inside."""
        return np.asarray(self.array[tuple(slice(*edges) for edges in window)])


class PartPixels:
    """Those of a part of an image, which has `shape` and `read(window)`."""

    def __init__(self, image, window):
        self.image, self.starts = image, [start for start, _ in window]
        self.shape = tuple(stop - start for start, stop in window)

    def read(self, window) -> np.ndarray:
        """Return the pixels of a window of the part."""
        return self.image.read([(a + at, b + at) for (a, b), at in zip(window, self.starts, strict=True)])


def array_pixels(array) -> FilePixels | ArrayPixels:
    """Return the pixels of an array; those of a memory-mapped file come from the file, whose pages would stay."""
    if isinstance(array, np.memmap) and isinstance(array.base, mmap.mmap) and array.flags.c_contiguous:
        if array.filename is not None and array.mode in ("r", "r+", "w+"):
            return FilePixels(DataFile(array.filename, unpack=False), array.offset, array.dtype, array.shape)
    return ArrayPixels(array)


def _reopened(path: str, unpack: bool) -> DataFile:
    return DataFile(path, unpack=unpack)


def _unpacked(path: str, opener):
    file = tempfile.TemporaryFile()
    try:
        with opener(path, "rb") as packed:
            shutil.copyfileobj(packed, file, 1 << 20)
        file.flush()
        return file.detach()
    except (EOFError, zlib.error, lzma.LZMAError, OSError) as error:
        file.close()
        if getattr(error, "errno", None):  # a full disk, not a damaged file
            raise
        raise ValueError(f"Expected a whole packed file; {path} does not unpack ({error}): copy it again.") from error
