"""Which box of which cell is responsible for which object: CIANNA's association, for all cells at once."""

from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from astrokeras.boxes import grid_intervals, interval_iou, intervals

_SAME = 1e-3  # priors whose distances differ by less count as identical
_MOST = 0.98  # an IoU is cut here


class Association(NamedTuple):
    """What `associate` finds; batch B, targets M, cells N, boxes per cell K.

    Attributes:
        cell: `(B, M)` int, the index of the object's cell, z, y, x order.
        place: one `(B, M)` float array per axis, x first: the same index per axis.
        box: `(B, M, K)` float, 1 for the box that learns the object, all 0 where none does.
        iou: `(B, M)`, IoU of object and box, at most 0.98.
        found: `(B, M)` bool, whether a box learns the object.
        background: `(B, N, K)` bool, boxes that learn to be empty.
    """

    cell: object
    place: list
    box: object
    iou: object
    found: object
    background: object


def associate(objects: dict, outputs, settings, startup=None, seed=None) -> Association:
    """Give each object a box of the cell that holds its centre.

    The rules are CIANNA's (README of its reference data, 6.5). Within a cell the pairs of objects and boxes are taken
    in order of their IoU. Instead of walking through the objects, each of the K steps lets every cell take its next
    pair: difficult objects that fail in front of it leave at the same step, since the free boxes are the same for them.

    Args:
        objects: `label`, `difficult`, `class_only` `(B, M)` and `boxes` `(B, M, 2 * dims)`.
        outputs: `(B, [z, [y,]] x, K, columns)`, activated; no gradient goes through here.
        settings: `YoloSettings`.
        startup: scalar bool tensor, the random phase at the start of a training; `None` for never.
        seed: of the random rules; `None` where there are none.
    """
    outputs = ops.stop_gradient(outputs)
    dims, boxes = len(settings.cell), len(settings.priors)
    grid = outputs.shape[1 : 1 + dims]
    cells = 1
    for side in grid:
        cells *= side
    truth = intervals(objects["boxes"])
    valid = objects["label"] != -1
    overlap = interval_iou(
        [
            tuple(ops.reshape(bound, (-1, 1, cells * boxes)) for bound in axis)
            for axis in grid_intervals(outputs, settings.sides, settings.cell)
        ],
        [(low[..., None], high[..., None]) for low, high in truth],
        settings.iou,
        unit_axes=3 - dims,
    )  # (B, M, N * K)
    good = ops.any((overlap > settings.limits["good"]) & valid[..., None], axis=1)

    inside, cell, place = valid, 0, []
    for axis in reversed(range(dims)):  # z, y, x
        low, high = truth[axis]
        index = ops.cast((low + high) / 2 / settings.cell[axis], "int32")  # towards zero, as the peer does
        count = grid[dims - 1 - axis]
        inside = inside & (index >= 0) & (index < count)
        cell = cell * count + index
        place.insert(0, ops.cast(index, "float32"))
    cell = ops.where(inside, cell, 0)
    place = [ops.where(inside, index, 0.0) for index in place]
    mine = take_cells(outputs, cell)  # (B, M, K, columns)
    table = _overlap_in_cell(mine, place, truth, settings)  # (B, M, K)
    distance = prior_distance([high - low for low, high in truth], settings)  # (B, M, K)
    box, iou = _greedy(objects, inside, cell, table, distance, mine[..., 7], settings, startup, seed)
    found = ops.any(box > 0, axis=-1)
    number = ops.where(found, cell * boxes + ops.cast(ops.argmax(box, axis=-1), "int32"), -1)  # (B, M)
    taken = ops.any(number[..., None] == ops.arange(cells * boxes, dtype="int32"), axis=1)
    background = ops.reshape(~(good | taken), (-1, cells, boxes))
    return Association(cell, place, box, iou, found, background)


def take_cells(outputs, cell):
    """Return `(B, M, K, columns)`, the outputs of the cells with index `cell` `(B, M)`."""
    *_, boxes, columns = outputs.shape
    cells = 1
    for side in outputs.shape[1:-2]:
        cells *= side
    image = ops.cumsum(ops.ones_like(cell[:, :1]), axis=0) - 1
    rows = ops.take(ops.reshape(outputs, (-1, boxes * columns)), cell + cells * image, axis=0)
    return ops.reshape(rows, (-1, cell.shape[1], boxes, columns))


def prior_distance(sides: list, settings):
    """Return `(B, M, K)`, how far each object is from each prior; `sides` has one `(B, M)` per axis."""
    priors = ops.convert_to_tensor(settings.sides)
    priors = [priors[:, axis] for axis in range(len(sides))]
    sides = [side[..., None] for side in sides]
    if settings.prior_distance == "iou":
        first, second = ([(-side / 2, side / 2) for side in both] for both in (sides, priors))
        return 1 - interval_iou(first, second, settings.iou, unit_axes=3 - len(sides))
    if settings.prior_distance == "size":
        return ops.sqrt(sum(ops.square(side - prior) for side, prior in zip(sides, priors, strict=True)))
    return sum(ops.abs(settings.size_target(side, prior)) for side, prior in zip(sides, priors, strict=True))


def _overlap_in_cell(mine, place, truth, settings):
    predicted, sides = [], ops.convert_to_tensor(settings.sides)
    for axis, size in enumerate(settings.cell):
        center = (mine[..., axis] + place[axis][..., None]) * size
        half = ops.exp(mine[..., 3 + axis]) * sides[:, axis] / 2
        predicted.append((center - half, center + half))
    truth = [(low[..., None], high[..., None]) for low, high in truth]
    return interval_iou(predicted, truth, settings.iou, unit_axes=3 - len(place))


