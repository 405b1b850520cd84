"""How good generated images are: measures between two sets of feature vectors, and the nearest training images."""

from collections.abc import Iterator

import numpy as np

NUMBERS_IN_A_BLOCK = 2**22  # distances held at once: 32 MB


def frechet_distance(features: np.ndarray, reference: np.ndarray) -> float:
    """Return the Frechet distance between the normal distributions that fit two sets of features.

    It is `|m1 - m2|^2 + trace(C1 + C2 - 2 (C1 C2)^(1/2))` of means and covariances: 0 for equal sets, in the square of
    the features' unit. Compare sets of one size only: few rows make it too large, by noise in the covariances. Its
    floor is the distance between two sets of real images.

    Args:
        features: `(n, width)`, of the generated images (`judging.features_of` makes them).
        reference: `(m, width)`, of real images.

    Returns:
        The distance, from 0 on.

    Raises:
        ValueError: if the widths differ, a set has fewer than 2 rows, or a value is not finite.

    Reference:
        Heusel et al. 2017, arXiv:1706.08500 (there with the features of an Inception network, as "FID").

    Example:
        >>> import numpy as np
        >>> from astrokeras.metrics import frechet_distance
        >>> x = np.array([[-1.0], [1.0]])
        >>> round(frechet_distance(x + 3, x), 6), round(frechet_distance(2 * x, x), 6)
        (9.0, 2.0)
    """
    features, reference = _checked(features, reference)
    means = features.mean(axis=0) - reference.mean(axis=0)
    one, two = _covariance(features), _covariance(reference)
    # The singular values of C1^(1/2) C2^(1/2) are the square roots of the eigenvalues of C1 C2.
    common = np.linalg.svd(_root(one) @ _root(two), compute_uv=False).sum()
    return max(0.0, float(means @ means + np.trace(one) + np.trace(two) - 2 * common))


def precision_recall(features: np.ndarray, reference: np.ndarray, neighbours: int = 3) -> tuple[float, float]:
    """Return the share of generated images that look real, and the share of real images that could be generated.

    A set covers the balls around its vectors that reach to their `neighbours`-th nearest vector of the same set.
    Precision is the share of `features` that the reference covers, recall that of `reference` that the features cover.
    Memory does not grow with the product of the two sizes.

    Args:
        features: `(n, width)`, of the generated images.
        reference: `(m, width)`, of real images; as many as generated ones make the two shares comparable.
        neighbours: 3 in the paper.

    Returns:
        `(precision, recall)`, each in 0..1.

    Raises:
        ValueError: if the widths differ, a set has not more rows than `neighbours`, or a value is not finite.

    Reference:
        Kynkaanniemi et al. 2019, arXiv:1904.06991.

    Example:
        >>> import numpy as np
        >>> from astrokeras.metrics import precision_recall
        >>> real = np.array([[0.0], [1.0], [10.0], [11.0]])
        >>> precision_recall(np.array([[0.5], [0.6]]), real, neighbours=1)
        (1.0, 0.0)
    """
    features, reference = _checked(features, reference)
    fewest = min(len(features), len(reference))
    if not 1 <= neighbours < fewest:
        raise ValueError(
            f"Expected neighbours from 1 to {fewest - 1}, below the rows of each set; received {neighbours}."
        )
    origin = reference[0].copy()  # near the origin, differences of squares lose nothing
    features, reference = features - origin, reference - origin
    precision = _covered(features, reference, _reach(reference, neighbours))
    recall = _covered(reference, features, _reach(features, neighbours))
    return precision, recall


