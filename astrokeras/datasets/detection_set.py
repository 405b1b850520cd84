"""Images and the objects in them: what the readers return and detectors are trained and judged on."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from astrokeras.datasets.check_targets import check_targets, image_name, pad_objects, unpad_targets
from astrokeras.datasets.original_images import OriginalImages
from astrokeras.datasets.square_images import SquareImages, select, square_frames
from astrokeras.parameters import Parameter

if TYPE_CHECKING:
    from astrokeras.datasets.set_statistics import SetStatistics


class DetectionSet:
    """A sequence of images, each with its objects.

    `set[3]` is one image and its objects; `set[:100]`, `set[[4, 1]]` are smaller sets; `a + b` has the images of both.

    Args:
        images: `(n, [z, [y,]] x, channels)`, or a list of images of different sizes, or `OriginalImages` (files).
        objects: for each image a dict of `"boxes"` `(k, 2 * dims)`, corners with x first, pixels, and `"labels"`
            `(k,)`, and where known `"params"` `(k, P)` in physical values, `"difficult"` `(k,)` 0..3, `"class_only"`
            bool; or the dict of padded arrays that `targets()` returns.
        class_names: in the order of the labels.
        names: of the images (those of their files), for messages.
        frames: `(n, 2, dims)`, scale and shift from the original pixels to these, where the images were resized.

    Attributes:
        images: as given.
        objects: list of dicts of arrays, float32 boxes and params, int32 labels and difficult.
        class_names: tuple of text.
        names: list of text.

    Raises:
        ValueError: if there are no images, not as many objects or names as images, or the keys or shapes of the objects
            of an image differ from the others.

    Example:
        >>> import astrokeras
        >>> train, test = astrokeras.datasets.simulated_scenes(train=8, test=4, size=48)
        >>> image, objects = train[0]
        >>> image.shape, sorted(objects)
        ((48, 48, 3), ['boxes', 'difficult', 'labels'])
        >>> len(train + test), len(train[2:5])
        (12, 3)
    """

    def __init__(
        self,
        images,
        objects: Sequence[Mapping] | Mapping,
        class_names: Sequence[str] = (),
        names: Sequence[str] | None = None,
        *,
        frames: np.ndarray | None = None,
    ):
        objects = unpad_targets(objects) if isinstance(objects, Mapping) else list(objects)
        names = [f"{i:06d}" for i in range(len(images))] if names is None else [str(name) for name in names]
        if len(images) == 0 or not len(images) == len(objects) == len(names):
            raise ValueError(
                "Expected images, and objects and a name for each; received "
                f"{len(images)} images, the objects of {len(objects)}, {len(names)} names."
            )
        self.images = list(images) if isinstance(images, tuple) else images
        self.class_names = tuple(map(str, class_names))
        self.names = names
        self.frames = frames
        dims = 2 if isinstance(images, OriginalImages | SquareImages) else np.ndim(images[0]) - 1
        keys = {key for one in objects for key in one}
        if not any(one.get("class_only", False) for one in objects):
            keys.discard("class_only")
        width = max(np.shape(one["params"])[-1] for one in objects if "params" in one) if "params" in keys else 0
        self.objects = [_plain(one, keys, dims, width, image_name(i, names)) for i, one in enumerate(objects)]

    @property
    def classes(self) -> int:
        """Number of `class_names`, or else what the labels need."""
        return len(self.class_names) or 1 + max(one["labels"].max(initial=-1) for one in self.objects)

    @property
    def sizes(self) -> np.ndarray:
        """Size of each image in pixels, `(n, dims)` int, x first."""
        if isinstance(self.images, OriginalImages | SquareImages):
            return self.images.sizes
        if isinstance(self.images, list):
            return np.array([np.shape(image)[-2::-1] for image in self.images])
        return np.tile(self.images.shape[-2:0:-1], (len(self), 1))

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    def __getitem__(self, index):
        """Return one image and its objects, or a smaller set."""
        if isinstance(index, int | np.integer):
            return np.asarray(self.images[index]), self.objects[index]
        numbers = np.arange(len(self))[index]
        return DetectionSet(
            select(self.images, index if isinstance(index, slice) else numbers),
            [self.objects[i] for i in numbers],
            self.class_names,
            [self.names[i] for i in numbers],
            frames=None if self.frames is None else self.frames[numbers],
        )

    def __add__(self, other: "DetectionSet") -> "DetectionSet":
        """Return a set with the images of both."""
        if self.class_names != other.class_names or (self.frames is None) != (other.frames is None):
            raise ValueError(
                "Expected two sets of the same classes, both as they were read or both resized; received classes "
                f"{self.class_names} and {other.class_names}: pass class_names to the readers, join before resizing."
            )
        first, second = self.images, other.images
        if isinstance(first, OriginalImages) and isinstance(second, OriginalImages):
            images = OriginalImages([*first.paths, *second.paths], np.concatenate([first.sizes, second.sizes]))
        elif isinstance(first, np.ndarray) and isinstance(second, np.ndarray) and first.shape[1:] == second.shape[1:]:
            images = np.concatenate([first, second])
        else:
            images = [*first, *second]
        frames = None if self.frames is None else np.concatenate([self.frames, other.frames])
        return DetectionSet(
            images, [*self.objects, *other.objects], self.class_names, self.names + other.names, frames=frames
        )

    def targets(self, max_objects: int | None = None) -> dict[str, np.ndarray]:
        """Return the objects of all images as padded arrays, for `fit` and the metrics.

        Args:
            max_objects: rows for each image, M; `None` takes the largest number of objects.

        Returns:
            Dict of `"boxes"` `(n, M, 2 * dims)` float32, `"labels"` `(n, M)` int32 (-1 = padding), and so on.

        Raises:
            ValueError: if an image has more objects; names it.
        """
        return pad_objects(self.objects, max_objects, self.names)

    def checked(
        self, classes: int | None = None, max_objects: int | None = None, parameters: Sequence[Parameter] = ()
    ) -> dict[str, np.ndarray]:
        """Return `targets(max_objects)` after `check_targets`, each image with its own size.

        Args:
            classes: number of classes; `None` takes that of the set.
            max_objects: rows for each image.
            parameters: of the params, so that their scales are checked too.
        """
        targets = self.targets(max_objects)
        return check_targets(
            targets,
            image_shape=np.pad(self.sizes[:, ::-1], ((0, 0), (0, 1)), constant_values=1),
            classes=self.classes if classes is None else classes,
            params=parameters or (targets["params"].shape[-1] if "params" in targets else 0),
            names=self.names,
        )

    def resized(self, size: int, pad: bool = True, *, in_memory: bool = True) -> "DetectionSet":
        """Bring all images to one square size, as CIANNA's data_prep.py does, and the boxes with them.

        Each image is put into the middle of a black square as large as its longer side, which is resized (bilinear).
        Unlike there, an image smaller than `size` is enlarged. `to_original` brings boxes back.

        Args:
            size: pixels along each side.
            pad: `False` stretches the images to squares instead.
            in_memory: make all images now, as one array; `False` makes each when it is asked for.

        Returns:
            A set of images `(n, size, size, channels)`, uint8 for uint8 and float32 for all else.

        Raises:
            ValueError: if the images are not 2-D, or `size` is below 1.
        """
        sizes = self.sizes
        if size < 1 or sizes.shape[1] != 2:
            raise ValueError(
                f"Expected 2-D images and size >= 1; received images of {sizes.shape[1]} dimensions, size={size}."
            )
        frames = square_frames(sizes, size, pad)
        scale, shift = frames[:, 0], frames[:, 1]
        objects = [
            one | {"boxes": (one["boxes"] * np.tile(scale[i], 2) + np.tile(shift[i], 2)).astype("float32")}
            for i, one in enumerate(self.objects)
        ]
        if self.frames is not None:
            frames = np.stack([self.frames[:, 0] * scale, self.frames[:, 1] * scale + shift], axis=1)
        images = SquareImages(self.images, size, pad)
        return DetectionSet(
            _array(images) if in_memory else images, objects, self.class_names, self.names, frames=frames
        )

    def to_original(self, index: int | np.ndarray, boxes: np.ndarray) -> np.ndarray:
        """Bring boxes back to the pixels that the images had before `resized`.

        Args:
            index: number of the image, or one for each box, `(k,)`.
            boxes: `(k, 2 * dims)`, corners with x first, in the pixels of this set.

        Returns:
            `(k, 2 * dims)` in the original pixels; the same boxes where nothing was resized.
        """
        if self.frames is None:
            return boxes
        frames = self.frames[index]
        return ((boxes - _twice(frames[..., 1, :])) / _twice(frames[..., 0, :])).astype(boxes.dtype)

    def statistics(self) -> "SetStatistics":
        """Count objects and measure boxes; `print` the result for the table."""
        from astrokeras.datasets.set_statistics import SetStatistics

        return SetStatistics.of(self.objects, self.class_names)

    def write_voc(self, folder: str | os.PathLike, split: str = "train") -> None:
        """Write a folder in the layout of PASCAL VOC, which `voc_folder` reads back.

        Images are written as PNG, so that none changes; a folder may receive several splits, one after the other.

        Args:
            folder: is made where it does not exist.
            split: name of the list in `ImageSets/Main`.

        Raises:
            ValueError: if images are not uint8 with 1 or 3 channels, or an object has no class.
        """
        from astrokeras.datasets.write_voc import write_voc

        write_voc(self, folder, split)


def _plain(one: Mapping, keys: set[str], dims: int, width: int, where: str) -> dict[str, np.ndarray]:
    """Return the objects of an image with all keys and dtypes of the set."""
    count = len(one.get("labels", ()))
    expected = {"boxes": (count, 2 * dims), "labels": (count,), "params": (count, width), "difficult": (count,)}
    plain = {}
    for key, shape in expected.items():
        if key in keys or key in ("boxes", "labels"):
            values = np.asarray(one.get(key, np.zeros(shape if key == "difficult" else 0)))
            values = values.reshape(shape) if values.size == count == 0 else values
            plain[key] = values.astype("float32" if key in ("boxes", "params") else "int32")
            if values.shape != shape or (key == "labels" and (plain[key] != values).any()):
                raise ValueError(
                    f"Expected {key} {shape} as there are {count} whole labels; {where} has {key} {values.shape}."
                )
    if "class_only" in keys:
        plain["class_only"] = np.asarray(one.get("class_only", False), bool)
    unknown = keys - {*expected, "class_only"}
    if unknown:
        raise ValueError(f"Expected objects with {', '.join(expected)}, class_only; received {', '.join(unknown)}.")
    return plain


def _array(images: SquareImages) -> np.ndarray:
    """Decode and resize all, on several threads (Pillow frees the lock), into one array."""
    from rich.progress import track

    first = images[0]
    array = np.empty((len(images), *first.shape), first.dtype)

    def make(i: int) -> None:
        array[i] = images[i]

    with ThreadPoolExecutor() as pool:
        made = pool.map(make, range(len(images)))
        for _ in track(made, "resizing", total=len(images), transient=True, disable=len(images) < 500):
            pass
    return array


def _twice(values: np.ndarray) -> np.ndarray:
    """Return values `(..., dims)` for both corners, `(..., 2 * dims)`."""
    return np.concatenate([values, values], axis=-1)
