"""Numbers told to a network as waves."""

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="astrokeras")
class SinusoidalEmbedding(keras.layers.Layer):
    """Turn a number into sines and cosines of growing wavelengths, so that a network can tell near from equal.

    Args:
        width: number of outputs, even: half of them sines, then as many cosines.
        longest: wavelength over 2 pi of the slowest wave; that of the fastest is 1. Give times in steps, not in 0..1.
        dtype: stays float32 under mixed precision.
        **kwargs: `name` and so on of a Keras layer.

    Input shape: `(batch,)` or `(batch, 1)`. Output shape: `(batch, width)`.

    Raises:
        ValueError: if the width is not even and at least 4.

    Reference:
        Vaswani et al. 2017, arXiv:1706.03762, section 3.5; Ho et al. 2020 for the time of a diffusion.

    Example:
        >>> import keras, numpy as np, astrokeras
        >>> layer = astrokeras.layers.SinusoidalEmbedding(4)
        >>> keras.ops.convert_to_numpy(layer(np.array([0.0]))).tolist()
        [[0.0, 0.0, 1.0, 1.0]]
    """

    def __init__(self, width: int, longest: float = 10_000.0, dtype="float32", **kwargs):
        super().__init__(dtype=dtype, **kwargs)
        if width < 4 or width % 2:
            raise ValueError(f"Expected width to be even and at least 4; received {width}.")
        self.width, self.longest = int(width), float(longest)

    def call(self, inputs):
        """Compute the waves."""
        x = ops.reshape(ops.cast(inputs, "float32"), (-1, 1))
        rates = np.exp(-np.log(self.longest) * np.arange(self.width // 2) / (self.width // 2 - 1)).astype("float32")
        return ops.cast(ops.concatenate([ops.sin(x * rates), ops.cos(x * rates)], axis=-1), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        """One row of waves for each number."""
        return (input_shape[0], self.width)

    def get_config(self):
        """Return the arguments."""
        return super().get_config() | {"width": self.width, "longest": self.longest}
