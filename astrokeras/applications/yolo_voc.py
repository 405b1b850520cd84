"""The course's own small detector for PASCAL VOC."""

from collections.abc import Sequence

from astrokeras.applications.yolo import NMS, SLOPES, check_multiple, names_of, photograph_settings
from astrokeras.datasets import VOC_CLASSES
from astrokeras.models import YoloDetector
from astrokeras.network import Network

PRIORS = ((24, 24), (48, 64), (96, 176), (144, 80), (256, 192))


def yolo_voc(
    input_shape=(288, 288, 3),
    classes: int = 20,
    *,
    priors=PRIORS,
    loss: dict | None = None,
    class_names: Sequence[str] | None = VOC_CLASSES,
    normalization: tuple[float, float] | None = (100.0, 155.0),
    weights: str | None = None,
    name: str = "yolo_voc",
    **options,
) -> YoloDetector:
    """Build the slide's detector: five convolutions with pools, three more, and a YOLO head on a grid of 32 pixels.

    Input: `(batch, y, x, channels)` in 0..255. `fit` takes targets with boxes, `detect` gives `Detections`; `predict`
    gives the grid `(batch, y / 32, x / 32, boxes * (8 + classes))`. 1,842,108 parameters by default.

    Args:
        input_shape: `(y, x, channels)`, multiples of 32; also 1-D and 3-D.
        classes: number of classes.
        priors: sizes in pixels of the input, one row per box, x first.
        loss: settings of `losses.YoloLoss` that differ from CIANNA's for photographs.
        class_names: of the classes; `None` where they are not VOC's.
        normalization: `(mean, scale)` of the first layer, `(x - mean) / scale`; `None` for the bare net.
        weights: `None`, or a `.keras` or `.weights.h5` file.
        name: of the model.
        **options: `parameters`, `class_softmax` and `slopes` of the head; `score_threshold`, `nms_threshold` and so
            on of `models.YoloDetector`.

    Raises:
        ValueError: if the shape is no multiple of 32, or an argument is out of range.

    Reference:
        Course, slides on YOLO: 24-48-96-128-256 with pools, 256, 256, 1x1 512 with dropout 0.1, priors on a 9 x 9 grid;
        loss settings of CIANNA 1.0, examples/PASCAL.

    Example:
        >>> import astrokeras
        >>> model = astrokeras.applications.yolo_voc()
        >>> model.output_shape
        (None, 9, 9, 140)
    """
    check_multiple(name, input_shape, 32)
    net = Network(input_shape, activation="relu_leaky", name=name)
    if normalization is not None:
        net.rescale(*normalization)
    for filters in (24, 48, 96, 128, 256):
        net.conv(filters, 3)
        net.pool(2)
    net.conv(256, 3)
    net.conv(256, 3)
    net.conv(512, 1, dropout=0.1)
    head = {"class_softmax": classes > 1, "slopes": SLOPES, "nms_threshold": NMS} | options
    names = names_of(class_names, classes)
    net.yolo(priors, classes, loss=photograph_settings(priors, loss), class_names=names, **head)
    return net.build(weights, application="yolo_voc")
