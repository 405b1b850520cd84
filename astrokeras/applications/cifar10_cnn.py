"""A group-normalised network for CIFAR-10, in the order of the course's: convolution, pool, norm, activation."""

import keras

from astrokeras.network import Network


def cifar10_cnn(
    input_shape=(32, 32, 3),
    classes: int = 10,
    *,
    filters: tuple[int, ...] = (48, 96, 192),
    include_top: bool = True,
    normalization: tuple[float, float] | None = (127.5, 127.5),
    weights: str | None = None,
    name: str = "cifar10_cnn",
) -> keras.Model:
    """Build a plain network of two convolutions a stage, each group-normalised, the second one pooled.

    The order inside a stage is that of CIANNA's published CIFAR-10 network (88.7 %, 16 to 128 filters):
    linear convolution, max pooling, group normalisation, activation. The widths and the second convolution are ours.

    Input: `(batch, y, x, channels)` in 0..255. Output: `(batch, classes)`, class probabilities; without top the
    map `(batch, y / 8, x / 8, 2 * filters[-1])`.

    Args:
        input_shape: `(y, x, channels)`, at least 8 pixels; also 1-D and 3-D.
        classes: number of classes.
        filters: of the first convolution of each stage; the second has twice as many.
        include_top: end with the 1x1 convolution, global average pool and softmax.
        normalization: `(mean, scale)` of the first layer, `(x - mean) / scale`; `None` for the bare net.
        weights: `None`, or a `.keras` or `.weights.h5` file.
        name: of the model.

    Raises:
        ValueError: if the shape is too small for the pools, or an argument is out of range.

    Reference:
        Course, practical "CIFAR-10" (CIANNA), for the order of the layers.

    Example:
        >>> import astrokeras
        >>> model = astrokeras.applications.cifar10_cnn(classes=3)
        >>> model.output_shape
        (None, 3)
    """
    net = Network(input_shape, activation="relu_leaky", kernel_initializer="he_normal", name=name)
    if normalization is not None:
        net.rescale(*normalization)
    for width in filters:
        net.conv(width, 3, activation="linear")
        net.norm(8, per="channel", activation="relu_leaky")
        net.conv(2 * width, 3, activation="linear")
        net.pool(2)
        net.norm(8, per="channel", activation="relu_leaky")
    if include_top:
        net.conv(classes, 1, activation="linear", name="classes")
        net.global_pool("average", activation="softmax")
    return net.build(weights, application="cifar10_cnn")
