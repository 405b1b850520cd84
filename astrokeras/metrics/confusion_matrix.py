"""The confusion matrix as a Keras metric."""

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="astrokeras")
class ConfusionMatrix(keras.metrics.Metric):
    """Count how often each true class is predicted as each class.

    `result()` is the overall accuracy, so it reads well in the progress bar of `fit`; `matrix()` is the table.

    Args:
        classes: number of classes.
        name: of the metric.
        **kwargs: Keras's metric arguments (`dtype`).

    `update_state(y_true, y_pred, sample_weight=None)`: `y_true` `(batch,)` or `(batch, 1)` class numbers, or
    `(batch, classes)` one-hot; `y_pred` `(batch, classes)` scores.

    Raises:
        ValueError: if `classes` < 1 or `y_pred` has another number of classes.

    Example:
        >>> import numpy as np
        >>> from astrokeras.metrics import ConfusionMatrix
        >>> metric = ConfusionMatrix(2)
        >>> metric.update_state(np.array([0, 0, 1]), np.array([[0.9, 0.1], [0.2, 0.8], [0.1, 0.9]]))
        >>> metric.matrix().tolist()
        [[1.0, 1.0], [0.0, 1.0]]
    """

    def __init__(self, classes: int, name: str = "confusion_matrix", **kwargs):
        super().__init__(name=name, **kwargs)
        if classes < 1:
            raise ValueError(f"Expected classes >= 1; received classes={classes}.")
        self.classes = classes
        self.counts = self.add_variable(shape=(classes, classes), initializer="zeros", name="counts")

    def update_state(self, y_true, y_pred, sample_weight=None) -> None:
        """Add a batch: row = true class, column = predicted class."""
        if y_pred.shape[-1] != self.classes:
            raise ValueError(
                f"Metric {self.name!r}: expected predictions of {self.classes} classes; received shape "
                f"{tuple(y_pred.shape)}."
            )
        predicted = ops.one_hot(ops.argmax(y_pred, axis=-1), self.classes, dtype=self.dtype)  # (batch, classes)
        if len(y_true.shape) == len(y_pred.shape) and y_true.shape[-1] == self.classes and self.classes > 1:
            labels = ops.argmax(y_true, axis=-1)
        else:
            labels = ops.reshape(ops.cast(y_true, "int32"), (-1,))
        true = ops.one_hot(labels, self.classes, dtype=self.dtype)
        if sample_weight is not None:
            true = true * ops.reshape(ops.cast(sample_weight, self.dtype), (-1, 1))
        self.counts.assign_add(ops.matmul(ops.transpose(true), predicted))

    def result(self):
        """Return the overall accuracy: the share on the diagonal (0 before the first batch)."""
        return ops.divide_no_nan(ops.trace(self.counts), ops.sum(self.counts))

    def matrix(self) -> np.ndarray:
        """Return the table `(true class, predicted class)` as a NumPy array."""
        return np.array(ops.convert_to_numpy(self.counts))

    def get_config(self) -> dict:
        """Return the arguments."""
        return super().get_config() | {"classes": self.classes}
