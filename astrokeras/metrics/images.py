"""How alike two images are, pixel by pixel and in structure, as Keras metrics."""

import keras
from keras import ops


class _ImageMetric(keras.metrics.Mean):
    """The mean over the images of what `_compare` says of each pair."""

    def __init__(self, max_value: float, name: str, **kwargs):
        if not max_value > 0:
            raise ValueError(f"Metric {name!r}: expected max_value > 0; received {max_value!r}.")
        super().__init__(name=name, **kwargs)
        self.max_value = float(max_value)
        self._direction = "up"

    def update_state(self, y_true, y_pred, sample_weight=None) -> None:
        """Add a batch."""
        if tuple(y_true.shape[1:]) != tuple(y_pred.shape[1:]) or len(y_pred.shape) < 3:
            raise ValueError(
                f"Metric {self.name!r}: expected two sets of images (batch, [z, [y,]] x, channels) of one shape; "
                f"received {tuple(y_true.shape)} and {tuple(y_pred.shape)}."
            )
        super().update_state(self._compare(ops.cast(y_true, "float32"), ops.cast(y_pred, "float32")), sample_weight)

    def get_config(self) -> dict:
        """Return the arguments."""
        return super().get_config() | {"max_value": self.max_value}


@keras.saving.register_keras_serializable(package="astrokeras")
class PSNR(_ImageMetric):
    """Peak signal-to-noise ratio of rebuilt images, in dB: the mean over the images of 10 log10(max_value^2 / MSE).

    `keras.ops.psnr` gives one number for a whole batch, from the mean of its squared errors; this one treats each image
    alike, and works in `compile(metrics=[...])`. Equal images count as 100 dB.

    Args:
        max_value: the range of the pixels, 1 for 0..1.
        name: of the metric.
        **kwargs: Keras's metric arguments (`dtype`).

    `update_state(y_true, y_pred, sample_weight=None)`: both `(batch, [z, [y,]] x, channels)`.

    Raises:
        ValueError: if `max_value` <= 0, or the shapes differ.

    Example:
        >>> import numpy as np
        >>> from astrokeras.metrics import PSNR
        >>> metric = PSNR()
        >>> metric.update_state(np.zeros((2, 8, 8, 1)), np.full((2, 8, 8, 1), 0.1))
        >>> round(float(metric.result()), 3)
        20.0
    """

    def __init__(self, max_value: float = 1.0, name: str = "psnr", **kwargs):
        super().__init__(max_value, name, **kwargs)

    def _compare(self, y_true, y_pred):
        error = ops.mean(ops.square((y_true - y_pred) / self.max_value), axis=tuple(range(1, len(y_pred.shape))))
        return -10 * ops.log10(ops.maximum(error, 1e-10))


@keras.saving.register_keras_serializable(package="astrokeras")
class SSIM(_ImageMetric):
    """Structural similarity of rebuilt images, 1 for equal ones: the mean over the images of `keras.ops.image.ssim`.

    Windows of 11 x 11 pixels, weighted by a Gaussian of standard deviation 1.5, compare brightness, contrast and
    structure around each pixel that is 5 pixels or more from the edge.

    Args:
        max_value: the range of the pixels, 1 for 0..1.
        name: of the metric.
        **kwargs: Keras's metric arguments (`dtype`).

    `update_state(y_true, y_pred, sample_weight=None)`: both `(batch, y, x, channels)`, sides of 11 pixels or more.

    Raises:
        ValueError: if `max_value` <= 0, the shapes differ, or the images are not 2-D or too small.

    Reference:
        Wang et al. 2004, IEEE Transactions on Image Processing 13, 600.

    Example:
        >>> import numpy as np
        >>> from astrokeras.metrics import SSIM
        >>> images = np.random.default_rng(0).random((2, 16, 16, 1))
        >>> metric = SSIM()
        >>> metric.update_state(images, images)
        >>> round(float(metric.result()), 4)
        1.0
    """

    def __init__(self, max_value: float = 1.0, name: str = "ssim", **kwargs):
        super().__init__(max_value, name, **kwargs)

    def _compare(self, y_true, y_pred):
        if len(y_pred.shape) != 4 or min(y_pred.shape[1:3]) < 11:
            raise ValueError(
                f"Metric {self.name!r}: expected images (batch, y, x, channels) of 11 pixels or more a side; received "
                f"{tuple(y_pred.shape)}."
            )
        return ops.image.ssim(y_true, y_pred, max_val=self.max_value, data_format="channels_last")
