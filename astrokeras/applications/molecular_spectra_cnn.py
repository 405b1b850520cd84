"""Which molecules does a millimetre spectrum hold? One independent answer per species."""

import keras

from astrokeras.network import Network

STAGES = ((8, 9, 4), (16, 5, 4), (32, 5, 4), (64, 5, 2), (96, 3, 2), (128, 3, 2), (128, 3, 2))  # filters, kernel, pool


def molecular_spectra_cnn(
    input_shape=(35000, 3), classes: int = 20, *, weights: str | None = None, name: str = "molecular_spectra_cnn"
) -> keras.Model:
    """Build a 1-D network of 14 convolutions and two dense layers with one sigmoid per species.

    Seven stages: a convolution, a second one over the pooled map, group normalisation. The number of convolutions, the
    input and the outputs are the paper's; widths, kernels and pools are ours.

    Input: `(batch, x, 3)`: one spectrum in three normalisations, each in 0..1, as
    `datasets.simulated_molecular_spectra` returns it. Output: `(batch, classes)`, the probability that each species is
    present (they do not sum to 1). Train it with `binary_crossentropy` on labels `(batch, classes)` of 0 and 1.

    Args:
        input_shape: `(x, channels)`; at least 1024 samples.
        classes: number of species.
        weights: `None`, or a `.keras` or `.weights.h5` file.
        name: of the model.

    Raises:
        ValueError: if the shape is too small for the pools, or an argument is out of range.

    Reference:
        Kessler et al. 2025, A&A 704, A324, arXiv:2510.09119.

    Example:
        >>> import astrokeras
        >>> astrokeras.applications.molecular_spectra_cnn((4096, 3), classes=5).output_shape
        (None, 5)
    """
    net = Network(input_shape, activation="relu_leaky", kernel_initializer="he_normal", name=name)
    for filters, kernel_size, size in STAGES:
        net.conv(filters, kernel_size, activation="linear")
        net.pool(size)
        net.conv(filters, kernel_size, activation="linear")
        net.norm(8, per="channel", activation="relu_leaky")
    net.dense(256, dropout=0.3)
    net.dense(128, dropout=0.3)
    net.dense(classes, activation="sigmoid")
    return net.build(weights, application="molecular_spectra_cnn")
