"""A detector of galaxies in neutral-hydrogen cubes, in the spirit of CIANNA's for the second SKA data challenge."""

from collections.abc import Sequence

from astrokeras.applications.yolo import check_multiple
from astrokeras.datasets.sdc2 import SDC2_PARAMETERS as PARAMETERS
from astrokeras.models import YoloDetector
from astrokeras.network import Network
from astrokeras.parameters import Parameter, per_column

PRIORS = ((8, 8, 32),)
STRETCH = {"scale": 1 / 0.3, "function": "tanh"}
LOSS = {
    "iou": "diou",
    "prior_distance": "offset",
    "scales": {"position": 2.0, "size": 1.0, "probability": 1.0, "objectness": 6.0, "params": 3.0},
    "limits": {"good": 0.4, "low_best": -0.1, "probability": -0.1, "objectness": -0.1, "params": 0.4},
}
WEIGHTS = {"flux": 3.0, "hi_size": 2.0, "w20": 2.0, "pa": 1.0, "inclination": 2.0}


def yolo_sdc2(
    input_shape=(256, 64, 64, 1),
    *,
    priors=PRIORS,
    parameters: Sequence[Parameter] = PARAMETERS,
    loss: dict | None = None,
    normalization: dict | None = STRETCH,
    weights: str | None = None,
    name: str = "yolo_sdc2",
    **options,
) -> YoloDetector:
    """Build a 3-D detector for cubes of SKA's second data challenge: 23 convolutions, a grid of 8 x 8 x 16 pixels.

    Input: `(batch, z, y, x, 1)`, z the frequency, each channel divided by its noise. `fit` takes targets with boxes
    `(x_min, y_min, z_min, x_max, y_max, z_max)` and parameters in physical values. 3,847,234 parameters by
    default.

    Args:
        input_shape: `(z, y, x, channels)`: a multiple of 16, of 8 and of 8.
        priors: sizes in pixels, one row per box, x first.
        parameters: predicted for each source: line flux, HI size, line width, position angle and inclination by
            default.
        loss: settings of `losses.YoloLoss` that differ from the default.
        normalization: arguments of `layers.Stretch`, such as the `sigma` of each channel; `None` for the bare net.
        weights: `None`, or a `.keras` or `.weights.h5` file.
        name: of the model.
        **options: `slopes` of the head; `score_threshold`, `nms_threshold` and so on of `models.YoloDetector`.

    Raises:
        ValueError: if the shape does not divide, or an argument is out of range.

    Reference:
        CIANNA, examples/SKAO_SDC2 (Cornu et al. 2025): input 64 x 64 x 256, one box, tanh(0.3 x / noise), the
        frequency compressed by 8 in the first layer, 12 filters there, 256, 1024 (dropout 0.25) and 768 at the end, the
        error scales, weights of the parameters and IoU limits. Ours: the layers between, the prior, the ranges of the
        parameters, and the inclination itself in place of its cosine.

    Example:
        >>> import astrokeras
        >>> model = astrokeras.applications.yolo_sdc2((32, 16, 16, 1))
        >>> model.output_shape  # 8 + 6 columns
        (None, 2, 2, 2, 14)
    """
    check_multiple(name, input_shape, 16, 8, 8)
    net = Network(input_shape, activation="relu_leaky", name=name)
    if normalization is not None:
        net.stretch(**normalization)
    net.conv(12, (8, 3, 3), strides=(8, 1, 1)).conv(16, 3)
    net.conv(16, 2, strides=2, padding="valid").conv(24, 3).conv(32, 3)
    net.conv(48, (1, 2, 2), strides=(1, 2, 2), padding="valid")
    net.conv(32, 1).conv(64, 3).conv(32, 1).conv(64, 3)
    net.conv(96, (1, 2, 2), strides=(1, 2, 2), padding="valid")
    net.conv(80, 1).conv(160, 3).conv(80, 1).conv(160, 3)
    net.conv(128, 1).conv(256, 3).conv(128, 1).conv(256, 3)
    net.norm(4)
    net.conv(256, 1).conv(1024, 1, dropout=0.25).conv(768, 1)
    scales = per_column(parameters, [WEIGHTS.get(parameter.name, 1.0) for parameter in parameters])
    loss = LOSS | {"param_scales": scales or None} | (loss or {})
    net.yolo(priors, 0, parameters, loss=loss, **({"score_threshold": 0.3, "nms_threshold": -0.1} | options))
    return net.build(weights, application="yolo_sdc2")
