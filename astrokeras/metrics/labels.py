"""Scores of independent labels: precision, recall and F1 of each, and the thresholds that serve them best."""

import numpy as np


def label_scores(truth: np.ndarray, scores: np.ndarray, thresholds=0.5) -> dict[str, np.ndarray]:
    """Return precision, recall and F1 of each label.

    While training use `keras.metrics.F1Score(average="macro", threshold=0.5)`.

    Args:
        truth: `(n, labels)`, 1 where a label applies.
        scores: `(n, labels)`, as the model predicts them.
        thresholds: score from which on a label counts as present, one for all or `(labels,)`.

    Returns:
        `{"precision": ..., "recall": ..., "F1": ...}`, `(labels,)` each; 0 where nothing could be right.

    Raises:
        ValueError: if the shapes differ.

    Example:
        >>> import numpy as np
        >>> from astrokeras.metrics import label_scores
        >>> label_scores(np.array([[1], [1], [0]]), np.array([[0.9], [0.2], [0.7]]))["F1"].tolist()
        [0.5]
    """
    truth, scores = _checked(truth, scores)
    found = scores >= np.asarray(thresholds)
    right = (found & truth).sum(axis=0)
    claimed, there = found.sum(axis=0), truth.sum(axis=0)
    return {
        "precision": right / np.maximum(claimed, 1),
        "recall": right / np.maximum(there, 1),
        "F1": 2 * right / np.maximum(claimed + there, 1),
    }


def best_thresholds(truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Find, for each label, the threshold of the best F1. Use validation data, never the test data.

    Args:
        truth: `(n, labels)`, 1 where a label applies.
        scores: `(n, labels)`, as the model predicts them.

    Returns:
        `(labels,)` thresholds, each halfway between two neighbouring scores; 0.5 for a label without examples.

    Raises:
        ValueError: if the shapes differ.

    Example:
        >>> import numpy as np
        >>> from astrokeras.metrics import best_thresholds
        >>> best_thresholds(np.array([[1], [1], [0]]), np.array([[0.5], [0.25], [0.125]])).tolist()
        [0.1875]
    """
    truth, scores = _checked(truth, scores)
    order = np.argsort(-scores, axis=0)
    ordered = np.take_along_axis(scores, order, axis=0)
    right = np.cumsum(np.take_along_axis(truth, order, axis=0), axis=0)  # if the first k are claimed
    claimed = np.arange(1, len(scores) + 1)[:, None]
    f1 = 2 * right / (claimed + truth.sum(axis=0))
    after = np.concatenate([ordered[1:], np.zeros((1, scores.shape[1]))])
    f1 = np.where(ordered > after, f1, -1)  # equal scores fall together
    best = f1.argmax(axis=0)[None]
    halfway = (np.take_along_axis(ordered, best, axis=0) + np.take_along_axis(after, best, axis=0))[0] / 2
    return np.where(truth.any(axis=0), halfway, 0.5)


def _checked(truth, scores) -> tuple[np.ndarray, np.ndarray]:
    truth, scores = np.asarray(truth) > 0.5, np.asarray(scores, "float64")
    if truth.shape != scores.shape or truth.ndim != 2:
        raise ValueError(f"Expected truth and scores (n, labels); received shapes {truth.shape} and {scores.shape}.")
    return truth, scores
