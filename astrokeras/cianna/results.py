"""The files that CIANNA leaves: results of `forward`, and the losses of each control."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from astrokeras.cianna_files import Yolo


class ResultFile:
    """`fwd_res/net0_0012.dat`: rows of numbers, as text (`saving=1`) or float32 (`saving=2`).

    Args:
        network: number of the network.
        iteration: likewise.
        saving: 0 for no file.
        one_line: text without an end of line, as CIANNA writes boxes.
    """

    def __init__(self, network: int, iteration: int, saving: int, one_line: bool = False):
        if saving not in (0, 1, 2):
            raise ValueError(f"Expected saving=0 (no file), 1 (text) or 2 (float32); received {saving}.")
        self.saving, self._end, self._stream = saving, "" if one_line else "\n", None
        if saving:
            path = Path("fwd_res") / f"net{network}_{iteration:04d}.dat"
            path.parent.mkdir(exist_ok=True)
            self._stream = path.open("wb")

    def __enter__(self):
        """Begin."""
        return self

    def __exit__(self, *exception):
        """Close the file."""
        if self._stream is not None:
            self._stream.close()

    def write(self, rows: np.ndarray) -> None:
        """Append rows `(n, numbers)`."""
        if self.saving == 2:
            self._stream.write(np.ascontiguousarray(rows, "<f4").tobytes())
        elif self.saving == 1:
            for row in rows.tolist():
                self._stream.write(("".join([f"{value:g} " for value in row]) + self._end).encode())


def channels_first(outputs: np.ndarray) -> np.ndarray:
    """Return maps `(n, [z, [y,]] x, filters)` as `(n, filters, cells)`, x fastest: the order of CIANNA.

    Example:
        >>> import numpy as np
        >>> from astrokeras.cianna.results import channels_first
        >>> channels_first(np.arange(8).reshape(1, 2, 2, 2))[0].tolist()
        [[0, 2, 4, 6], [1, 3, 5, 7]]
    """
    return np.moveaxis(outputs, -1, 1).reshape(len(outputs), outputs.shape[-1], -1)


def pixel_boxes(outputs: np.ndarray, layer: Yolo, image: Sequence[int], grid: Sequence[int]) -> np.ndarray:
    """Turn activated YOLO outputs into CIANNA's converted ones: corners in pixels in the place of position and size.

    The priors count as they are stored, so that axes which are not fitted have no extent, as in CIANNA.

    Args:
        outputs: `(n, filters, cells)`.
        layer: the YOLO layer.
        image: size of the network's input x, y, z.
        grid: number of cells x, y, z.

    Returns:
        The same shape.

    Example:
        >>> import numpy as np
        >>> from astrokeras.cianna.results import pixel_boxes
        >>> from astrokeras.cianna_files import Yolo
        >>> layer = Yolo(1, 0, 0, 2, False, np.array([[8, 4, 0]]), np.zeros((6, 3)))
        >>> outputs = np.array([0.5, 0.5, 0.5, 0, 0, 0, 0.7, 0.9]).reshape(1, 8, 1)
        >>> pixel_boxes(outputs, layer, (16, 16, 1), (1, 1, 1))[0, :, 0].round(2).tolist()
        [4.0, 6.0, 0.5, 12.0, 10.0, 0.5, 0.7, 0.9]
    """
    boxes = outputs.reshape(len(outputs), layer.boxes, -1, outputs.shape[-1]).copy()  # (n, boxes, columns, cells)
    cells = np.indices(grid[::-1]).reshape(3, -1)[::-1]  # of each cell x, y, z
    for axis in range(3):
        side = image[axis] // grid[axis]
        center = (cells[axis] + boxes[:, :, axis]) * side
        half = 0.5 * layer.priors[None, :, axis, None] * np.exp(boxes[:, :, 3 + axis])
        boxes[:, :, axis], boxes[:, :, 3 + axis] = center - half, center + half
    return boxes.reshape(outputs.shape)


def note_losses(iteration: int, values: Sequence[float]) -> None:
    """Append a line to `error.txt`: the iteration, the mean loss, and for YOLO its six parts."""
    with open("error.txt", "a") as stream:
        stream.write(" ".join([str(iteration), *(f"{value:g}" for value in values)]) + "\n")


def forget_losses() -> None:
    """Remove `error.txt`, as CIANNA does when a training begins."""
    Path("error.txt").unlink(missing_ok=True)
