"""A detector whose answer is known: it finds single bright pixels, one per cell of its grid."""

import keras
import numpy as np

import astrokeras


def spot_detector(shape=(64, 64), cell=8, priors=1, **options):
    """Return a detector of pixels of value 1 (score 0.93; 0.5 for pixels of value 0.5), in cells of 8 pixels.

    The position inside of a cell is right in its middle, and within a pixel elsewhere. The second prior scores less.
    """
    dims, sides = len(shape), (cell,) * len(shape)
    inputs = keras.Input((*shape, 1))
    convolution = (keras.layers.Conv2D if dims == 2 else keras.layers.Conv3D)(8 * priors, sides, strides=sides)
    outputs = astrokeras.layers.YoloHead([[6] * dims] * priors)(convolution(inputs))
    model = astrokeras.models.YoloDetector(inputs, outputs, **({"score_threshold": 0.4, "name": "spots"} | options))
    offset = (np.arange(cell) + 0.5 - cell / 2) / cell * 4
    kernel, bias = np.zeros((*sides, 1, priors, 8), "float32"), np.zeros((priors, 8), "float32")
    for axis in range(dims):  # x is the last axis of the array and the first column
        along = np.moveaxis(np.broadcast_to(offset, sides), -1, dims - 1 - axis)
        kernel[..., 0, :, axis] = along[..., None]
    for prior in range(priors):
        kernel[..., 0, prior, 6:] = 5.2
        bias[prior, 6:] = -2.6 - 0.5 * prior
    convolution.set_weights([kernel.reshape(*sides, 1, -1), bias.ravel()])
    return model


def spots(shape, count, seed=0, cell=8, value=1.0):
    """Return a sky with so many bright pixels, no two in neighbouring cells, and their places `(n, dims)`, x first."""
    rng = np.random.default_rng(seed)
    grid = [side // (2 * cell) for side in shape]
    chosen = rng.choice(np.prod(grid), count, replace=False)
    places = np.stack(np.unravel_index(chosen, grid), axis=1) * 2 * cell + rng.integers(cell, size=(count, len(shape)))
    sky = np.zeros(shape, "float32")
    sky[tuple(places.T)] = value
    return sky, places[:, ::-1]
