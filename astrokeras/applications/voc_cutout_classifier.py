"""The first half of the course's detection story: a classifier of object cutouts."""

import keras

from astrokeras.network import Network


def voc_cutout_classifier(
    input_shape=(128, 128, 3),
    classes: int = 20,
    *,
    background: bool = False,
    include_top: bool = True,
    normalization: tuple[float, float] | None = (100.0, 155.0),
    weights: str | None = None,
    name: str = "voc_cutout_classifier",
) -> keras.Model:
    """Build the slide's network for cutouts of PASCAL VOC objects.

    Input: `(batch, y, x, channels)` in 0..255, at least 32 pixels. Output: `(batch, classes)`, class probabilities, the
    background last where there is one; without top the map `(batch, y / 32, x / 32, 1024)`. 15,751,092 parameters by
    default.

    Args:
        input_shape: `(y, x, channels)`; also 1-D and 3-D.
        classes: number of object classes.
        background: add one class for "no object", as the sliding window needs it.
        include_top: end with the 1x1 convolution, global average pool and softmax.
        normalization: `(mean, scale)` of the first layer, `(x - mean) / scale`; `None` for the bare net.
        weights: `None`, or a `.keras` or `.weights.h5` file.
        name: of the model.

    Raises:
        ValueError: if the shape is too small for the five pools, or an argument is out of range.

    Reference:
        Course, slides on detection: 16-32-64-128-256 with pools, 512, 1024, 1024, 1x1, global average pool, softmax.

    Example:
        >>> import astrokeras
        >>> model = astrokeras.applications.voc_cutout_classifier((32, 32, 3), background=True)
        >>> model.output_shape
        (None, 21)
    """
    net = Network(input_shape, activation="relu_leaky", name=name)
    if normalization is not None:
        net.rescale(*normalization)
    for filters in (16, 32, 64, 128, 256):
        net.conv(filters, 3)
        net.pool(2)
    for filters in (512, 1024, 1024):
        net.conv(filters, 3)
    if include_top:
        net.conv(classes + bool(background), 1, activation="linear", name="classes")
        net.global_pool("average", activation="softmax")
    return net.build(weights, application="voc_cutout_classifier")
