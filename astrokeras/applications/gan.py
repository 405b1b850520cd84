"""A convolutional generative adversarial network for small images."""

import math
from collections.abc import Sequence

import keras

from astrokeras.models import GAN
from astrokeras.weights import load


def gan(
    input_shape=(28, 28, 1),
    classes: int | None = None,
    *,
    latent: int = 64,
    filters: Sequence[int] = (32, 64),
    loss: str = "non_saturating",
    dropout: float = 0.3,
    weights: str | None = None,
    name: str = "gan",
) -> GAN:
    """Build a GAN of the DCGAN family, for images of 28, 32 or 64 pixels and the like.

    `fit(images)` in 0..1, or `fit({"image": images, "class": labels})` with classes; then `generate(count)`. The paper
    trains with Adam, a learning rate of 0.0002 and `beta_1=0.5`.

    Args:
        input_shape: `([z, [y,]] x, channels)` of an image; its sides can be halved `len(filters)` times.
        classes: number of classes of a conditional model; `None` for none.
        latent: number of latent variables.
        filters: of the discriminator's convolutions, each of which halves the sides; the generator has them in reverse.
        loss: as of `models.GAN`.
        dropout: rate, in the discriminator.
        weights: `None`, `"mnist"`, or a `.keras` or `.weights.h5` file.
        name: of the model.

    Raises:
        ValueError: if the sides cannot be halved so often, or an argument is out of range.

    Reference:
        Radford, Metz & Chintala 2016, arXiv:1511.06434. Ours: dropout in place of the discriminator's batch
        normalisation, which mixes the images that a gradient penalty must keep apart.

    Example:
        >>> import astrokeras
        >>> model = astrokeras.applications.gan((64, 64, 3), classes=4, filters=(8, 16, 32, 64))
        >>> model.generate(classes=[0, 3]).shape
        (2, 64, 64, 3)
    """
    *sides, channels = map(int, input_shape)
    times = 2 ** len(filters)
    if not 1 <= len(sides) <= 3 or latent < 1 or not filters or min(filters) < 1:
        raise ValueError(
            f"{name}: expected 1 to 3 sides and channels, latent >= 1 and filters >= 1; received {tuple(input_shape)}, "
            f"{latent} and {tuple(filters)}."
        )
    if any(side % times for side in sides):
        raise ValueError(
            f"{name}: expected sides that are multiples of {times}, to be halved {len(filters)} times; received "
            f"{tuple(input_shape)}: resize the images, or give fewer filters."
        )
    generator = _generator(sides, channels, classes, latent, filters[::-1])
    discriminator = _discriminator(sides, channels, classes, filters, dropout)
    return load(GAN(generator, discriminator, loss=loss, classes=classes, name=name), weights, application="gan")


def _class_embedding(classes: int, width: int):
    """Numbers as large as the latent ones: of Keras's own small ones both networks make nothing at first."""
    return keras.layers.Embedding(classes, width, keras.initializers.RandomNormal(stddev=1.0), name="class_embedding")


def _generator(sides, channels: int, classes, latent: int, filters) -> keras.Model:
    inputs = x = keras.Input((latent,), name="latent")
    if classes is not None:
        inputs = {"latent": x, "class": keras.Input((), dtype="int32", name="class")}
        told = _class_embedding(classes, latent)(inputs["class"])
        x = keras.layers.Concatenate(name="class_concat")([x, told])
    small = [side // 2 ** len(filters) for side in sides]
    x = keras.layers.Dense(math.prod(small) * filters[0], use_bias=False, name="dense")(x)
    x = keras.layers.Reshape((*small, filters[0]), name="reshape")(x)
    kind = getattr(keras.layers, f"Conv{len(sides)}DTranspose")
    for level, number in enumerate((*filters[1:], channels), start=1):
        x = keras.layers.BatchNormalization(momentum=0.9, name=f"norm{level}")(x)
        x = keras.layers.Activation("relu", name=f"activation{level}")(x)
        last = level == len(filters)
        x = kind(number, 4, 2, padding="same", use_bias=last, name=f"conv{level}")(x)
    return keras.Model(inputs, keras.layers.Activation("sigmoid", dtype="float32", name="image")(x), name="generator")


def _discriminator(sides, channels: int, classes, filters, dropout: float) -> keras.Model:
    inputs = x = keras.Input((*sides, channels), name="image")
    x = keras.layers.Rescaling(2.0, -1.0, name="rescaling")(x)
    if classes is not None:
        inputs = {"image": inputs, "class": keras.Input((), dtype="int32", name="class")}
        told = _class_embedding(classes, math.prod(sides))(inputs["class"])
        told = keras.layers.Reshape((*sides, 1), name="class_reshape")(told)
        x = keras.layers.Concatenate(name="class_concat")([x, told])
    for level, number in enumerate(filters, start=1):
        kind = getattr(keras.layers, f"Conv{len(sides)}D")
        x = kind(number, 4, 2, padding="same", name=f"conv{level}")(x)
        x = keras.layers.LeakyReLU(0.2, name=f"activation{level}")(x)
        x = keras.layers.Dropout(dropout, name=f"dropout{level}")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    return keras.Model(inputs, keras.layers.Dense(1, dtype="float32", name="dense")(x), name="discriminator")
