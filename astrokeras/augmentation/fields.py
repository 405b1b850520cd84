"""Random flips, quarter turns, crops, zooms and noise of 1-D, 2-D and 3-D data with boxes, parameters and angles."""

import functools
from collections.abc import Callable, Sequence

import numpy as np

from astrokeras.augmentation.objects import checked, chosen, cut
from astrokeras.parameters import Parameter


def fields(
    *,
    flips: Sequence[str] = ("x", "y"),
    turns: bool = True,
    crop: int | Sequence[int] | None = None,
    zoom: tuple[float, float] | None = None,
    fill: float = 0.0,
    noise: float = 0.0,
    visible: float = 0.25,
    parameters: Sequence[Parameter] | None = None,
) -> Callable:
    """Change spectra, maps and cubes with their boxes; floats are never clipped, any range and channels will do.

    The image is zoomed and cropped, then turned and flipped, then the noise is added. Angles among the params turn
    along; other params are physical values that stay as they are, also under zoom.

    Args:
        flips: axes among `"x"`, `"y"`, `"z"`, each flipped with probability 0.5.
        turns: also turn by 0, 90, 180 or 270 degrees in the x-y plane, which must come out square.
        crop: cut a part of this size in pixels at a random place: one number, or one per axis with x first.
        zoom: lowest and highest factor, the same on all axes, about the centre (or about that of the crop); drawn
            evenly in its logarithm. Linear interpolation between pixels: it keeps the surface brightness.
        fill: value of the pixels outside the image, where a zoom below 1 shows some.
        noise: standard deviation of white Gaussian noise, in units of the data.
        visible: drop objects with less than this share of their box inside the result; the others are cut.
        parameters: what the columns of `params` are; required where there are such and the image can turn or flip.

    Returns:
        A callable `(image, objects, seed) -> (image, objects)`. The image `([z, [y,]] x, channels)` keeps its type (in
        native byte order); integers are rounded and stay in their range. Boxes `(n, 2 * dims)` float32, corners with
        x first. The seed is an integer or a NumPy generator.

    Raises:
        ValueError: if an argument is out of range; the callable, if image and objects do not suit it.

    Example:
        >>> import numpy as np, astrokeras
        >>> augment = astrokeras.augmentation.fields(crop=32, noise=1e-6)
        >>> objects = {"boxes": np.array([[20.0, 24, 30, 30]]), "labels": np.array([0])}
        >>> image, objects = augment(np.zeros((48, 48, 1), "float32"), objects, seed=1)
        >>> image.shape, objects["boxes"].shape
        ((32, 32, 1), (1, 4))
    """
    if not set(flips) <= set("xyz"):
        raise ValueError(f'Expected flips among "x", "y" and "z"; received {flips!r}.')
    crop = None if crop is None else np.atleast_1d(crop).tolist()
    if crop is not None and not all(isinstance(n, int) and n >= 1 for n in crop):
        raise ValueError(f"Expected crop to be whole numbers of pixels >= 1; received {crop}.")
    if zoom is not None and not 0 < zoom[0] <= zoom[1] < np.inf:
        raise ValueError(f"Expected zoom (low, high) with 0 < low <= high; received {zoom}.")
    if noise < 0 or not 0 <= visible <= 1:
        raise ValueError(f"Expected noise >= 0 and visible in 0..1; received noise={noise}, visible={visible}.")
    return functools.partial(
        _change,
        flips=tuple(flips),
        turns=turns,
        crop=crop,
        zoom=zoom,
        fill=fill,
        noise=noise,
        visible=visible,
        parameters=None if parameters is None else tuple(parameters),
    )


