"""Are probabilities right? Of what a network is 80 % sure, 80 % should be true."""

from dataclasses import dataclass

import numpy as np

from astrokeras.judging import class_numbers


@dataclass(frozen=True)
class Calibration:
    """How sure a model is, and how often it is right; `calibration` makes it, `plots.reliability` draws it.

    Attributes:
        edges: `(bins + 1,)` of the bins of confidence, 0 to 1.
        confidence: `(bins,)` mean of the examples in each; NaN where there are none.
        accuracy: `(bins,)` share that is right; NaN likewise.
        counts: `(bins,)` numbers of examples.

    Example:
        >>> import numpy as np
        >>> from astrokeras.explain import Calibration
        >>> Calibration(np.array([0, 0.5, 1]), np.array([0.5, 0.75]), np.array([0.5, 0.5]), np.array([10, 30])).error
        0.1875
    """

    edges: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray
    counts: np.ndarray

    @property
    def error(self) -> float:
        """Expected calibration error: the mean of |accuracy - confidence| of the bins, weighted by their examples."""
        return float(np.nansum(self.counts * np.abs(self.accuracy - self.confidence)) / self.counts.sum())


def calibration(probabilities, labels, bins: int = 10) -> Calibration:
    """Compare how sure a model is with how often it is right.

    Bins hold their upper edge, as in the paper: (0.8, 0.9] and so on.

    Args:
        probabilities: `(n, classes)` of a softmax: its largest is the confidence, and right is who names the class. Or
            `(n,)`, each that of one statement, such as the scores of a detector.
        labels: `(n,)` class numbers or `(n, classes)` one-hot; with `(n,)` probabilities, 1 where the statement is true
            and 0 where not.
        bins: number of bins of equal width.

    Returns:
        A `Calibration` with confidence, accuracy and counts per bin; `.error` is the expected calibration error.

    Raises:
        ValueError: if shapes do not fit, there are no examples, a value is no probability, a label is out of range, or
            `bins` < 1.

    Reference:
        Guo et al. 2017, arXiv:1706.04599, section 2.

    Example:
        >>> import numpy as np
        >>> from astrokeras.explain import calibration
        >>> found = calibration(np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.7, 0.3]]), np.array([0, 0, 1, 1]), 5)
        >>> found.counts.tolist(), round(found.error, 3)
        ([0, 0, 0, 3, 1], 0.075)
    """
    probabilities, labels = np.asarray(probabilities, "float64"), np.asarray(labels)
    if bins < 1:
        raise ValueError(f"Expected bins >= 1; received bins={bins}.")
    if not ((probabilities >= 0) & (probabilities <= 1 + 1e-6)).all():
        raise ValueError(
            "Expected probabilities in 0..1; received values outside or NaN: apply softmax or sigmoid first."
        )
    if probabilities.ndim == 1:
        sure, right = probabilities, _numbers(probabilities[:, None], labels, 2) == 1
    else:
        right = probabilities.argmax(axis=-1) == _numbers(probabilities, labels)
        sure = probabilities.max(axis=-1)
    edges = np.linspace(0, 1, bins + 1)
    places = np.clip(np.searchsorted(edges, sure, side="left") - 1, 0, bins - 1)
    counts = np.bincount(places, minlength=bins)
    some = np.where(counts, counts, np.nan)
    return Calibration(edges, np.bincount(places, sure, bins) / some, np.bincount(places, right, bins) / some, counts)


def temperature(predictions, labels) -> float:
    """Find the temperature T for which `softmax(logits / T)` says best how sure a model may be.

    T is where the mean negative logarithm of the probability of the true class is least; above 1, the model was too
    sure. Which class is the likeliest does not change. Fit it on validation data, not on those of the training.

    Args:
        predictions: `(n, classes)` logits; or probabilities of a softmax, whose logarithms serve as well:
            `cooler = probabilities ** (1 / T)`, then divide by the sum of each row.
        labels: `(n,)` class numbers, or `(n, classes)` one-hot.

    Returns:
        The temperature.

    Raises:
        ValueError: if shapes do not fit, a value is not finite, a label is out of range, or no temperature is best: all
            are right, or they are no better than chance.

    Reference:
        Guo et al. 2017, arXiv:1706.04599, section 4.2.

    Example:
        >>> import numpy as np
        >>> from astrokeras.explain import temperature
        >>> probabilities = np.tile([0.9, 0.1], (4, 1))  # sure to 90 %, right 3 times of 4
        >>> round(temperature(probabilities, np.array([0, 0, 0, 1])), 3)
        2.0
    """
    predictions = np.asarray(predictions, "float64")
    truth = _numbers(predictions, np.asarray(labels))
    if not np.isfinite(predictions).all():
        raise ValueError("Expected finite predictions; received NaN or infinite values.")
    logits = predictions
    if (predictions >= 0).all() and np.allclose(predictions.sum(axis=-1), 1, atol=1e-3):
        logits = np.log(np.maximum(predictions, 1e-30))
    logits = logits - logits.max(axis=-1, keepdims=True)
    wanted = np.take_along_axis(logits, truth[:, None], axis=-1).mean()

    def slope(log_temperature: float) -> float:
        """Of the mean negative log-likelihood with respect to 1 / T, which rises with 1 / T."""
        weights = np.exp(logits * np.exp(-log_temperature))
        return float(((weights * logits).sum(axis=-1) / weights.sum(axis=-1)).mean() - wanted)

    low, high = np.log(1e-3), np.log(1e3)
    if slope(low) <= 0 or slope(high) >= 0:
        raise ValueError(
            "Expected predictions that are better than chance and at times wrong, whose best temperature is between "
            f"0.001 and 1000; received {(logits.argmax(axis=-1) == truth).mean():.0%} right: give more, or other, data."
        )
    for _ in range(45):  # halves the bracket to 4e-13
        middle = (low + high) / 2
        low, high = (low, middle) if slope(middle) < 0 else (middle, high)
    return float(np.exp((low + high) / 2))


def _numbers(predictions: np.ndarray, labels: np.ndarray, classes: int | None = None) -> np.ndarray:
    """Return class numbers, checked."""
    if predictions.ndim != 2 or not len(predictions) or labels.shape[:1] != predictions.shape[:1]:
        raise ValueError(
            f"Expected predictions (n, classes) and one label for each; received shapes {predictions.shape} and "
            f"{labels.shape}."
        )
    classes = predictions.shape[1] if classes is None else classes
    numbers = class_numbers(labels).astype(int)
    if numbers.shape != (len(labels),) or numbers.min() < 0 or numbers.max() >= classes:
        raise ValueError(
            f"Expected labels in 0..{classes - 1}, or one-hot; received shape {labels.shape} with values "
            f"{labels.min()} to {labels.max()}."
        )
    return numbers
