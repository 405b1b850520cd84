"""The normalisation of scientific images, as a layer that is saved with the model."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

FUNCTIONS = {None: lambda x: x, "tanh": ops.tanh, "asinh": ops.arcsinh}


@keras.saving.register_keras_serializable(package="astrokeras")
class Stretch(keras.layers.Layer):
    """Cut, shift, scale and bend the values of an image: `function((clip(x / sigma) - offset) / scale)`.

    CIANNA's SKA challenge 1 cuts a map in Jy/beam to 4e-7..4e-5, maps that to 0..1 and takes tanh(3 x): `clip=(4e-7,
    4e-5), offset=4e-7, scale=3.96e-5 / 3, function="tanh"`. Its challenge 2 divides each channel by its noise and
    takes tanh(0.3 x): `sigma=noise, scale=1 / 0.3, function="tanh"`.

    Args:
        clip: lowest and highest value; `None` cuts nothing.
        offset: subtracted.
        scale: divides.
        function: `None`, `"tanh"` or `"asinh"`.
        sigma: noise of each channel, which divides it first.
        **kwargs: `name` and so on of a Keras layer.

    Input shape: any, channels last. Output shape: the same.

    Raises:
        ValueError: if the function is unknown, a scale is not positive, or there are not as many sigmas as channels.

    Example:
        >>> import numpy as np, astrokeras
        >>> layer = astrokeras.layers.Stretch(clip=(0, 10), scale=5)
        >>> np.asarray(layer(np.array([[-3.0, 2.5, 40.0]], "float32"))).tolist()
        [[0.0, 0.5, 2.0]]
    """

    def __init__(
        self,
        *,
        clip: Sequence[float] | None = None,
        offset: float = 0.0,
        scale: float = 1.0,
        function: str | None = None,
        sigma: Sequence[float] | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.clip = None if clip is None else [float(value) for value in clip]
        self.offset, self.scale = float(offset), float(scale)
        self.function = function
        self.sigma = None if sigma is None else [float(value) for value in np.ravel(sigma)]
        if function not in FUNCTIONS:
            raise ValueError(f'Expected function to be None, "tanh" or "asinh"; received {function!r}.')
        if not (self.scale > 0 and min(self.sigma or [1]) > 0):
            raise ValueError(f"Expected scale and sigma > 0; received scale={scale}, sigma={sigma}.")
        if self.clip is not None and not (len(self.clip) == 2 and self.clip[0] < self.clip[1]):
            raise ValueError(f"Expected clip as (lowest, highest); received {clip}.")

    def build(self, input_shape):
        """Check the number of channels."""
        if self.sigma is not None and len(self.sigma) not in (1, input_shape[-1]):
            raise ValueError(
                f"{self.name}: expected one sigma, or one for each of {input_shape[-1]} channels; received "
                f"{len(self.sigma)}."
            )

    def call(self, inputs):
        """Stretch, in float32: fluxes are small numbers."""
        x = ops.cast(inputs, "float32")
        if self.sigma is not None:
            x = x / ops.convert_to_tensor(np.asarray(self.sigma, "float32"))
        if self.clip is not None:
            x = ops.clip(x, *self.clip)
        return ops.cast(FUNCTIONS[self.function]((x - self.offset) / self.scale), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        """Keep the shape."""
        return tuple(input_shape)

    def get_config(self):
        """Return the arguments."""
        own = {name: getattr(self, name) for name in ("clip", "offset", "scale", "function", "sigma")}
        return super().get_config() | own
