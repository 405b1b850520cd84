"""LeNet-5 as the course draws it: the first network of the practicals."""

import keras

from astrokeras.network import Network


def lenet5(
    input_shape=(28, 28, 1), classes: int = 10, *, weights: str | None = None, name: str = "lenet5"
) -> keras.Model:
    """Build the course's LeNet-5: two convolutions with pooling, three dense layers.

    Input: `(batch, y, x, 1)` in 0..1. Output: `(batch, classes)`, class probabilities (softmax).
    238,570 parameters with the default arguments.

    Args:
        input_shape: `(y, x, channels)`; also `(x, channels)` and `(z, y, x, channels)`.
        classes: number of classes.
        weights: `None`, `"mnist"` (trained on MNIST), or a `.keras` or `.weights.h5` file.
        name: of the model.

    Raises:
        ValueError: if the shape is too small for the two pools, or an argument is out of range.

    Reference:
        LeCun et al. 1998; CIANNA 1.0, examples/MNIST (activation "RELU" is `relu_leaky`).

    Example:
        >>> import numpy as np, astrokeras
        >>> model = astrokeras.applications.lenet5(weights="mnist")
        >>> model.predict(np.zeros((2, 28, 28, 1)), verbose=0).shape
        (2, 10)
    """
    net = Network(input_shape, activation="relu_leaky", name=name)
    net.conv(8, 5)
    net.pool(2)
    net.conv(16, 5)
    net.pool(2)
    net.dense(256, dropout=0.5)
    net.dense(128, dropout=0.2)
    net.dense(classes, activation="softmax")
    return net.build(weights, application="lenet5")
