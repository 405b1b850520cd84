"""The classifiers and regressors of the course by hand in plain Keras, to compare with: benchmarks/plain_keras.py.

They compute what ours compute, with Keras's own layers; `leaky` is CIANNA's rectifier as one writes it with keras.ops.
"""

import functools

import keras
from keras import layers, ops


def leaky(x):
    y = ops.leaky_relu(x, negative_slope=0.05)
    return y - 0.95 * ops.relu(y - 800.0)


def conv(filters, size=3, activation=leaky, **options):
    return layers.Conv2D(filters, size, padding="same", activation=activation, **options)


def norm(channels, group_size, activation=None):
    parts = [layers.GroupNormalization(channels // group_size)]
    return parts + ([layers.Activation(activation)] if activation else [])


def top(classes):
    return [conv(classes, 1, None), layers.GlobalAveragePooling2D(), layers.Softmax(dtype="float32")]


def rescaled(shape, mean, spread):
    return [keras.Input(shape), layers.Rescaling(1 / spread, -mean / spread)]


def lenet5(shape, classes):
    return keras.Sequential(
        [
            keras.Input(shape),
            conv(8, 5),
            layers.MaxPooling2D(2),
            conv(16, 5),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(256, activation=leaky),
            layers.Dropout(0.5),
            layers.Dense(128, activation=leaky),
            layers.Dropout(0.2),
            layers.Dense(classes),
            layers.Softmax(dtype="float32"),
        ]
    )


def asirra_cnn(shape, classes):
    parts = rescaled(shape, 100.0, 155.0)
    for filters, group_size in ((16, 2), (32, 2), (64, 4)):
        parts += [conv(filters, 3, None), layers.MaxPooling2D(2), *norm(filters, group_size, leaky)]
    for filters, group_size in ((128, 4), (192, 8)):
        parts += [conv(filters), conv(filters // 2, 1), conv(filters, 3, None), layers.MaxPooling2D(2)]
        parts += norm(filters, group_size, leaky)
    return keras.Sequential(parts + top(classes))


def cifar10_cnn(shape, classes):
    source, *parts = rescaled(shape, 127.5, 127.5)
    inputs = x = layers.Input(source.shape[1:])
    for part in parts:
        x = part(x)
    for stage, width in enumerate((32, 64, 128, 256)):
        x = conv(width, 3, None)(x)
        if stage:
            x = layers.MaxPooling2D(2)(x)
        x = _through(x, norm(width, 8, leaky))
        if stage % 2:
            y = x
            for _ in range(2):
                y = _through(conv(width, 3, None)(y), norm(width, 8, leaky))
            x = layers.Add()([x, y])
    return keras.Model(inputs, _through(x, top(classes)))


def stellar_spectra_cnn(shape, classes):
    parts = [keras.Input(shape)]
    for filters in (8, 16, 32):
        parts += [layers.ZeroPadding1D(2), layers.Conv1D(filters, 8, 4, activation=leaky)]
    parts.append(layers.Flatten())
    for _ in range(2):
        parts += [layers.Dense(256, activation=leaky), layers.Dropout(0.4)]
    return keras.Sequential([*parts, layers.Dense(classes), layers.Softmax(dtype="float32")])


def molecular_spectra_cnn(shape, classes):
    parts = [keras.Input(shape)]
    for filters, size, pool in ((8, 9, 4), (16, 5, 4), (32, 5, 4), (64, 5, 2), (96, 3, 2), (128, 3, 2), (128, 3, 2)):
        for between in (layers.MaxPooling1D(pool), None):
            parts.append(layers.Conv1D(filters, size, padding="same"))
            parts += [between] if between else norm(filters, 8, leaky)
    parts.append(layers.Flatten())
    for units in (256, 128):
        parts += [layers.Dense(units, activation=leaky), layers.Dropout(0.3)]
    return keras.Sequential([*parts, layers.Dense(classes), layers.Activation("sigmoid", dtype="float32")])


def darknet19(shape, classes):
    stages = [[32], [64], [128, 64, 128], [256, 128, 256], [512, 256] * 2 + [512], [1024, 512] * 2 + [1024]]
    sizes = {32: 4, 64: 8, 128: 8, 256: 16, 512: 16, 1024: 32}
    parts = rescaled(shape, 100.0, 155.0)
    for place, stage in enumerate(stages):
        parts += [layers.MaxPooling2D(2)] if place else []
        for index, filters in enumerate(stage):
            group_size = {3: 16}.get(place, sizes[filters]) if index % 2 else sizes[filters]
            parts += [conv(filters, 1 if index % 2 else 3), *norm(filters, group_size)]
    return keras.Sequential(parts + top(classes))


def galaxy_zoo2(shape, classes):
    parts = rescaled(shape, 0.0, 255.0)
    for filters, size, group_size in ((16, 5, 4), (32, 3, 4), (64, 3, 8)):
        parts += [conv(filters, size), layers.MaxPooling2D(2), *norm(filters, group_size)]
    parts += [conv(128), conv(64, 1), conv(128), layers.MaxPooling2D(2), *norm(128, 16)]
    return keras.Sequential(parts + top(classes))


def voc_cutout_classifier(shape, classes):
    parts = rescaled(shape, 100.0, 155.0)
    for filters in (16, 32, 64, 128, 256):
        parts += [conv(filters), layers.MaxPooling2D(2)]
    return keras.Sequential(parts + [conv(filters) for filters in (512, 1024, 1024)] + top(classes))


def extinction_cnn(shape, outputs):
    parts = [keras.Input(shape), conv(12, 5), layers.MaxPooling2D(2), layers.Flatten()]
    for units in (3072, 3072, 2048):
        parts += [layers.Dense(units, activation=leaky), layers.Dropout(0.1)]
    return keras.Sequential([*parts, layers.Dense(outputs)])


def resnet(shape, classes):
    normalized = functools.partial(layers.BatchNormalization, momentum=0.9, epsilon=1e-5)
    source, scale = rescaled(shape, 127.5, 127.5)
    inputs = layers.Input(source.shape[1:])
    x = _through(scale(inputs), [conv(16, 3, None, use_bias=False), normalized(), layers.ReLU()])
    for stage, width in enumerate((16, 32, 64)):
        for block in range(3):
            strides = 2 if stage and not block else 1
            y = _through(x, [_strided(width, 3, strides), normalized(), layers.ReLU()])
            y = _through(y, [conv(width, 3, None, use_bias=False), normalized()])
            x = _through(x, [_strided(width, 1, 2), normalized()]) if strides == 2 else x
            x = layers.ReLU()(layers.Add()([x, y]))
    return keras.Model(inputs, _through(x, [layers.GlobalAveragePooling2D(), layers.Dense(classes), layers.Softmax()]))


def _strided(filters, size, strides):
    """A convolution that pads both sides alike, as He et al.; Keras's "same" pads an even side on the right."""
    if strides == 1:
        return conv(filters, size, None, use_bias=False)
    inner = layers.Conv2D(filters, size, strides, use_bias=False)
    return keras.Sequential([layers.ZeroPadding2D(size // 2), inner]) if size > 1 else inner


def _through(x, parts):
    for part in parts:
        x = part(x)
    return x
