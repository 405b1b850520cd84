"""CIANNA's detector of radio sources in the first SKA science data challenge."""

from collections.abc import Sequence

from astrokeras.applications.yolo import check_multiple
from astrokeras.datasets.sdc1 import SDC1_PARAMETERS as PARAMETERS
from astrokeras.models import YoloDetector
from astrokeras.network import Network
from astrokeras.parameters import Parameter, per_column

PRIORS = ((6, 6),) * 6 + ((12, 9), (9, 12), (24, 24))
CIANNA_PARAMETERS = (*PARAMETERS[:3], Parameter("cos_pa", range=(0, 1)), Parameter("sin_pa", range=(-1, 1)))
STRETCH = {"clip": (4e-7, 4e-5), "offset": 4e-7, "scale": 3.96e-5 / 3, "function": "tanh"}
SLOPES = {
    "position": (0.5, 6, -6),
    "size": (0.5, 1.2, -1.2),
    "probability": (0.2, 6, -6),
    "objectness": (0.5, 6, -6),
    "params": (0.5, 1.5, -0.2),
}
LOSS = {
    "iou": "diou",
    "prior_distance": "offset",
    "scales": {"position": 36.0, "size": 0.2, "probability": 0.5, "objectness": 2.0, "params": 5.0},
    "limits": {"good": 0.5, "low_best": -0.1, "probability": -0.3, "objectness": -0.3, "params": -0.1},
    "best_prior_rate": 0.9,
    "random_rate": 0.02,
    "random_startup": 16_000,
}
WEIGHTS = {"flux": 2.0, "bmaj": 2.0, "bmin": 1.0, "pa": 0.5, "cos_pa": 0.5, "sin_pa": 0.5}


def yolo_sdc1(
    input_shape=(256, 256, 1),
    *,
    priors=PRIORS,
    parameters: Sequence[Parameter] = PARAMETERS,
    loss: dict | None = None,
    normalization: dict | None = STRETCH,
    weights: str | None = None,
    name: str = "yolo_sdc1",
    **options,
) -> YoloDetector:
    """Build CIANNA's network for SKA's first data challenge: 17 convolutions, a grid of 16 pixels, 9 boxes, no class.

    Input: `(batch, y, x, 1)`, a map in Jy/beam. `fit` takes targets with boxes and parameters in physical values,
    `detect` gives `Detections` with them. 12,621,373 parameters by default.

    Args:
        input_shape: `(y, x, channels)`, multiples of 16. Train on 256 x 256, detect on 512 x 512.
        priors: sizes in pixels, one row per box, x first.
        parameters: predicted for each source: apparent flux, major and minor axis, and position angle, by default.
        loss: settings of `losses.YoloLoss` that differ from CIANNA's.
        normalization: arguments of `layers.Stretch`; `None` for the bare net.
        weights: `None`; `"cianna"`, the published file of CIANNA (score 479 372 of the challenge), or a path. CIANNA's
            angle is cos and sin of -90..90 degrees: with `"cianna"` the default parameters end in `cos_pa`, `sin_pa`.
        name: of the model.
        **options: `slopes` of the head; `score_threshold`, `nms_threshold` and so on of `models.YoloDetector`.

    Raises:
        ValueError: if the shape is no multiple of 16, or an argument is out of range.

    Reference:
        Cornu et al. 2024, A&A 690, A211; CIANNA 1.0, examples/SKAO_SDC1. Ours: the angle is doubled before cos and
        sin, so that it does not jump at 90 degrees; one suppression threshold in place of four.

    Example:
        >>> import astrokeras
        >>> model = astrokeras.applications.yolo_sdc1((64, 64, 1))
        >>> model.output_shape  # 9 boxes of 8 + 5 columns
        (None, 4, 4, 117)
    """
    check_multiple(name, input_shape, 16)
    if weights == "cianna" and parameters is PARAMETERS:
        parameters = CIANNA_PARAMETERS
    net = Network(input_shape, activation="relu_leaky", name=name)
    if normalization is not None:
        net.stretch(**normalization)
    net.conv(32, 5)
    net.conv(16, 2, strides=2, padding="valid").conv(24, 3).conv(32, 3)
    net.conv(64, 2, strides=2, padding="valid").conv(128, 1).conv(192, 3)
    net.conv(128, 2, strides=2, padding="valid").conv(192, 1).conv(384, 3).conv(256, 1).conv(384, 3)
    net.conv(512, 2, strides=2, padding="valid").conv(768, 1).conv(1024, 3)
    net.norm(4)
    net.conv(2048, 1, dropout=0.25)
    noobj = [0.15 if max(prior) <= 6 else 0.01 for prior in priors]
    scales = per_column(parameters, [WEIGHTS.get(parameter.name, 1.0) for parameter in parameters])
    loss = LOSS | {"noobj": noobj, "param_scales": scales or None} | (loss or {})
    floors = [0.1 if max(prior) <= 6 else 0.05 for prior in priors]
    net.yolo(
        priors,
        0,
        parameters,
        loss=loss,
        **({"slopes": SLOPES, "score_threshold": floors, "nms_threshold": 0.05} | options),
    )
    return net.build(weights, application="yolo_sdc1")
