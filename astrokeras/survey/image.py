"""An image or cube of a survey: opened without reading it, read by windows."""

import contextlib
import functools
import hashlib
import itertools
import math
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from astrokeras.survey.pixels import ArrayPixels, CompressedPixels, DataFile, FilePixels, PartPixels, array_pixels
from astrokeras.survey.sky import frame_of

if TYPE_CHECKING:
    from astropy.units import UnitBase
    from astropy.wcs import WCS

DTYPES = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}  # of FITS's BITPIX
AIPS_BEAM = re.compile(r"BMAJ=\s*(\S+)\s+BMIN=\s*(\S+)\s+BPA=\s*(\S+)")
BLOCKS = {2: (8, 32), 3: (4, 12)}  # of the fingerprint: how many along an axis, and their side, by dimensions


class Beam(NamedTuple):
    """Full widths at half maximum and position angle (east of north), all in degrees."""

    major: float
    minor: float
    angle: float


class SurveyImage:
    """An image `(y, x)` or a cube `(z, y, x)` whose pixels are read by windows; made by `open_image`.

    It may be read by several threads at once, and pickled: a file is then opened again by its path.

    Attributes:
        shape: in pixels, without axes of length 1 such as the Stokes axis.
        wcs: astropy's `WCS` of these axes, or `None`.
        unit: of the pixels (astropy), or `None`.
        beam: `(major, minor, angle)` in degrees, or `None`.
        name: path, with the extension behind it if it is not the first, or `"array"`.

    Example:
        >>> import numpy as np
        >>> from astrokeras import survey
        >>> image = survey.open_image(np.ones((2, 3)))
        >>> isinstance(image, survey.SurveyImage), image
        (True, SurveyImage(array, 2 x 3))
    """

    def __init__(
        self,
        pixels: FilePixels | CompressedPixels | ArrayPixels | PartPixels,
        *,
        name: str = "array",
        header: Mapping | None = None,
        wcs: "WCS | None" = None,
        unit: "UnitBase | None" = None,
        mask: np.ndarray | None = None,
        scaling: tuple[float, float] = (1.0, 0.0),
    ) -> None:
        """Describe the pixels; `header` gives what is not given; `scaling` is BSCALE and BZERO, still to be applied."""
        full, header = pixels.shape, {} if header is None else header
        self._kept = [axis for axis, size in enumerate(full) if size > 1 or axis >= len(full) - 2]
        if len(full) < 2 or len(self._kept) > 3 or 0 in full:
            raise ValueError(
                f"Expected an image of 2 axes or a cube of 3, besides axes of length 1; {name} has shape {full}: "
                "give a part of it, such as hdu.data[0]."
            )
        self.shape: tuple[int, ...] = tuple(full[axis] for axis in self._kept)
        self.name = name
        self._pixels, self._mask, self._scaling, self._blank = pixels, mask, scaling, header.get("BLANK")
        self.wcs = _kept_wcs(wcs, self._kept, len(full), name)
        self.unit = _unit(header.get("BUNIT")) if unit is None else unit
        self.beam = _beam(header)

    def read(self, window: Sequence[tuple[int, int]]) -> np.ndarray:
        """Read a window.

        Args:
            window: `(start, stop)` along each axis, in the order of `shape`; it may reach beyond the edges.

        Returns:
            Pixels of the window, float32 in native byte order; NaN where there is none, where the image is blank and
            where it is masked.

        Raises:
            ValueError: if the window does not suit the image, or the file has become shorter.

        Example:
            >>> import numpy as np
            >>> from astrokeras import survey
            >>> survey.open_image(np.arange(6).reshape(2, 3)).read([(0, 2), (1, 4)])
            array([[ 1.,  2., nan],
                   [ 4.,  5., nan]], dtype=float32)
        """
        window = [tuple(map(int, edges)) for edges in window]
        if len(window) != len(self.shape) or any(len(edges) != 2 or edges[0] > edges[1] for edges in window):
            raise ValueError(
                f"Expected a window of {len(self.shape)} pairs (start, stop) for {self.name}, start <= stop; received "
                f"{window}."
            )
        inside = [(max(start, 0), min(stop, size)) for (start, stop), size in zip(window, self.shape, strict=True)]
        if inside == window and all(start < stop for start, stop in window):
            return self._values(window)
        tile = np.full([stop - start for start, stop in window], np.nan, "float32")
        if all(start < stop for start, stop in inside):
            place = tuple(slice(a - start, b - start) for (a, b), (start, _) in zip(inside, window, strict=True))
            tile[place] = self._values(inside)
        return tile

    def part(self, window: Sequence[tuple[int, int]]) -> "SurveyImage":
        """Return a part of the image as an image of its own, with the WCS that goes with it; nothing is read.

        Args:
            window: `(start, stop)` along each axis, in the order of `shape`, inside of the image.

        Raises:
            ValueError: if the window does not lie inside of the image.

        Example:
            >>> import numpy as np
            >>> from astrokeras import survey
            >>> image = survey.open_image(np.arange(12).reshape(3, 4)).part([(1, 3), (0, 2)])
            >>> image.shape, image.read([(0, 1), (0, 2)]).tolist()
            ((2, 2), [[4.0, 5.0]])
        """
        window = [tuple(map(int, edges)) for edges in window]
        inside = len(window) == len(self.shape) and all(
            len(edges) == 2 and 0 <= edges[0] < edges[1] <= size
            for edges, size in zip(window, self.shape, strict=False)
        )
        if not inside:
            raise ValueError(
                f"Expected a part of {self.name} as {len(self.shape)} pairs (start, stop) within {self.shape}; "
                f"received {window}."
            )
        wcs = None if self.wcs is None else self.wcs[tuple(slice(*edges) for edges in window)]
        cut = SurveyImage(PartPixels(self, window), name=f"{self.name}{window}", wcs=wcs, unit=self.unit)
        cut.beam = self.beam
        return cut

    @functools.cached_property
    def fingerprint(self) -> str:
        """Short text that is the same for the same image: of shape, WCS, unit, beam and blocks of pixels."""
        text = hashlib.sha256(repr((self.shape, str(self.unit), self.beam, wcs_cards(self.wcs))).encode())
        count, side = BLOCKS[len(self.shape)]
        starts = [np.unique(np.linspace(0, max(size - side, 0), count).astype(int)).tolist() for size in self.shape]
        for corner in itertools.product(*starts):
            block = self.read([(start, start + side) for start in corner])
            text.update(np.where(np.isnan(block), np.float32(np.nan), block).tobytes())
        return text.hexdigest()[:16]

    def __repr__(self) -> str:
        """Say what it is."""
        facts = [self.name, " x ".join(map(str, self.shape))]
        facts += [str(self.unit)] * (self.unit is not None) + ["WCS"] * (self.wcs is not None)
        return f"SurveyImage({', '.join(facts)})"

    def _values(self, window) -> np.ndarray:
        """Return the physical values of a window that lies inside."""
        full = [(0, 1)] * len(self._pixels.shape)
        for axis, edges in zip(self._kept, window, strict=True):
            full[axis] = edges
        raw = self._pixels.read(tuple(full))
        scale, zero = self._scaling
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = raw if (scale, zero) == (1, 0) else raw.astype("float64") * scale + zero
            values = np.array(scaled, "float32")
        if self._blank is not None and raw.dtype.kind in "iu":
            values[raw == self._blank] = np.nan
        if self._mask is not None:
            values[np.asarray(self._mask[tuple(slice(*edges) for edges in full)], bool)] = np.nan
        return values.reshape([stop - start for start, stop in window])


