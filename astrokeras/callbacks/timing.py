"""How fast is the training, and when will it end?"""

import time

import keras


class Timing(keras.callbacks.Callback):
    """Measure images per second and the time left; `fit` prints both with the losses and keeps them in its history.

    The log gets `images_per_second`, of the training steps alone if this callback stands first in the list, and
    `time_left`, in seconds: the mean time of an epoch, with validation and callbacks, times the epochs left. The first
    epoch, in which the step is compiled, counts in the mean only while it is the only one.
    `keras.callbacks.CSVLogger(path)`, last in the list, writes all to a file.

    Args:
        images: number of images in an epoch: `len(x)`, or steps times batch size.

    Raises:
        ValueError: if `images` < 1.

    Example:
        >>> import numpy as np, keras
        >>> from astrokeras.callbacks import Timing
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> history = model.fit(np.zeros((6, 2)), np.zeros((6, 1)), epochs=2, callbacks=[Timing(6)], verbose=0).history
        >>> history["images_per_second"][0] > 0, history["time_left"][0] > 0, history["time_left"][1]
        (True, True, 0.0)
    """

    def __init__(self, images: int):
        super().__init__()
        if images < 1:
            raise ValueError(f"Expected images >= 1, the number of images in an epoch; received {images}.")
        self.images = images
        self._seconds, self._mark, self._begun, self._trained = [], 0.0, 0.0, None

    def on_train_begin(self, logs=None) -> None:
        """Start the clock."""
        self._seconds, self._mark = [], time.perf_counter()

    def on_epoch_begin(self, epoch: int, logs=None) -> None:
        """Start the clock of the training steps."""
        self._begun, self._trained = time.perf_counter(), None

    def on_test_begin(self, logs=None) -> None:
        """Stop it where the validation begins."""
        if self._trained is None:
            self._trained = self._finished()

    def on_epoch_end(self, epoch: int, logs=None) -> None:
        """Log the speed and the time left."""
        if self._trained is None:
            self._trained = self._finished()
        now = time.perf_counter()
        self._seconds.append(now - self._mark)
        self._mark = now
        usual = self._seconds[1:] or self._seconds
        if logs is not None:
            logs["images_per_second"] = self.images / max(self._trained - self._begun, 1e-9)
            logs["time_left"] = sum(usual) / len(usual) * (self.params["epochs"] - epoch - 1)

    def _finished(self) -> float:
        """Return the time when the device has done the last step."""
        for variable in self.model.trainable_variables[:1]:  # of the first layer: the last that a step changes
            keras.ops.convert_to_numpy(variable)
        return time.perf_counter()
