"""Activations as `Network` takes them: names, functions and layers."""

from collections.abc import Callable

import keras

from astrokeras import layers

OUTPUT_ACTIVATIONS = ("softmax", "sigmoid")  # kept in float32 under mixed precision
Activation = str | Callable | keras.layers.Layer | None


def split_activation(activation: Activation, where: str) -> tuple[Callable | None, Activation]:
    """Split an activation into what a layer with weights computes itself, and what a layer behind it does.

    Example:
        >>> from astrokeras.network.activations import split_activation
        >>> split_activation("softmax", "net, dense1")
        (None, 'softmax')
    """
    if isinstance(activation, keras.layers.Layer) or activation in OUTPUT_ACTIVATIONS:
        return None, activation
    return _function(activation, where), None


def activation_layer(activation: Activation, name: str, network: str) -> keras.layers.Layer:
    """Return a layer that does nothing but the activation; softmax and sigmoid stay in float32.

    Example:
        >>> from astrokeras.network.activations import activation_layer
        >>> activation_layer("softmax", "out", "net").dtype_policy.name
        'float32'
    """
    if isinstance(activation, keras.layers.Layer):
        return type(activation).from_config(activation.get_config() | {"name": name})
    if activation in OUTPUT_ACTIVATIONS:
        return keras.layers.Activation(activation, dtype="float32", name=name)
    return keras.layers.Activation(_function(activation, f"{network}, {name}"), name=name)


def _function(activation: Activation, where: str) -> Callable:
    if activation == "relu_leaky":
        return layers.relu_leaky
    try:
        return keras.activations.get(activation)
    except ValueError:
        raise ValueError(
            f'{where}: expected activation to be "relu_leaky", a name of keras.activations, a function or a layer; '
            f"received {activation!r}."
        ) from None
