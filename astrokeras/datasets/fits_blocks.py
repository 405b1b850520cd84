"""FITS images of any size, written block by block and read by windows."""

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from astrokeras.datasets import files

BLOCK = 2880  # bytes; header and data of a FITS file are filled up to multiples of it


def write_fits(path: str | os.PathLike, header, blocks: Iterable[np.ndarray]) -> Path:
    """Write a FITS image of float32 from blocks that come in the order of the file.

    The file grows under a temporary name and is moved into place when it is whole.

    Args:
        path: of the file.
        header: `astropy.io.fits.Header` with BITPIX = -32 and the axes.
        blocks: arrays that follow each other in the file, row after row.

    Raises:
        ValueError: if the blocks do not fill the axes.
    """
    path = Path(path)
    partial = path.with_name(f"{path.name}.part")
    expected = int(np.prod([header[f"NAXIS{i + 1}"] for i in range(header["NAXIS"])]))
    written = 0
    try:
        with open(partial, "wb") as file:
            file.write(header.tostring().encode("ascii"))
            for block in blocks:
                file.write(np.ascontiguousarray(block, ">f4"))
                written += block.size
            file.write(b"\0" * (-4 * written % BLOCK))
        if written != expected:
            raise ValueError(f"Expected {expected} pixels for {path}; received {written}.")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return path


class FitsWindows:
    """Windows of the first image of a FITS file, read when asked for; several threads may read at once.

    Attributes:
        path: of the file.
        header: `astropy.io.fits.Header`.
        shape: `([z,] y, x)`, without the axes of length 1.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no plain image of floats (then read it with `survey.open_image`), or is cut off.
    """

    def __init__(self, path: str | os.PathLike):
        from astropy.io.fits import Header

        self.path = files.existing(path, "a FITS image")
        with open(self.path, "rb") as file:
            try:
                self.header = Header.fromfile(file)
            except (OSError, ValueError) as error:
                raise ValueError(f"Expected a FITS image in {self.path}; it has no header: {error}") from error
            self._start = file.tell()
        kinds = {-32: ">f4", -64: ">f8"}
        lengths = [self.header[f"NAXIS{i + 1}"] for i in range(self.header["NAXIS"])]
        self.shape = tuple(length for length in reversed(lengths) if length > 1)
        scaled = self.header.get("BSCALE", 1) != 1 or self.header.get("BZERO", 0) != 0
        if self.header["BITPIX"] not in kinds or scaled or len(self.shape) not in (2, 3):
            raise ValueError(
                f"Expected {self.path} to hold floats in 2 or 3 axes, unscaled; received "
                f"BITPIX={self.header['BITPIX']} and shape {self.shape}: open it with survey.open_image and pass that."
            )
        self._kind = np.dtype(kinds[self.header["BITPIX"]])
        needed = self._start + self._kind.itemsize * int(np.prod(self.shape))
        if self.path.stat().st_size < needed:
            raise ValueError(
                f"Expected {needed} bytes in {self.path}; received {self.path.stat().st_size}: get the file again."
            )

    def read(self, window) -> np.ndarray:
        """Return a window, one `(start, stop)` an axis, as native float32; NaN outside of the image."""
        values = np.full([stop - start for start, stop in window], np.nan, "float32")
        inside = [(max(start, 0), min(stop, n)) for (start, stop), n in zip(window, self.shape, strict=True)]
        if all(low < high for low, high in inside):
            place = tuple(
                slice(low - start, high - start) for (low, high), (start, _) in zip(inside, window, strict=True)
            )
            pixels = np.memmap(self.path, self._kind, "r", self._start, self.shape)
            values[place] = pixels[tuple(slice(*ends) for ends in inside)]
        return values
