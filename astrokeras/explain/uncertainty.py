"""How sure is a network, and why?"""

from dataclasses import dataclass

import keras
import numpy as np
from rich.progress import track

from astrokeras import layers


@dataclass(frozen=True)
class Uncertainty:
    """What repeated predictions with random dropout say; shapes `(n, outputs)` unless noted.

    Attributes:
        mean: of the predictions: the one to use.
        std: their scatter.
        entropy: `(n,)` of the mean prediction, in nats: all uncertainty (0 = sure); NaN where outputs are no
            probabilities that sum to 1.
        information: `(n,)` mutual information of prediction and dropout, in nats: the part of the entropy that more
            training data could remove; NaN likewise.
    """

    mean: np.ndarray
    std: np.ndarray
    entropy: np.ndarray
    information: np.ndarray


def uncertainty(
    model: keras.Model, x: np.ndarray, repeats: int = 50, *, batch_size: int = 256, verbose: bool = False
) -> Uncertainty:
    """Predict many times with dropout switched on (Monte-Carlo dropout, CIANNA's `MC_MODEL`).

    Only dropout layers act as in training; batch normalisation keeps its averages. The model is not changed.

    Args:
        model: a functional or sequential model with dropout layers.
        x: inputs `(n, ...)`, as for `predict`.
        repeats: number of predictions, at least 2.
        batch_size: of each.
        verbose: show a progress bar.

    Returns:
        An `Uncertainty` with mean, scatter, entropy and mutual information.

    Raises:
        ValueError: if the model has no active dropout layer, or `repeats` < 2.

    Reference:
        Gal & Ghahramani 2016, arXiv:1506.02142; Houlsby et al. 2011, arXiv:1112.5745, for the mutual information.

    Example:
        >>> import numpy as np, astrokeras
        >>> model = astrokeras.applications.lenet5(weights="mnist")
        >>> found = astrokeras.explain.uncertainty(model, np.zeros((2, 28, 28, 1)), repeats=5)
        >>> found.mean.shape, bool((found.std > 0).any())
        ((2, 10), True)
    """
    if repeats < 2:
        raise ValueError(f"Expected repeats >= 2; received repeats={repeats}.")
    random = _with_dropout(model)
    rounds = track(range(repeats), "predicting", transient=True, disable=not verbose)
    found = np.stack([random.predict(x, batch_size=batch_size, verbose=0) for _ in rounds])  # (repeats, n, outputs)
    mean = found.mean(axis=0)
    entropy = information = np.full(len(mean), np.nan)
    if mean.ndim == 2 and mean.shape[1] > 1 and np.allclose(found.sum(axis=-1), 1, atol=1e-3):
        entropy = _entropy(mean)
        information = np.maximum(entropy - _entropy(found).mean(axis=0), 0)
    return Uncertainty(mean, found.std(axis=0), entropy, information)


DROPOUTS = (
    keras.layers.Dropout,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.SpatialDropout3D,
    keras.layers.GaussianDropout,
    keras.layers.AlphaDropout,
    layers.UnscaledDropout,
)


class _Always(keras.layers.Layer):
    """A layer whose dropout acts in `predict` too."""

    def __init__(self, dropout: keras.layers.Layer):
        super().__init__(name=dropout.name, dtype=dropout.dtype_policy)
        self.dropout = type(dropout).from_config(dropout.get_config())

    def call(self, inputs):
        return self.dropout(inputs, training=True)

    def compute_output_shape(self, input_shape):
        return self.dropout.compute_output_shape(input_shape)


def _drops(layer: keras.layers.Layer) -> bool:
    if isinstance(layer, layers.PivotDense):
        return layer.dropout > 0
    return isinstance(layer, DROPOUTS) and layer.rate > 0


def _with_dropout(model: keras.Model) -> keras.Model:
    """Return a copy of the model in which dropout acts in `predict`."""
    if not any(_drops(layer) for layer in model.layers):
        raise ValueError(
            f"Expected a model with dropout layers; {model.name!r} has none that acts: its predictions never vary."
        )

    def clone(layer):
        return _Always(layer) if _drops(layer) else type(layer).from_config(layer.get_config())

    copy = keras.models.clone_model(model, clone_function=clone)  # new layers: those of the model stay as they are
    copy.set_weights(model.get_weights())
    return copy


def _entropy(shares: np.ndarray) -> np.ndarray:
    return -(shares * np.log(np.maximum(shares, 1e-12))).sum(axis=-1)