def _greedy(objects, inside, cell, table, distance, objectness, settings, startup, seed):
    """Return the box of each object `(B, M, K)` as 0 and 1, and the IoU `(B, M)`."""
    boxes = ops.arange(table.shape[-1])
    order = ops.arange(table.shape[1], dtype="float32")
    neighbours = (cell[:, :, None] == cell[:, None, :]) & inside[:, :, None] & inside[:, None, :]  # (B, M, M)
    eligible = _closest_priors(distance, settings.strict_priors)
    fitting = distance - ops.min(distance, axis=-1, keepdims=True) < _SAME
    small, smallest = _smallest_prior(objects["boxes"], settings)
    by_prior, by_chance, noise = _draws(settings, table, startup is not None, seed)
    waiting, used = inside, ops.zeros_like(table, dtype="bool")
    box, iou = ops.zeros_like(table), ops.zeros_like(table[..., 0])
    for _ in range(table.shape[-1]):
        free = ~used
        best, choice = _best(table, eligible & free)  # (B, M)
        able = waiting & (best > -2)
        # CIANNA's corrections of the choice, the last one here is its first
        poor = ((best < settings.limits["low_best"]) | by_prior) & ops.any(fitting & free, axis=-1)
        corrected = ops.where(poor, _best(table, fitting & free)[1], choice)
        if settings.smallest_prior_scale:
            there = ops.any(smallest & free, axis=-1)
            forced = ops.where(there, _best(table, smallest & free)[1], choice)
            corrected = ops.where(small, forced, corrected)
        if noise is not None:
            drawn = ops.where(ops.any(free, axis=-1), ops.argmax(ops.where(free, noise, -1.0), axis=-1), choice)
            corrected = ops.where(by_chance, drawn, corrected)
            if startup is not None:
                corrected = ops.where(startup, drawn, corrected)
                able = ops.where(startup, waiting & ops.any(free, axis=-1), able)
                best = ops.where(startup, -order, best)  # in the order of the targets
        picked = corrected[..., None] == boxes  # (B, M, K)
        value = ops.minimum(ops.sum(ops.where(picked, table, 0.0), axis=-1), _MOST)
        value = ops.where(objects["class_only"] > 0, settings.limits["good"], value)
        lost = ops.zeros_like(able)
        if settings.difficult:
            weak = ops.sum(ops.where(picked, objectness, 0.0), axis=-1) < settings.limits["difficult_objectness"]
            lost = able & (objects["difficult"] > 0) & (weak | (value < settings.limits["difficult_iou"]))
        wins = able & ~lost
        better, same = best[:, None, :] > best[:, :, None], best[:, None, :] == best[:, :, None]
        before = neighbours & (better | (same & (order[None, :] < order[:, None])))
        led = ops.any(before & wins[:, None, :], axis=-1)  # a better pair of this cell can be taken
        first = wins & ~led
        taken = ops.cast(picked & first[..., None], box.dtype)
        box, iou = box + taken, ops.where(first, value, iou)
        used = used | (ops.matmul(ops.cast(neighbours, box.dtype), taken) > 0)
        waiting = waiting & ~first & ~(lost & ~led)
    return box, iou


def _best(table, allowed):
    """Return the largest value among the allowed boxes and the first box that has it, each `(B, M)`."""
    values = ops.where(allowed, table, -np.inf)
    return ops.max(values, axis=-1), ops.argmax(values, axis=-1)


def _closest_priors(distance, count: int):
    """Return `(B, M, K)` bool, the boxes with the `count` closest priors (all where 0); identical priors count once.

    CIANNA leaves out a prior at distance exactly 0, the one that fits best: here it belongs to the closest.
    """
    chosen = ops.zeros_like(distance, dtype="bool")
    if count == 0:
        return ~chosen
    for _ in range(min(count, distance.shape[-1])):
        nearest = ops.min(ops.where(chosen, np.inf, distance), axis=-1, keepdims=True)
        chosen = chosen | (ops.abs(distance - nearest) < _SAME)
    return chosen


def _smallest_prior(boxes, settings):
    """Return which objects `(B, M)` are smaller than the scaled smallest prior, and which boxes `(K,)` have that prior.

    CIANNA reads the wrong prior when it looks for these boxes: here the sizes of each box are compared, as was meant.
    """
    sides, scale = settings.sides, settings.smallest_prior_scale
    smallest = sides[np.argmin(np.sum(sides**2, axis=-1))]
    dims = sides.shape[-1]
    small = ops.all(boxes[..., dims:] - boxes[..., :dims] < ops.convert_to_tensor(scale * smallest), axis=-1)
    if dims < 3 and scale <= 1:  # on the axes that are not there, objects and priors have 1 pixel
        small = ops.zeros_like(small)
    return small, ops.convert_to_tensor(np.all(sides == smallest, axis=-1))


def _draws(settings, table, startup: bool, seed):
    """Return whether each object `(B, M)` takes its closest prior, or a random box, and numbers that draw the boxes."""
    shape = ops.shape(table)
    by_prior, by_chance = settings.best_prior_rate == 1, settings.random_rate == 1
    if settings.best_prior_rate % 1:
        by_prior = keras.random.uniform(shape[:2], seed=seed) < settings.best_prior_rate
    if settings.random_rate % 1:
        by_chance = keras.random.uniform(shape[:2], seed=seed) < settings.random_rate
    fixed = 0 if seed is None else seed  # a loss used alone draws the same boxes each time
    noise = keras.random.uniform(shape, seed=fixed) if startup or settings.random_rate else None
    return by_prior, by_chance, noise
