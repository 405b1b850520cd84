"""Random changes of photographs with boxes: CIANNA's recipe for PASCAL VOC, on Albumentations 2.0.8."""

import functools
import threading
from collections.abc import Callable

import numpy as np

from astrokeras.augmentation.images import check_version, imported
from astrokeras.augmentation.objects import checked, chosen

_LOCAL = threading.local()


def photographs(
    size: int,
    *,
    flip: str | None = "horizontal",
    translation: float = 0.15,
    colour: float = 0.5,
    hue: float = 0.15,
    noise: float = 0.0,
    visible: float = 0.4,
    smallest_area: float = 144.0,
    smallest_side: float = 16.0,
    border: float = 1 / 13,
) -> Callable:
    """Change photographs with their boxes as CIANNA does for PASCAL VOC (examples/PASCAL/aux_fct.py).

    The photograph is scaled and padded with black to a square of 480 / 416 of the result. Then, in turn: an aspect
    ratio and a scale of 0.85..1.15 with a rotation within 7 degrees; a square crop of 224 / 480 to 448 / 480 of the
    side (half of the time), or the whole at a scale of 0.7..1 or of 0.4..0.7 (twice the shift), moved; the result's
    size; flip; colours, 2 % without any; and, where asked for, one kind of noise. The defaults are those of VOC;
    CIANNA's COCO recipe has `translation=0.3, visible=0.3, noise=0.05`. Three arguments of its scripts are silently
    ignored by Albumentations 2.0.8; what they meant is set here (noise up to sqrt(0.03 * 255) of 255, JPEG quality
    20..40, Gaussian kernels of 3 to 7 pixels), and unknown ones are refused. Angles among the params do not turn: use
    `fields` for those.

    Args:
        size: side of the square result in pixels.
        flip: `"horizontal"`, `"vertical"`, `"both"` or `None`; each with probability 0.5.
        translation: largest shift at a scale of 0.7..1, as a share of the side.
        colour: factors of brightness, contrast and saturation between 1 / (1 + colour) and 1 + colour.
        hue: shift within +- this share of the colour circle.
        noise: probability of one of six: camera, multiplied and added noise, lost pixels, JPEG, blur.
        visible: drop objects of which a change leaves less than this share inside the image; the others are cut.
        smallest_area: drop objects with fewer square pixels than this.
        smallest_side: then enlarge boxes to at least so many pixels in width and height.
        border: mark objects as `difficult` (1 at least) with a centre nearer to the border than this share of the
            side, or with a box of less than its square; 0 marks none.

    Returns:
        A callable `(image, objects, seed) -> (image, objects)` on uint8 images `(y, x, 3)`; boxes `(n, 4)` float32,
        `(x_min, y_min, x_max, y_max)` in pixels of the result. The seed is an integer or a NumPy generator.

    Raises:
        ValueError: if an argument is out of range; the callable, if image and objects do not suit it.
        ImportError: if Albumentations is not 2.0.8.

    Example:
        >>> import numpy as np, astrokeras
        >>> augment = astrokeras.augmentation.photographs(64)
        >>> objects = {"boxes": np.array([[30.0, 20, 70, 60]]), "labels": np.array([2])}
        >>> image, objects = augment(np.zeros((80, 100, 3), "uint8"), objects, seed=0)
        >>> image.shape, sorted(objects)
        ((64, 64, 3), ['boxes', 'difficult', 'labels'])
    """
    if not isinstance(size, int) or size < 16:
        raise ValueError(f"Expected size to be a whole number of pixels >= 16; received {size!r}.")
    if flip not in (None, "horizontal", "vertical", "both"):
        raise ValueError(f'Expected flip to be None, "horizontal", "vertical" or "both"; received {flip!r}.')
    shares = {"translation": translation, "hue": hue, "noise": noise, "visible": visible, "border": border}
    limits = {"translation": 0.5, "hue": 0.5, "border": 0.5}
    for argument, received in shares.items():
        if not 0 <= received <= limits.get(argument, 1):
            raise ValueError(f"Expected {argument} in 0..{limits.get(argument, 1)}; received {argument}={received}.")
    amounts = {"colour": colour, "smallest_area": smallest_area, "smallest_side": smallest_side}
    for argument, received in amounts.items():
        if received < 0:
            raise ValueError(f"Expected {argument} >= 0; received {argument}={received}.")
    check_version()
    steps = (size, flip, translation, colour, hue, noise, visible, smallest_area)
    return functools.partial(_change, steps=steps, smallest_side=smallest_side, border=int(border * size))