def open_image(source, hdu: int | str | tuple[str, int] | None = None) -> SurveyImage:
    """Open an image or a cube without reading its pixels.

    Of a file, FITS as it is, packed (gzip, bzip2, xz) or tile-compressed, only the windows asked for are read, straight
    from the file. Axes of length 1 are dropped. BSCALE, BZERO and BLANK are applied.

    Args:
        source: path of a FITS file; astropy `HDUList`, HDU, `CCDData` or other `NDData`; array (a masked array and a
            `Quantity` keep mask and unit), `numpy.memmap`, or anything sliced like an array.
        hdu: number or name of the extension in a file; `None` takes the first that holds an image.

    Returns:
        The image: `shape`, `wcs`, `unit`, `beam`, `name`, `fingerprint` and `read(window)`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if there is no image in it, or not as many axes as an image or a cube has, or the file is damaged
            or ends too early.

    Example:
        >>> import numpy as np
        >>> from astrokeras import survey
        >>> image = survey.open_image(np.ones((1, 1, 40, 30), ">f4"))
        >>> image.shape, image.read([(0, 2), (0, 2)]).dtype
        ((40, 30), dtype('float32'))
    """
    if isinstance(source, SurveyImage):
        return source
    if isinstance(source, str | os.PathLike):
        return _from_file(source, hdu)
    from astropy.io import fits

    if isinstance(source, fits.HDUList):
        with _quiet():
            index, _ = _image_index(source, hdu, "the HDU list")
            source, hdu = source[index], None
    if hdu is not None:
        raise ValueError(f"Expected hdu with a file or an HDU list only; received hdu={hdu!r}.")
    return _from_hdu(source) if hasattr(source, "fileinfo") else _from_data(source)


