"""Print and save the confusion matrix while training."""

import os
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from rich.progress import track

from astrokeras import metrics, plots


class ConfusionMatrix(keras.callbacks.Callback):
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
        >>> judge = astrokeras.callbacks.ConfusionMatrix(np.zeros((6, 2)), np.arange(6) % 3, verbose=False)
        >>> history = model.fit(np.zeros((6, 2)), np.arange(6) % 3, callbacks=[judge], verbose=0)
        >>> judge.matrix.sum()
        np.float32(6.0)
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
        super().__init__()
        if every < 1:
            raise ValueError(f"Expected every >= 1 epochs; received every={every}.")
        self.x = x
        self.y = y
        self.every = every
        self.folder = None if folder is None else Path(folder)
        self.names = names
        self.verbose = verbose
        self.batch_size = batch_size
        self.matrix = None

    def on_epoch_end(self, epoch: int, logs=None) -> None:
        """Judge, print, save."""
        last = self.params.get("epochs") == epoch + 1
        if (epoch + 1) % self.every and not last:
            return
        self.matrix = judge(self.model, self.x, self.y, self.batch_size)
        title = f"epoch {epoch + 1}"
        if self.verbose:
            plots.print_table(plots.confusion_table(self.matrix, self.names, title))
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            figure = plots.confusion_matrix(self.matrix, self.names, title)
            figure.savefig(self.folder / f"confusion_epoch_{epoch + 1:04d}.png", dpi=120)


def judge(model: keras.Model, x, y=None, batch_size: int = 256, *, verbose: bool = False) -> np.ndarray:
    """Return the confusion matrix of a classifier on some data.

    Args:
        model: gives `(batch, classes)` scores.
        x: inputs, or a `PyDataset` of inputs and labels that is not shuffled.
        y: `(n,)` class numbers; `None` with a `PyDataset`.
        batch_size: of the predictions.
        verbose: show a progress bar.

    Returns:
        `(classes, classes)` counts, row = true class, column = predicted class.

    Example:
        >>> import numpy as np, keras
        >>> from astrokeras.callbacks import judge
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
        >>> judge(model, np.zeros((4, 2)), np.array([0, 1, 2, 2])).sum(axis=1).tolist()
        [1.0, 1.0, 2.0]
    """
    metric = metrics.ConfusionMatrix(model.output_shape[-1])
    places = range(len(x)) if y is None else range(0, len(x), batch_size)
    for place in track(places, "judging", transient=True, disable=not verbose):
        part = slice(place, place + batch_size)
        images, labels = x[place] if y is None else (x[part], y[part])
        metric.update_state(labels, model.predict_on_batch(images))
    return metric.matrix()
