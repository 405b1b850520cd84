"""A group-normalised network for CIFAR-10, in the order of the course's: convolution, pool, norm, activation."""

import keras

from astrokeras.network import Network


def cifar10_cnn(
    input_shape=(32, 32, 3),
    classes: int = 10,
    *,
    filters: tuple[int, ...] = (32, 64, 128, 256),
    include_top: bool = True,
    normalization: tuple[float, float] | None = (127.5, 127.5),
    weights: str | None = None,
    name: str = "cifar10_cnn",
) -> keras.Model:
    """Build a network of group-normalised convolutions, every second stage with a residual block.

    The order inside a stage is that of CIANNA's published CIFAR-10 network (88.7 % with 16 to 128 filters): linear
    convolution, max pooling, group normalisation, activation. The widths and the residual blocks (two convolutions,
    each normalised, around which the map is added) are ours.

    Input: `(batch, y, x, channels)` in 0..255. Output: `(batch, classes)`, class probabilities; without top the
    map `(batch, y / 8, x / 8, filters[-1])`. 1,647,242 parameters by default.

    Args:
        input_shape: `(y, x, channels)`, at least 8 pixels; also 1-D and 3-D.
        classes: number of classes.
        filters: of each stage, multiples of 8; all but the first stage halve the map.
        include_top: end with the 1x1 convolution, global average pool and softmax.
        normalization: `(mean, scale)` of the first layer, `(x - mean) / scale`; `None` for the bare net.
        weights: `None`, or a `.keras` or `.weights.h5` file.
        name: of the model.

    Raises:
        ValueError: if the shape is too small for the pools, or an argument is out of range.

    Reference:
        Course, practical "CIFAR-10" (CIANNA), for the order of the layers; He et al. 2015, arXiv:1512.03385, for
        the residual block.

    Example:
        >>> import astrokeras
        >>> model = astrokeras.applications.cifar10_cnn(classes=3)
        >>> model.output_shape
        (None, 3)
    """
    net = Network(input_shape, activation="relu_leaky", kernel_initializer="he_normal", name=name)
    if normalization is not None:
        net.rescale(*normalization)
    for stage, width in enumerate(filters):
        net.conv(width, 3, activation="linear")
        if stage:
            net.pool(2)
        net.norm(8, per="channel", activation="relu_leaky")
        if stage % 2:
            start = f"stage{stage + 1}_start"
            net.mark(start)
            for _ in range(2):
                net.conv(width, 3, activation="linear")
                net.norm(8, per="channel", activation="relu_leaky")
            net.add(start)
    if include_top:
        net.conv(classes, 1, activation="linear", name="classes")
        net.global_pool("average", activation="softmax")
    return net.build(weights, application="cifar10_cnn")
