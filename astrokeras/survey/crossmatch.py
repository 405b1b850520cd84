"""All pairs of points closer than a radius, by sorting into cells: near-linear, in NumPy."""

import itertools
from collections.abc import Iterator

import numpy as np

PAIRS = 2_000_000  # candidate pairs looked at in one go
CELLS = 1_000_000  # cells along an axis, at most: three axes fit an int64


def pairs_within(points: np.ndarray, queries: np.ndarray, radii: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return every pair of a query and a point not farther apart than the query's own radius.

    Queries of like radii share a grid of cells as wide as the widest of them, so that each looks at its own and the
    neighbouring cells only. Memory beyond the result does not grow with the number of candidates.

    Args:
        points: `(n, d)` coordinates.
        queries: `(m, d)` coordinates.
        radii: `(m,)` radius of each query, in the coordinates' unit.

    Returns:
        Rows of the queries and rows of the points, `(pairs,)` each, ordered by query, then by point.

    Example:
        >>> import numpy as np
        >>> from astrokeras.survey.crossmatch import pairs_within
        >>> points = np.array([[0.0, 0.0], [3.0, 0.0], [9.0, 9.0]])
        >>> pairs_within(points, np.array([[0.0, 1.0], [9.0, 8.0]]), np.array([4.0, 0.5]))
        (array([0, 0]), array([0, 1]))
    """
    points, queries, radii = (np.asarray(given, float) for given in (points, queries, radii))
    found = []
    if len(points) and len(queries):
        origin = points.min(axis=0)
        finest = max(float(np.ptp(points, axis=0).max()) / CELLS, np.finfo(float).tiny)
        octaves = np.ceil(np.log2(np.maximum(radii, finest))).astype(int)
        for octave in np.unique(octaves):
            rows = np.flatnonzero(octaves == octave)
            found += _in_grid(points - origin, queries[rows] - origin, radii[rows], 2.0**octave, rows)
    if not found:
        return np.zeros(0, int), np.zeros(0, int)
    query, point = (np.concatenate(part) for part in zip(*found, strict=True))
    order = np.lexsort((point, query))
    return query[order], point[order]


def _in_grid(points: np.ndarray, queries: np.ndarray, radii: np.ndarray, cell: float, rows: np.ndarray) -> list:
    """Return the pairs of queries whose radius is at most a cell."""
    dims = points.shape[1]
    places = np.floor(points / cell).astype(np.int64) + 2  # two empty cells around: a neighbour never wraps
    width = places.max(axis=0) + 3
    strides = np.append(np.cumprod(width[:0:-1])[::-1], 1)
    keys = places @ strides
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    homes = np.clip(np.floor(queries / cell), -1, width - 4).astype(np.int64) + 2
    found = []
    for offset in itertools.product((-1, 0, 1), repeat=dims - 1):  # the last axis' three cells lie in one run of keys
        middle = (homes + np.array([*offset, 0])) @ strides
        starts = np.searchsorted(keys, middle - 1, "left")
        counts = np.searchsorted(keys, middle + 1, "right") - starts
        for some in _portions(counts):
            query = np.repeat(some, counts[some])
            first = np.cumsum(counts[some]) - counts[some]
            place = np.arange(len(query)) - np.repeat(first, counts[some]) + np.repeat(starts[some], counts[some])
            point = order[place]
            near = ((points[point] - queries[query]) ** 2).sum(axis=1) <= radii[query] ** 2
            found.append((rows[query[near]], point[near]))
    return found


def _portions(counts: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the rows that have candidates, in runs of about `PAIRS` candidates."""
    some = np.flatnonzero(counts)
    total = np.cumsum(counts[some])
    cuts = np.searchsorted(total, np.arange(PAIRS, total[-1] if len(total) else 0, PAIRS))
    for run in np.split(some, np.unique(cuts)):
        if len(run):
            yield run
