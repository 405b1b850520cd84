"""A detector of lines in spectra: YOLO in one dimension."""

from collections.abc import Sequence

from astrokeras.applications.yolo import check_multiple
from astrokeras.models import YoloDetector
from astrokeras.network import Network
from astrokeras.parameters import Parameter

PRIORS = ((5,), (12,), (30,))


def yolo_lines(
    input_shape=(2048, 1),
    classes: int = 0,
    *,
    priors=PRIORS,
    parameters: Sequence[Parameter] = (),
    loss: dict | None = None,
    class_names: Sequence[str] | None = None,
    normalization: dict | None = {"function": "asinh"},  # noqa: B006  (read only)
    weights: str | None = None,
    name: str = "yolo_lines",
    **options,
) -> YoloDetector:
    """Build a detector of lines: eight convolutions, a grid of 16 samples, boxes `(x_min, x_max)`.

    Input: `(batch, x, channels)`, spectra in units of their noise or continuum. `fit` takes targets with boxes `(batch,
    M, 2)`, `detect` gives `Detections`. 157,080 parameters by default.

    Args:
        input_shape: `(x, channels)`, a multiple of 16 samples.
        classes: kinds of lines; 0 where they are not told apart.
        priors: widths in samples, one row per box.
        parameters: predicted for each line, such as its flux.
        loss: settings of `losses.YoloLoss` that differ from `iou="diou"`, `prior_distance="offset"` and
            CIANNA's defaults.
        class_names: of the classes.
        normalization: arguments of `layers.Stretch`; `None` for the bare net.
        weights: `None`, or a `.keras` or `.weights.h5` file.
        name: of the model.
        **options: of the head and of `models.YoloDetector`.

    Raises:
        ValueError: if the shape is no multiple of 16, or an argument is out of range.

    Reference:
        Ours: the method of Cornu et al. 2024 with one fitted axis.

    Example:
        >>> import astrokeras
        >>> model = astrokeras.applications.yolo_lines((256, 1))
        >>> model.output_shape
        (None, 16, 24)
    """
    check_multiple(name, input_shape, 16)
    net = Network(input_shape, activation="relu_leaky", name=name)
    if normalization is not None:
        net.stretch(**normalization)
    for filters, kernel_size in ((16, 7), (32, 5), (64, 5), (96, 3)):
        net.conv(filters, kernel_size)
        net.pool(2)
    net.conv(128, 3).norm(8)
    net.conv(128, 3).norm(8)
    net.conv(256, 1)
    loss = {"iou": "diou", "prior_distance": "offset", "random_startup": 0} | (loss or {})
    net.yolo(priors, classes, parameters, loss=loss, class_names=class_names, **options)
    return net.build(weights, application="yolo_lines")
