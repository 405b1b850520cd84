"""Pooling with explicit padding that is never counted, and zeros inserted between pixels."""

import keras
import numpy as np
from keras import ops


def per_axis(value, rank: int, argument: str, minimum: int) -> tuple[int, ...]:
    """Write an integer or a sequence of them as one integer per spatial axis, checked."""
    values = (value,) * rank if isinstance(value, (int, np.integer)) else tuple(value)
    if len(values) != rank or any(not isinstance(v, (int, np.integer)) or v < minimum for v in values):
        raise ValueError(
            f"Expected {argument} to be an integer >= {minimum} or {rank} of them, one per axis "
            f"(z, y, x order); received {argument}={value!r}."
        )
    return tuple(int(v) for v in values)


@keras.saving.register_keras_serializable(package="astrokeras")
class PaddedPooling(keras.layers.Layer):
    """Maximum or average pooling in 1-D, 2-D or 3-D whose padding is skipped, not counted.

    The average divides by the number of pixels that really lie in the image, and the maximum never sees
    a padding zero. The size of the output is `floor((n + 2 * padding - pool_size) / strides) + 1` per axis.

    Args:
        pool_size: window, an integer or one per axis in (z, y, x) order.
        kind: `"max"` or `"average"`.
        strides: step of the window; defaults to `pool_size`.
        padding: pixels added on both sides, smaller than `pool_size`.
        **kwargs: Keras's layer arguments (`name`, `dtype`).

    Input shape: `(batch, [z, [y,]] x, channels)`; output shape: the same axes, pooled.

    Raises:
        ValueError: if an argument is out of range, or the image is smaller than the window.

    Reference:
        CIANNA 1.0, layer "pool".

    Example:
        >>> import numpy as np
        >>> from astrokeras.layers import PaddedPooling
        >>> image = np.ones((1, 4, 4, 1), "float32")
        >>> float(np.min(PaddedPooling(3, "average", strides=1, padding=1)(image)))
        1.0
    """

    def __init__(self, pool_size, kind: str = "max", strides=None, padding=0, **kwargs):
        super().__init__(**kwargs)
        if kind not in ("max", "average"):
            raise ValueError(f'Expected kind to be "max" or "average"; received kind={kind!r}.')
        self.pool_size = pool_size
        self.kind = kind
        self.strides = strides
        self.padding = padding

    def build(self, input_shape):
        """Settle one value per axis and, for the average, count the pixels under each window."""
        rank = len(input_shape) - 2
        self._size = per_axis(self.pool_size, rank, "pool_size", 1)
        self._strides = self._size if self.strides is None else per_axis(self.strides, rank, "strides", 1)
        self._padding = per_axis(self.padding, rank, "padding", 0)
        if any(pad >= size for pad, size in zip(self._padding, self._size, strict=True)):
            raise ValueError(
                f"Layer {self.name!r}: expected padding < pool_size on each axis; "
                f"received padding={self._padding}, pool_size={self._size}."
            )
        output = self.compute_output_shape(input_shape)[1:-1]
        if self.kind == "max":
            return
        counts = np.ones((1,), "float32")
        for n, out, size, step, pad in zip(
            input_shape[1:-1], output, self._size, self._strides, self._padding, strict=True
        ):
            start = np.arange(out) * step - pad
            inside = np.minimum(start + size, n) - np.maximum(start, 0)
            counts = counts[..., None] * inside.astype("float32")
        self._correction = np.prod(self._size) / counts[0][None, ..., None]  # (1, [z, [y,]] x, 1)

    def call(self, inputs):
        """Pool."""
        pads = [(0, 0), *((pad, pad) for pad in self._padding), (0, 0)]
        if self.kind == "max":
            padded = ops.pad(inputs, pads, constant_values=-np.inf) if any(self._padding) else inputs
            return ops.max_pool(padded, self._size, self._strides, "valid")
        padded = ops.pad(inputs, pads) if any(self._padding) else inputs
        pooled = ops.average_pool(padded, self._size, self._strides, "valid")
        return pooled * ops.cast(self._correction, pooled.dtype)

    def compute_output_shape(self, input_shape):
        """Pool the spatial axes of a shape."""
        rank = len(input_shape) - 2
        size = per_axis(self.pool_size, rank, "pool_size", 1)
        strides = size if self.strides is None else per_axis(self.strides, rank, "strides", 1)
        padding = per_axis(self.padding, rank, "padding", 0)
        spatial = []
        for n, window, step, pad in zip(input_shape[1:-1], size, strides, padding, strict=True):
            if n is None:
                raise ValueError(f"Layer {self.name!r}: expected fixed image sizes; received {tuple(input_shape)}.")
            if n + 2 * pad < window:
                raise ValueError(
                    f"Layer {self.name!r}: expected images of at least {window - 2 * pad} pixels along each axis; "
                    f"received shape {tuple(input_shape[1:])}."
                )
            spatial.append((n + 2 * pad - window) // step + 1)
        return (input_shape[0], *spatial, input_shape[-1])


@keras.saving.register_keras_serializable(package="astrokeras")
class InternalPadding(keras.layers.Layer):
    """Insert zeros between neighbouring pixels: CIANNA's way to a transposed convolution.

    `n` pixels become `n + (n - 1) * amount`. Followed by a convolution of stride 1 it equals a
    transposed convolution of stride `amount + 1` (with the kernel flipped).

    Args:
        amount: zeros between neighbours, an integer or one per axis in (z, y, x) order.
        **kwargs: Keras's layer arguments (`name`, `dtype`).

    Input shape: `(batch, [z, [y,]] x, channels)`; output shape: the same axes, widened.

    Raises:
        ValueError: if `amount` is negative or has the wrong length.

    Reference:
        CIANNA 1.0, `int_padding` of layer "conv".

    Example:
        >>> import numpy as np
        >>> from astrokeras.layers import InternalPadding
        >>> np.array(InternalPadding(1)(np.array([[[1.0], [2.0], [3.0]]], "float32"))).ravel().tolist()
        [1.0, 0.0, 2.0, 0.0, 3.0]
    """

    def __init__(self, amount=1, **kwargs):
        super().__init__(**kwargs)
        self.amount = amount

    def call(self, inputs):
        """Insert the zeros, one axis after the other."""
        x = inputs
        for axis, amount in enumerate(per_axis(self.amount, len(inputs.shape) - 2, "amount", 0), start=1):
            if amount == 0:
                continue
            shape = ops.shape(x)
            widened = shape[axis] * (amount + 1)
            x = ops.expand_dims(x, axis + 1)  # (..., n, 1, ...)
            pads = [(0, 0)] * len(x.shape)
            pads[axis + 1] = (0, amount)
            x = ops.reshape(ops.pad(x, pads), (*shape[:axis], widened, *shape[axis + 1 :]))
            window = [slice(None)] * len(x.shape)
            window[axis] = slice(0, widened - amount)
            x = x[tuple(window)]
        return x

    def compute_output_shape(self, input_shape):
        """Widen the spatial axes of a shape."""
        amounts = per_axis(self.amount, len(input_shape) - 2, "amount", 0)
        spatial = [
            None if n is None else n + (n - 1) * amount for n, amount in zip(input_shape[1:-1], amounts, strict=True)
        ]
        return (input_shape[0], *spatial, input_shape[-1])
