"""Transfer learning: the weights of one network in another, layer by layer."""

import os

import keras
import numpy as np

from astrokeras import saving


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
