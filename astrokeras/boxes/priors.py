"""Prior sizes of a detector from the boxes of a training set."""

import numpy as np

from astrokeras.boxes.geometry import centers_and_sizes, interval_iou

_SAMPLE = 20_000  # distinct sizes on which the restarts are tried
_LAST = 10  # steps with all sizes that follow


def kmeans_priors(
    boxes: np.ndarray, k: int, metric: str = "iou", *, seed: int = 0, iterations: int = 100, restarts: int = 5
) -> list[list[float]]:
    """Find the k sizes that stand best for the sizes of the boxes (k-means).

    With `"iou"` the distance of two sizes is 1 - IoU of boxes with one centre (Redmon and Farhadi 2017, YOLO9000); with
    `"euclidean"` it is the length of the difference. A prior is the mean of the sizes nearest to it. The first priors
    are drawn by k-means++ (each next one in proportion to the squared distance to those before); the restart with the
    smallest mean distance (euclidean: mean square) counts. Of more than 20 000 distinct sizes the restarts see a random
    sample, and the best one goes on with all for up to 10 steps.

    Args:
        boxes: `(n, 2 * dims)`, corners with x first, in pixels.
        k: number of priors.
        metric: `"iou"` or `"euclidean"`.
        seed: of the random choices; the same seed gives the same priors.
        iterations: most steps of each restart.
        restarts: number of starts.

    Returns:
        k lists of `dims` sizes in pixels, x first, in order of volume.

    Raises:
        ValueError: if a box is not finite or has min >= max, or there are fewer distinct sizes than priors.

    Example:
        >>> import numpy as np, astrokeras
        >>> boxes = np.array([[0, 0, 9, 9], [5, 5, 16, 16], [0, 0, 40, 20], [3, 0, 43, 20]])
        >>> astrokeras.boxes.kmeans_priors(boxes, 2)
        [[10.0, 10.0], [40.0, 20.0]]
    """
    sizes, weights = np.unique(_checked_sizes(boxes), axis=0, return_counts=True)
    if metric not in ("iou", "euclidean"):
        raise ValueError(f"Expected metric 'iou' or 'euclidean'; received {metric!r}.")
    if not 1 <= k <= len(sizes):
        raise ValueError(f"Expected k from 1 to the number of distinct sizes, {len(sizes)}; received {k}.")
    rng = np.random.default_rng(seed)
    some = rng.permutation(len(sizes))[: max(_SAMPLE, k)] if len(sizes) > _SAMPLE else slice(None)
    found = [
        _lloyd(
            sizes[some], weights[some], _first_priors(sizes[some], weights[some], k, metric, rng), metric, iterations
        )
        for _ in range(restarts)
    ]
    priors = min(found, key=lambda one: one[0])[1]
    if len(sizes) > _SAMPLE:
        priors = _lloyd(sizes, weights, priors, metric, min(iterations, _LAST))[1]
    return priors[np.lexsort([*priors.T[::-1], priors.prod(axis=1)])].tolist()


def _first_priors(sizes, weights, k, metric, rng) -> np.ndarray:
    """Draw k of the sizes by k-means++."""
    chosen = [rng.choice(len(sizes), p=weights / weights.sum())]
    nearest = np.full(len(sizes), np.inf)
    while len(chosen) < k:
        nearest = np.minimum(nearest, _distance(sizes, sizes[chosen[-1]], metric))
        share = weights * np.maximum(nearest**2, 1e-300)  # sizes may differ by less than the distance tells
        share[chosen] = 0
        chosen.append(rng.choice(len(sizes), p=share / share.sum()))
    return sizes[chosen]


def _lloyd(sizes, weights, priors, metric, iterations) -> tuple[float, np.ndarray]:
    """Move the priors to the means of their sizes until none moves by 0.01 %; return the loss and the priors."""
    for _ in range(iterations):
        owner, nearest = _nearest(sizes, priors, metric)
        total = np.bincount(owner, weights, len(priors))
        sums = [np.bincount(owner, weights * size, len(priors)) for size in sizes.T]
        moved = np.stack(sums, axis=1) / np.maximum(total, 1)[:, None]
        empty = np.flatnonzero(total == 0)
        moved[empty] = sizes[np.argsort(-nearest, kind="stable")[: len(empty)]]  # the sizes that fit worst
        still = np.allclose(moved, priors, rtol=1e-4, atol=0)
        priors = moved
        if still:
            break
    nearest = _nearest(sizes, priors, metric)[1]
    return np.average(nearest if metric == "iou" else nearest**2, weights=weights), priors


def _nearest(sizes, priors, metric) -> tuple[np.ndarray, np.ndarray]:
    """Return for each size the index of the nearest prior (of equals the first) and the distance."""
    owner, nearest = np.zeros(len(sizes), int), np.full(len(sizes), np.inf)
    for index, prior in enumerate(priors):
        distance = _distance(sizes, prior, metric)
        owner[distance < nearest] = index
        nearest = np.minimum(nearest, distance)
    return owner, nearest


def _distance(sizes, prior, metric) -> np.ndarray:
    if metric == "euclidean":
        return np.sqrt(((sizes - prior) ** 2).sum(axis=1))
    return 1 - interval_iou([(0.0, size) for size in sizes.T], [(0.0, size) for size in prior])


def _checked_sizes(boxes) -> np.ndarray:
    boxes = np.asarray(boxes, "float64")
    if boxes.ndim != 2 or boxes.shape[1] not in (2, 4, 6):
        raise ValueError(f"Expected boxes (n, 2 * dims), corners with x first; received shape {boxes.shape}.")
    sizes = centers_and_sizes(boxes)[1]
    wrong = np.flatnonzero(~(np.isfinite(boxes).all(axis=1) & (sizes > 0).all(axis=1)))
    if len(wrong):
        raise ValueError(
            "Expected finite boxes with min < max, corners with x first; "
            f"received {boxes[wrong[0]].tolist()} as box {wrong[0]}: drop it first."
        )
    return sizes
