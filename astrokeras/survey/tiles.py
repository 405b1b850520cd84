"""Where the tiles of a scan lie, and which part of the image each of them answers for."""

import itertools
import math
from collections.abc import Sequence

import numpy as np


class Tiling:
    """Tiles of one size that cover an image, each overlapping the next.

    Along each axis the first tile begins with the image and the last one is moved back so that it ends with it, or at
    most a cell of the detector's grid beyond; an image smaller than a tile is in one. Each pixel is owned by the tile
    whose middle is nearest.

    Args:
        shape: of the image, `([z,] y, x)`.
        tile: of a tile, likewise.
        overlap: pixels that neighbours share, likewise.
        cell: of the detector's grid, likewise; the sides of a tile are multiples of it.

    Raises:
        ValueError: if a tile is no multiple of the cell, or the overlap not in 0..tile - 1.

    Example:
        >>> from astrokeras.survey.tiles import Tiling
        >>> tiling = Tiling((100, 60), (64, 64), (16, 16), (8, 8))
        >>> tiling, [tiling.window(number) for number in range(len(tiling))]
        (Tiling(2 tiles of 64 x 64), [((0, 64), (0, 64)), ((40, 104), (0, 64))])
        >>> tiling.owned(0)
        (slice(0, 52, None), slice(0, 60, None))
    """

    def __init__(self, shape: Sequence[int], tile: Sequence[int], overlap: Sequence[int], cell: Sequence[int]):
        self.shape, self.tile, self.overlap = (tuple(map(int, sizes)) for sizes in (shape, tile, overlap))
        cell = tuple(map(int, cell))
        if any(side < 1 or side % step for side, step in zip(self.tile, cell, strict=True)):
            raise ValueError(f"Expected tile as multiples of the detector's grid {cell}; received {self.tile}.")
        if any(not 0 <= part < side for part, side in zip(self.overlap, self.tile, strict=True)):
            raise ValueError(f"Expected overlap from 0 to below the tile {self.tile}; received {self.overlap}.")
        self.starts = [
            _starts(*sizes) for sizes in zip(self.shape, self.tile, self.overlap, cell, strict=True)
        ]  # along each axis
        self.borders = [
            [0, *((low + high + side) // 2 for low, high in itertools.pairwise(starts)), size]
            for starts, side, size in zip(self.starts, self.tile, self.shape, strict=True)
        ]

    def __len__(self) -> int:
        """Return the number of tiles."""
        return math.prod(map(len, self.starts))

    def __repr__(self) -> str:
        """Say how many there are."""
        return f"Tiling({len(self)} tile{'s' * (len(self) > 1)} of {' x '.join(map(str, self.tile))})"

    def window(self, number: int) -> tuple[tuple[int, int], ...]:
        """Return `(start, stop)` of a tile along each axis; it may reach beyond the image."""
        return tuple(
            (starts[at], starts[at] + side)
            for starts, at, side in zip(self.starts, self._place(number), self.tile, strict=True)
        )

    def owned(self, number: int) -> tuple[slice, ...]:
        """Return the part of the image that a tile owns; these parts cover the image once."""
        return tuple(
            slice(borders[at], borders[at + 1]) for borders, at in zip(self.borders, self._place(number), strict=True)
        )

    def keeps(self, number: int, points: np.ndarray) -> np.ndarray:
        """Tell which points lie where a tile may keep detections.

        That is its own part, and an eighth of the overlap more towards its neighbours: a source on the border is found
        a little to either side of it, and must be lost to neither.

        Args:
            number: of the tile.
            points: `(n, dims)` in pixels of the image, x first.

        Returns:
            `(n,)` bool.
        """
        kept = np.ones(len(points), bool)
        parts = zip(self.owned(number), self.overlap, self.shape, points.T[::-1], strict=True)
        for part, overlap, size, at in parts:
            more = overlap / 8
            kept &= at >= (part.start - more if part.start > 0 else 0)
            kept &= (at < part.stop + more) & (at < size)
        return kept

    def shared(self, points: np.ndarray) -> np.ndarray:
        """Tell at which points more than one tile keeps detections.

        Args:
            points: `(n, dims)` in pixels of the image, x first.

        Returns:
            `(n,)` bool.
        """
        near = np.zeros(len(points), bool)
        for borders, overlap, at in zip(self.borders, self.overlap, points.T[::-1], strict=True):
            within = np.array(borders[1:-1], float)
            if len(within):
                after = np.searchsorted(within, at).clip(0, len(within) - 1)
                nearest = np.minimum(np.abs(at - within[after]), np.abs(at - within[np.maximum(after - 1, 0)]))
                near |= nearest <= overlap / 8
        return near

    def _place(self, number: int) -> tuple[int, ...]:
        return tuple(map(int, np.unravel_index(number, [len(starts) for starts in self.starts])))


def _starts(size: int, tile: int, overlap: int, cell: int) -> list[int]:
    last = -(-max(size - tile, 0) // cell) * cell
    return [*range(0, last, tile - overlap), last]
