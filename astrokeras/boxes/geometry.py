"""Corners, centres, the four IoU, and boxes on a grid; one code for NumPy arrays and Keras tensors."""

import types
from typing import Any

import keras
import numpy as np

IOU_KINDS = ("iou", "giou", "diou", "diou2")
Array = Any  # a NumPy array or a tensor of the backend, whichever came in
_TINY = 1e-36  # squares and volumes below this count as zero; still a normal float32


def intervals(boxes) -> list[tuple]:
    """Cut boxes into one `(minimum, maximum)` pair of arrays per axis, x first.

    Args:
        boxes: `(..., 2 * dims)`, corners with x first.

    Example:
        >>> import numpy as np, astrokeras
        >>> x, y = astrokeras.boxes.intervals(np.array([[1, 2, 5, 9]]))
        >>> x[0], x[1], y[0], y[1]
        (array([1]), array([5]), array([2]), array([9]))
    """
    dims = boxes.shape[-1] // 2
    return [(boxes[..., axis], boxes[..., axis + dims]) for axis in range(dims)]


def centers_and_sizes(boxes) -> tuple:
    """Return the centres and the sizes of boxes, each `(..., dims)`, x first.

    Args:
        boxes: `(..., 2 * dims)`, corners with x first.

    Example:
        >>> import numpy as np, astrokeras
        >>> astrokeras.boxes.centers_and_sizes(np.array([1.0, 2.0, 5.0, 9.0]))
        (array([3. , 5.5]), array([4., 7.]))
    """
    dims = boxes.shape[-1] // 2
    low, high = boxes[..., :dims], boxes[..., dims:]
    return (low + high) / 2, high - low


def from_centers_and_sizes(centers, sizes) -> Array:
    """Return boxes `(..., 2 * dims)` from centres and sizes `(..., dims)`, x first.

    Example:
        >>> import numpy as np, astrokeras
        >>> astrokeras.boxes.from_centers_and_sizes(np.array([3.0, 5.5]), np.array([4.0, 7.0]))
        array([1., 2., 5., 9.])
    """
    xp = _namespace(centers, sizes)
    return xp.concatenate([centers - sizes / 2, centers + sizes / 2], axis=-1)


def iou(boxes1, boxes2, kind: str = "iou") -> Array:
    """Overlap of boxes in the sense of CIANNA, element by element.

    With intersection I, union U and the enclosing box E:

    - `"iou"`: I / U;
    - `"giou"`: I / U - (volume of E - U) / volume of E (Rezatofighi et al. 2019);
    - `"diou"`: I / U - distance of the centres / diagonal of E, a ratio of lengths (Cornu et al. 2024);
    - `"diou2"`: I / U - the square of that ratio (what Zheng et al. 2020 call DIoU).

    Args:
        boxes1: `(..., 2 * dims)`, corners with x first; NumPy or tensor.
        boxes2: likewise; the leading axes are broadcast: `iou(a[:, None], b[None])` compares all pairs.
        kind: one of the four names.

    Returns:
        `(...)`, at most 1; boxes without volume overlap with nothing.

    Raises:
        ValueError: if the kind is unknown, or the boxes are not of the same number of dimensions.

    Example:
        >>> import numpy as np, astrokeras
        >>> a, b = np.array([0.0, 0.0, 4.0, 4.0]), np.array([2.0, 0.0, 6.0, 4.0])
        >>> [round(float(astrokeras.boxes.iou(a, b, kind)), 4) for kind in astrokeras.boxes.IOU_KINDS]
        [0.3333, 0.3333, 0.056, 0.2564]
    """
    if boxes1.shape[-1] != boxes2.shape[-1] or boxes1.shape[-1] not in (2, 4, 6):
        raise ValueError(
            "Expected boxes (..., 2 * dims) of the same 1, 2 or 3 dimensions; received shapes "
            f"{tuple(boxes1.shape)} and {tuple(boxes2.shape)}."
        )
    return interval_iou(intervals(boxes1), intervals(boxes2), kind)


