"""Which image does a class, or a filter, answer most to?"""

import functools

import keras
import numpy as np
from keras import ops

from astrokeras.explain.followed import Slope, along_axes, checked_image, follow, followable, known_layer, scores


def activation_maximization(
    model: keras.Model,
    target,
    *,
    layer: str | None = None,
    steps: int = 100,
    rate: float = 0.02,
    jitter: int = 2,
    blur: float = 0.5,
    value_range: tuple[float, float] | None = None,
    seed: int = 0,
) -> np.ndarray:
    """Make the image that an output, or a filter of a layer, answers most to, by climbing its gradient from noise.

    Each step shifts the image by some pixels, at random (jitter), adds its gradient, divided by its root mean square,
    cuts the values to the range, shifts it back and smooths it (blur); without the two the image is a fine pattern that
    no eye makes sense of. The last fifth of the steps is free of both, and its steps shrink linearly.

    Args:
        model: a functional or sequential model of one input of fixed size.
        target: number of the output (where the model ends in a softmax or a sigmoid the score in front of it is
            followed), or of the filter where a layer is given; a position for a `YoloDetector`.
        layer: name of the layer whose filter is meant: its mean over all positions grows.
        steps: of the climb.
        rate: size of a step, as a share of the range.
        jitter: largest shift in pixels, along each axis.
        blur: standard deviation of the Gaussian in pixels; 0 for none.
        value_range: lowest and highest value of the image; `None` means 0..255 for a model with a layer named
            `normalization`, else 0..1.
        seed: of the first noise and the jitter.

    Returns:
        An image `([z, [y,]] x, channels)` float32 in the range.

    Raises:
        ValueError: if the target or the layer does not exist, the model takes images of any size, or an argument is out
            of range.

    Reference:
        Erhan et al. 2009; Simonyan, Vedaldi & Zisserman 2013, arXiv:1312.6034; jitter and blur as in Olah,
        Mordvintsev & Schubert 2017, doi:10.23915/distill.00007.

    Example:
        >>> import astrokeras
        >>> model = astrokeras.applications.lenet5(weights="mnist")
        >>> image = astrokeras.explain.activation_maximization(model, 3, steps=20)
        >>> image.shape, int(model.predict(image[None], verbose=0).argmax())
        ((28, 28, 1), 3)
    """
    shape = getattr(model, "input_shape", (None, None))[1:]
    if None in shape:
        raise ValueError(f"{model.name}: expected a model of images of fixed size; received one of {shape}.")
    if steps < 1 or not rate > 0 or jitter < 0 or blur < 0:
        raise ValueError(
            "Expected steps >= 1, rate > 0, jitter >= 0 and blur >= 0; received "
            f"steps={steps}, rate={rate}, jitter={jitter} and blur={blur}."
        )
    if value_range is None:
        value_range = (0.0, 255.0) if any(part.name == "normalization" for part in model.layers) else (0.0, 1.0)
    low, high = map(float, value_range)
    if not low < high:
        raise ValueError(f"Expected value_range (lowest, highest); received {value_range!r}.")
    if layer is None:
        index = follow(model, target, shape)
    else:
        index = _filter(known_layer(model, layer), target)

    slope = _slope(model, layer)
    rng = np.random.default_rng(seed)
    image = checked_image(model, np.clip(rng.normal((low + high) / 2, 0.05 * (high - low), shape), low, high))
    smooth = [_gaussian(side, blur) for side in shape[:-1]]
    axes = tuple(range(len(shape) - 1))
    calm = max(steps // 5, 1)  # the last steps
    for left in range(steps, 0, -1):
        last = left <= calm
        shift = np.zeros(len(axes), int) if last else rng.integers(-jitter, jitter + 1, len(axes))
        moved = np.roll(image, shift, axes)
        uphill = slope.of(moved[None], index)[0]
        step = rate * (high - low) * min(left / calm, 1.0)
        moved = moved + step * uphill / (np.sqrt(np.mean(uphill**2)) + 1e-12)
        image = np.clip(np.roll(moved, -shift, axes), low, high)
        if blur and not last:
            image = along_axes(image, smooth)
        image = image.astype("float32")
    return image


def _filter(layer: keras.layers.Layer, target) -> tuple[int]:
    count = layer.output.shape[-1]
    if isinstance(target, bool) or not isinstance(target, (int, np.integer)) or not 0 <= target < count:
        raise ValueError(f"Expected a target from 0 to {count - 1}, a filter of {layer.name}; received {target!r}.")
    return (int(target),)


@functools.lru_cache(maxsize=4)  # the next target of the same model finds it compiled
def _slope(model: keras.Model, layer: str | None) -> Slope:
    if layer is None:
        return Slope(scores(model), functools.partial(followable, model))
    return Slope(keras.Model(model.inputs[0], model.get_layer(layer).output), _mean_maps)


def _mean_maps(maps):
    """`(batch, filters)`: the mean of each map over its positions; units of a dense layer as they are."""
    return ops.mean(maps, axis=tuple(range(1, len(maps.shape) - 1))) if len(maps.shape) > 2 else maps


def _gaussian(side: int, width: float) -> np.ndarray:
    """`(side, side)` weights of a Gaussian blur; at the borders what lies outside has no weight."""
    if not width:
        return np.eye(side)
    distance = np.arange(side)[:, None] - np.arange(side)
    weights = np.exp(-0.5 * (distance / width) ** 2)
    return weights / weights.sum(axis=1, keepdims=True)