def nearest_images(samples, images, count: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Find the images that are nearest to each sample: whether a generator repeats what it was trained on.

    The distance is Euclidean, in pixels; give features of both in place of the images for one in features.

    Args:
        samples: `(n, ...)` generated images.
        images: `(m, ...)` training images of the same shape and range; an array or `ImageFiles`.
        count: neighbours of each sample.

    Returns:
        `(indices, distances)`, `(n, count)` each, the nearest first (`plots.nearest_images` draws them).

    Raises:
        ValueError: if shapes or ranges differ, `count` is out of range, or a value is not finite.

    Example:
        >>> import numpy as np
        >>> from astrokeras.metrics import nearest_images
        >>> images = np.array([[9.0, 3.0], [0.0, 0.0], [4.0, 4.0]])
        >>> indices, distances = nearest_images(np.array([[4.0, 3.0]]), images, 2)
        >>> indices.tolist(), distances.tolist()
        ([[2, 0]], [[1.0, 5.0]])
    """
    samples = np.asarray(samples)
    if samples.ndim < 2 or samples.shape[1:] != tuple(images.shape[1:]) or not len(samples):
        raise ValueError(
            f"Expected samples and images of one shape; received {samples.shape[1:]} and {tuple(images.shape[1:])}."
        )
    if (samples.dtype.kind == "f") != (np.dtype(images.dtype).kind == "f"):
        raise ValueError(
            f"Expected samples and images of one range; received {samples.dtype} and {images.dtype}: divide the "
            "integers by 255."
        )
    if not 1 <= count <= len(images):
        raise ValueError(f"Expected count from 1 to {len(images)}, the number of images; received {count}.")
    samples = _flat(samples, "samples")
    rows = max(1, NUMBERS_IN_A_BLOCK // max(len(samples), samples.shape[1]))
    indices = np.zeros((len(samples), 0), int)
    squares = np.zeros((len(samples), 0))
    for start in range(0, len(images), rows):
        block = _flat(np.asarray(images[start : start + rows]), "images")
        squares = np.concatenate([squares, _squares(samples, block)], axis=1)
        new = np.broadcast_to(np.arange(start, start + len(block)), (len(samples), len(block)))
        indices = np.concatenate([indices, new], axis=1)
        best = np.argsort(squares, axis=1, kind="stable")[:, :count]
        squares, indices = np.take_along_axis(squares, best, axis=1), np.take_along_axis(indices, best, axis=1)
    return indices, np.sqrt(squares)


def _checked(features, reference) -> tuple[np.ndarray, np.ndarray]:
    features, reference = np.asarray(features, "float64"), np.asarray(reference, "float64")
    if features.ndim != 2 or reference.ndim != 2 or features.shape[1] != reference.shape[1]:
        raise ValueError(
            f"Expected features (n, width) and reference (m, width); received shapes {features.shape} and "
            f"{reference.shape}."
        )
    for name, array in (("features", features), ("reference", reference)):
        if len(array) < 2:
            raise ValueError(f"Expected at least 2 rows of {name}; received {len(array)}.")
        if not np.isfinite(array).all():
            raise ValueError(f"Expected finite {name}; received {_first_bad(array)}.")
    return features, reference


def _first_bad(array: np.ndarray) -> str:
    row = int(np.flatnonzero(~np.isfinite(array).all(axis=1))[0])
    return f"NaN or infinity in row {row}"


def _flat(images: np.ndarray, name: str) -> np.ndarray:
    """Rows of float64; refuse what is not finite."""
    rows = images.reshape(len(images), -1).astype("float64")
    if not np.isfinite(rows).all():
        raise ValueError(f"Expected finite {name}; received {_first_bad(rows)}.")
    return rows


def _covariance(rows: np.ndarray) -> np.ndarray:
    centred = rows - rows.mean(axis=0)
    return centred.T @ centred / (len(rows) - 1)


def _root(matrix: np.ndarray) -> np.ndarray:
    """Square root of a symmetric matrix without negative eigenvalues."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def _squares(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Squared distance of each row to each of the others."""
    products = np.square(rows).sum(axis=1)[:, None] + np.square(others).sum(axis=1) - 2 * rows @ others.T
    return np.maximum(products, 0)


def _blocks(rows: np.ndarray, others: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """First row and squared distances to all others, a block of rows at a time."""
    size = max(1, NUMBERS_IN_A_BLOCK // len(others))
    for start in range(0, len(rows), size):
        yield start, _squares(rows[start : start + size], others)


def _reach(rows: np.ndarray, neighbours: int) -> np.ndarray:
    """Squared distance of each row to its k-th neighbour, itself apart."""
    reach = np.empty(len(rows))
    for start, squares in _blocks(rows, rows):
        here = np.arange(len(squares))
        squares[here, start + here] = np.inf
        reach[start : start + len(squares)] = np.partition(squares, neighbours - 1, axis=1)[:, neighbours - 1]
    return reach


def _covered(rows: np.ndarray, others: np.ndarray, reach: np.ndarray) -> float:
    """Share of the rows that lie in the ball of at least one of the others."""
    return sum(int((squares <= reach).any(axis=1).sum()) for _, squares in _blocks(rows, others)) / len(rows)
