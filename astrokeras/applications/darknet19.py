"""Darknet-19 with group normalisation: CIANNA's ImageNet classifier and the backbone of its detectors."""

import keras
import numpy as np

from astrokeras.network import Network

# Filters of the 3x3 convolutions and of the 1x1 ones between them, and the group size of the norm behind each.
STAGES = (
    ((32, 4),),
    ((64, 8),),
    ((128, 8), (64, 8), (128, 8)),
    ((256, 16), (128, 16), (256, 16)),
    ((512, 16), (256, 16), (512, 16), (256, 16), (512, 16)),
    ((1024, 32), (512, 16), (1024, 32), (512, 16), (1024, 32)),
)


def darknet19(
    input_shape=(448, 448, 3),
    classes: int = 1000,
    *,
    include_top: bool = True,
    normalization: tuple[float, float] | None = (100.0, 155.0),
    weights: str | None = None,
    name: str = "darknet19",
) -> keras.Model:
    """Build CIANNA's Darknet-19: 19 convolutions, each but the last followed by a group normalisation.

    Input: `(batch, y, x, channels)` in 0..255. Output: `(batch, classes)`, class probabilities; without top the
    normalised map `(batch, y / 32, x / 32, 1024)`. 20,835,944 parameters by default.

    Args:
        input_shape: `(y, x, channels)`, at least 32 pixels; also 1-D and 3-D.
        classes: number of classes.
        include_top: end with the 1x1 convolution, global average pool and softmax.
        normalization: `(mean, scale)` of the first layer, `(x - mean) / scale`; `None` for the bare net.
        weights: `None`; `"cianna"`, the published file of CIANNA (ImageNet, 448 pixels), or a path.
        name: of the model.

    Raises:
        ValueError: if the shape is too small for the five pools, or an argument is out of range.

    Reference:
        Redmon & Farhadi 2016 (YOLO9000), arXiv:1612.08242, table 6; CIANNA 1.0, examples/ImageNET, for the
        normalisation (group sizes 4 to 32, after the activation) in place of batch normalisation.

    Example:
        >>> import astrokeras
        >>> features = astrokeras.applications.darknet19((64, 64, 3), include_top=False)
        >>> features.output_shape
        (None, 2, 2, 1024)
    """
    net = Network(input_shape, activation="relu_leaky", name=name)
    if normalization is not None:
        net.rescale(*normalization)
    for i, stage in enumerate(STAGES):
        if i:
            net.pool(2)
        for place, (filters, group_size) in enumerate(stage):
            net.conv(filters, 1 if place % 2 else 3)
            net.norm(group_size)
    if include_top:
        net.conv(classes, 1, activation="linear", name="classes")
        net.global_pool("average", activation="softmax")
    return net.build(weights, application="darknet19")


def decode_predictions(predictions, names=None, top: int = 5) -> list[list[tuple[str, float]]]:
    """Name the most probable classes of each prediction, best first.

    Args:
        predictions: `(batch, classes)` probabilities.
        names: of the classes, in order; `None` takes ImageNet's 1000, whose list Keras downloads once (its order is
            that of the sorted synset numbers).
        top: how many.

    Returns:
        For each image a list of `(name, probability)`.

    Raises:
        ValueError: if there are not as many names as classes, or `top` is out of range.

    Example:
        >>> import numpy as np
        >>> from astrokeras.applications import decode_predictions
        >>> decode_predictions(np.array([[0.25, 0.75]]), names=["cat", "dog"], top=1)
        [[('dog', 0.75)]]
    """
    predictions = np.asarray(predictions)
    if predictions.ndim != 2:
        raise ValueError(f"Expected predictions (batch, classes); received shape {predictions.shape}.")
    classes = predictions.shape[1]
    if names is not None and len(names) != classes:
        raise ValueError(f"Expected {classes} names, one per class; received {len(names)}.")
    if not 1 <= top <= classes:
        raise ValueError(f"Expected top in 1..{classes}; received {top}.")
    if names is None:
        if classes != 1000:
            raise ValueError(f"Expected names for {classes} classes: only ImageNet's 1000 are known by themselves.")
        decoded = keras.applications.imagenet_utils.decode_predictions(predictions, top=top)
        return [[(name, float(share)) for _, name, share in row] for row in decoded]
    best = np.argsort(-predictions, axis=1)[:, :top]
    return [[(names[i], float(row[i])) for i in order] for row, order in zip(predictions, best, strict=True)]
