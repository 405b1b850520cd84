"""How accurate is a classifier with so many bits?"""

from collections.abc import Sequence

import keras
import numpy as np

from astrokeras.export import float32_clone
from astrokeras.quantization.fake import fake_quantize, without_fakes

FLOAT = 32


def accuracy_by_bits(
    model: keras.Model,
    inputs: np.ndarray,
    labels: np.ndarray,
    bits: Sequence[int] = (8, 6, 4, 3, 2),
    *,
    calibration: np.ndarray | None = None,
    batch_size: int = 256,
) -> dict[int, float]:
    """Measure the accuracy of a classifier whose weights and maps are rounded to fewer and fewer bits.

    Nothing is trained: this is post-training quantization, simulated by `fake_quantize`.

    Args:
        model: a classifier.
        inputs: `(n, ...)`.
        labels: `(n,)` class numbers, or `(n, classes)` one-hot.
        bits: to try, each in 2..16.
        calibration: inputs from which the ranges of the maps are measured; `None` takes the first 256 inputs.
        batch_size: of the predictions.

    Returns:
        Number of bits -> accuracy in 0..1; 32 is float32. For `plots.accuracy_by_bits`.

    Raises:
        ValueError: if there are not as many labels as inputs.

    Reference:
        Course, slides on "frugal AI"; Krishnamoorthi 2018, arXiv:1806.08342.

    Example:
        >>> import astrokeras
        >>> from astrokeras.quantization import accuracy_by_bits
        >>> _, (x, y) = astrokeras.datasets.simulated_digits(train=10, test=50)
        >>> found = accuracy_by_bits(astrokeras.applications.lenet5(weights="mnist"), x / 255, y, bits=(8, 2))
        >>> sorted(found), found[32] >= found[2]
        ([2, 8, 32], True)
    """
    labels = np.asarray(labels)
    labels = labels.argmax(axis=-1) if labels.ndim == 2 and labels.shape[1] > 1 else labels.ravel()
    if len(labels) != len(inputs):
        raise ValueError(f"Expected one label per input; received {len(labels)} labels for {len(inputs)} inputs.")
    whole = float32_clone(without_fakes(model))
    calibration = inputs[:256] if calibration is None else calibration
    found = {}
    for count in (FLOAT, *bits):
        one = whole if count == FLOAT else fake_quantize(whole, count, calibration=calibration)
        answers = one.predict(np.asarray(inputs), batch_size=batch_size, verbose=0)
        found[count] = float(np.mean(answers.argmax(axis=-1) == labels))
    return found
