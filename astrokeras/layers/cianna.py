"""What CIANNA does its own way: the bias as an input, dropout before the activation, dense layers with a pivot."""

import keras
from keras import ops

from astrokeras.cianna_files import LEAST_RATE


@keras.saving.register_keras_serializable(package="astrokeras")
class ScaledBias(keras.layers.Layer):
    """Add a bias as CIANNA has it: a constant input `value` with a trained weight per channel, `x + value * weight`.

    The weight learns `value` times as fast as an ordinary bias, the bias itself `value` squared times.

    Args:
        value: of the constant input.
        **kwargs: Keras's layer arguments (`name`, `dtype`).

    Input and output shape: `(batch, ..., channels)`, the same.

    Reference:
        CIANNA 1.0, `bias` of each layer.

    Example:
        >>> import numpy as np
        >>> from astrokeras.layers import ScaledBias
        >>> layer = ScaledBias(0.5)
        >>> layer.build((None, 2))
        >>> layer.set_weights([np.array([1.0, -4.0])])
        >>> np.array(layer(np.zeros((1, 2), "float32"))).tolist()
        [[0.5, -2.0]]
    """

    def __init__(self, value: float = 0.1, **kwargs):
        super().__init__(**kwargs)
        self.value = float(value)

    def build(self, input_shape):
        """Create the weight."""
        self.bias = self.add_weight(shape=(input_shape[-1],), initializer="zeros", name="bias")

    def call(self, inputs):
        """Add the bias."""
        return inputs + self.value * ops.cast(self.bias, inputs.dtype)

    def compute_output_shape(self, input_shape):
        """Return the input's shape."""
        return input_shape


@keras.saving.register_keras_serializable(package="astrokeras")
class UnscaledDropout(keras.layers.Layer):
    """CIANNA's dropout, for pre-activations: training sets values to 0, inference multiplies all by `1 - rate`.

    Keras's dropout rescales in training instead; behind a non-linear activation the two differ. Rates up to 0.01 do
    nothing. `model(x, training=True)` is CIANNA's MC_MODEL, `model.predict` its AVG_MODEL.

    Args:
        rate: share of values set to 0, in 0..1.
        seed: of the draws.
        **kwargs: Keras's layer arguments (`name`, `dtype`).

    Input and output shape: any, the same.

    Raises:
        ValueError: if the rate is outside 0..1.

    Reference:
        CIANNA 1.0, `drop_rate` of layers "conv", "pool" and "dense".

    Example:
        >>> import numpy as np
        >>> from astrokeras.layers import UnscaledDropout
        >>> np.array(UnscaledDropout(0.25)(np.array([4.0, 8.0], "float32"))).tolist()
        [3.0, 6.0]
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise ValueError(f"Expected a rate in 0..1, 1 excluded; received rate={rate}.")
        self.rate = rate
        self.seed = seed
        self._draws = keras.random.SeedGenerator(seed)
        self.supports_masking = True

    def call(self, inputs, training=False):
        """Drop, or average."""
        if self.rate <= LEAST_RATE:
            return inputs
        if not training:
            return inputs * (1.0 - self.rate)
        kept = keras.random.uniform(ops.shape(inputs), seed=self._draws) >= self.rate
        return inputs * ops.cast(kept, inputs.dtype)

    def compute_output_shape(self, input_shape):
        """Return the input's shape."""
        return input_shape


@keras.saving.register_keras_serializable(package="astrokeras")
class PivotDense(keras.layers.Layer):
    """CIANNA's dense layer, whose bias is an input and which hands a bias on to the dense layer behind it.

    Its weight matrix has a row for the bias input (`bias_kernel`) and a column for an additional neuron, the pivot
    (`pivot_kernel` and, where they meet, `corner`, which is never trained). The pivot is the bias input of the dense
    layer behind. A linear layer hands it on; behind any other activation it is 0: that layer has no bias.

    Args:
        units: number of neurons.
        activation: layer, or `None` for linear.
        dropout: rate of `UnscaledDropout` on the pre-activations.
        bias_value: of the bias input, where it is not a pivot.
        takes_pivot: the last input is the pivot of the dense layer in front.
        gives_pivot: append the pivot to the neurons.
        **kwargs: Keras's layer arguments (`name`, `dtype`).

    Input shape: `(batch, inputs)`, plus 1 with `takes_pivot`. Output shape: `(batch, units)`, plus 1 with
    `gives_pivot`.

    Raises:
        ValueError: if `units` < 1.

    Reference:
        CIANNA 1.0, layer "dense".

    Example:
        >>> import keras
        >>> from astrokeras.layers import PivotDense
        >>> x = keras.Input((3,))
        >>> y = PivotDense(4, gives_pivot=True)(x)
        >>> y.shape, PivotDense(2, takes_pivot=True)(y).shape
        ((None, 5), (None, 2))
    """

    def __init__(
        self,
        units: int,
        activation: keras.layers.Layer | None = None,
        *,
        dropout: float = 0.0,
        bias_value: float = 0.1,
        takes_pivot: bool = False,
        gives_pivot: bool = False,
        kernel_initializer="glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if units < 1:
            raise ValueError(f"Expected units >= 1; received units={units}.")
        self.units = units
        self.activation = activation
        self.dropout = dropout
        self.bias_value = float(bias_value)
        self.takes_pivot = takes_pivot
        self.gives_pivot = gives_pivot
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self._dropout = UnscaledDropout(dropout, dtype=self.dtype_policy)

    def build(self, input_shape):
        """Create the four parts of the weight matrix."""
        inputs = input_shape[-1] - int(self.takes_pivot)
        hands_on = self.gives_pivot and self.activation is None
        self.kernel = self.add_weight(shape=(inputs, self.units), initializer=self.kernel_initializer, name="kernel")
        self.bias_kernel = self.add_weight(shape=(self.units,), initializer="zeros", name="bias_kernel")
        self.pivot_kernel = self.add_weight(
            shape=(inputs,), initializer="zeros", trainable=hands_on, name="pivot_kernel"
        )
        self.corner = self.add_weight(shape=(), initializer="ones", trainable=False, name="corner")

    def call(self, inputs, training=False):
        """Multiply, drop, activate."""
        kind = inputs.dtype
        kernel, bias, pivot_kernel, corner = (
            ops.cast(weight, kind) for weight in (self.kernel, self.bias_kernel, self.pivot_kernel, self.corner)
        )
        x = inputs[:, :-1] if self.takes_pivot else inputs
        given = inputs[:, -1:] if self.takes_pivot else self.bias_value
        y = self._dropout(ops.matmul(x, kernel) + given * bias, training=training)
        if self.activation is not None:
            y = self.activation(y)
        if not self.gives_pivot:
            return y
        if self.activation is None:
            pivot = ops.matmul(x, pivot_kernel[:, None]) + given * corner
        else:
            pivot = ops.zeros_like(y[:, :1])
        return ops.concatenate([y, pivot], axis=-1)

    def compute_output_shape(self, input_shape):
        """Replace the last axis."""
        return (*input_shape[:-1], self.units + int(self.gives_pivot))

    def get_config(self):
        """Return the arguments."""
        return super().get_config() | {
            "units": self.units,
            "activation": keras.saving.serialize_keras_object(self.activation),
            "dropout": self.dropout,
            "bias_value": self.bias_value,
            "takes_pivot": self.takes_pivot,
            "gives_pivot": self.gives_pivot,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }

    @classmethod
    def from_config(cls, config):
        """Make the activation from its configuration."""
        activation = keras.saving.deserialize_keras_object(config["activation"]) if config["activation"] else None
        return cls(**config | {"activation": activation})
