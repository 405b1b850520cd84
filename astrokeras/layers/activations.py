"""CIANNA's rectifier: leaky below zero, leaky again above a saturation."""

import keras
from keras import ops

from astrokeras import backend

LEAK = 0.05
SATURATION = 800.0


@keras.saving.register_keras_serializable(package="astrokeras")
def relu_leaky(x, leak: float = LEAK, saturation: float = SATURATION):
    """CIANNA's RELU: leaky below zero and above a saturation.

    `leak * x` for x <= 0, `x` up to the saturation, `saturation + leak * (x - saturation)` above.
    `Network(activation="relu_leaky")` means this function with its defaults.

    Args:
        x: tensor of any shape.
        leak: slope outside 0..saturation.
        saturation: end of the linear part.

    Returns:
        Tensor of the shape and dtype of `x`.

    Reference:
        CIANNA 1.0 (Cornu, https://github.com/Deyht/CIANNA), activation "RELU".

    Example:
        >>> from keras import ops
        >>> from astrokeras.layers import relu_leaky
        >>> [round(float(y), 2) for y in relu_leaky(ops.array([-2.0, 3.0, 900.0]))]
        [-0.1, 3.0, 805.0]
    """
    if backend.runs_step_by_step() and not isinstance(x, keras.KerasTensor):
        return backend.saturated_leaky_relu(ops.convert_to_tensor(x), leak, saturation)
    y = ops.leaky_relu(x, negative_slope=leak)
    return y - (1.0 - leak) * ops.relu(y - saturation)


@keras.saving.register_keras_serializable(package="astrokeras")
class SaturatedLeakyReLU(keras.layers.Layer):
    """`relu_leaky` as a layer, for a leak or a saturation of one's own.

    Args:
        leak: slope below 0 and above the saturation, in 0..1.
        saturation: end of the linear part, > 0.
        **kwargs: Keras's layer arguments (`name`, `dtype`).

    Input and output shape: any, the same.

    Raises:
        ValueError: if `leak` is outside 0..1 or `saturation` is not positive.

    Reference:
        CIANNA 1.0, activation "RELU" with its `leaking` and `saturation`.

    Example:
        >>> import numpy as np
        >>> from astrokeras.layers import SaturatedLeakyReLU
        >>> layer = SaturatedLeakyReLU(leak=0.5, saturation=6)
        >>> np.array(layer(np.array([-2.0, 4.0, 10.0], "float32"))).tolist()
        [-1.0, 4.0, 8.0]
    """

    def __init__(self, leak: float = LEAK, saturation: float = SATURATION, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= leak <= 1:
            raise ValueError(f"Expected leak in 0..1; received leak={leak}.")
        if not saturation > 0:
            raise ValueError(f"Expected saturation > 0; received saturation={saturation}.")
        self.leak = leak
        self.saturation = saturation
        self.supports_masking = True

    def call(self, inputs):
        """Apply the activation."""
        return relu_leaky(inputs, self.leak, self.saturation)

    def compute_output_shape(self, input_shape):
        """Return the input's shape."""
        return input_shape


@keras.saving.register_keras_serializable(package="astrokeras")
class SaturatedSigmoid(keras.layers.Layer):
    """CIANNA's LOGI: `1 / (1 + exp(min(-beta * x, saturation)))`, cut on the low side only.

    The gradient is `beta * y * (1 - y)` everywhere, also where the sigmoid is cut.

    Args:
        beta: steepness, > 0.
        saturation: the largest exponent, > 0; the output is at least `1 / (1 + exp(saturation))`.
        **kwargs: Keras's layer arguments (`name`, `dtype`).

    Input and output shape: any, the same.

    Raises:
        ValueError: if `beta` or `saturation` is not positive.

    Reference:
        CIANNA 1.0, activation "LOGI" with its `beta` and `saturation`.

    Example:
        >>> import numpy as np
        >>> from astrokeras.layers import SaturatedSigmoid
        >>> layer = SaturatedSigmoid(saturation=3)
        >>> [round(float(y), 4) for y in layer(np.array([-9.0, 0.0, 9.0], "float32"))]
        [0.0474, 0.5, 0.9999]
    """

    def __init__(self, beta: float = 1.0, saturation: float = 6.0, **kwargs):
        super().__init__(**kwargs)
        if not (beta > 0 and saturation > 0):
            raise ValueError(f"Expected beta > 0 and saturation > 0; received beta={beta}, saturation={saturation}.")
        self.beta = beta
        self.saturation = saturation
        self.supports_masking = True

    def call(self, inputs):
        """Apply the activation."""
        x = self.beta * inputs
        cut = ops.stop_gradient(ops.maximum(x, -self.saturation)) + (x - ops.stop_gradient(x))
        return ops.sigmoid(cut)

    def compute_output_shape(self, input_shape):
        """Return the input's shape."""
        return input_shape
