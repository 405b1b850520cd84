"""Normalisation layers: group and local response as CIANNA computes them, and a faster batch normalisation."""

import keras
from keras import ops

from astrokeras import backend


@keras.saving.register_keras_serializable(package="astrokeras")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras's batch normalisation; on TensorFlow it trains through the fused kernel, which is faster.

    Arguments, weights and results are those of `keras.layers.BatchNormalization`, on every backend. Where the
    fused kernel does not apply (other than `(batch, y, x, channels)`, a mask, `renorm`, `synchronized`, no scale or
    offset, float64), Keras's own code runs.

    Args:
        *args: see `keras.layers.BatchNormalization`.
        **kwargs: likewise.

    Input and output shape: `(batch, ..., channels)`, the same.

    Reference:
        Ioffe & Szegedy 2015, arXiv:1502.03167.

    Example:
        >>> import numpy as np
        >>> from astrokeras.layers import BatchNormalization
        >>> x = np.random.default_rng(0).normal(5, 3, (64, 8, 8, 4)).astype("float32")
        >>> y = np.array(BatchNormalization()(x, training=True))
        >>> bool(abs(y.mean()) < 1e-4 and abs(y.std() - 1) < 1e-3)
        True
    """

    def call(self, inputs, training=None, mask=None):
        """Normalise by the batch's statistics in training, by the moving averages otherwise."""
        plain = self.scale and self.center and mask is None and not self.renorm and not self.synchronized
        last = len(inputs.shape) == 4 and self.axis in (-1, 3)
        known = keras.backend.standardize_dtype(inputs.dtype) in ("float32", "float16", "bfloat16")
        if not (training and self.trainable and plain and last and known and keras.config.backend() == "tensorflow"):
            return super().call(inputs, training=training, mask=mask)
        gamma, beta = ops.cast(self.gamma, "float32"), ops.cast(self.beta, "float32")
        outputs, mean, variance = backend.fused_batch_norm(inputs, gamma, beta, self.epsilon)
        for average, found in ((self.moving_mean, mean), (self.moving_variance, variance)):
            average.assign(ops.cast(average, "float32") * self.momentum + found * (1.0 - self.momentum))
        return ops.cast(outputs, self.compute_dtype)