def _change(image, objects, seed=0, *, flips, turns, crop, zoom, fill, noise, visible, parameters):
    objects = checked(image, objects)
    size, out = _sizes(image.shape, flips, turns, crop)
    width = objects["params"].shape[1:] if "params" in objects else ()
    if width and (flips or turns if parameters is None else width != (len(parameters),)):
        raise ValueError(
            f"Expected parameters= to tell which of the {width[0]} params are angles; received "
            f"{'none' if parameters is None else len(parameters)}."
        )
    rng = np.random.default_rng(seed)
    kind = image.dtype.newbyteorder("=")
    if zoom is None:
        factor, start = 1.0, rng.integers(0, size - out + 1)
        window = tuple(slice(low, low + n) for low, n in zip(start[::-1], out[::-1], strict=True))
        image = image[window]
    else:
        factor = np.exp(rng.uniform(*np.log(zoom)))
        free = size - out / factor  # below 0 where the window is larger than the image
        start = free / 2 if crop is None else rng.uniform(np.minimum(free, 0), np.maximum(free, 0))
        for axis, (low, n) in enumerate(zip(start[::-1], out[::-1], strict=True)):
            image = _interpolated(image, axis, low + (np.arange(n) + 0.5) / factor, fill)
    boxes = (objects["boxes"] - np.tile(start, 2)) * factor

    turn = rng.integers(4) if turns else 0  # quarter turns from x towards y
    flip = [name in flips and drawn < 0.5 for name, drawn in zip("xyz", rng.random(3), strict=True)]
    flip = [flip[0] ^ (turn in (1, 2)), flip[1] ^ (turn in (2, 3)), flip[2]][: len(size)]
    image, boxes = _oriented(image, boxes, out, turn % 2 == 1, flip)

    if noise:
        image = image + rng.normal(0, noise, image.shape).astype(np.result_type(kind, "float32"))
    if kind.kind in "iu" and image.dtype.kind == "f":
        image = np.clip(np.rint(image), np.iinfo(kind).min, np.iinfo(kind).max)
    boxes, keep = cut(boxes, out, visible)
    objects = chosen(objects, keep, boxes[keep])
    if width and parameters is not None and len(size) > 1:
        columns = [
            parameter.oriented(objects["params"][:, i], transpose=turn % 2 == 1, flip_x=flip[0], flip_y=flip[1])
            for i, parameter in enumerate(parameters)
        ]
        objects["params"] = np.stack(columns, axis=1).astype("float32") if columns else objects["params"]
    return np.array(image, kind, order="C"), objects


def _sizes(shape, flips, turns, crop):
    """Return the sizes of the image and of the result, x first."""
    size = np.array(shape[-2::-1])
    if not set(flips) <= set("xyz"[: len(size)]) or (turns and len(size) == 1):
        raise ValueError(
            f"Expected flips and turns along the axes of the image; received an image of {len(size)} dimensions, "
            f'flips={flips}, turns={turns}: give flips=("x",) or none, and turns=False, for spectra.'
        )
    out = size if crop is None else np.array(crop if len(crop) > 1 else crop * len(size))
    if out.shape != size.shape or (out > size).any():
        raise ValueError(
            f"Expected crop to be one number, or one per axis, within the image; received {crop} for an image of "
            f"{size.tolist()} pixels (x first)."
        )
    if turns and out[0] != out[1]:
        raise ValueError(
            f"Expected as many pixels in x as in y for quarter turns; received {out[0]} x {out[1]}: give a square crop "
            "or turns=False."
        )
    return size, out


def _interpolated(image, axis, positions, fill):
    """Sample one axis at positions in pixels (edges count from 0), linearly between the centres of the pixels."""
    n = image.shape[axis]
    centre = np.clip(positions - 0.5, 0, n - 1)
    low = centre.astype(int)
    below = image.take(low, axis).astype(np.result_type(image.dtype, "float32"))
    above = image.take(np.minimum(low + 1, n - 1), axis).astype(below.dtype)
    along = [1] * image.ndim
    along[axis] = -1
    sampled = below + (above - below) * (centre - low).astype(below.dtype).reshape(along)
    outside = (positions < 0) | (positions > n)
    return np.where(outside.reshape(along), np.asarray(fill, below.dtype), sampled)


def _oriented(image, boxes, size, transpose, flip):
    """Exchange x and y, then flip axes (x first), of a square image and of its boxes."""
    dims = len(size)
    if transpose:
        image = np.swapaxes(image, dims - 1, dims - 2)
        order = np.array([1, 0, 2][:dims])
        boxes = boxes[:, np.concatenate([order, order + dims])]
    image = image[tuple(slice(None, None, -1 if flipped else None) for flipped in flip[::-1])]
    low, high = boxes[:, :dims], boxes[:, dims:]
    flip = np.array(flip)
    return image, np.concatenate([np.where(flip, size - high, low), np.where(flip, size - low, high)], axis=1)
