"""The loss as a figure that grows with the training."""

import math
import os
from collections.abc import Sequence

from astrokeras import plots
from astrokeras.callbacks.watcher import Watcher


class LiveLoss(Watcher):
    """Draw the training curves in a notebook while `fit` runs, each figure in the place of the last.

    Outside of notebooks it shows nothing. It draws what the callbacks before it in the list have logged too.

    Args:
        names: quantities to draw, without `val_`; all where `None`.
        every: epochs between two figures; the last epoch always gets one.
        folder: where `training_curves.png` goes, always written anew; `None` saves none.

    Attributes:
        epochs: numbers of the epochs so far, from 0.
        history: name -> list of values, one an epoch; NaN where there was none.

    Raises:
        ValueError: if `every` < 1; in `fit`, where it draws, if a name is unknown.

    Example:
        >>> import numpy as np, keras
        >>> from astrokeras.callbacks import LiveLoss
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> live = LiveLoss()
        >>> history = model.fit(np.zeros((6, 2)), np.zeros((6, 1)), epochs=2, callbacks=[live], verbose=0)
        >>> live.history
        {'loss': [0.0, 0.0]}
    """

    def __init__(self, names: Sequence[str] | None = None, *, every: int = 1, folder: str | os.PathLike | None = None):
        super().__init__(every, folder, show=True)
        self.names, self.epochs, self.history = names, [], {}

    def on_train_begin(self, logs=None) -> None:
        """Begin a new figure."""
        super().on_train_begin(logs)
        self.epochs, self.history = [], {}

    def on_epoch_end(self, epoch: int, logs=None) -> None:
        """Note the values, draw."""
        logs = logs or {}
        for name in dict.fromkeys([*self.history, *logs]):
            values = self.history.setdefault(name, [math.nan] * len(self.epochs))
            values.append(logs.get(name, math.nan))
        self.epochs.append(epoch)
        if self.is_due(epoch) and self.draws:
            self.keep("training_curves", plots.training_curves({"epoch": self.epochs, **self.history}, self.names))
