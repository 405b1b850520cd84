"""CIANNA's detector of objects in photographs, on a backbone of choice."""

from collections.abc import Sequence

import keras

from astrokeras.applications.darknet19 import darknet19
from astrokeras.datasets import COCO_CLASSES, VOC_CLASSES
from astrokeras.models import YoloDetector
from astrokeras.network import Network
from astrokeras.parameters import Parameter

PRIORS_416 = ((32, 32), (92, 150), (150, 92), (208, 333), (333, 208))
SLOPES = {"size": (0.5, 1.6, -1.6)}
NMS = (0.4, 0.95)  # same class, other class
PHOTOGRAPHS = {  # loss settings of CIANNA's examples/PASCAL and examples/COCO
    "iou": "diou",
    "prior_distance": "offset",
    "scales": {"position": 12.0, "size": 6.0, "probability": 0.5, "objectness": 6.0, "classes": 0.4},
    "limits": {
        "good": 0.5,
        "low_best": -0.1,
        "probability": -1.0,
        "objectness": -1.0,
        "classes": -0.1,
        "params": -1.0,
        "difficult_iou": 0.5,
        "difficult_objectness": 0.3,
    },
    "strict_priors": 3,
    "smallest_prior_scale": 1.2,
    "best_prior_rate": 0.05,
    "random_startup": 80_000,
    "difficult": True,
}


def photograph_settings(priors, loss: dict | None = None) -> dict:
    """Return CIANNA's loss settings for photographs, those of `loss` in place of its own.

    Example:
        >>> from astrokeras.applications.yolo import photograph_settings
        >>> photograph_settings([[32, 32], [92, 150]], {"iou": "giou"})["noobj"]
        [0.05, 0.1]
    """
    return PHOTOGRAPHS | {"noobj": [0.05] + [0.1] * (len(priors) - 1)} | (loss or {})


def yolo(
    input_shape=(416, 416, 3),
    classes: int = 20,
    *,
    backbone: str | keras.Model = "darknet19",
    priors=PRIORS_416,
    parameters: Sequence[Parameter] = (),
    loss: dict | None = None,
    class_names: Sequence[str] | None = None,
    normalization: tuple[float, float] | None = (100.0, 155.0),
    weights: str | None = None,
    name: str = "yolo",
    **options,
) -> YoloDetector:
    """Build a YOLO detector: a backbone, three 3x3 convolutions of 1024 filters with group normalisation, and the head.

    Input: `(batch, y, x, channels)` in the range that the backbone takes (0..255 for `darknet19`); also 1-D and 3-D.
    `fit` takes targets with boxes, `detect` gives `Detections`; `predict` gives the grid `(batch, y / 32, x / 32,
    boxes * (8 + classes + params))`.

    Args:
        input_shape: `(y, x, channels)`, multiples of the backbone's reduction (32).
        classes: number of classes; 0 for objects of one kind.
        backbone: `"darknet19"`, or a model from images to a map, pretrained or not.
        priors: sizes in pixels of the input, one row per box, x first.
        parameters: physical values to predict for each box.
        loss: settings of `losses.YoloLoss` that differ from CIANNA's for photographs.
        class_names: of the classes.
        normalization: `(mean, scale)` of the first layer of `"darknet19"`; `None` for the bare net.
        weights: `None`, or a `.keras`, `.weights.h5` or CIANNA's `.dat` file.
        name: of the model.
        **options: `class_softmax` (true for more than one class) and `slopes` of the head; `score_threshold`,
            `nms_threshold` and so on of `models.YoloDetector`.

    Raises:
        ValueError: if the backbone is unknown or its output is no map, or an argument is out of range.

    Reference:
        Cornu et al. 2024 (YOLO-CIANNA); CIANNA 1.0, examples/PASCAL and examples/COCO, whose settings are the defaults.

    Example:
        >>> import astrokeras
        >>> model = astrokeras.applications.yolo((64, 64, 3), classes=2, priors=[[16, 16], [32, 32]])
        >>> model.output_shape
        (None, 2, 2, 20)
    """
    if isinstance(backbone, keras.Model):
        features = backbone
    elif backbone == "darknet19":
        check_multiple(name, input_shape, 32)
        features = darknet19(input_shape, include_top=False, normalization=normalization)
        features = keras.Model(features.input, features.get_layer("conv18").output)
    else:
        raise ValueError(f'{name}: expected backbone to be "darknet19" or a keras.Model; received {backbone!r}.')
    if len(features.output_shape) != len(features.input_shape):
        raise ValueError(
            f"{name}: expected a backbone from images to a map; received one with output {features.output_shape}: "
            "build it without its top and its global pooling."
        )
    net = Network.after(features, activation="relu_leaky", name=name)
    for filters in (None, 1024, 1024, 1024):
        if filters:
            net.conv(filters, 3)
        net.norm(16)
    head = {"class_softmax": classes > 1, "slopes": SLOPES, "nms_threshold": NMS} | options
    loss = photograph_settings(priors, loss)
    net.yolo(priors, classes, parameters, loss=loss, class_names=class_names, **head)
    return net.build(weights)


