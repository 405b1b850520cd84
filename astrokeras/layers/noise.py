"""Adding the noise of a diffusion to images."""

import keras
import numpy as np
from keras import ops

from astrokeras.schedules import NoiseSchedule

TARGETS = ("noise", "velocity", "image")


@keras.saving.register_keras_serializable(package="astrokeras")
class AddNoise(keras.layers.Layer):
    """Take each image to a random step of a diffusion.

    Args:
        alpha_bar: `(steps,)` of a `NoiseSchedule`.
        target: what the network is to guess: `"noise"`, `"image"`, or `"velocity"`, `sqrt(alpha_bar) noise -
            sqrt(1 - alpha_bar) image`.
        value_range: of the images, which are brought to -1..1.
        seed: of steps and noise.
        dtype: stays float32 under mixed precision.
        **kwargs: `name` and so on of a Keras layer.

    Input shape: `(batch, ..., channels)`. Output: a dict of `noised` and `target` of that shape, `time` `(batch,)`, and
    `noise_rate` `(batch,)`, the square root of `1 - alpha_bar`.

    Raises:
        ValueError: if the target is unknown, the schedule none, or the range empty.

    Reference:
        Ho et al. 2020, arXiv:2006.11239; Salimans & Ho 2022, arXiv:2202.00512 (velocity).

    Example:
        >>> import numpy as np, astrokeras
        >>> schedule = astrokeras.schedules.noise_schedule("cosine", 100)
        >>> noised = astrokeras.layers.AddNoise(schedule.alpha_bar)(np.zeros((2, 8, 8, 1)))
        >>> tuple(noised["noised"].shape), tuple(noised["time"].shape)
        ((2, 8, 8, 1), (2,))
    """

    def __init__(self, alpha_bar, target="noise", value_range=(0.0, 1.0), seed: int = 0, dtype="float32", **kwargs):
        super().__init__(dtype=dtype, **kwargs)
        low, high = map(float, value_range)
        if target not in TARGETS or not low < high:
            raise ValueError(
                f"Expected a target of {', '.join(TARGETS)} and a value_range of low < high; received {target!r} and "
                f"{value_range}."
            )
        self.schedule = NoiseSchedule(alpha_bar)
        self.target, self.value_range, self.seed = target, (low, high), int(seed)
        self.random = keras.random.SeedGenerator(self.seed)

    def scaled(self, images):
        """Bring images from `value_range` to -1..1."""
        low, high = self.value_range
        return (images - low) * (2 / (high - low)) - 1

    def unscaled(self, images):
        """Bring images from -1..1 back to `value_range`."""
        low, high = self.value_range
        return (images + 1) * ((high - low) / 2) + low

    def call(self, inputs):
        """Draw step and noise."""
        images = self.scaled(ops.cast(inputs, "float32"))
        batch = ops.shape(images)[0]
        time = keras.random.randint((batch,), 0, self.schedule.steps, dtype="int32", seed=self.random)
        noise = keras.random.normal(ops.shape(images), dtype="float32", seed=self.random)
        column = (-1, *[1] * (len(images.shape) - 1))
        signal, rate = (
            ops.take(ops.convert_to_tensor(table.astype("float32")), time)
            for table in (np.sqrt(self.schedule.alpha_bar), np.sqrt(1 - self.schedule.alpha_bar))
        )
        a, b = ops.reshape(signal, column), ops.reshape(rate, column)
        target = {"noise": noise, "image": images}.get(self.target)
        return {
            "noised": a * images + b * noise,
            "target": a * noise - b * images if target is None else target,
            "time": ops.cast(time, "float32"),
            "noise_rate": rate,
        }

    def compute_output_shape(self, input_shape):
        """Images, and one number for each of them."""
        numbers = (input_shape[0],)
        return {"noised": input_shape, "target": input_shape, "time": numbers, "noise_rate": numbers}

    def compute_output_spec(self, inputs):
        """Describe the dict."""
        shapes = self.compute_output_shape(inputs.shape)
        return {name: keras.KerasTensor(shape, "float32") for name, shape in shapes.items()}

    def get_config(self):
        """Return the arguments."""
        own = {"alpha_bar": self.schedule.alpha_bar.tolist(), "target": self.target}
        return super().get_config() | own | {"value_range": self.value_range, "seed": self.seed}


@keras.saving.register_keras_serializable(package="astrokeras")
class DropClass(keras.layers.Layer):
    """In training, tell some images' class as unknown, so that one network learns with and without classes.

    Args:
        unknown: the number that stands for no class.
        rate: share of the images.
        seed: of the choice.
        **kwargs: `name` and so on of a Keras layer.

    Input and output shape: `(batch,)` class numbers.

    Raises:
        ValueError: if the rate is not in 0..1.

    Reference:
        Ho & Salimans 2022, arXiv:2207.12598 (classifier-free guidance), algorithm 1.

    Example:
        >>> import keras, numpy as np, astrokeras
        >>> layer = astrokeras.layers.DropClass(10, rate=1.0)
        >>> keras.ops.convert_to_numpy(layer(np.array([3, 7]), training=True)).tolist()
        [10, 10]
    """

    def __init__(self, unknown: int, rate: float = 0.1, seed: int = 0, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= rate <= 1:
            raise ValueError(f"Expected a rate in 0..1; received {rate!r}.")
        self.unknown, self.rate, self.seed = int(unknown), float(rate), int(seed)
        self.random = keras.random.SeedGenerator(self.seed)

    def call(self, inputs, training=False):
        """Replace some numbers."""
        inputs = ops.cast(inputs, "int32")
        if not training:
            return inputs
        drawn = keras.random.uniform(ops.shape(inputs), dtype="float32", seed=self.random)
        return ops.where(drawn < self.rate, self.unknown, inputs)

    def compute_output_spec(self, inputs, training=False):
        """Stay integers."""
        return keras.KerasTensor(inputs.shape, "int32")

    def get_config(self):
        """Return the arguments."""
        return super().get_config() | {"unknown": self.unknown, "rate": self.rate, "seed": self.seed}


@keras.saving.register_keras_serializable(package="astrokeras")
class AppendChannel(keras.layers.Layer):
    """Put a number of each image beside its channels, the same in every pixel.

    Input: `(batch, ..., channels)` and `(batch,)`. Output shape: `(batch, ..., channels + 1)`.

    Reference:
        The course's diffusion notebooks of cats and galaxies, where the network sees the noise rate so.

    Example:
        >>> import numpy as np, astrokeras
        >>> astrokeras.layers.AppendChannel()(np.zeros((2, 4, 4, 3)), np.array([0.1, 0.9])).shape[-1]
        4
    """

    def call(self, images, numbers):
        """Spread the number over the pixels."""
        numbers = ops.reshape(ops.cast(numbers, images.dtype), (-1, *[1] * (len(images.shape) - 1)))
        return ops.concatenate([images, ops.zeros_like(images[..., :1]) + numbers], axis=-1)

    def compute_output_shape(self, images_shape, numbers_shape):
        """One channel more."""
        return (*images_shape[:-1], images_shape[-1] + 1)
