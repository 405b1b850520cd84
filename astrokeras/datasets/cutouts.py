"""Cutouts of objects and of background: from a set for detectors to one for a classifier."""

from collections.abc import Callable

import numpy as np

from astrokeras.datasets.detection_set import DetectionSet
from astrokeras.datasets.square_images import resize_image

SHRINK = 0.7  # of the largest background window, after `tries` rejections
SMALLEST = 8  # pixels; where not even such a window fits between the objects, the image is left black


def cutouts(
    objects: DetectionSet,
    size: int = 128,
    *,
    count: int | None = None,
    background: float = 0.2,
    augment: bool | Callable[[np.ndarray, int], np.ndarray] = True,
    validation: bool = False,
    tries: int = 20,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Cut objects and pieces of background out of images, to train a classifier for `SlidingWindowDetector`.

    For training, objects are drawn at random; the window is a square around the box, moved and scaled at random, and
    flipped; difficult objects are left out. Background is a square of random place and size that overlaps no object;
    after `tries` rejections the largest size shrinks, and where nothing fits the image is black. For validation, each
    object comes once, in the middle of the smallest square around it, with background that was found, no black image.

    Args:
        objects: 2-D images with their objects.
        size: pixels along each side of the cutouts.
        count: number of cutouts for training; `None` makes as many as there are objects, background added.
        background: share of background among the cutouts, from 0 to below 1.
        augment: move, scale and flip the windows of objects; a callable also changes the cutouts, `(images, seed) ->
            images` as `augmentation.images(...)` makes it.
        validation: make the validation set: all objects, no augmentation, and empty windows.
        tries: rejections of a background window before its largest size shrinks by 0.7.
        seed: of all that is random.

    Returns:
        Images `(n, size, size, channels)`, uint8 for uint8, and labels `(n,)` int, the number of classes = background;
        in random order for training, in the order of the images for validation.

    Raises:
        ValueError: if an argument is out of range, the images are not 2-D, or no object can be cut out.

    Reference:
        Course, slides on detection: cutouts of 128 pixels, 20 % background.

    Example:
        >>> import astrokeras
        >>> train, _ = astrokeras.datasets.simulated_scenes(train=10, test=1, size=64, classes=3)
        >>> images, labels = astrokeras.datasets.cutouts(train, size=32, count=50)
        >>> images.shape, int((labels == 3).sum())
        ((50, 32, 32, 3), 10)
    """
    sizes = objects.sizes
    if size < 1 or not 0 <= background < 1 or tries < 1 or (count or 1) < 1 or sizes.shape[1] != 2:
        raise ValueError(
            "Expected 2-D images, size >= 1, background in 0..1 (1 excluded), count and tries >= 1; received images of "
            f"{sizes.shape[1]} dimensions, size={size}, background={background}, count={count}, tries={tries}."
        )
    rng = np.random.default_rng(seed)
    image, boxes, labels = _all_objects(objects, difficult=validation)
    if len(boxes) == 0:
        raise ValueError("Expected objects with a class to cut out; there are none in the set.")
    empties = round(len(boxes) * background / (1 - background))
    if not validation:
        count = len(boxes) + empties if count is None else count
        empties = round(count * background)
        drawn = rng.integers(0, len(boxes), count - empties)
        image, boxes, labels = image[drawn], boxes[drawn], labels[drawn]
    windows = _around(boxes, rng if augment and not validation else None)
    place, empty = _empty_windows(rng, objects, sizes, empties, tries, found_only=validation)
    image = np.concatenate([image, place])
    windows = np.concatenate([windows, empty])
    labels = np.concatenate([labels, np.full(len(empty), objects.classes)]).astype("int64")
    order = np.argsort(image, kind="stable") if validation else rng.permutation(len(image))
    image, windows, labels = image[order], windows[order], labels[order]
    cut = _cut(objects, image, windows, size)
    if augment and not validation:
        flipped = rng.random(len(cut)) < 0.5
        cut[flipped] = cut[flipped, :, ::-1]
        cut = augment(cut, seed) if callable(augment) else cut
    return cut, labels


def _all_objects(objects: DetectionSet, difficult: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return image number, box and label of the objects that have a class."""
    labels = [one["labels"] for one in objects.objects]
    image = np.repeat(np.arange(len(labels)), [len(one) for one in labels])
    labels = np.concatenate(labels)
    boxes = np.concatenate([one["boxes"] for one in objects.objects])
    kept = labels >= 0
    if not difficult and "difficult" in objects.objects[0]:
        kept &= np.concatenate([one["difficult"] for one in objects.objects]) == 0
    return image[kept], boxes[kept], labels[kept]


def _around(boxes: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
    """Return square windows `(k, 4)` around boxes, in whole pixels; with a generator moved and scaled."""
    center, side = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True)
    if rng is not None:
        side = side * np.exp(rng.uniform(np.log(0.8), np.log(1.6), side.shape))
        center = center + rng.uniform(-0.15, 0.15, center.shape) * side
    side = np.maximum(np.round(side), 1)
    low = np.round(center - side / 2)
    return np.concatenate([low, low + side], axis=1).astype(int)


def _empty_windows(rng, objects, sizes, count, tries, found_only) -> tuple[np.ndarray, np.ndarray]:
    """Find windows in random images that overlap no object: numbers of the images, windows `(count, 4)`.

    Without `found_only`, a window of no size stands where none was found; with it, another image is tried.
    """
    places, windows = [], []
    for attempt in range(10 * count):
        if len(windows) == count:
            break
        # With found_only every image has its turn before one comes again.
        if attempt % len(sizes) == 0:
            order = rng.permutation(len(sizes))
        image = order[attempt % len(sizes)] if found_only else rng.integers(len(sizes))
        window = _empty_window(rng, objects.objects[image]["boxes"], sizes[image], tries)
        if window[2] > window[0] or not found_only:
            places.append(image)
            windows.append(window)
    return np.array(places, int), np.array(windows, int).reshape(-1, 4)


def _empty_window(rng, boxes: np.ndarray, size: np.ndarray, tries: int) -> np.ndarray:
    largest = int(size.min())
    while largest >= SMALLEST:
        side = rng.integers(SMALLEST, largest + 1, (tries, 1))
        low = np.floor(rng.random((tries, 2)) * (size - side + 1)).astype(int)
        window = np.concatenate([low, low + side], axis=1)
        apart = (window[:, None, 2:] <= boxes[None, :, :2]) | (window[:, None, :2] >= boxes[None, :, 2:])
        free = apart.any(axis=2).all(axis=1)
        if free.any():
            return window[free.argmax()]
        largest = int(largest * SHRINK)
    return np.zeros(4, int)


def _cut(objects: DetectionSet, image: np.ndarray, windows: np.ndarray, size: int) -> np.ndarray:
    """Cut and resize, each image decoded once; black outside of the image."""
    cut = None
    for number in np.unique(image):
        picture = np.asarray(objects.images[number])
        if cut is None:
            dtype = np.uint8 if picture.dtype == np.uint8 else np.float32
            cut = np.zeros((len(image), size, size, picture.shape[2]), dtype)
        for i in np.flatnonzero(image == number):
            x0, y0, x1, y1 = windows[i]
            if x1 > x0:
                piece = np.zeros((y1 - y0, x1 - x0, picture.shape[2]), picture.dtype)
                inside = picture[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)]
                top, left = max(-y0, 0), max(-x0, 0)
                piece[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
                cut[i] = resize_image(piece, size)
    return cut
