"""What the layers of a network see: feature maps and first filters."""

import keras
import numpy as np
from keras import ops

from astrokeras.explain.followed import checked_image, convolutions, known_layer


def feature_maps(model: keras.Model, image, layer: str) -> np.ndarray:
    """Return the output of a layer for one image.

    Args:
        model: a functional or sequential model.
        image: `([z, [y,]] x, channels)`, without a batch axis, in the range that the model takes.
        layer: name of the layer.

    Returns:
        `([z, [y,]] x, filters)` float32; `(units,)` of a dense layer.

    Raises:
        ValueError: if the layer is unknown (the error lists the known ones), or the image does not fit.

    Example:
        >>> import numpy as np, astrokeras
        >>> model = astrokeras.applications.lenet5(weights="mnist")
        >>> maps = astrokeras.explain.feature_maps(model, np.zeros((28, 28, 1)), "conv1")
        >>> maps.shape
        (28, 28, 8)
    """
    image = checked_image(model, image)
    found = keras.Model(model.inputs[0], known_layer(model, layer).output)(image[None], training=False)
    return ops.convert_to_numpy(ops.stop_gradient(ops.cast(found, "float32")))[0]


def first_filters(model: keras.Model) -> np.ndarray:
    """Return the kernels of the first convolution, one image per filter.

    Args:
        model: a functional or sequential model with a convolution.

    Returns:
        `(filters, [z, [y,]] x, channels)` float32.

    Raises:
        ValueError: if the model has no convolution.

    Example:
        >>> import astrokeras
        >>> astrokeras.explain.first_filters(astrokeras.applications.lenet5()).shape
        (8, 5, 5, 1)
    """
    first = convolutions(model)[0]
    separable = hasattr(first, "depthwise_kernel")
    kernel = first.depthwise_kernel if separable else first.kernel
    kernel = ops.convert_to_numpy(ops.stop_gradient(ops.cast(kernel, "float32")))
    if type(first).__name__.endswith("Transpose"):
        kernel = np.swapaxes(kernel, -1, -2)  # Keras keeps (..., filters, channels) there
    elif separable or isinstance(first, (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)):
        kernel = kernel.reshape(*kernel.shape[:-2], 1, -1)  # a filter sees one channel
    return np.moveaxis(kernel, -1, 0)
