"""Show the images that a model makes, while it is trained."""

import os

from astrokeras import plots
from astrokeras.callbacks.watcher import Watcher


class SampleImages(Watcher):
    """Make images every few epochs, always from the same seed; save them as a figure.

    For a `GAN`, a `VariationalAutoencoder` or a `DiffusionModel`, or any model with `generate(count, seed=...)`. An
    auto-encoder, or another model from images to images, rebuilds `originals` instead.

    Args:
        count: number of images.
        every: epochs between two figures; the last epoch always gets one.
        folder: where `samples_epoch_0001.png` and so on go; `None` saves none.
        frames: of a `DiffusionModel`, pictures on the way from noise to each image; `None` shows the images alone.
        seed: of the images.
        originals: images for the model to rebuild, `(n, ..., channels)`, drawn above what it makes of them, as
            `reconstructions_epoch_0001.png`; `None` generates.
        show: in a notebook, also show the figure, each in the place of the last.
        **options: of the model's `generate` (or `chain`, with `frames`), such as `sampler="ddim"` and `classes`.

    Attributes:
        images: the latest, `(count, ..., channels)`, `(count, frames, ..., channels)`, or as `originals`.

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
        originals=None,
        show: bool = True,
        **options,
    ):
        super().__init__(every, folder, show)
        if count < 1:
            raise ValueError(f"Expected count >= 1; received {count}.")
        self.count, self.frames, self.seed, self.options = count, frames, seed, options
        self.originals = originals
        self.images = None

    def on_train_begin(self, logs=None) -> None:
        """Check the model before the first epoch is spent."""
        super().on_train_begin(logs)
        wanted = "generate" if self.frames is None else "chain"
        if self.originals is None and not hasattr(self.model, wanted):
            raise ValueError(
                f"SampleImages: expected a model with {wanted}(), such as those of applications.gan and ddpm, or "
                f"originals=, which a model rebuilds; received {type(self.model).__name__}."
            )

    def on_epoch_end(self, epoch: int, logs=None) -> None:
        """Make the images and save them."""
        if not self.is_due(epoch):
            return
        if self.originals is not None:
            self._rebuild(epoch)
            return
        if self.frames is None:
            self.images = self.model.generate(self.count, seed=self.seed, **self.options)
        else:
            self.images = self.model.chain(self.count, seed=self.seed, frames=self.frames, **self.options)
        if self.draws:
            draw = plots.sample_grid if self.frames is None else plots.image_chain
            self.keep(f"samples_epoch_{epoch + 1:04d}", draw(self.images.clip(*self._range())))

    def _rebuild(self, epoch: int) -> None:
        found = self.model.predict(self.originals, verbose=0)
        self.images = found["image"] if isinstance(found, dict) else found  # beside the class
        if self.draws:
            figure = plots.reconstructions(self.originals, self.images)
            self.keep(f"reconstructions_epoch_{epoch + 1:04d}", figure)

    def _range(self) -> tuple[float, float]:
        noising = getattr(self.model, "noising", None)
        return (0.0, 1.0) if noising is None else noising.value_range
