"""Which regions of the last feature maps speak for an answer?"""

import functools

import keras
import numpy as np

from astrokeras.explain.features import feature_maps
from astrokeras.explain.followed import (
    Slope,
    along_axes,
    checked_image,
    convolutions,
    follow,
    followable,
    known_layer,
    scores,
)
from astrokeras.models import YoloDetector


def grad_cam(model: keras.Model, image, target, *, layer: str | None = None) -> np.ndarray:
    """Map which regions speak for an answer, by the feature maps of a convolution (Grad-CAM).

    Each feature map is weighted by the mean gradient of the answer with respect to it; the weighted sum is cut at zero
    and interpolated to the size of the image. Where the model ends in a softmax or a sigmoid the score in front of it
    is followed.

    Args:
        model: a functional or sequential model with a convolution, of one input and one output.
        image: `([z, [y,]] x, channels)`, without a batch axis, in the range that the model takes.
        target: number of the output, one index per axis where an answer has several, or for a `YoloDetector` the
            position `(x, y)` in pixels whose cell's highest objectness is followed.
        layer: name of the layer whose maps are taken; `None` takes the last convolution (of a detector the last but
            one, since the last gives the answer itself).

    Returns:
        `([z, [y,]] x)` float32, zero or more.

    Raises:
        ValueError: if the model has no convolution, the layer is unknown or has no maps, or the image or the target
            does not fit.

    Reference:
        Selvaraju et al. 2016, arXiv:1610.02391.

    Example:
        >>> import numpy as np, astrokeras
        >>> model = astrokeras.applications.lenet5(weights="mnist")
        >>> astrokeras.explain.grad_cam(model, np.zeros((28, 28, 1)), 3).shape
        (28, 28)
    """
    image = checked_image(model, image)
    index = follow(model, target, image.shape)
    found = convolutions(model)
    if layer is not None:
        taken = known_layer(model, layer)
    else:
        taken = found[-2] if isinstance(model, YoloDetector) and len(found) > 1 else found[-1]
    if len(taken.output.shape) != image.ndim + 1:
        raise ValueError(
            f"{model.name}: expected a layer with feature maps, such as {found[-1].name}; received {taken.name!r}, "
            f"whose output has the shape {tuple(taken.output.shape)}."
        )
    maps = feature_maps(model, image, taken.name)
    slope = _slope(model, taken.name).of([image[None], maps[None]], index)[0]
    weights = slope.mean(axis=tuple(range(slope.ndim - 1)))  # (filters,)
    coarse = np.maximum(maps @ weights, 0)
    return along_axes(coarse, [_interpolation(*sides) for sides in zip(image.shape, coarse.shape, strict=False)])


@functools.lru_cache(maxsize=4)  # the next image of the same model finds it compiled
def _slope(model: keras.Model, layer: str) -> Slope:
    """Return the gradient with respect to the maps of a layer; the image serves what goes around the layer."""
    rest = keras.Model([model.inputs[0], model.get_layer(layer).output], scores(model).outputs[0])
    return Slope(rest, functools.partial(followable, model))


def _interpolation(fine: int, coarse: int) -> np.ndarray:
    """`(fine, coarse)` weights of a linear interpolation between pixel centres; beyond the last ones it is flat."""
    at = np.clip((np.arange(fine) + 0.5) * coarse / fine - 0.5, 0, coarse - 1)
    return np.maximum(1 - np.abs(at[:, None] - np.arange(coarse)), 0).astype("float32")
