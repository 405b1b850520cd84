"""Pixels without a value: what stands in for them, and which detections lie on them."""

import numpy as np

NAN_POLICIES = ("zero", "median", "noise", "raise")
TO_SIGMA = 1.4826  # standard deviation of a Gaussian per median absolute deviation


def fill_missing(
    tile: np.ndarray,
    nan_policy: str = "zero",
    *,
    seed: int | tuple[int, ...] = 0,
    inside: tuple[slice, ...] | None = None,
    name: str = "the tile",
) -> tuple[np.ndarray, np.ndarray]:
    """Give a value to each pixel of a tile that has none (NaN or infinite).

    Args:
        tile: `(...)` float pixels; left as it is.
        nan_policy: `"zero"`; `"median"`, of the other pixels; `"noise"`, Gaussian around that median, its standard
            deviation from the median absolute deviation; `"raise"`. Zero where no pixel has a value.
        seed: of the noise; give each tile its own, and the same tile the same.
        inside: part of the tile that lies in the image; with `"raise"` only its pixels count. `None` is all of it.
        name: of the tile, for the error.

    Returns:
        The filled tile `(...)`, float32, and the mask `(...)`, `True` where there was no value.

    Raises:
        ValueError: if the policy is unknown, or it is `"raise"` and pixels inside have no value.

    Example:
        >>> import numpy as np
        >>> from astrokeras import survey
        >>> filled, missing = survey.fill_missing(np.array([[1, np.nan], [2, 3]]), "median")
        >>> filled.tolist(), missing.sum()
        ([[1.0, 2.0], [2.0, 3.0]], np.int64(1))
    """
    if nan_policy not in NAN_POLICIES:
        raise ValueError(f"Expected nan_policy to be one of {', '.join(NAN_POLICIES)}; received {nan_policy!r}.")
    tile = np.asarray(tile, "float32")
    missing = ~np.isfinite(tile)
    if not missing.any():
        return tile, missing
    if nan_policy == "raise":
        count = np.count_nonzero(missing[... if inside is None else inside])
        if count:
            raise ValueError(
                f"Expected a value in each pixel; {count} of {missing.size} in {name} are NaN, blank or infinite: mend "
                'the image, or choose nan_policy "zero", "median" or "noise".'
            )
    filled, known = np.where(missing, np.float32(0), tile), tile[~missing]
    if nan_policy in ("median", "noise") and len(known):
        middle = np.median(known)
        filled[missing] = middle
        if nan_policy == "noise":
            sigma = TO_SIGMA * np.median(np.abs(known - middle))
            drawn = np.random.default_rng(seed).standard_normal(np.count_nonzero(missing), dtype="float32")
            filled[missing] += sigma * drawn
    return filled, missing


def mostly_missing(boxes: np.ndarray, missing: np.ndarray, limit: float = 0.5) -> np.ndarray:
    """Tell which boxes lie mostly on pixels without a value.

    Args:
        boxes: `(n, 2 * dims)` corners in pixels of the tile, x first; a pixel that a box only touches counts in full.
        missing: `([z,] y, x)` mask of the tile, as `fill_missing` returns it.
        limit: share of the pixels of a box above which it is so; beyond the edges there is no value.

    Returns:
        `(n,)` bool.

    Example:
        >>> import numpy as np
        >>> from astrokeras import survey
        >>> missing = np.zeros((4, 6), bool)
        >>> missing[:, 3:] = True
        >>> survey.mostly_missing([[0, 0, 4, 4], [2, 0, 6, 4]], missing)
        array([False,  True])
    """
    boxes = np.asarray(boxes, "float64").reshape(-1, 2 * missing.ndim)
    # Sums over everything up to an edge, along each axis: the count in a box is a signed sum over its corners.
    sums = np.pad((~missing).astype("int64"), [(1, 0)] * missing.ndim)
    for axis in range(missing.ndim):
        np.cumsum(sums, axis=axis, out=sums)
    low, high = np.floor(boxes[:, : missing.ndim]), np.ceil(boxes[:, missing.ndim :])
    high = np.maximum(high, low + 1)
    edges = [np.clip(corner[:, ::-1], 0, missing.shape).astype(int) for corner in (low, high)]  # in order of the array
    known = np.zeros(len(boxes), "int64")
    for corner in np.ndindex((2,) * missing.ndim):
        place = tuple(edges[end][:, axis] for axis, end in enumerate(corner))
        known += sums[place] * (-1) ** (missing.ndim - sum(corner))
    return 1 - known / np.prod(high - low, axis=1) > limit