def _from_file(path: str | os.PathLike, hdu=None, header=None, place: int | None = None) -> SurveyImage:
    """Open a file; `place` finds the HDU whose header begins there, `header` stands in for that of the file."""
    from astropy.io import fits

    if os.path.isdir(path) or not os.path.exists(path):
        kind = "a folder" if os.path.isdir(path) else "nothing"
        raise FileNotFoundError(f"Expected a FITS file at {path}; there is {kind}: check the path.")
    file = DataFile(path)
    with _quiet(), file.stream() as stream:
        try:
            with fits.open(stream, memmap=False, do_not_scale_image_data=True) as hdus:
                if place is not None:
                    hdu = next(i for i, one in enumerate(hdus) if one.fileinfo()["hdrLoc"] == place)
                index, shape = _image_index(hdus, hdu, str(path))
                found, header = hdus[index], hdus[index].header if header is None else header
                compressed, info = isinstance(found, fits.CompImageHDU), found.fileinfo()
                scaling = found.header.get("BSCALE", 1), found.header.get("BZERO", 0)
                bitpix, name = found.header["BITPIX"], str(path) + (f"[{index}]" if index else "")
                wcs = _wcs(header, hdus)
        except (OSError, EOFError, TypeError, fits.VerifyError) as error:
            raise ValueError(
                f"Expected a FITS file; {path} cannot be read as one ({error}): check it, or copy it again."
            ) from error
    needed = info["datSpan"] - 2879 if compressed else math.prod(shape) * abs(bitpix) // 8
    if info["datLoc"] + needed > file.size:
        raise ValueError(
            f"Expected a whole FITS file; {path} ends after {file.size} bytes of at least {info['datLoc'] + needed}: "
            "copy it again."
        )
    if compressed:
        pixels = CompressedPixels(file, index, shape)
    else:
        pixels = FilePixels(file, info["datLoc"], DTYPES[bitpix], shape)
    return SurveyImage(pixels, name=name, header=header, wcs=wcs, scaling=scaling)


def _from_hdu(hdu) -> SurveyImage:
    info = hdu.fileinfo()
    path = getattr(info["file"], "name", None) if info else None
    if "data" not in vars(hdu) and path and os.path.isfile(path):  # not read yet: windows of the file
        return _from_file(path, header=hdu.header, place=info["hdrLoc"])
    with _quiet():
        empty = not getattr(hdu, "is_image", False) or hdu.data is None
    if empty:
        raise ValueError(f"Expected an HDU with an image; received a {type(hdu).__name__} {hdu.name!r} without one.")
    return SurveyImage(ArrayPixels(hdu.data), header=hdu.header, wcs=_wcs(hdu.header, None))


def _from_data(source) -> SurveyImage:
    from astropy.nddata import NDData
    from astropy.wcs import WCS

    header, wcs, unit, mask = {}, getattr(source, "wcs", None), getattr(source, "unit", None), None
    array = source
    if isinstance(source, NDData):
        array, mask = source.data, source.mask
        header = source.meta if isinstance(source.meta, Mapping) else {}
        header = {key: header[key] for key in ("BMAJ", "BMIN", "BPA", "BUNIT") if key in header}
    elif isinstance(source, np.ma.MaskedArray):
        array, mask = source.data, source.mask
    elif isinstance(source, np.ndarray) and unit is not None:
        array = source.value
    kind = getattr(getattr(array, "dtype", None), "kind", None)
    if kind is None or kind not in "buif" or not hasattr(array, "shape") or not hasattr(array, "__getitem__"):
        received = f"an array of {array.dtype}" if kind else type(source).__name__
        raise ValueError(
            f"Expected a path, an HDU, an HDU list, CCDData or an array of real numbers as image; received {received}."
        )
    mask = None if mask is None or mask is np.ma.nomask else np.broadcast_to(mask, array.shape)
    wcs = wcs if isinstance(wcs, WCS) else None
    return SurveyImage(array_pixels(array), header=header, wcs=wcs, unit=unit, mask=mask)


