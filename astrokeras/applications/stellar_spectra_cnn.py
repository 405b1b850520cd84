"""The course's 1-D network: spectral types of stars."""

import keras

from astrokeras.network import Network


def stellar_spectra_cnn(
    input_shape=(3776, 1), classes: int = 7, *, weights: str | None = None, name: str = "stellar_spectra_cnn"
) -> keras.Model:
    """Build the network of the stellar spectra practical: large filters, aggressive reduction, two dense layers.

    Input: `(batch, x, 1)` in 0..1, as `datasets.stellar_spectra` and `datasets.simulated_spectra` return it.
    Output: `(batch, classes)`, probabilities of O, B, A, F, G, K, M. 556,415 parameters by default.

    Args:
        input_shape: `(x, channels)`; at least 64 samples.
        classes: number of classes.
        weights: `None`, or a `.keras` or `.weights.h5` file.
        name: of the model.

    Raises:
        ValueError: if the shape is too small, or an argument is out of range.

    Reference:
        Course, practical "Spectra" (CIANNA): convolutions of 8 samples, stride 4, padding 2, with 8, 16 and 32
        filters; dense 256 twice, dropout 0.4.

    Example:
        >>> import astrokeras
        >>> astrokeras.applications.stellar_spectra_cnn().output_shape
        (None, 7)
    """
    net = Network(input_shape, activation="relu_leaky", name=name)
    for filters in (8, 16, 32):
        net.conv(filters, 8, strides=4, padding=2)
    net.dense(256, dropout=0.4)
    net.dense(256, dropout=0.4)
    net.dense(classes, activation="softmax")
    return net.build(weights, application="stellar_spectra_cnn")
