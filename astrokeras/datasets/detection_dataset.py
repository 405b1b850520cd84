"""Batches of images and targets for a detector, shuffled, resized and augmented by worker threads."""

from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np

from astrokeras.datasets.check_targets import check_targets, image_name, pad_objects
from astrokeras.datasets.detection_set import DetectionSet
from astrokeras.parameters import Parameter


class DetectionDataset(keras.utils.PyDataset):
    """Feed images and their objects to the `fit` of a detector, augmented by workers.

    What comes out depends on the seed, the epoch and the image only, not on the number of workers. All batches have the
    same number of rows for objects, so that the training step is compiled once.

    Args:
        images: a `DetectionSet`, or images `(n, [z, [y,]] x, channels)`.
        targets: with images alone: their objects, a list of dicts or the dict of padded arrays (see `DetectionSet`).
        batch_size: images in a batch; the last batch of an epoch may be smaller.
        size: bring each image to a square of so many pixels first (see `DetectionSet.resized`), when it is read.
        augmentation: callable `(image, objects, seed) -> (image, objects)`, as those of `augmentation`.
        max_objects: rows for the objects of an image; `None` takes those of padded arrays, or else the largest number
            of objects in the set.
        classes: number of classes; `None` takes that of the set's `class_names`, or else what the labels need.
        parameters: of the params, so that their scales are checked too.
        shuffle: draw a new order each epoch.
        seed: of order and augmentation.
        **kwargs: `workers`, `use_multiprocessing`, `max_queue_size` of Keras's `PyDataset`.

    Batch: images float32 `(batch, [z, [y,]] x, channels)`, their values as they are, and the dict of targets.

    Raises:
        ValueError: at once, if the targets are wrong (see `check_targets`) or the images differ in size and neither
            `size` nor an augmentation makes them equal; while it works, if an image cannot be read or its augmentation
            fails or gives something wrong; names the image.

    Example:
        >>> import astrokeras
        >>> train, _ = astrokeras.datasets.simulated_scenes(train=10, test=2, size=48, objects=(1, 4))
        >>> batches = astrokeras.datasets.DetectionDataset(train, batch_size=4, size=32, max_objects=4)
        >>> images, targets = batches[0]
        >>> images.shape, targets["boxes"].shape, len(batches)
        ((4, 32, 32, 3), (4, 4, 4), 3)
    """

    def __init__(
        self,
        images,
        targets: Sequence[Mapping] | Mapping | None = None,
        batch_size: int = 16,
        *,
        size: int | None = None,
        augmentation: Callable[[np.ndarray, dict, int], tuple[np.ndarray, dict]] | None = None,
        max_objects: int | None = None,
        classes: int | None = None,
        parameters: Sequence[Parameter] = (),
        shuffle: bool = True,
        seed: int = 0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if isinstance(images, DetectionSet) == (targets is not None):
            raise ValueError("Expected a DetectionSet alone, or images with targets; received one without the other.")
        if batch_size < 1:
            raise ValueError(f"Expected batch_size >= 1; received {batch_size}.")
        if isinstance(targets, Mapping) and max_objects is None:
            max_objects = np.shape(targets["boxes"])[1]
        images = images if targets is None else DetectionSet(images, targets)
        self.set = images if size is None else images.resized(size, in_memory=False)
        sizes = self.set.sizes
        if augmentation is None and (sizes != sizes[0]).any():
            other = int((sizes != sizes[0]).any(axis=1).argmax())
            raise ValueError(
                f"Expected images of one size; {image_name(0, images.names)} has {sizes[0].tolist()} pixels (x first), "
                f"{image_name(other, images.names)} {sizes[other].tolist()}: pass size=."
            )
        self.classes = self.set.classes if classes is None else classes
        checked = self.set.checked(self.classes, max_objects, parameters)
        self.params = list(parameters) or (checked["params"].shape[-1] if "params" in checked else 0)
        self.max_objects = checked["labels"].shape[1]
        self.batch_size = batch_size
        self.augmentation = augmentation
        self.shuffle = shuffle
        self.seed = seed
        self._epoch = -1
        self.on_epoch_begin()

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return -(-len(self.set) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return batch `index` of this epoch."""
        chosen = self._order[index * self.batch_size : (index + 1) * self.batch_size]
        images, objects = zip(*(self._prepared(int(i)) for i in chosen), strict=True)
        names = [f"number {i} of the set, {self.set.names[i]}" for i in chosen]
        shapes = [image.shape for image in images]
        if len(set(shapes)) > 1:
            other = next(i for i, shape in enumerate(shapes) if shape != shapes[0])
            raise ValueError(
                f"Expected images of one shape in a batch; {image_name(0, names)} has {shapes[0]}, "
                f"{image_name(other, names)} {shapes[other]}: pass size=, or end the augmentation with one size."
            )
        targets = check_targets(
            pad_objects(objects, self.max_objects, names),
            image_shape=shapes[0],
            classes=self.classes,
            params=self.params,
            names=names,
        )
        return np.stack(images).astype("float32"), targets

    def on_epoch_begin(self) -> None:
        """Draw the order of the next epoch."""
        self._epoch += 1
        self._order = np.arange(len(self.set))
        if self.shuffle:
            np.random.default_rng((self.seed, self._epoch)).shuffle(self._order)

    def _prepared(self, i: int) -> tuple[np.ndarray, dict]:
        """Return image i with its objects, augmented."""
        try:
            image, objects = self.set[i]
            if self.augmentation is not None:
                seed = int(np.random.SeedSequence((self.seed, self._epoch, i)).generate_state(1)[0])
                image, objects = self.augmentation(image, objects, seed)
                image = np.asarray(image)
        except Exception as error:  # a worker's error must tell which image it was
            raise ValueError(
                f"Could not prepare {image_name(i, self.set.names)}: {type(error).__name__}: {error}"
            ) from error
        if image.dtype.kind == "f" and not np.isfinite(image).all():
            raise ValueError(
                f"Expected finite pixels; {image_name(i, self.set.names)} has "
                f"{np.count_nonzero(~np.isfinite(image))} others{' after augmentation' * bool(self.augmentation)}: "
                "replace them first."
            )
        return image, objects
