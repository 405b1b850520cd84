"""Batches of labelled images, shuffled, augmented and rescaled by worker threads."""

from collections.abc import Callable

import keras
import numpy as np


class ImageDataset(keras.utils.PyDataset):
    """Feed images and labels to `fit`, `evaluate` and `predict`, augmented by workers.

    What comes out depends on the seed, the epoch and the batch only, not on the number of workers. The arrays are
    read batch by batch, so a `numpy.memmap` larger than the memory is fine.

    Args:
        images: `(n, y, x, channels)`, any number type (also 1-D and 3-D data without augmentation).
        labels: `(n,)` or `(n, ...)`; `None` for prediction.
        batch_size: images in a batch; the last batch of an epoch may be smaller.
        augmentation: callable `(images, seed) -> images`, as `augmentation.images(...)` returns it.
        rescale: factor applied last, such as `1 / 255`.
        shuffle: draw a new order each epoch.
        seed: of order and augmentation.
        **kwargs: `workers`, `use_multiprocessing`, `max_queue_size` of Keras's `PyDataset`.

    Batch: images float32 `(batch, y, x, channels)`, and labels `(batch, ...)` where there are some.

    Raises:
        ValueError: if there are no images, or not as many labels as images.

    Example:
        >>> import astrokeras
        >>> (x, y), _ = astrokeras.datasets.simulated_digits(train=20, test=10)
        >>> batches = astrokeras.datasets.ImageDataset(x, y, batch_size=8, rescale=1 / 255)
        >>> len(batches), batches[2][0].shape
        (3, (4, 28, 28, 1))
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray | None = None,
        batch_size: int = 64,
        *,
        augmentation: Callable[[np.ndarray, int], np.ndarray] | None = None,
        rescale: float | None = None,
        shuffle: bool = True,
        seed: int = 0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if len(images) == 0 or batch_size < 1:
            raise ValueError(
                f"Expected images and batch_size >= 1; received {len(images)} images, batch_size={batch_size}."
            )
        if labels is not None and len(labels) != len(images):
            raise ValueError(f"Expected as many labels as images; received {len(images)} images, {len(labels)} labels.")
        self.images = images
        self.labels = labels
        self.batch_size = batch_size
        self.augmentation = augmentation
        self.rescale = rescale
        self.shuffle = shuffle
        self.seed = seed
        self._epoch = -1
        self.on_epoch_begin()

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return -(-len(self.images) // self.batch_size)

    def __getitem__(self, index: int):
        """Return batch `index` of this epoch."""
        chosen = self._order[index * self.batch_size : (index + 1) * self.batch_size]
        images = np.asarray(self.images[chosen] if self.shuffle else self.images[chosen[0] : chosen[-1] + 1])
        if self.augmentation is not None:
            images = self.augmentation(images, _seed(self.seed, self._epoch, index))
        images = images.astype("float32")
        if self.rescale is not None:
            images *= np.float32(self.rescale)
        return images if self.labels is None else (images, self.labels[chosen])

    def on_epoch_begin(self) -> None:
        """Draw the order of the next epoch."""
        self._epoch += 1
        self._order = np.arange(len(self.images))
        if self.shuffle:
            np.random.default_rng((self.seed, self._epoch)).shuffle(self._order)


def _seed(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1)[0])
