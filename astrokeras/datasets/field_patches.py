"""Patches of a large image or cube with the objects in them, for the `fit` of a detector."""

from collections.abc import Callable, Sequence

import keras
import numpy as np

from astrokeras.augmentation import fields
from astrokeras.datasets.check_targets import pad_objects
from astrokeras.datasets.fits_blocks import FitsWindows
from astrokeras.parameters import Parameter


def touching(boxes: np.ndarray, area: Sequence[tuple[int, int]]) -> np.ndarray:
    """Tell which boxes lie in an area, if only in part.

    Args:
        boxes: `(n, 2 * dims)` corners, x first.
        area: `(start, stop)` along each axis, in the order of the array.

    Returns:
        `(n,)` bool.
    """
    low, high = np.array(area[::-1]).T
    starts, stops = np.split(boxes, 2, axis=1)
    return ((starts < high) & (stops > low)).all(axis=1)


class FieldPatches(keras.utils.PyDataset):
    """Cut patches at random places of one image or cube, flip and turn them, and feed them to the `fit` of a detector.

    What comes out depends on the seed, the epoch and the number of the patch only, not on the number of workers. A
    patch has the objects whose box lies in it wholly, as CIANNA takes them; NaN becomes 0.

    Args:
        image: path of a FITS file, array, or an object with `shape` and `read(window)`, such as `survey.open_image`
            returns; windows are read one by one.
        boxes: `(n, 2 * dims)` of all objects, corners with x first, pixels.
        params: `(n, P)`, physical values.
        parameters: what their columns are; angles turn along.
        size: of the patches in pixels, `(y, x)` or `(z, y, x)`.
        area: where the patches may lie: `(start, stop)` for each axis in the order of the array; `None` is all.
        patches: in an epoch.
        batch_size: patches in a batch; the last one of an epoch may be smaller.
        centred: share of the patches that hold an object drawn at random; the others lie anywhere.
        empty: share of the patches without any object, which `blank` makes.
        blank: callable `(rng) -> patch`, float32 of `size`; `None` for `empty=0`.
        scale: `(z,)`, by which each channel of a cube is divided, such as its noise.
        mask: `(y, x)` bool, pixels that are set to 0.
        turned_by_z: flip the channels too, which turns angles with a period of 360 degrees by 180: the velocities of
            the two sides of a galaxy change places.
        augment: flip and turn at all.
        max_objects: rows for the objects of a patch, those beyond are left out; `None` takes what no patch can exceed.
        seed: of all that is random.
        **kwargs: `workers`, `use_multiprocessing`, `max_queue_size` of Keras's `PyDataset`.

    Batch: `(batch, [z,] y, x, 1)` float32 in the unit of the image, and the dict of targets (boxes, labels 0, params).

    Raises:
        ValueError: if shapes do not fit, a share is not in 0..1, or a patch is larger than the area.

    Example:
        >>> import numpy as np, astrokeras
        >>> from astrokeras.datasets.field_patches import FieldPatches
        >>> flux = astrokeras.Parameter("flux", "Jy", scale="log", range=(1e-6, 1e-3))
        >>> patches = FieldPatches(
        ...     np.zeros((96, 96)), [[40, 40, 50, 52]], [[1e-5]], [flux], size=(64, 64), patches=6, batch_size=4
        ... )
        >>> images, targets = patches[0]
        >>> images.shape, targets["boxes"].shape, len(patches)
        ((4, 64, 64, 1), (4, 1, 4), 2)
    """

    def __init__(
        self,
        image,
        boxes: np.ndarray,
        params: np.ndarray,
        parameters: Sequence[Parameter],
        *,
        size: Sequence[int],
        area: Sequence[tuple[int, int]] | None = None,
        patches: int = 1600,
        batch_size: int = 16,
        centred: float = 0.0,
        empty: float = 0.0,
        blank: Callable[[np.random.Generator], np.ndarray] | None = None,
        scale: np.ndarray | None = None,
        mask: np.ndarray | None = None,
        turned_by_z: bool = False,
        augment: bool = True,
        max_objects: int | None = None,
        seed: int = 0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if isinstance(image, np.ndarray):
            image = _ArrayWindows(image)
        self.image = image if hasattr(image, "read") else FitsWindows(image)
        self.size = tuple(int(n) for n in size)
        self.boxes = np.asarray(boxes, "float32").reshape(-1, 2 * len(self.size))
        self.params = np.asarray(params, "float32").reshape(-1, len(parameters))
        self.parameters = tuple(parameters)
        area = [(0, n) for n in self.image.shape] if area is None else [tuple(map(int, ends)) for ends in area]
        if not len(self.image.shape) == len(area) == len(self.size) or len(self.boxes) != len(self.params):
            raise ValueError(
                f"Expected size and area with the axes of the image, and params for each box; received an image of "
                f"shape {self.image.shape}, size={self.size}, area={area}, {len(self.boxes)} boxes and "
                f"{len(self.params)} params."
            )
        if not (0 <= empty <= 1 and 0 <= centred <= 1) or patches < 1 or batch_size < 1 or (empty and blank is None):
            raise ValueError(
                "Expected patches and batch_size >= 1, centred and empty in 0..1, and blank= where empty > 0; received "
                f"patches={patches}, batch_size={batch_size}, centred={centred}, empty={empty}."
            )
        if any(high - low < n for (low, high), n in zip(area, self.size, strict=True)):
            raise ValueError(f"Expected patches within the area {area}; received size={self.size}: give a smaller one.")
        self.area, self.patches, self.batch_size = area, patches, batch_size
        self.centred, self.empty, self.blank = centred, empty, blank
        self.scale = None if scale is None else np.asarray(scale, "float32")
        self.mask, self.turned_by_z, self.augment, self.seed = mask, turned_by_z, augment, seed
        self._turn = fields(flips=("x", "y"), turns=self.size[-1] == self.size[-2], parameters=self.parameters)
        low, high = np.array(area[::-1]).T
        starts, stops = np.split(self.boxes, 2, axis=1)
        within = ((starts >= low) & (stops <= high) & (stops - starts <= self.size[::-1])).all(axis=1)
        self._candidates = np.flatnonzero(within)
        self.max_objects = self._most() if max_objects is None else max_objects
        self._epoch = -1
        self.on_epoch_begin()

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return -(-self.patches // self.batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return batch `index` of this epoch."""
        numbers = range(index * self.batch_size, min((index + 1) * self.batch_size, self.patches))
        images, objects = zip(*(self._patch(number) for number in numbers), strict=True)
        return np.stack(images), pad_objects(objects, self.max_objects)

    def on_epoch_begin(self) -> None:
        """Draw other patches."""
        self._epoch += 1

    def _patch(self, number: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        rng = np.random.default_rng((self.seed, self._epoch, number))
        if rng.random() < self.empty:
            image, kept, corner = self.blank(rng), np.zeros(0, int), np.zeros(len(self.size))
        else:
            corner = self._corner(rng)
            image = self.image.read([(low, low + n) for low, n in zip(corner, self.size, strict=True)])
            if self.scale is not None:
                image = image / self.scale[corner[0] : corner[0] + self.size[0], None, None]
            if self.mask is not None:
                window = tuple(slice(low, low + n) for low, n in zip(corner[-2:], self.size[-2:], strict=True))
                image = np.where(self.mask[window], 0, image)
            dims, low = len(corner), corner[::-1]
            inside = (self.boxes[:, :dims] >= low) & (self.boxes[:, dims:] <= low + np.array(self.size[::-1]))
            kept = np.flatnonzero(inside.all(axis=1))[: self.max_objects]
        image = np.nan_to_num(image, posinf=0, neginf=0).astype("float32")[..., None]
        objects = {
            "boxes": self.boxes[kept] - np.tile(corner[::-1], 2).astype("float32"),
            "labels": np.zeros(len(kept), "int32"),
            "params": self.params[kept],
        }
        if self.augment:
            if self.turned_by_z and rng.random() < 0.5:
                image, objects = self._flipped_z(image, objects)
            image, objects = self._turn(image, objects, rng)
        return image, objects

    def _corner(self, rng: np.random.Generator) -> np.ndarray:
        """Return the first pixel of a patch, in the order of the array."""
        low, high = np.array(self.area).T
        high = high - self.size
        if len(self._candidates) and rng.random() < self.centred:
            box = self.boxes[rng.choice(self._candidates)]
            start, stop = (ends[::-1] for ends in np.split(box, 2))
            low = np.maximum(low, np.ceil(stop - self.size).astype(int))
            high = np.maximum(np.minimum(high, np.floor(start).astype(int)), low)
        return rng.integers(low, high + 1)

    def _flipped_z(self, image, objects):
        boxes = objects["boxes"].copy()
        boxes[:, 2], boxes[:, 5] = self.size[0] - objects["boxes"][:, 5], self.size[0] - objects["boxes"][:, 2]
        params = objects["params"].copy()
        for i, parameter in enumerate(self.parameters):
            if parameter.angle == 360:
                params[:, i] = np.mod(params[:, i] + 180, 360)
        return image[::-1], objects | {"boxes": boxes, "params": params}

    def _most(self) -> int:
        """Return a number of objects that no patch exceeds: the most in windows 1/4 larger, at every 1/4 of a patch."""
        if not len(self._candidates):
            return 1
        step = np.array([-(-n // 4) for n in self.size[::-1]])
        dims = len(step)
        middle = (self.boxes[self._candidates, :dims] + self.boxes[self._candidates, dims:]) / 2
        cells = np.floor(middle / step).astype(int)
        cells -= cells.min(axis=0)
        counts = np.zeros(cells.max(axis=0) + 5, int)
        np.add.at(counts, tuple((cells + 4).T), 1)
        for axis in range(dims):
            total = np.cumsum(
                np.pad(counts, [(1, 5) if i == axis else (0, 0) for i in range(dims)], mode="constant"), axis
            )
            n = total.shape[axis]
            counts = np.take(total, np.arange(5, n), axis) - np.take(total, np.arange(n - 5), axis)
        return max(int(counts.max()), 1)


class _ArrayWindows:
    """An array read as a file is."""

    def __init__(self, array: np.ndarray):
        self.array, self.shape = array, array.shape

    def read(self, window) -> np.ndarray:
        return np.asarray(self.array[tuple(slice(*ends) for ends in window)], "float32")
