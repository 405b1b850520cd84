"""The U-Net: down to a small map and up again, with shortcuts between maps of one size."""

import math
from collections.abc import Sequence

import keras

from astrokeras import layers
from astrokeras.network.activations import activation_layer
from astrokeras.weights import load

GROUPS = 8  # of the group normalisation, at most
EMBEDDING = 4  # width of the vector of time and class, times the first number of filters


def unet(
    input_shape=(32, 32, 1),
    outputs: int = 1,
    *,
    filters: Sequence[int] = (32, 64, 128),
    blocks: int = 1,
    activation: str = "silu",
    output_activation: str = "linear",
    normalization: bool = True,
    residual: bool = False,
    attention: bool = False,
    shortcuts: bool = True,
    time: bool = False,
    classes: int | None = None,
    dropout: float = 0.0,
    weights: str | None = None,
    name: str = "unet",
) -> keras.Model:
    """Build a U-Net for spectra, images or cubes: segmentation, denoising, or the net of a diffusion model.

    Input: `(batch, [z, [y,]] x, channels)`. Output: the same sides, `outputs` channels. With `time` and `classes` the
    inputs are a dict of `image`, `time` `(batch,)`, a step from 0 on, and `class` `(batch,)`, a number from 0 to
    `classes`, where `classes` itself stands for no class.

    A level has `blocks` blocks of two convolutions of 3 pixels, a normalisation and an activation in front of each; a
    convolution of stride 2 leads down, one behind nearest-neighbour upsampling leads up, where the map of the same size
    from the way down is put beside (`shortcuts`).

    Args:
        input_shape: of an image; its sides can be halved `len(filters) - 1` times.
        outputs: number of output channels.
        filters: of each level, from the full size down.
        blocks: of each level on each way.
        activation: behind each normalisation.
        output_activation: of the last convolution: `"linear"`, `"sigmoid"` for one mask per channel, `"softmax"` for
            classes that exclude each other.
        normalization: group normalisation in front of each activation.
        residual: add the input of a block to its output.
        attention: let all places of the smallest map look at each other.
        shortcuts: `False` for the same network without them, to see what they do.
        time: take a time, as a diffusion model gives it.
        classes: number of classes of a conditional model; `None` for none.
        dropout: rate, in each block.
        weights: `None`, or a `.keras` or `.weights.h5` file.
        name: of the model.

    Raises:
        ValueError: if the sides cannot be halved so often, or an argument is out of range.

    Reference:
        Ronneberger et al. 2015, arXiv:1505.04597; Ho et al. 2020, arXiv:2006.11239 (time, residual blocks, attention).
        Ours: zero padding, so that the sides stay.

    Example:
        >>> import numpy as np, astrokeras
        >>> model = astrokeras.applications.unet((64, 64, 1), 1, filters=(8, 16), output_activation="sigmoid")
        >>> model.predict(np.zeros((2, 64, 64, 1)), verbose=0).shape
        (2, 64, 64, 1)
    """
    shape = tuple(map(int, input_shape))
    times = 2 ** (len(filters) - 1)
    if not 2 <= len(shape) <= 4 or not filters or min(*filters, outputs, blocks) < 1:
        raise ValueError(
            f"{name}: expected an input_shape of 1 to 3 sides and channels, and filters, outputs and blocks >= 1; "
            f"received {shape}, {tuple(filters)}, {outputs}, {blocks}."
        )
    if any(side % times for side in shape[:-1]):
        raise ValueError(
            f"{name}: expected sides that are multiples of {times}, to be halved {len(filters) - 1} times; received "
            f"{shape}: pad or cut the images, or give fewer filters."
        )
    parts = _Parts(len(shape) - 1, activation, normalization, residual, dropout)
    image = keras.Input(shape, name="image" if time or classes is not None else "input")
    inputs, condition = {"image": image}, None
    if time or classes is not None:
        condition = _condition(inputs, EMBEDDING * filters[0], time, classes, activation)
    x = parts.conv(image, filters[0], "conv_in")
    kept = []
    for level, number in enumerate(filters, start=1):
        if level > 1:
            x = parts.conv(x, number, f"down{level}", strides=2)
        for block in range(1, blocks + 1):
            x = parts.block(x, number, condition, f"down{level}_block{block}")
        kept.append(x)
    if attention:
        x = parts.attention(x, "middle_attention")
        x = parts.block(x, filters[-1], condition, "middle_block")
    for level, number in reversed(list(enumerate(filters[:-1], start=1))):
        x = parts.upsample(x, f"up{level}_upsample")
        x = parts.conv(x, number, f"up{level}")
        if shortcuts:
            x = keras.layers.Concatenate(name=f"up{level}_concat")([x, kept[level - 1]])
        for block in range(1, blocks + 1):
            x = parts.block(x, number, condition, f"up{level}_block{block}")
    start = "zeros" if time else "glorot_uniform"
    x = parts.conv(parts.activated(x, "out"), outputs, "conv_out", start=start, dtype="float32")
    if output_activation != "linear":
        x = activation_layer(output_activation, "output", name)(x)
    model = keras.Model(inputs if condition is not None else image, x, name=name)
    return load(model, weights, application="unet")


