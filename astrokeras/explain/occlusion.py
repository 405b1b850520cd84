"""What happens to an answer when a part of the image is hidden?"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from astrokeras.explain.followed import along_axes, checked_image, follow, followable, in_batches

MEAN, SCATTER = 127.5 / 255, 40 / 255  # of the noise, in units of the image's range


@dataclass(frozen=True)
class Occlusion:
    """What an answer loses when windows of an image are hidden, one after the other.

    Attributes:
        image: `([z, [y,]] x, channels)` float32, as the model saw it.
        fill: of the same shape: what the windows show instead of the image (the first draw of the noise).
        boxes: `(windows, 2 * dims)`, corners of the windows, x first, in pixels; x runs fastest.
        differences: `(windows,)`, the answer for the image minus that with the window hidden.
        answer: for the whole image.

    Example:
        >>> import numpy as np, astrokeras
        >>> model = astrokeras.applications.lenet5(weights="mnist")
        >>> found = astrokeras.explain.occlusion(model, np.zeros((28, 28, 1)), 3, window=14, stride=7)
        >>> found.boxes.shape, found.boxes[1].tolist(), found.map().shape, found.occluded(0).shape
        ((9, 4), [7, 0, 21, 14], (28, 28), (28, 28, 1))
    """

    image: np.ndarray
    fill: np.ndarray
    boxes: np.ndarray
    differences: np.ndarray
    answer: float

    def map(self) -> np.ndarray:
        """Return `([z, [y,]] x)`: in each pixel the mean difference of the windows that cover it."""
        dims = self.boxes.shape[1] // 2
        starts = [np.unique(self.boxes[:, dims - 1 - axis]) for axis in range(dims)]
        window = self.boxes[0, dims:] - self.boxes[0, :dims]
        hidden = [  # (pixels, windows along the axis)
            _covered(low, size, pixels).T.astype("float64")
            for low, size, pixels in zip(starts, window[::-1], self.image.shape, strict=False)
        ]
        total = along_axes(self.differences.reshape([len(low) for low in starts]).astype("float64"), hidden)
        count = functools.reduce(np.multiply.outer, [matrix.sum(axis=1) for matrix in hidden])
        return (total / count).astype("float32")

    def occluded(self, index: int | None = None) -> np.ndarray:
        """Return the image with one window hidden: of that index, or the one that lowers the answer most."""
        box = self.boxes[int(self.differences.argmax()) if index is None else index]
        dims = len(box) // 2
        window = tuple(slice(low, high) for low, high in zip(box[:dims][::-1], box[dims:][::-1], strict=True))
        image = self.image.copy()
        image[window] = self.fill[window]
        return image


def occlusion_map(
    model: keras.Model,
    image,
    target,
    *,
    window: int | Sequence[int] = 96,
    stride: int | Sequence[int] = 32,
    fill: str | float = "noise",
    repeats: int = 1,
    batch_size: int = 64,
    seed: int = 0,
) -> np.ndarray:
    """Map where hiding a part of the image lowers an answer: positive where the answer rests on what is there.

    A window moves over the image; each pixel gets the mean, over all windows that cover it, of the answer for the image
    minus the answer with the window hidden. Windows lie wholly inside the image and cover all of it: where the stride
    does not end at the border, a last window that ends there is added. One compiled call sees a batch of windows.

    Args:
        model: any model of one input and one output.
        image: `([z, [y,]] x, channels)`, without a batch axis, in the range that the model takes.
        target: number of the output (class score or value); one index per axis where an answer has several; for a
            `YoloDetector` the position `(x, y)` in pixels whose cell's highest objectness is followed (`(x, y, z)` in
            cubes, `x` in spectra).
        window: side of the window in pixels; one number, or one per axis in the image's order (`[z, [y,]] x`).
        stride: pixels from one window to the next, at most the window; likewise.
        fill: `"noise"`: normal, of mean 127.5 and standard deviation 40 for images in 0..255, the same divided by 255
            for images in 0..1, and stretched to the image's own range for others; `"mean"`: of each channel;
            `"zero"`; or a number.
        repeats: draws of the noise to average; the other fills need one.
        batch_size: largest number of windows in a call; they are shared out evenly.
        seed: of the noise. A draw covers the whole image and a window shows its part, so the result depends neither on
            `batch_size` nor on the backend.

    Returns:
        `([z, [y,]] x)` float32.

    Raises:
        ValueError: if the window is larger than the image, the stride is 0 or larger than the window, the target is
            out of range, or another argument does not fit.

    Reference:
        Zeiler & Fergus 2013, arXiv:1311.2901; course, ImageNet practical: windows of 96 pixels, stride 32,
        N(127.5, 40).

    Example:
        >>> import numpy as np, astrokeras
        >>> model = astrokeras.applications.lenet5(weights="mnist")
        >>> one = np.zeros((28, 28, 1))
        >>> one[4:24, 13:15] = 1
        >>> found = astrokeras.explain.occlusion_map(model, one, 1, window=8, stride=4, fill="zero")
        >>> found.shape, bool(found[8:20, 12:16].mean() > 2 * found[:, :8].mean())
        ((28, 28), True)
    """
    settings = {"window": window, "stride": stride, "fill": fill, "repeats": repeats}
    return occlusion(model, image, target, **settings, batch_size=batch_size, seed=seed).map()


def occlusion(
    model: keras.Model,
    image,
    target,
    *,
    window: int | Sequence[int] = 96,
    stride: int | Sequence[int] = 32,
    fill: str | float = "noise",
    repeats: int = 1,
    batch_size: int = 64,
    seed: int = 0,
) -> Occlusion:
    """Hide windows of an image one after the other; `occlusion_map` for those who want each window's difference.

    Args:
        model: see `occlusion_map`, as for all arguments.
        image: `([z, [y,]] x, channels)`.
        target: number of the output, or a position.
        window: side of the window in pixels.
        stride: pixels from one window to the next.
        fill: `"noise"`, `"mean"`, `"zero"` or a number.
        repeats: draws of the noise to average.
        batch_size: largest number of windows in a call.
        seed: of the noise.

    Returns:
        An `Occlusion` with the boxes of the windows, their differences, the fill and the map.

    Raises:
        ValueError: see `occlusion_map`.

    Example:
        >>> import numpy as np, astrokeras
        >>> model = astrokeras.applications.lenet5(weights="mnist")
        >>> found = astrokeras.explain.occlusion(model, np.zeros((28, 28, 1)), 7, window=8, stride=4)
        >>> figure = astrokeras.plots.occlusion(found.image, found.occluded(), found.map())
    """
    image = checked_image(model, image)
    index = follow(model, target, image.shape)
    sides = image.shape[:-1]
    window = _per_axis(window, sides, "window", sides)
    stride = _per_axis(stride, sides, "stride", window)
    if repeats < 1:
        raise ValueError(f"Expected repeats >= 1; received {repeats}.")
    fills = _fills(image, fill, repeats, seed)

    along = [_starts(n, size, step) for n, size, step in zip(sides, window, stride, strict=True)]
    starts = np.stack([corner.ravel() for corner in np.meshgrid(*along, indexing="ij")], axis=1)  # (windows, dims)
    batches, rows = in_batches(1 + len(starts), batch_size)
    hides_nothing = np.broadcast_to(sides, (batches * rows - len(starts), len(sides)))  # at least one, for the answer
    starts_padded = np.concatenate([starts, hides_nothing]).reshape(batches, rows, -1)
    hidden = _occluder(model)
    sums = np.zeros(len(starts))
    for shown in fills:
        answers = []
        for low in starts_padded:
            inputs = {"image": image[None], "fill": shown[None]} | _masks(low, window, sides)
            numbers = ops.convert_to_numpy(followable(model, hidden.predict_on_batch(inputs)))
            answers.append(numbers[(slice(None), *index)].astype("float64"))
        answers = np.concatenate(answers)
        sums += answers[-1] - answers[: len(starts)]
    low = starts[:, ::-1]
    boxes = np.concatenate([low, low + np.asarray(window)[::-1]], axis=1)
    return Occlusion(image, fills[0], boxes, (sums / len(fills)).astype("float32"), float(answers[-1]))


class _Occluder(keras.Model):
    """Hides windows and asks the model, in one compiled call."""

    def __init__(self, model: keras.Model):
        super().__init__(name="occluder", dtype="float32")
        self.model = model
        self.built = True  # it has no weights but those of the model

    def call(self, inputs):
        hidden = functools.reduce(ops.logical_and, [inputs[name] for name in sorted(inputs) if name.startswith("axis")])
        return self.model(ops.where(hidden, inputs["fill"], inputs["image"]), training=False)


@functools.lru_cache(maxsize=4)  # the next image of the same model finds it compiled
def _occluder(model: keras.Model) -> _Occluder:
    return _Occluder(model)


def _masks(starts: np.ndarray, window: Sequence[int], sides: Sequence[int]) -> dict[str, np.ndarray]:
    """Tell for each window and axis which pixels it hides, shaped to be combined: `(windows, 1, n, ..., 1)`."""
    masks = {}
    for axis, (size, pixels) in enumerate(zip(window, sides, strict=True)):
        shape = [len(starts)] + [1] * (len(sides) + 1)
        shape[1 + axis] = pixels
        masks[f"axis{axis}"] = _covered(starts[:, axis], size, pixels).reshape(shape)
    return masks


def _covered(starts: np.ndarray, size: int, pixels: int) -> np.ndarray:
    """`(windows, pixels)`: which pixels of an axis each window covers."""
    pixel = np.arange(pixels)
    return (pixel >= starts[:, None]) & (pixel < starts[:, None] + size)


def _starts(pixels: int, size: int, step: int) -> np.ndarray:
    starts = np.arange(0, pixels - size + 1, step)
    return starts if starts[-1] == pixels - size else np.append(starts, pixels - size)


def _per_axis(value, sides: Sequence[int], name: str, most: Sequence[int]) -> tuple[int, ...]:
    """Return one number per axis, from 1 to the side of the image or of the window."""
    numbers = np.asarray(value)
    if numbers.ndim > 1 or numbers.size not in (1, len(sides)) or not np.issubdtype(numbers.dtype, np.integer):
        raise ValueError(
            f"Expected {name} to be a whole number of pixels, or {len(sides)} of them, one per axis of the image; "
            f"received {value!r}."
        )
    found = tuple(map(int, np.broadcast_to(numbers, len(sides))))
    if any(not 1 <= number <= limit for number, limit in zip(found, most, strict=True)):
        limits = " x ".join(map(str, most))
        what = f"the image of {limits} pixels" if name == "window" else f"the window of {limits} pixels"
        raise ValueError(f"Expected {name} from 1 to {what}; received {value!r}: choose a smaller or positive one.")
    return found


def _fills(image: np.ndarray, fill, repeats: int, seed: int) -> np.ndarray:
    """Return what the windows show, `(draws, *image.shape)`."""
    if isinstance(fill, str) and fill == "noise":
        low, high = float(image.min()), float(image.max())
        if low >= 0 and high <= 255:
            low, high = (0.0, 1.0) if high <= 1 else (0.0, 255.0)
        span = (high - low) or 1.0
        draws = np.random.default_rng(seed).normal(low + MEAN * span, SCATTER * span, (repeats, *image.shape))
        return draws.astype("float32")
    if isinstance(fill, str) and fill == "mean":
        value = image.mean(axis=tuple(range(image.ndim - 1)))
    elif isinstance(fill, str) and fill == "zero":
        value = 0.0
    elif not isinstance(fill, str) and np.ndim(fill) == 0 and np.isfinite(fill):
        value = float(fill)
    else:
        raise ValueError(f'Expected fill to be "noise", "mean", "zero" or a number; received {fill!r}.')
    return np.broadcast_to(np.asarray(value, "float32"), (1, *image.shape))