def _image_index(hdus, hdu, name: str) -> tuple[int, tuple[int, ...]]:
    """Return number and shape of the HDU asked for, or of the first image."""

    def shape_of(one):
        shape = tuple(one.shape) if getattr(one, "is_image", False) else ()
        return shape if len(shape) > 1 and 0 not in shape else ()

    if hdu is None:
        found = next(((i, shape) for i, one in enumerate(hdus) if (shape := shape_of(one))), None)
        if found is not None:
            return found
        raise ValueError(f"Expected an image of at least 2 axes in {name}; it holds {_listed(hdus)}.")
    try:
        index = range(len(hdus))[hdus.index_of(hdu)]
    except (KeyError, IndexError, TypeError):
        raise ValueError(f"Expected hdu to name one of {_listed(hdus)} in {name}; received {hdu!r}.") from None
    if not shape_of(hdus[index]):
        raise ValueError(f"Expected an image of at least 2 axes in hdu {hdu!r} of {name}; it holds {_listed(hdus)}.")
    return index, shape_of(hdus[index])


def _listed(hdus) -> str:
    def told(one):
        shape = tuple(getattr(one, "shape", ()) or ())
        return " x ".join(map(str, shape)) if shape and getattr(one, "is_image", False) else "no image"

    return ", ".join(f"{i} {one.name or type(one).__name__} ({told(one)})" for i, one in enumerate(hdus))


def _wcs(header, hdus):
    """Return the WCS of a header, or what was wrong with it."""
    from astropy.wcs import WCS

    try:
        with _quiet():
            return WCS(header, fobj=hdus)
    except Exception as error:  # wcslib and astropy raise many kinds
        return error


def _kept_wcs(wcs, kept: list[int], dims: int, name: str):
    """Return the WCS of the axes that are kept, `None` if it gives no sky position."""
    problem = wcs if isinstance(wcs, Exception) else None
    if wcs is not None and problem is None:
        try:
            with _quiet():
                wcs = wcs.sub([axis for axis in (dims - i for i in reversed(kept)) if axis <= wcs.naxis])
                if not wcs.has_celestial:
                    return None
                frame_of(wcs)  # raises if it is none that astropy knows
                return wcs
        except Exception as error:
            problem = error
    if problem is not None:
        reason = next((line.strip() for line in str(problem).splitlines() if line.strip()), type(problem).__name__)
        warnings.warn(f"The WCS of {name} cannot be used ({reason}): positions stay in pixels.", stacklevel=4)
    return None


@contextlib.contextmanager
def _quiet():
    """Let headers that bend the standard pass."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def wcs_cards(wcs: "WCS | None") -> dict:
    """Return the header cards of a WCS, from which astropy makes it again."""
    if wcs is None:
        return {}
    with _quiet():
        header = wcs.to_header(relax=True)
    return {key: value for key, value in header.items() if key not in ("COMMENT", "HISTORY", "")}


def _unit(text):
    """Return the unit that BUNIT names, `None` if astropy does not know it."""
    from astropy import units

    if not isinstance(text, str) or not text.strip():
        return None
    for spelling in (text, text.replace("JY", "Jy").replace("BEAM", "beam"), text.lower()):
        try:
            with _quiet():
                return units.Unit(spelling)
        except ValueError:
            continue
    return None


def _beam(header) -> Beam | None:
    """Return the beam of BMAJ, BMIN, BPA, or of the last line that AIPS wrote into HISTORY."""
    found = header.get("BMAJ"), header.get("BMIN"), header.get("BPA", 0.0)
    if None in found[:2]:
        history = [AIPS_BEAM.search(line) for line in map(str, header.get("HISTORY", []))]
        found = next((match.groups() for match in reversed(history) if match), None)
    try:
        return Beam(*map(float, found))
    except (TypeError, ValueError):
        return None
