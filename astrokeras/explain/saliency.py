"""Which pixels does an answer depend on most?"""

import functools

import keras
import numpy as np

from astrokeras.explain.followed import Slope, checked_image, follow, followable, in_batches, scores

BATCH = 16  # noisy images in one gradient


def saliency(model: keras.Model, image, target, *, samples: int = 1, noise: float = 0.1, seed: int = 0) -> np.ndarray:
    """Map how strongly an answer changes with each pixel: the size of its gradient.

    Where the model ends in a softmax or a sigmoid the score in front of it is followed. With several samples the
    gradient is averaged over noisy copies of the image (SmoothGrad), which calms the map.

    Args:
        model: a model of one input and one output.
        image: `([z, [y,]] x, channels)`, without a batch axis, in the range that the model takes.
        target: number of the output, one index per axis where an answer has several, or for a `YoloDetector` the
            position `(x, y)` in pixels whose cell's highest objectness is followed.
        samples: 1 for the plain gradient; else the number of noisy copies.
        noise: standard deviation of their noise, as a share of the image's range.
        seed: of the noise.

    Returns:
        `([z, [y,]] x)` float32, zero or more: the largest absolute gradient of the pixel's channels, in units of the
        answer per unit of the image.

    Raises:
        ValueError: if the image or the target does not fit, `samples` < 1, or `noise` is not positive.

    Reference:
        Simonyan, Vedaldi & Zisserman 2013, arXiv:1312.6034; Smilkov et al. 2017, arXiv:1706.03825 (SmoothGrad).

    Example:
        >>> import numpy as np, astrokeras
        >>> model = astrokeras.applications.lenet5(weights="mnist")
        >>> astrokeras.explain.saliency(model, np.zeros((28, 28, 1)), 3, samples=4).shape
        (28, 28)
    """
    image = checked_image(model, image)
    index = follow(model, target, image.shape)
    if samples < 1 or not noise > 0:
        raise ValueError(f"Expected samples >= 1 and noise > 0; received samples={samples} and noise={noise}.")
    slope = _slope(model)
    rng = np.random.default_rng(seed)
    spread = noise * float(np.ptp(image))
    total, parts = np.zeros(image.shape), in_batches(samples, BATCH)[0]
    for part in np.array_split(np.arange(samples), parts):
        images = np.broadcast_to(image, (len(part), *image.shape))
        if samples > 1:
            images = images + rng.normal(0, spread, images.shape).astype("float32")
        total += slope.of(np.asarray(images, "float32"), index).sum(axis=0)
    return np.abs(total / samples).max(axis=-1).astype("float32")


@functools.lru_cache(maxsize=4)  # the next image of the same model finds it compiled
def _slope(model: keras.Model) -> Slope:
    return Slope(scores(model), functools.partial(followable, model))
