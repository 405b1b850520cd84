"""Print and save the confusion matrix while training."""

import os
from collections.abc import Sequence

from astrokeras import judging, plots
from astrokeras.callbacks.watcher import Watcher


class ConfusionMatrix(Watcher):
    """Judge the model on held-out data every few epochs; print the table, save the figure.

    Never judge on the images of the final test: take some of the training images away for this.

    Args:
        x: `(n, ...)` inputs, as `fit` gets them, or a `PyDataset` that is not shuffled.
        y: `(n,)` class numbers; `None` with a `PyDataset`.
        every: epochs between two matrices; the last epoch always gets one.
        folder: where `confusion_epoch_0001.png` and so on go; `None` saves none.
        names: of the classes.
        verbose: print the table.
        batch_size: of the predictions.

    Attributes:
        matrix: the latest table, `(true class, predicted class)`.

    Raises:
        ValueError: if `every` < 1.

    Example:
        >>> import numpy as np, keras, astrokeras
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, activation="softmax")])
        >>> model.compile(loss="sparse_categorical_crossentropy")
        >>> watcher = astrokeras.callbacks.ConfusionMatrix(np.zeros((6, 2)), np.arange(6) % 3, verbose=False)
        >>> history = model.fit(np.zeros((6, 2)), np.arange(6) % 3, callbacks=[watcher], verbose=0)
        >>> int(watcher.matrix.sum())
        6
    """

    def __init__(
        self,
        x,
        y=None,
        *,
        every: int = 1,
        folder: str | os.PathLike | None = None,
        names: Sequence[str] | None = None,
        verbose: bool = True,
        batch_size: int = 256,
    ):
        super().__init__(every, folder)
        self.x = x
        self.y = y
        self.names = names
        self.verbose = verbose
        self.batch_size = batch_size
        self.matrix = None

    def on_epoch_end(self, epoch: int, logs=None) -> None:
        """Judge, print, save."""
        if not self.is_due(epoch):
            return
        self.matrix = judging.judge(self.model, self.x, self.y, batch_size=self.batch_size).matrix
        title = f"epoch {epoch + 1}"
        if self.verbose:
            plots.print_table(plots.confusion_table(self.matrix, self.names, title))
        if self.folder is not None:
            figure = plots.confusion_matrix(self.matrix, self.names, title)
            self.keep(f"confusion_epoch_{epoch + 1:04d}", figure, dpi=120)