def _change(image, objects, seed=0, *, steps, smallest_side, border):
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3:
        raise ValueError(
            f"Expected a uint8 image (y, x, 3); received {image.dtype} {image.shape}: use augmentation.fields."
        )
    objects, size = checked(image, objects), steps[0]
    rows = np.column_stack([objects["boxes"], np.arange(len(objects["boxes"]))]).astype("float32")
    pipeline = _pipeline(steps)
    pipeline.set_random_seed(int(np.random.default_rng(seed).integers(2**31)))
    changed = pipeline(image=image, bboxes=rows)
    rows = np.zeros((0, 5)) if len(changed["bboxes"]) == 0 else np.asarray(changed["bboxes"], "float64")

    centres, sides = (rows[:, :2] + rows[:, 2:4]) / 2, rows[:, 2:4] - rows[:, :2]
    half = np.maximum(sides, smallest_side) / 2
    boxes = np.clip(np.concatenate([centres - half, centres + half], axis=1), 0, size)
    objects = chosen(objects, rows[:, 4].astype(int), boxes)
    if border:
        hard = (np.minimum(centres, size - centres) < border).any(axis=1) | (sides.prod(axis=1) < border**2)
        objects["difficult"] = np.maximum(objects.get("difficult", 0), hard).astype("int32")
    return changed["image"], objects


def _pipeline(steps):
    """Return this thread's pipeline: Albumentations keeps its random state in it."""
    pipelines = _LOCAL.__dict__.setdefault("pipelines", {})
    if steps not in pipelines:
        pipelines[steps] = _compose(*steps)
    return pipelines[steps]


def _compose(size, flip, translation, colour, hue, noise, visible, smallest_area):
    A = imported()
    side = round(size * 480 / 416)
    factors = (1 / (1 + colour), 1 + colour)
    steps = [
        A.LongestMaxSize(side, p=1),
        A.PadIfNeeded(side, side, fill=0, p=1),
        A.Affine(scale=(0.85, 1.15), rotate=(-7, 7), p=1),
        A.OneOf(
            [
                A.RandomSizedCrop((round(side * 224 / 480), round(side * 448 / 480)), (size, size), p=0.5),
                _moved(A, (0.7, 1.0), translation),
                _moved(A, (0.4, 0.7), 2 * translation),
            ],
            p=1,
        ),
        A.Resize(size, size, p=1),
        A.HorizontalFlip(p=0.5 if flip in ("horizontal", "both") else 0),
        A.VerticalFlip(p=0.5 if flip in ("vertical", "both") else 0),
        A.ColorJitter(factors, factors, factors, (-hue, hue), p=1),
        A.ToGray(p=0.02),
        A.OneOf(
            [  # CIANNA's weights 0.1, 2, 0.5, 2, 1, 1 over 2
                A.ISONoise(p=0.05),
                A.MultiplicativeNoise(elementwise=True, p=1),
                A.GaussNoise((0, (0.03 / 255) ** 0.5), per_channel=False, p=0.25),
                A.PixelDropout(0.03, p=1),
                A.ImageCompression(quality_range=(20, 40), p=0.5),
                A.GaussianBlur((3, 7), (0.8, 1.4), p=0.5),
            ],
            p=noise,
        ),
    ]
    boxes = A.BboxParams("pascal_voc", min_area=smallest_area, min_visibility=visible, clip=True)
    return A.Compose(steps, bbox_params=boxes, strict=True)


def _moved(A, scale, shift):
    return A.Affine(scale=scale, translate_percent=(-shift, shift), keep_ratio=True, p=0.25)
