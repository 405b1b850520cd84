"""A convolution of small maps with many channels, which TensorFlow computes faster as a matrix product."""

import itertools
import math

import keras
from keras import ops

from astrokeras import backend

MANY_WEIGHTS = 2**23  # in a kernel
SMALL_MAP = 16  # positions


@keras.saving.register_keras_serializable(package="astrokeras")
class Conv2D(keras.layers.Conv2D):
    """Keras's convolution; for kernels of millions of weights on small maps faster with TensorFlow on a CPU.

    Arguments, weights and results are those of `keras.layers.Conv2D`, on every backend. TensorFlow brings a kernel into
    another order in each call; where it has more than 8 million weights and the map at most 16 positions, that takes
    longer than the convolution. There, on a CPU, the windows are laid side by side and multiplied with the kernel as it
    is (`im2col`). Other maps, other strides and other backends take Keras's own way. `Network.conv` uses this layer
    where it helps.

    Args:
        *args: see `keras.layers.Conv2D`.
        **kwargs: likewise.

    Input shape: `(batch, y, x, channels)`; output shape: `(batch, y, x, filters)`.

    Reference:
        Chellapilla, Puri & Simard 2006, "High Performance Convolutional Neural Networks for Document Processing"; the
        course, "im2col".

    Example:
        >>> import numpy as np
        >>> from astrokeras.layers import Conv2D
        >>> layer = Conv2D(8, 3, padding="same")
        >>> tuple(layer(np.ones((2, 4, 4, 3), "float32")).shape)
        (2, 4, 4, 8)
    """

    def convolution_op(self, inputs, kernel):
        """Convolve, as a matrix product where that is faster."""
        plain = all(step == 1 for step in (*self.strides, *self.dilation_rate, self.groups))
        plain = plain and self.data_format == "channels_last" and None not in inputs.shape[1:]
        if not (plain and is_wide(inputs.shape[1:], self.kernel_size, self.filters) and backend.runs_step_by_step()):
            return super().convolution_op(inputs, kernel)
        if self.padding == "same":
            pads = [((size - 1) // 2, size // 2) for size in self.kernel_size]
            inputs = ops.pad(inputs, [(0, 0), *pads, (0, 0)])
        rows, columns = (n - size + 1 for n, size in zip(inputs.shape[1:3], self.kernel_size, strict=True))
        places = itertools.product(*map(range, self.kernel_size))
        windows = ops.concatenate([inputs[:, i : i + rows, j : j + columns] for i, j in places], axis=-1)
        values = windows.shape[-1]  # of a window: kernel y, kernel x, channel
        product = ops.matmul(ops.reshape(windows, (-1, values)), ops.reshape(kernel, (values, self.filters)))
        return ops.reshape(product, (-1, rows, columns, self.filters))


def is_wide(shape: tuple[int, ...], kernel_size: tuple[int, ...], filters: int) -> bool:
    """Whether `Conv2D` is the faster one for maps of this shape, `(y, x, channels)`.

    Example:
        >>> from astrokeras.layers.convolution import is_wide
        >>> is_wide((4, 4, 1024), (3, 3), 1024), is_wide((32, 32, 1024), (3, 3), 1024)
        (True, False)
    """
    *sides, channels = shape
    return math.prod(sides) <= SMALL_MAP and math.prod(kernel_size) * channels * filters > MANY_WEIGHTS
