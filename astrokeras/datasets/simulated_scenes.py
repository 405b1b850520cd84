"""Simulated scenes: shapes over a texture that cover each other, for detectors to be tried on."""

from collections.abc import Sequence

import numpy as np

from astrokeras.datasets.detection_set import DetectionSet
from astrokeras.datasets.simulation import check_at_least, drawer

SCENE_CLASSES = ("cross", "disc", "ring", "square", "star", "triangle")
CHUNK = 32  # scenes drawn at once
HIDDEN = 0.95  # share of a shape that is covered from which on there is nothing left to find


def simulated_scenes(
    train: int = 1000,
    test: int = 200,
    *,
    size: int = 128,
    classes: int | Sequence[str] = SCENE_CLASSES,
    objects: tuple[int, int] = (1, 6),
    shape_size: tuple[float, float] = (0.12, 0.4),
    difficult: float = 0.5,
    noise: float = 0.05,
    seed: int = 0,
) -> tuple[DetectionSet, DetectionSet]:
    """Simulate pictures of shapes with boxes. A simulation: results on it say nothing of photographs.

    Each scene has a random texture and shading; each shape has a random class, size, elongation, direction, colour and
    place (its middle inside the scene, often next to the shape before); later shapes cover earlier ones; noise lies
    over all. The box bounds the whole shape as far as it is inside the image, hidden parts included.

    Args:
        train: number of training scenes.
        test: number of test scenes.
        size: pixels along each side, at least 16.
        classes: the first so many of `SCENE_CLASSES`, or names among them.
        objects: least and largest number of shapes in a scene.
        shape_size: least and largest size of a shape (the diameter of the circle around it) as a share of the scene.
        difficult: share hidden behind others above which a shape is marked difficult (1); one hidden by more than 95 %
            is no object.
        noise: standard deviation, relative to the full range.
        seed: of the simulation; one seed, one set.

    Returns:
        The training and the test scenes: images `(n, size, size, 3)` uint8 in 0..255, RGB, with boxes, labels and
        difficult (0 or 1).

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> import astrokeras
        >>> train, test = astrokeras.datasets.simulated_scenes(train=20, test=10, size=64, classes=3)
        >>> train.images.shape, train.class_names, len(test)
        ((20, 64, 64, 3), ('cross', 'disc', 'ring'), 10)
    """
    low, high = objects
    check_at_least(train=(train, 1), test=(test, 1), size=(size, 16), noise=(noise, 0))
    if not 0 <= low <= high or high < 1 or not 0 < shape_size[0] <= shape_size[1] <= 1 or not 0 < difficult <= 1:
        raise ValueError(
            "Expected objects (least >= 0, largest >= 1), shape_size (least > 0, largest <= 1), difficult in 0..1; "
            f"received objects={objects}, shape_size={shape_size}, difficult={difficult}."
        )
    names = SCENE_CLASSES[:classes] if isinstance(classes, int) else tuple(classes)
    if not names or (isinstance(classes, int) and len(names) != classes) or not set(names) <= set(SCENE_CLASSES):
        raise ValueError(
            f"Expected classes 1..{len(SCENE_CLASSES)}, or names among {', '.join(SCENE_CLASSES)}; received {classes}."
        )
    rng = np.random.default_rng(seed)
    images, found = [], []
    for start in range(0, train + test, CHUNK):
        count = min(CHUNK, train + test - start)
        drawn, things = _scenes(rng, count, size, names, objects, shape_size, difficult, noise)
        images.append(drawn)
        found += things
    images = np.concatenate(images)
    files = [f"scene_{i:06d}.png" for i in range(len(images))]
    return (
        DetectionSet(images[:train], found[:train], names, files[:train]),
        DetectionSet(images[train:], found[train:], names, files[train:]),
    )


