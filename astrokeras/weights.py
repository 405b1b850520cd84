"""Weights that ship with the library or lie in a file, loaded into a built model."""

import os
import warnings
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from astrokeras import saving


class Shipped(NamedTuple):
    """One set of weights that ships in `applications/weights/`."""

    file: str
    input_shape: tuple[int, ...]
    classes: int
    about: str


SHIPPED = {
    ("lenet5", "mnist"): Shipped(
        "lenet5_mnist.weights.h5", (28, 28, 1), 10, "recipes/lenet5_mnist.py on the 60 000 training images of MNIST"
    ),
}


def names(application: str) -> list[str]:
    """List the named weights of an application.

    Example:
        >>> import astrokeras
        >>> astrokeras.weights.names("lenet5")
        ['mnist']
    """
    return sorted(name for owner, name in SHIPPED if owner == application)


def load(model: keras.Model, weights: str | os.PathLike | None, application: str | None = None) -> keras.Model:
    """Load weights into a model.

    Args:
        model: a built model.
        weights: `None` (leave the random ones), a known name, or the path of a `.keras` or
            `.weights.h5` file of the same network.
        application: whose names to look up; defaults to the model's name.

    Returns:
        The same model.

    Raises:
        ValueError: if the name is unknown (the sentence lists the known ones), or the file does not
            fit the model.
        FileNotFoundError: if a path does not exist.

    Example:
        >>> import astrokeras
        >>> model = astrokeras.weights.load(astrokeras.applications.lenet5(), "mnist")
        >>> model.count_params()
        238570
    """
    if weights is None:
        return model
    application = application or model.name
    entry = SHIPPED.get((application, str(weights)))
    if entry is not None:
        _check_fits(model, str(weights), entry)
        path = Path(__file__).parent / "applications" / "weights" / entry.file
        model.load_weights(path)
        return model
    path = Path(weights)
    if path.suffix not in (".keras", ".h5"):
        raise ValueError(
            f"Expected weights of {application} to be None, "
            + "".join(f"{name!r}, " for name in names(application))
            + f"or the path of a .keras or .weights.h5 file; received {str(weights)!r}."
        )
    if not path.is_file():
        raise FileNotFoundError(
            f"Expected a file with weights of {application}; there is none at {path}: check the path."
        )
    try:
        if path.suffix == ".keras":
            model.set_weights(saving.load_model(path, compile=False).get_weights())
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("error", UserWarning)  # Keras only warns of weights that find no place
                model.load_weights(path)
    except (OSError, KeyError, ValueError, UserWarning) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(
            f"Expected {path} to hold weights of this {application} (input_shape {model.input_shape[1:]}, "
            f"{model.count_params()} parameters); it does not fit: {reason}"
        ) from error
    return model


def transfer(
    model: keras.Model,
    source: keras.Model | str | os.PathLike,
    *,
    layers: int | None = None,
    channels: str | None = None,
    freeze: bool = False,
) -> list[str]:
    """Copy the weights of another model into this one, layer by layer, by name and shape (transfer learning).

    Args:
        model: a built model; layers that find no partner keep their weights.
        source: a model, or a `.keras` file.
        layers: look only at the first so many layers with weights of `source` (CIANNA's `nb_layers` also counts pools).
        channels: what to do where the first convolution sees another number of input channels: `"mean"` gives each
            channel the mean kernel, `"repeat"` cycles through the old ones (both scaled by old / new, so that equal
            channels give what they gave), `"zero"` keeps the old ones in their places and gives new ones zeros;
            `None` refuses.
        freeze: set the copied layers to `trainable=False`; compile after that.

    Returns:
        The names of the layers that were copied.

    Raises:
        ValueError: if `channels` is unknown, the first convolutions differ with `channels=None`, or nothing fits.
        FileNotFoundError: if `source` is a path that does not exist.

    Example:
        >>> import astrokeras
        >>> old = astrokeras.applications.asirra_cnn((32, 32, 3))
        >>> new = astrokeras.applications.asirra_cnn((64, 64, 5), classes=7)
        >>> copied = astrokeras.weights.transfer(new, old, channels="mean", freeze=True)
        >>> "conv1" in copied, "classes" in copied
        (True, False)
    """
    if channels not in (None, "mean", "repeat", "zero"):
        raise ValueError(f'Expected channels to be None, "mean", "repeat" or "zero"; received {channels!r}.')
    if layers is not None and layers < 1:
        raise ValueError(f"Expected layers >= 1 or None; received layers={layers}.")
    if not isinstance(source, keras.Model):
        source = saving.load_model(source, compile=False)
    ours = {layer.name: layer for layer in model.layers if layer.weights}
    copied, first = [], True
    for theirs in [layer for layer in source.layers if layer.weights][:layers]:
        layer = ours.get(theirs.name)
        values = theirs.get_weights()
        if layer is not None and first and hasattr(layer, "kernel"):
            values[0] = _adapt_channels(values[0], tuple(layer.kernel.shape), channels, model.name)
        first = False
        if layer is not None and [value.shape for value in values] == [tuple(w.shape) for w in layer.weights]:
            layer.set_weights(values)
            layer.trainable = layer.trainable and not freeze
            copied.append(layer.name)
    if not copied:
        raise ValueError(
            f"Expected {source.name!r} to have layers with the names and shapes of {model.name!r}; none fits: transfer "
            "between networks of one kind."
        )
    return copied


def _adapt_channels(kernel: np.ndarray, shape: tuple[int, ...], channels: str | None, name: str) -> np.ndarray:
    """Give a kernel `(..., channels, filters)` another number of input channels."""
    old, new = kernel.shape[-2], shape[-2]
    if old == new or kernel.shape[:-2] + kernel.shape[-1:] != shape[:-2] + shape[-1:]:
        return kernel
    if channels is None:
        raise ValueError(
            f'Expected channels="mean", "repeat" or "zero" to bring weights for {old} input channels into {name!r} '
            f"with {new}; received None."
        )
    if channels == "mean":
        return np.repeat(kernel.mean(axis=-2, keepdims=True), new, axis=-2) * (old / new)
    if channels == "repeat":
        repeated = np.take(kernel, np.arange(new) % old, axis=-2)
        return repeated * (old / new)
    kept = kernel[..., :new, :]
    return np.concatenate([kept, np.zeros((*shape[:-2], new - kept.shape[-2], shape[-1]), kernel.dtype)], axis=-2)


def _check_fits(model: keras.Model, name: str, entry: Shipped) -> None:
    received = (tuple(model.input_shape[1:]), model.output_shape[-1])
    if received != (entry.input_shape, entry.classes):
        raise ValueError(
            f"The weights {name!r} are for input_shape={entry.input_shape} and classes={entry.classes}; received "
            f"input_shape={received[0]} and classes={received[1]}: build that network, or use weights=None."
        )
