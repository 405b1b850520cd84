"""Show what a generative model makes, while it is trained."""

import os
from pathlib import Path

import keras

from astrokeras import plots


class SampleImages(keras.callbacks.Callback):
    """Make images every few epochs, always from the same seed; save them as a figure.

    For a `GAN`, a `VariationalAutoencoder` or a `DiffusionModel`, or any model with `generate(count, seed=...)`.

    Args:
        count: number of images.
        every: epochs between two figures; the last epoch always gets one.
        folder: where `samples_epoch_0001.png` and so on go; `None` saves none.
        frames: of a `DiffusionModel`, pictures on the way from noise to each image; `None` shows the images alone.
        seed: of the images.
        **options: of the model's `generate` (or `chain`, with `frames`), such as `sampler="ddim"` and `classes`.

    Attributes:
        images: the latest, `(count, ..., channels)`, or `(count, frames, ..., channels)`.

    Raises:
        ValueError: if `every` or `count` is below 1, or the model has no `generate` or `chain`.

    Example:
        >>> import numpy as np, astrokeras
        >>> model = astrokeras.applications.gan((8, 8, 1), filters=(4, 8))
        >>> model.compile("adam")
        >>> watcher = astrokeras.callbacks.SampleImages(4)
        >>> history = model.fit(np.zeros((6, 8, 8, 1)), callbacks=[watcher], verbose=0)
        >>> watcher.images.shape
        (4, 8, 8, 1)
    """

    def __init__(
        self,
        count: int = 16,
        *,
        every: int = 1,
        folder: str | os.PathLike | None = None,
        frames: int | None = None,
        seed: int = 0,
        **options,
    ):
        super().__init__()
        if every < 1 or count < 1:
            raise ValueError(f"Expected every >= 1 epochs and count >= 1; received {every} and {count}.")
        self.count, self.every, self.frames, self.seed, self.options = count, every, frames, seed, options
        self.folder = None if folder is None else Path(folder)
        self.images = None

    def on_train_begin(self, logs=None) -> None:
        """Check the model before the first epoch is spent."""
        wanted = "generate" if self.frames is None else "chain"
        if not hasattr(self.model, wanted):
            raise ValueError(
                f"SampleImages: expected a model with {wanted}(), such as those of applications.gan and ddpm; received "
                f"{type(self.model).__name__}."
            )

    def on_epoch_end(self, epoch: int, logs=None) -> None:
        """Make the images and save them."""
        last = self.params.get("epochs") == epoch + 1
        if (epoch + 1) % self.every and not last:
            return
        if self.frames is None:
            self.images = self.model.generate(self.count, seed=self.seed, **self.options)
        else:
            self.images = self.model.chain(self.count, seed=self.seed, frames=self.frames, **self.options)
        if self.folder is not None:
            draw = plots.sample_grid if self.frames is None else plots.image_chain
            self.folder.mkdir(parents=True, exist_ok=True)
            figure = draw(self.images.clip(*self._range()))
            figure.savefig(self.folder / f"samples_epoch_{epoch + 1:04d}.png")

    def _range(self) -> tuple[float, float]:
        noising = getattr(self.model, "noising", None)
        return (0.0, 1.0) if noising is None else noising.value_range