def interval_iou(first: list[tuple], second: list[tuple], kind: str = "iou", unit_axes: int = 0) -> Array:
    """Do what `iou` does for boxes that are cut into `intervals`.

    Args:
        first: one `(minimum, maximum)` pair of arrays per axis.
        second: likewise; the arrays of both are broadcast.
        kind: one of `IOU_KINDS`.
        unit_axes: number of further axes on which all boxes cover the same one pixel: CIANNA's boxes always have
            three axes, so its 2-D boxes have a depth of 1, which the diagonal of the enclosing box contains.

    Example:
        >>> import numpy as np, astrokeras
        >>> astrokeras.boxes.interval_iou([(0.0, 4.0)], [(2.0, 6.0)])
        np.float64(0.333...)
    """
    if kind not in IOU_KINDS:
        raise ValueError(f"Expected kind to be one of {', '.join(IOU_KINDS)}; received {kind!r}.")
    xp = _namespace(*first[0], *second[0])
    overlap = volume1 = volume2 = enclosing = None
    for (low1, high1), (low2, high2) in zip(first, second, strict=True):
        side = xp.maximum(xp.minimum(high1, high2) - xp.maximum(low1, low2), 0)
        overlap = _times(overlap, side)
        volume1, volume2 = _times(volume1, xp.abs(high1 - low1)), _times(volume2, xp.abs(high2 - low2))
    union = volume1 + volume2 - overlap
    ratio = overlap / xp.maximum(union, _TINY)
    if kind == "iou":
        return ratio
    distance, diagonal = 0.0, float(unit_axes)
    for (low1, high1), (low2, high2) in zip(first, second, strict=True):
        side = xp.maximum(high1, high2) - xp.minimum(low1, low2)
        if kind == "giou":
            enclosing = _times(enclosing, side)
        else:
            diagonal = diagonal + side * side
            shift = ((low1 + high1) - (low2 + high2)) / 2
            distance = distance + shift * shift
    if kind == "giou":
        return ratio - (enclosing - union) / xp.maximum(enclosing, _TINY)
    squared = distance / xp.maximum(diagonal, _TINY)
    return ratio - (squared if kind == "diou2" else xp.sqrt(xp.maximum(squared, _TINY)))


def grid_intervals(outputs, priors, cell) -> list[tuple]:
    """Place the activated outputs of a YOLO head on the input image, as one `(minimum, maximum)` pair per axis.

    In pixels of the network's input: centre = (cell index + position) * cell size, size = prior * exp(size output).

    Args:
        outputs: `(batch, [z, [y,]] x, boxes, columns)`; columns 0-2 are the position in x, y, z, columns 3-5 the size.
        priors: `(boxes, dims)`, pixels, x first; an axis that is not fitted has 1.
        cell: size of a grid cell in pixels, one per grid axis, x first.

    Returns:
        For each axis, x first, two arrays `(batch, [z, [y,]] x, boxes)`.

    Example:
        >>> import numpy as np, astrokeras
        >>> outputs = np.array([[[[0.5, 0.5, 0.5, 0.0, 0.0, 0.0]], [[0.25, 0.5, 0.5, 0.0, 0.0, 0.0]]]])  # 2 cells
        >>> ((low, high),) = astrokeras.boxes.grid_intervals(outputs, np.array([[4.0]]), (8,))
        >>> low[0, :, 0], high[0, :, 0]
        (array([2., 8.]), array([ 6., 12.]))
    """
    xp = _namespace(outputs)
    constant = np.asarray if xp is np else keras.ops.convert_to_tensor  # torch does not mix with NumPy
    dims = len(cell)
    priors = constant(np.asarray(priors, "float32"))
    grid = outputs.shape[-2 - dims : -2]  # z, y, x
    found = []
    for axis in range(dims):
        shape = [1] * (dims + 1)
        shape[dims - 1 - axis] = grid[dims - 1 - axis]
        index = constant(np.arange(grid[dims - 1 - axis], dtype="float32").reshape(shape))
        center = (outputs[..., axis] + index) * float(cell[axis])
        half = xp.exp(outputs[..., 3 + axis]) * priors[:, axis] / 2
        found.append((center - half, center + half))
    return found


def decode_grid(outputs, priors, cell) -> Array:
    """Return the boxes of the activated outputs of a YOLO head, in pixels of the network's input.

    Args:
        outputs: `(batch, [z, [y,]] x, boxes, columns)`, as for `grid_intervals`.
        priors: `(boxes, dims)`, pixels, x first.
        cell: size of a grid cell in pixels, one per grid axis, x first.

    Returns:
        `(batch, [z, [y,]] x, boxes, 2 * dims)`, corners with x first.

    Example:
        >>> import numpy as np, astrokeras
        >>> outputs = np.zeros((1, 3, 3, 1, 8)) + 0.5  # the middle of each cell
        >>> outputs[..., 3:6] = 0.0  # the size of the prior
        >>> astrokeras.boxes.decode_grid(outputs, np.array([[8.0, 4.0]]), (16, 16))[0, 0, 2]
        array([[36.,  6., 44., 10.]])
    """
    found = grid_intervals(outputs, priors, cell)
    return _namespace(outputs).stack([low for low, _ in found] + [high for _, high in found], axis=-1)


def _times(product, factor):
    return factor if product is None else product * factor


def _namespace(*arrays) -> types.ModuleType:
    """Return the functions that fit: NumPy's for arrays and numbers, `keras.ops` where there is a tensor."""
    return np if all(isinstance(array, np.ndarray | np.generic | int | float) for array in arrays) else keras.ops
