"""The course's cats-against-dogs network: small, group-normalised, without dense layers."""

import keras

from astrokeras.network import Network


def asirra_cnn(
    input_shape=(128, 128, 3),
    classes: int = 2,
    *,
    include_top: bool = True,
    normalization: tuple[float, float] | None = (100.0, 155.0),
    weights: str | None = None,
    name: str = "asirra_cnn",
) -> keras.Model:
    """Build the network of the ASIRRA practical: convolution, max pooling, group normalisation, activation, five times.

    CIANNA's published network of this layout reaches 98.2 % on ASIRRA at 128 pixels (`arch2_res128_err1.76`).

    Input: `(batch, y, x, channels)` in 0..255, at least 32 pixels. Output: `(batch, classes)`, class
    probabilities; without top the map `(batch, y / 32, x / 32, 192)`. 586,114 parameters by default.

    Args:
        input_shape: `(y, x, channels)`; also 1-D and 3-D.
        classes: number of classes.
        include_top: end with the 1x1 convolution, global average pool and softmax.
        normalization: `(mean, scale)` of the first layer, `(x - mean) / scale`; `None` for the bare net.
        weights: `None`, or a `.keras` or `.weights.h5` file.
        name: of the model.

    Raises:
        ValueError: if the shape is too small for the five pools, or an argument is out of range.

    Reference:
        Course, practical "ASIRRA" (CIANNA and TensorFlow notebooks).

    Example:
        >>> import astrokeras
        >>> model = astrokeras.applications.asirra_cnn((32, 32, 3))
        >>> model.output_shape
        (None, 2)
    """
    net = Network(input_shape, activation="relu_leaky", name=name)
    if normalization is not None:
        net.rescale(*normalization)
    for filters, group_size in ((16, 2), (32, 2), (64, 4)):
        net.conv(filters, 3, activation="linear")
        net.pool(2)
        net.norm(group_size, activation="relu_leaky")
    for filters, group_size in ((128, 4), (192, 8)):
        net.conv(filters, 3)
        net.conv(filters // 2, 1)
        net.conv(filters, 3, activation="linear")
        net.pool(2)
        net.norm(group_size, activation="relu_leaky")
    if include_top:
        net.conv(classes, 1, activation="linear", name="classes")
        net.global_pool("average", activation="softmax")
    return net.build(weights, application="asirra_cnn")