@keras.saving.register_keras_serializable(package="astrokeras")
class GroupNormalization(keras.layers.Layer):
    """Normalise each group of channels of each image by its own mean and variance.

    Channels are cut into consecutive groups of `group_size`; mean and (biased) variance run over all
    positions and channels of a group. The statistics are always computed in float32. Training and
    inference are the same computation.

    Args:
        group_size: number of channels in a group; must divide the number of channels.
        per: `"group"` has one gamma and one beta a group, as CIANNA; `"channel"` one a channel, as the
            paper and Keras.
        set_off: number of last groups that pass through unchanged.
        epsilon: added to the variance.
        **kwargs: Keras's layer arguments (`name`, `dtype`).

    Input and output shape: `(batch, [z, [y,]] x, channels)`, the same.

    Raises:
        ValueError: if `group_size` does not divide the channels, or an argument is out of range.

    Reference:
        Wu & He 2018, arXiv:1803.08494; CIANNA 1.0, layer "norm".

    Example:
        >>> import numpy as np
        >>> from astrokeras.layers import GroupNormalization
        >>> layer = GroupNormalization(group_size=2)
        >>> y = np.array(layer(np.random.default_rng(0).normal(5, 3, (2, 8, 8, 4)).astype("float32")))
        >>> bool(abs(y[0, :, :, :2].mean()) < 1e-5)
        True
        >>> tuple(layer.gamma.shape)
        (2,)
    """

    def __init__(self, group_size: int, per: str = "group", set_off: int = 0, epsilon: float = 1e-3, **kwargs):
        super().__init__(**kwargs)
        if group_size < 1:
            raise ValueError(f"Expected group_size >= 1; received group_size={group_size}.")
        if per not in ("group", "channel"):
            raise ValueError(f'Expected per to be "group" or "channel"; received per={per!r}.')
        if set_off < 0:
            raise ValueError(f"Expected set_off >= 0; received set_off={set_off}.")
        self.group_size = group_size
        self.per = per
        self.set_off = set_off
        self.epsilon = epsilon

    def build(self, input_shape):
        """Create gamma and beta."""
        channels = input_shape[-1]
        if channels % self.group_size:
            raise ValueError(
                f"Layer {self.name!r}: expected a group_size that divides the {channels} channels; "
                f"received group_size={self.group_size}."
            )
        groups = channels // self.group_size
        if self.set_off > groups:
            raise ValueError(f"Layer {self.name!r}: expected set_off <= {groups} groups; received {self.set_off}.")
        shape = (groups if self.per == "group" else channels,)
        self.gamma = self.add_weight(shape=shape, initializer="ones", name="gamma")
        self.beta = self.add_weight(shape=shape, initializer="zeros", name="beta")

    def call(self, inputs):
        """Normalise in float32, answer in the compute dtype."""
        channels = inputs.shape[-1]
        groups = channels // self.group_size
        axes = list(range(1, len(inputs.shape) - 1))

        def over_group(values):  # (batch, channels) -> (batch, 1..., channels), the mean over each group
            means = ops.mean(ops.reshape(values, (-1, groups, self.group_size)), axis=-1)
            return ops.reshape(ops.repeat(means, self.group_size, axis=-1), (-1, *(1 for _ in axes), channels))

        x = ops.cast(inputs, "float32")
        centred = x - over_group(ops.mean(x, axis=axes))
        variance = over_group(ops.mean(ops.square(centred), axis=axes))  # of centred values: no cancellation
        gamma, beta = ops.cast(self.gamma, "float32"), ops.cast(self.beta, "float32")
        if self.per == "group":
            gamma, beta = ops.repeat(gamma, self.group_size), ops.repeat(beta, self.group_size)
        y = centred * (ops.rsqrt(variance + self.epsilon) * gamma) + beta
        if self.set_off:
            kept = channels - self.set_off * self.group_size
            y = ops.concatenate([y[..., :kept], x[..., kept:]], axis=-1)
        return ops.cast(y, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        """Return the input's shape."""
        return input_shape


@keras.saving.register_keras_serializable(package="astrokeras")
class LocalResponseNormalization(keras.layers.Layer):
    """Divide each channel by the energy of its neighbours (local response normalisation).

    `y_c = x_c / (k + alpha / depth * sum_j x_j^2)^beta`, j from `c - depth // 2` to `c + depth // 2`,
    cut to the existing channels; the divisor is `depth` also at the edges. Computed in float32.

    Args:
        depth: number of neighbouring channels (CIANNA's `range`).
        k: constant, > 0.
        alpha: weight of the energy.
        beta: exponent.
        **kwargs: Keras's layer arguments (`name`, `dtype`).

    Input and output shape: `(batch, ..., channels)`, the same.

    Raises:
        ValueError: if `depth` < 1.

    Reference:
        Krizhevsky et al. 2012; CIANNA 1.0, layer "lrn" with its defaults.

    Example:
        >>> import numpy as np
        >>> from astrokeras.layers import LocalResponseNormalization
        >>> y = LocalResponseNormalization(depth=1)(np.full((1, 1, 1, 1), 2.0, "float32"))
        >>> round(float(y[0, 0, 0, 0]), 4)  # 2 / sqrt(1 + 4)
        0.8944
    """

    def __init__(self, depth: int = 5, k: float = 1.0, alpha: float = 1.0, beta: float = 0.5, **kwargs):
        super().__init__(**kwargs)
        if depth < 1:
            raise ValueError(f"Expected depth >= 1; received depth={depth}.")
        self.depth = depth
        self.k = k
        self.alpha = alpha
        self.beta = beta

    def call(self, inputs):
        """Normalise in float32, answer in the compute dtype."""
        x = ops.cast(inputs, "float32")
        channels = inputs.shape[-1]
        reach = min(self.depth // 2, channels - 1)
        padding = [(0, 0)] * (len(inputs.shape) - 1) + [(reach, reach)]
        squares = ops.pad(ops.square(x), padding)
        energy = sum(squares[..., i : i + channels] for i in range(2 * reach + 1))
        y = x * ops.power(self.k + self.alpha / self.depth * energy, -self.beta)
        return ops.cast(y, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        """Return the input's shape."""
        return input_shape
