"""Drawing a latent vector in a way that lets the gradient through."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="astrokeras")
class GaussianSampling(keras.layers.Layer):
    """Draw from normal distributions in training, take their means otherwise (the reparameterisation).

    Adds the Kullback-Leibler divergence of the distributions from the standard normal one, the mean over the batch, to
    the losses of the layer.

    Args:
        seed: of what is drawn.
        dtype: stays float32 under mixed precision.
        **kwargs: `name` and so on of a Keras layer.

    Input shape: `(batch, 2 * latent)`: means, then logarithms of variances. Output shape: `(batch, latent)`.

    Raises:
        ValueError: if the width is odd.

    Reference:
        Kingma & Welling 2014, arXiv:1312.6114, appendix B.

    Example:
        >>> import keras, numpy as np, astrokeras
        >>> layer = astrokeras.layers.GaussianSampling()
        >>> means = layer(np.array([[1.0, 2.0, 0.0, 0.0]]))
        >>> keras.ops.convert_to_numpy(means).tolist(), float(layer.losses[0])
        ([[1.0, 2.0]], 2.5)
    """

    def __init__(self, seed: int = 0, dtype="float32", **kwargs):
        super().__init__(dtype=dtype, **kwargs)
        self.seed = int(seed)
        self.random = keras.random.SeedGenerator(self.seed)

    def build(self, input_shape):
        """Check the width."""
        if len(input_shape) != 2 or input_shape[-1] is None or input_shape[-1] % 2:
            raise ValueError(
                f"{self.name}: expected (batch, 2 * latent), means and logarithms of variances; received shape "
                f"{tuple(input_shape)}."
            )

    def call(self, inputs, training=False):
        """Draw, or take the means."""
        mean, log_variance = ops.split(ops.cast(inputs, "float32"), 2, axis=-1)
        log_variance = ops.clip(log_variance, -20.0, 20.0)  # exp must stay finite
        each = 0.5 * ops.sum(ops.exp(log_variance) + ops.square(mean) - 1 - log_variance, axis=-1)
        self.add_loss(ops.mean(each))
        if training:
            mean = mean + ops.exp(log_variance / 2) * keras.random.normal(ops.shape(mean), seed=self.random)
        return ops.cast(mean, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        """Half the width."""
        return (input_shape[0], input_shape[-1] // 2)

    def get_config(self):
        """Return the arguments."""
        return super().get_config() | {"seed": self.seed}
