"""The course's auto-encoder of MNIST, and its variational relative."""

import math
from collections.abc import Sequence

import keras

from astrokeras.models import Autoencoder, VariationalAutoencoder
from astrokeras.network import Network
from astrokeras.weights import load

FILTERS, UNITS = (16, 32, 64), (512, 256)  # of the course
SMALL_FILTERS, SMALL_UNITS = (8, 16, 32), (256, 128)  # of the weights that ship
DARK = -2.0  # first bias of the last layer: images are mostly dark, and a sigmoid driven far below 0 learns no more


def autoencoder(
    input_shape=(28, 28, 1),
    latent: int = 2,
    *,
    filters: Sequence[int] | None = None,
    units: Sequence[int] | None = None,
    classes: int | None = None,
    weights: str | None = None,
    name: str = "autoencoder",
) -> Autoencoder:
    """Build the course's convolutional auto-encoder.

    Input and output: `(batch, [z, [y,]] x, channels)` in 0..1. The encoder halves the sides with each number of filters
    but the first, by convolutions of 4 pixels with stride 2; dense layers lead to the latent vector. The decoder is its
    mirror image: dense layers, then transposed convolutions, and a sigmoid at the end. 3,708,547 parameters by default.

    Args:
        input_shape: of an image; sides that can be halved `len(filters) - 1` times.
        latent: number of latent variables.
        filters: of the convolutions at each size, the largest size first; `None` is the course's (16, 32, 64), or (8,
            16, 32) for `weights="mnist"`.
        units: of the dense layers of the encoder; the decoder has them in reverse; `None` is the course's (512, 256),
            or (256, 128) for `weights="mnist"`.
        classes: number of classes for a classifier on the latent vector, which keeps them apart; `None` for none.
        weights: `None`, `"mnist"`, or a `.keras` or `.weights.h5` file.
        name: of the model.

    Raises:
        ValueError: if the sides cannot be halved, or a number is below 1.

    Reference:
        The course's practical work on auto-encoders (mnist_autoencoder_CIANNA.ipynb).

    Example:
        >>> import numpy as np, astrokeras
        >>> model = astrokeras.applications.autoencoder()
        >>> latent = model.encoder.predict(np.zeros((5, 28, 28, 1)), verbose=0)
        >>> model.decoder.predict(latent, verbose=0).shape
        (5, 28, 28, 1)
    """
    filters, units = _sizes(filters, units, weights)
    input_shape = _checked(name, input_shape, latent, filters)
    encoder = _encoder(input_shape, latent, filters, units)
    decoder = _decoder(input_shape, latent, filters, units)
    classifier = None
    if classes is not None:
        classifier = Network((latent,), name="classifier").dense(classes, activation="softmax").build()
    return load(Autoencoder(encoder, decoder, classifier, name=name), weights, application="autoencoder")


def variational_autoencoder(
    input_shape=(28, 28, 1),
    latent: int = 8,
    *,
    beta: float = 1.0,
    filters: Sequence[int] | None = None,
    units: Sequence[int] | None = None,
    weights: str | None = None,
    name: str = "variational_autoencoder",
    **options,
) -> VariationalAutoencoder:
    """Build a variational auto-encoder with the encoder and the decoder of `autoencoder`.

    Input and output: `(batch, [z, [y,]] x, channels)` in 0..1.

    Args:
        input_shape: of an image; sides that can be halved `len(filters) - 1` times.
        latent: number of latent variables.
        beta: weight of the divergence from the normal distribution.
        filters: of the convolutions at each size, the largest size first; `None` is the course's (16, 32, 64), or (8,
            16, 32) for `weights="mnist"`.
        units: of the dense layers of the encoder; the decoder has them in reverse; `None` is the course's (512, 256),
            or (256, 128) for `weights="mnist"`.
        weights: `None`, `"mnist"`, or a `.keras` or `.weights.h5` file.
        name: of the model.
        **options: `reconstruction` and `seed` of `models.VariationalAutoencoder`.

    Raises:
        ValueError: if the sides cannot be halved, or a number is out of range.

    Reference:
        Kingma & Welling 2014, arXiv:1312.6114; the course's auto-encoder.

    Example:
        >>> import numpy as np, astrokeras
        >>> model = astrokeras.applications.variational_autoencoder(latent=8)
        >>> model.encode(np.zeros((5, 28, 28, 1))).shape
        (5, 8)
    """
    filters, units = _sizes(filters, units, weights)
    input_shape = _checked(name, input_shape, latent, filters)
    encoder = _encoder(input_shape, 2 * latent, filters, units)
    decoder = _decoder(input_shape, latent, filters, units)
    model = VariationalAutoencoder(encoder, decoder, beta=beta, name=name, **options)
    return load(model, weights, application="variational_autoencoder")


def _sizes(filters, units, weights) -> tuple:
    usual = (SMALL_FILTERS, SMALL_UNITS) if weights == "mnist" else (FILTERS, UNITS)
    return usual[0] if filters is None else filters, usual[1] if units is None else units


def _checked(name: str, input_shape, latent: int, filters: Sequence[int]) -> tuple[int, ...]:
    shape = tuple(map(int, input_shape))
    times = 2 ** (len(filters) - 1)
    if latent < 1 or not filters:
        raise ValueError(
            f"{name}: expected latent >= 1 and at least one number of filters; received {latent}, {filters}."
        )
    if any(side % times for side in shape[:-1]):
        raise ValueError(
            f"{name}: expected sides that are multiples of {times}, to be halved {len(filters) - 1} times; received "
            f"{shape}: resize the images, or give fewer filters."
        )
    return shape


def _encoder(input_shape, outputs: int, filters: Sequence[int], units: Sequence[int]) -> keras.Model:
    net = Network(input_shape, activation="relu_leaky", kernel_initializer="he_normal", name="encoder")
    net.conv(filters[0], 3)
    for number in filters[1:]:
        net.conv(number, 4, strides=2, padding=1)
        net.conv(number, 3)
    for number in units:
        net.dense(number)
    return net.dense(outputs, activation="linear").build()


def _decoder(input_shape, latent: int, filters: Sequence[int], units: Sequence[int]) -> keras.Model:
    reduced = [side // 2 ** (len(filters) - 1) for side in input_shape[:-1]]
    net = Network((latent,), activation="relu_leaky", kernel_initializer="he_normal", name="decoder")
    for number in (*reversed(units), math.prod(reduced) * filters[-1]):
        net.dense(number)
    net.reshape((*reduced, filters[-1]))
    net.conv(filters[-1], 3)
    for wide, number in zip(reversed(filters[1:]), reversed(filters[:-1]), strict=True):
        net.conv(wide, 4, padding=2, internal_padding=1)
        net.conv(number, 3)
    decoder = net.conv(input_shape[-1], 1, activation="sigmoid").build()
    bias = next(weight for weight in reversed(decoder.weights) if weight.path.endswith("bias"))
    bias.assign(keras.ops.full(bias.shape, DARK))
    return decoder