def _condition(inputs: dict, width: int, time: bool, classes: int | None, activation: str):
    """Add the inputs of time and class; return the vector that tells them to the blocks."""
    vectors = []
    if time:
        inputs["time"] = keras.Input((), name="time")
        waves = layers.SinusoidalEmbedding(width, name="time_embedding")(inputs["time"])
        vectors.append(keras.layers.Dense(width, activation=activation, name="time_dense")(waves))
    if classes is not None:
        inputs["class"] = keras.Input((), dtype="int32", name="class")
        vectors.append(keras.layers.Embedding(classes + 1, width, name="class_embedding")(inputs["class"]))
    x = vectors[0] if len(vectors) == 1 else keras.layers.Add(name="condition_add")(vectors)
    return keras.layers.Dense(width, activation=activation, name="condition_dense")(x)


def _groups(channels: int) -> int:
    """Return a number of groups of at least 4 channels: in one of its own, a channel would forget what it is told."""
    return math.gcd(GROUPS, channels, max(1, channels // 4))


class _Parts:
    """The parts of the net, for one number of dimensions."""

    def __init__(self, dims: int, activation: str, normalization: bool, residual: bool, dropout: float):
        self.dims, self.activation, self.normalization = dims, activation, normalization
        self.residual, self.dropout = residual, dropout

    def conv(self, x, filters: int, name: str, size: int = 3, strides: int = 1, start: str = "glorot_uniform", **more):
        kind = getattr(keras.layers, f"Conv{self.dims}D")
        return kind(filters, size, strides, padding="same", kernel_initializer=start, name=name, **more)(x)

    def upsample(self, x, name: str):
        return getattr(keras.layers, f"UpSampling{self.dims}D")(2, name=name)(x)

    def activated(self, x, name: str):
        if self.normalization:
            x = keras.layers.GroupNormalization(_groups(x.shape[-1]), name=f"{name}_norm")(x)
        return keras.layers.Activation(self.activation, name=f"{name}_activation")(x)

    def block(self, x, filters: int, condition, name: str):
        """Two convolutions, the condition added between them."""
        before = x
        x = self.conv(self.activated(x, f"{name}_1"), filters, f"{name}_conv1")
        if condition is not None:
            told = keras.layers.Dense(filters, name=f"{name}_condition")(condition)
            told = keras.layers.Reshape((1,) * self.dims + (filters,), name=f"{name}_condition_reshape")(told)
            x = keras.layers.Add(name=f"{name}_condition_add")([x, told])
        x = self.activated(x, f"{name}_2")
        if self.dropout:
            x = keras.layers.Dropout(self.dropout, name=f"{name}_dropout")(x)
        x = self.conv(x, filters, f"{name}_conv2")
        if not self.residual:
            return x
        if before.shape[-1] != filters:
            before = self.conv(before, filters, f"{name}_shortcut", size=1)
        return keras.layers.Add(name=f"{name}_add")([before, x])

    def attention(self, x, name: str):
        """Each place looks at all others; what it sees is added."""
        shape = x.shape[1:]
        heads = max(1, shape[-1] // 64)
        y = keras.layers.GroupNormalization(_groups(shape[-1]), name=f"{name}_norm")(x)
        y = keras.layers.Reshape((math.prod(shape[:-1]), shape[-1]), name=f"{name}_flatten")(y)
        y = keras.layers.MultiHeadAttention(heads, shape[-1] // heads, name=name)(y, y)
        y = keras.layers.Reshape(shape, name=f"{name}_reshape")(y)
        return keras.layers.Add(name=f"{name}_add")([x, y])
