"""Look at the data before training: NaN, infinite values, labels out of range."""

import keras
import numpy as np

CHUNK = 256  # examples looked at at a time, so that memory-mapped sets stay on disk


class CheckInputs(keras.callbacks.Callback):
    """Refuse bad data when `fit` starts, before any weight changes.

    Args:
        x: `(n, ...)` inputs, or a `PyDataset` (all its batches are read once, unless `batches` says fewer).
        y: `(n,)` class numbers or `(n, classes)` one-hot; `None` with a `PyDataset`.
        classes: number of classes; `None` takes the model's outputs.
        batches: how many batches of a `PyDataset` to read; `None` reads all.

    Raises:
        ValueError: in `fit`, naming the first bad example, how many there are, and what is wrong.

    Example:
        >>> import numpy as np, astrokeras
        >>> astrokeras.callbacks.check_inputs(np.array([[1.0], [np.nan]]), np.array([0, 1]), classes=2)
        Traceback (most recent call last):
        ValueError: Expected finite inputs; x[1] holds NaN (1 of 2 examples do): repair or drop them.
    """

    def __init__(self, x, y=None, *, classes: int | None = None, batches: int | None = None):
        super().__init__()
        self.x = x
        self.y = y
        self.classes = classes
        self.batches = batches

    def on_train_begin(self, logs=None) -> None:
        """Check all."""
        classes = self.classes or self.model.output_shape[-1]
        if self.y is not None or isinstance(self.x, np.ndarray):
            check_inputs(self.x, self.y, classes)
            return
        for index in range(len(self.x) if self.batches is None else min(self.batches, len(self.x))):
            batch = self.x[index]
            images, labels = batch if isinstance(batch, tuple) else (batch, None)
            check_inputs(images, labels, classes, place=f"batch {index}: ")


def check_inputs(x: np.ndarray, y: np.ndarray | None, classes: int, *, kind: str = "classes", place: str = "") -> None:
    """Refuse NaN and infinite inputs, labels outside 0..classes-1, and other truths that cannot be.

    Args:
        x: `(n, ...)` inputs, any number type.
        y: for classes `(n,)` or `(n, 1)` class numbers, or `(n, classes)` one-hot; for the other kinds `(n, columns)`;
            `None` checks the inputs alone.
        classes: number of classes, or of columns.
        kind: `"classes"`, `"labels"` (each 0 or 1), `"values"` (finite) or `"votes"` (counts >= 0).
        place: put in front of the sentence.

    Raises:
        ValueError: naming the first bad example, how many there are, and what is wrong.

    Example:
        >>> import numpy as np
        >>> from astrokeras.callbacks import check_inputs
        >>> check_inputs(np.zeros((2, 3)), np.array([0, 5]), classes=3)
        Traceback (most recent call last):
        ValueError: Expected labels in 0..2; y[1] is 5 (1 of 2 labels are out of range): correct the labels or classes.
    """
    if y is not None and len(x) != len(y):
        raise ValueError(f"{place}Expected as many labels as inputs; received {len(x)} inputs, {len(y)} labels.")
    if np.issubdtype(np.asarray(x[:1]).dtype, np.inexact):
        _check_finite(x, place)
    if y is None:
        return
    y = np.asarray(y)
    if kind != "classes":
        _check_columns(y, classes, kind, place)
        return
    labels = y.reshape(-1) if y.size == len(y) else None
    if labels is None and (y.ndim != 2 or y.shape[-1] != classes):
        raise ValueError(f"{place}Expected labels (n,) or one-hot (n, {classes}); received shape {y.shape}.")
    if labels is None:
        bad = ~np.isfinite(y).all(axis=1) | (y.min(axis=1) < 0) | (abs(y.sum(axis=1) - 1) > 1e-3)
        what = "shares that are >= 0 and sum to 1"
    else:
        bad = ~np.isfinite(labels) | (labels < 0) | (labels >= classes) | (labels != np.round(labels))
        what = f"labels in 0..{classes - 1}"
    if bad.any():
        first = int(np.argmax(bad))
        raise ValueError(
            f"{place}Expected {what}; y[{first}] is {y[first].tolist()} ({int(bad.sum())} of {len(y)} labels are out "
            "of range): correct the labels or classes."
        )


def _check_columns(y: np.ndarray, columns: int, kind: str, place: str) -> None:
    if y.shape != (len(y), columns):
        raise ValueError(
            f"{place}Expected {kind} of shape (n, {columns}), as the network's outputs; received {y.shape}."
        )
    bad = ~np.isfinite(y)
    what = "finite values"
    if kind == "labels":
        bad |= (y != 0) & (y != 1)
        what = "0 or 1 for each label"
    elif kind == "votes":
        bad |= y < 0
        what = "vote counts >= 0"
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise ValueError(
            f"{place}Expected {what}; y[{row}, {column}] is {y[row, column]} ({int(bad.any(axis=1).sum())} of {len(y)} "
            "rows are so): correct or drop them."
        )


def _check_finite(x: np.ndarray, place: str) -> None:
    first, kind, count = None, "", 0
    for start in range(0, len(x), CHUNK):
        chunk = np.asarray(x[start : start + CHUNK])
        bad = ~np.isfinite(chunk).reshape(len(chunk), -1).all(axis=1)
        if first is None and bad.any():
            first = start + int(np.argmax(bad))
            kind = "NaN" if np.isnan(chunk[first - start]).any() else "infinite values"
        count += int(bad.sum())
    if first is not None:
        raise ValueError(
            f"{place}Expected finite inputs; x[{first}] holds {kind} ({count} of {len(x)} examples do): repair or "
            "drop them."
        )
