"""Show how an encoder orders its images, while it is trained."""

import os
from collections.abc import Sequence

import keras
import numpy as np

from astrokeras import plots
from astrokeras.callbacks.watcher import Watcher


class LatentSpace(Watcher):
    """Encode the same images every few epochs; draw their latent vectors as points, coloured by class.

    Args:
        images: `(n, [z, [y,]] x, channels)`, some hundreds, as the encoder takes them.
        labels: `(n,)` class numbers, or `None` for points of one colour.
        encoder: from images to `(n, variables)`, two variables or more; maps count as long vectors. `None` takes that
            of the trained model, an `Autoencoder` or a `VariationalAutoencoder`.
        every: epochs between two figures; the last epoch always gets one.
        folder: where `latent_epoch_0001.png` and so on go; `None` saves none.
        names: of the classes; their numbers where `None`.
        batch_size: of the predictions.
        show: in a notebook, also show the figure, each in the place of the last.

    Attributes:
        latent: the latest vectors, `(n, variables)`; of a variational auto-encoder the means.

    Raises:
        ValueError: if `every` < 1; in `fit`, if the model has no encoder.

    Example:
        >>> import numpy as np, astrokeras
        >>> model = astrokeras.applications.autoencoder((8, 8, 1), filters=(4, 8), units=(8,), latent=2)
        >>> model.compile("adam")
        >>> watcher = astrokeras.callbacks.LatentSpace(np.zeros((5, 8, 8, 1)))
        >>> history = model.fit(np.zeros((6, 8, 8, 1)), callbacks=[watcher], verbose=0)
        >>> watcher.latent.shape
        (5, 2)
    """

    def __init__(
        self,
        images,
        labels=None,
        *,
        encoder: keras.Model | None = None,
        every: int = 1,
        folder: str | os.PathLike | None = None,
        names: Sequence[str] | None = None,
        batch_size: int = 256,
        show: bool = True,
    ):
        super().__init__(every, folder, show)
        self.images, self.labels, self.encoder = images, labels, encoder
        self.names, self.batch_size = names, batch_size
        self.latent = None

    def on_train_begin(self, logs=None) -> None:
        """Refuse a model without an encoder."""
        super().on_train_begin(logs)
        if self.encoder is None and not hasattr(self.model, "encoder"):
            raise ValueError(
                "Expected a model with an encoder, such as models.Autoencoder, or encoder=; received "
                f"{type(self.model).__name__}."
            )

    def on_epoch_end(self, epoch: int, logs=None) -> None:
        """Encode, draw."""
        if not self.is_due(epoch):
            return
        if self.encoder is None and hasattr(self.model, "encode"):
            latent = self.model.encode(self.images, batch_size=self.batch_size)
        else:
            encoder = self.model.encoder if self.encoder is None else self.encoder
            latent = encoder.predict(self.images, batch_size=self.batch_size, verbose=0)
        self.latent = np.reshape(latent, (len(latent), -1))
        if self.draws:
            figure = plots.latent_scatter(self.latent, self.labels, self.names, f"epoch {epoch + 1}")
            self.keep(f"latent_epoch_{epoch + 1:04d}", figure)
