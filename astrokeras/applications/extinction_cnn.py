"""CIANNA's profile regression: interstellar extinction along a line of sight, from a colour-magnitude diagram."""

import keras

from astrokeras.network import Network


def extinction_cnn(
    input_shape=(64, 64, 1), outputs: int = 128, *, weights: str | None = None, name: str = "extinction_cnn"
) -> keras.Model:
    """Build the network [C5x5.12-P2-{D3072}x2-D2048-D128] of CIANNA's front page.

    The last entry is read as the profile itself, a linear output.

    Input: `(batch, y, x, 1)`, star counts of a colour-magnitude diagram, scaled to about 0..1, as
    `datasets.simulated_extinction` returns it. Output: `(batch, outputs)`, the extinction in each bin of distance.
    Train it with `mse`. 53,748,152 parameters by default (the dense layers).

    Args:
        input_shape: `(y, x, channels)`, at least 2 pixels.
        outputs: number of distance bins.
        weights: `None`, or a `.keras` or `.weights.h5` file.
        name: of the model.

    Raises:
        ValueError: if the shape is too small, or an argument is out of range.

    Reference:
        Cornu et al. 2022, arXiv:2201.05571; https://github.com/Deyht/CIANNA, README.

    Example:
        >>> import astrokeras
        >>> astrokeras.applications.extinction_cnn((16, 16, 1), outputs=10).output_shape
        (None, 10)
    """
    net = Network(input_shape, activation="relu_leaky", name=name)
    net.conv(12, 5)
    net.pool(2)
    for units in (3072, 3072, 2048):
        net.dense(units, dropout=0.1)
    net.dense(outputs, activation=keras.layers.Activation("linear", dtype="float32"))
    return net.build(weights, application="extinction_cnn")