def yolo_voc416(
    input_shape=(416, 416, 3), classes: int = 20, *, class_names=VOC_CLASSES, name: str = "yolo_voc416", **options
) -> YoloDetector:
    """Build CIANNA's published detector for PASCAL VOC: `yolo` with 20 classes at 416 pixels.

    Input: `(batch, y, x, 3)` in 0..255. 48,269,516 parameters by default.

    Args:
        input_shape: `(y, x, 3)`, multiples of 32.
        classes: number of classes.
        class_names: of the classes; `None` where they are not VOC's.
        name: of the model.
        **options: of `yolo`; `weights="cianna"` is the published file of CIANNA (`mAP@50` 75.3 %).

    Raises:
        ValueError: as `yolo`.

    Reference:
        CIANNA 1.0, examples/PASCAL.

    Example:
        >>> import astrokeras
        >>> model = astrokeras.applications.yolo_voc416((64, 64, 3))
        >>> model.class_names[14], model.output_shape
        ('person', (None, 2, 2, 140))
    """
    return yolo(input_shape, classes, class_names=names_of(class_names, classes), name=name, **options)


def yolo_coco(
    input_shape=(416, 416, 3), classes: int = 80, *, class_names=COCO_CLASSES, name: str = "yolo_coco", **options
) -> YoloDetector:
    """Build CIANNA's published detector for COCO: `yolo` with 80 classes at 416 pixels.

    Input: `(batch, y, x, 3)` in 0..255. 48,577,016 parameters by default.

    Args:
        input_shape: `(y, x, 3)`, multiples of 32.
        classes: number of classes.
        class_names: of the classes; `None` where they are not COCO's.
        name: of the model.
        **options: of `yolo`; `weights="cianna"` is the published file of CIANNA (`mAP@50` 39.9 %).

    Raises:
        ValueError: as `yolo`.

    Reference:
        CIANNA 1.0, examples/COCO.

    Example:
        >>> import astrokeras
        >>> model = astrokeras.applications.yolo_coco((64, 64, 3))
        >>> model.class_names[0], model.output_shape
        ('person', (None, 2, 2, 440))
    """
    return yolo(input_shape, classes, class_names=names_of(class_names, classes), name=name, **options)


def names_of(names: Sequence[str] | None, classes: int) -> Sequence[str] | None:
    """Return the names where they are as many as the classes, else `None`: the classes are other ones.

    Example:
        >>> from astrokeras.applications.yolo import names_of
        >>> names_of(("star", "galaxy"), 3) is None
        True
    """
    return names if names is not None and len(names) == classes else None


def check_multiple(name: str, input_shape: Sequence[int], *reduction: int) -> None:
    """Refuse an input that the network's pools and strides do not divide.

    Args:
        name: of the model.
        input_shape: without the batch axis, channels last.
        *reduction: pixels of a grid cell on each axis, or one number for all.

    Example:
        >>> from astrokeras.applications.yolo import check_multiple
        >>> check_multiple("yolo_voc", (300, 288, 3), 32)
        Traceback (most recent call last):
        ValueError: yolo_voc: expected input_shape in multiples of 32 pixels; received (300, 288, 3): try (288, 288, 3).
    """
    shape = tuple(input_shape)
    steps = reduction * (len(shape) - 1) if len(reduction) == 1 else reduction
    if any(size % step for size, step in zip(shape, steps, strict=False)):
        nearest = [max(1, round(size / step)) * step for size, step in zip(shape, steps, strict=False)]
        raise ValueError(
            f"{name}: expected input_shape in multiples of {' x '.join(map(str, reduction))} pixels; received {shape}: "
            f"try {(*nearest, shape[-1])}."
        )