def _scenes(rng, count, size, names, objects, shape_size, difficult, noise) -> tuple[np.ndarray, list[dict]]:
    """Draw some scenes, one layer of shapes after the other, each within a window around its middle."""
    draw = drawer(rng, count)
    reach = int(shape_size[1] * size / 2) + 2  # half the window; the canvas is wider than the scene by as much
    image, colour = _background(rng, draw, count, size)
    canvas = np.pad(image, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
    owner = np.full(canvas.shape[:3], -1, "int16")
    largest = objects[1]
    labels = rng.integers(0, len(names), (count, largest))
    labels[np.arange(largest) >= rng.integers(objects[0], largest + 1, count)[:, None]] = -1
    boxes, areas = np.zeros((count, largest, 4), "float32"), np.zeros((count, largest))
    middle = None
    for layer in range(largest):
        radius = np.exp(draw(*np.log(shape_size))) * (size / 2)
        middle = _placed(draw, middle, radius, size)
        corner = np.floor(middle).astype(int)  # of the window, on the canvas
        lines = corner + np.arange(2 * reach)  # y, x: (2, count, 1, window)
        y, x = (lines - (reach - 0.5)).astype("float32") - middle
        y = y.swapaxes(1, 2)
        angle, squeeze = draw(0, 2 * np.pi), draw(0.6, 1)
        along, across = np.cos(angle) * x + np.sin(angle) * y, (np.cos(angle) * y - np.sin(angle) * x) / squeeze
        cover = np.zeros(along.shape, "float32")
        for label, name in enumerate(names):
            rows = labels[:, layer] == label
            outside = SHAPES[name](along[rows] / radius[rows], across[rows] / radius[rows]) * radius[rows]
            cover[rows] = np.clip(0.5 - outside, 0, 1)  # soft over one pixel
        window = np.arange(count)[:, None, None], lines[0].swapaxes(1, 2), lines[1]
        within = (lines >= reach) & (lines < reach + size)
        solid = (cover >= 0.5) & within[0].swapaxes(1, 2) & within[1]
        boxes[:, layer] = _bounds(solid) + np.tile(corner[::-1, :, 0, 0] - reach, (2, 1)).T
        areas[:, layer] = solid.sum(axis=(1, 2))
        owner[window] = np.where(solid, layer, owner[window])
        shade = 1 + draw(-0.3, 0.3) * along / radius + draw(0, 0.15) * np.sin(draw(2, 8) * across / radius)
        paint = _contrasting(rng, colour)[:, None, None] * shade[..., None]
        under = canvas[window]
        canvas[window] = under + cover[..., None] * (paint - under)
    image = canvas[:, reach:-reach, reach:-reach] + noise * rng.standard_normal(image.shape, dtype="float32")
    visible = np.stack([(owner == layer).sum(axis=(1, 2)) for layer in range(largest)], axis=1)
    hidden = 1 - visible / np.maximum(areas, 1)
    kept = (labels >= 0) & (areas > 0) & (hidden <= HIDDEN)
    things = [
        {"boxes": boxes[i, k], "labels": labels[i, k].astype("int32"), "difficult": (hidden[i, k] > difficult) * 1}
        for i, k in enumerate(kept)
    ]
    return (np.clip(image, 0, 1) * 255).round().astype("uint8"), things


def _placed(draw, last: np.ndarray | None, radius: np.ndarray, size: int) -> np.ndarray:
    """Draw the middles of shapes, y and x `(2, count, 1, 1)`: anywhere, or (3 of 10) next to the last one."""
    margin = np.minimum(0.6 * radius, size / 2)  # at most a part of the shape is cut by the edge
    anywhere = np.stack([margin + draw(0, 1) * (size - 2 * margin) for _ in range(2)])
    if last is None:
        return anywhere
    beside = np.clip(last + np.stack([draw(-1, 1), draw(-1, 1)]) * radius, margin, size - margin)
    return np.where(draw(0, 1) < 0.3, beside, anywhere)


def _background(rng, draw, count: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return textures, two crossed waves over a shading, and their mean colours."""
    y, x = np.mgrid[:size, :size].astype("float32") / size
    colour = rng.uniform(0.2, 0.8, (count, 3)).astype("float32")
    pattern = draw(-0.3, 0.3) * (x - 0.5) + draw(-0.3, 0.3) * (y - 0.5)
    for _ in range(2):
        angle = draw(0, np.pi)
        along = np.cos(angle) * x + np.sin(angle) * y
        pattern = pattern + draw(0, 0.12) * np.sin(2 * np.pi * (draw(1, 12) * along + draw(0, 1)))
    return colour[:, None, None] + pattern[..., None], colour


def _contrasting(rng, colour: np.ndarray) -> np.ndarray:
    """Draw colours that differ from the background's by at least 0.25 in one channel or more."""
    step = rng.uniform(0.25, 0.7, colour.shape) * rng.choice([0, 1], colour.shape, p=[0.3, 0.7])
    step[np.arange(len(step)), rng.integers(0, 3, len(step))] += 0.25
    return np.where(colour < 0.5, colour + step, colour - step).clip(0, 1).astype("float32")


def _bounds(solid: np.ndarray) -> np.ndarray:
    """Return tight boxes of masks `(n, y, x)`."""
    found = []
    for axis in (1, 2):  # columns, then rows
        line = solid.any(axis=axis)
        found.append((line.argmax(axis=1), line.shape[1] - line[:, ::-1].argmax(axis=1)))
    (x_low, x_high), (y_low, y_high) = found
    return np.stack([x_low, y_low, x_high, y_high], axis=1)


def _folded(x: np.ndarray, y: np.ndarray, times: int) -> tuple[np.ndarray, np.ndarray]:
    """Fold the plane into one of so many equal corners: coordinates along and off its middle line."""
    angle = np.abs(np.mod(np.arctan2(y, x), 2 * np.pi / times) - np.pi / times)
    radius = np.hypot(x, y)
    return radius * np.cos(angle), radius * np.sin(angle)


def _star(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Five points at radius 1, five corners at radius 0.45 between them."""
    along, off = _folded(x, y, 5)  # a corner lies on the middle line, a point at 36 degrees from it
    tip = np.cos(np.pi / 5), np.sin(np.pi / 5)
    normal = np.array([tip[1], 0.45 - tip[0]]) / np.hypot(tip[1], 0.45 - tip[0])
    return (along - 0.45) * normal[0] + off * normal[1]


# How far a point lies outside of the shape whose surrounding circle has radius 1; negative inside.
SHAPES = {
    "cross": lambda x, y: np.minimum(
        np.maximum(abs(x) - 0.95, abs(y) - 0.31), np.maximum(abs(x) - 0.31, abs(y) - 0.95)
    ),
    "disc": lambda x, y: np.hypot(x, y) - 1,
    "ring": lambda x, y: abs(np.hypot(x, y) - 0.78) - 0.22,
    "square": lambda x, y: np.maximum(abs(x), abs(y)) - 0.7071,
    "star": _star,
    "triangle": lambda x, y: _folded(x, y, 3)[0] - 0.5,
}
