"""CIANNA's learning rate, and a warm-up."""

import math

import keras


class LearningRate(keras.callbacks.Callback):
    """Let the learning rate fall as CIANNA's `train` does: `end + (start - end) * exp(-decay * i)` in epoch i.

    The epochs count from 0. `fit(initial_epoch=...)`, and a training that `keras.callbacks.BackupAndRestore` takes up
    again, go on with the rate of their epoch. The optimizer is compiled with a number; this callback replaces it.

    `fit` notes the rate at the end of each epoch as `learning_rate`; `keras.callbacks.CSVLogger(path)`, last in the
    list, writes it to a file with the losses.

    Args:
        start: rate of epoch 0.
        end: rate after many epochs.
        decay: how fast it falls; 0 keeps `start`.
        warmup: epochs, or a part of one, over which the rate rises to that of the law, step by step, in proportion to
            the steps taken since epoch 0. CIANNA has none.

    Raises:
        ValueError: if not `start` > 0, `end` >= 0, `decay` >= 0 and `warmup` >= 0; in `fit`, if the optimizer follows a
            schedule of its own, or the warm-up meets data of unknown length.

    Reference:
        CIANNA 1.0, `learning_rate`, `end_learning_rate` and `lr_decay` of `train`.

    Example:
        >>> import numpy as np, keras
        >>> from astrokeras.callbacks import LearningRate
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> falls = LearningRate(0.03, 0.01, decay=0.5)
        >>> history = model.fit(np.zeros((6, 2)), np.zeros((6, 1)), epochs=3, callbacks=[falls], verbose=0).history
        >>> [round(rate, 4) for rate in history["learning_rate"]]
        [0.03, 0.0221, 0.0174]
    """

    def __init__(self, start: float, end: float = 0.0, decay: float = 0.0, *, warmup: float = 0.0):
        super().__init__()
        if not (start > 0 and end >= 0 and decay >= 0 and warmup >= 0):
            raise ValueError(
                f"Expected start > 0, end >= 0, decay >= 0 and warmup >= 0 epochs; received {start}, {end}, {decay} "
                f"and {warmup}."
            )
        self.start, self.end, self.decay, self.warmup = start, end, decay, warmup
        self._epoch, self._risen = 0, 1.0

    def rate(self, epoch: int) -> float:
        """Return the rate of an epoch, counted from 0, without warm-up."""
        return self.end + (self.start - self.end) * math.exp(-self.decay * epoch)

    def on_train_begin(self, logs=None) -> None:
        """Refuse a warm-up whose steps cannot be counted."""
        if self.warmup and not self.params.get("steps"):
            raise ValueError(
                "Expected data of known length for a warm-up; received a generator: give steps_per_epoch to fit, or "
                "warmup=0."
            )

    def on_epoch_begin(self, epoch: int, logs=None) -> None:
        """Set the rate of the epoch."""
        self._epoch = epoch
        self._set(0)

    def on_train_batch_begin(self, batch: int, logs=None) -> None:
        """Raise the rate in the warm-up."""
        if batch and self._risen < 1:
            self._set(batch)

    def on_epoch_end(self, epoch: int, logs=None) -> None:
        """Note the rate."""
        if logs is not None:
            logs["learning_rate"] = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))

    def _set(self, batch: int) -> None:
        self._risen = 1.0
        if self.warmup:
            steps = self.params["steps"]
            self._risen = min(1.0, (self._epoch * steps + batch + 1) / (self.warmup * steps))
        if batch and keras.config.backend() == "jax":
            self.model.jax_state_sync()  # within an epoch, the optimizer's numbers are elsewhere
        try:
            self.model.optimizer.learning_rate = self._risen * self.rate(self._epoch)
        except (TypeError, AttributeError):
            raise ValueError(
                "Expected an optimizer with a number as learning rate, which LearningRate can change; received one "
                "with a schedule or function: compile with a number, or leave LearningRate out."
            ) from None
