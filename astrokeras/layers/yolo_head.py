"""The activation of a YOLO detector, as CIANNA defines it."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

PARTS = ("position", "size", "probability", "objectness", "classes", "params")
SLOPES = {part: (1.0, 6.0, -6.0) for part in PARTS} | {"size": (1.0, 1.6, -1.6), "params": (1.0, 1.2, -0.2)}


@keras.saving.register_keras_serializable(package="astrokeras")
class YoloHead(keras.layers.Layer):
    """Activate the last convolution of a YOLO detector.

    Each of the `boxes = len(priors)` boxes of a grid cell has 8 + classes + params columns, in this order, each with
    its activation and its limits (slope, max, min):

    - 3 for the position of the centre in its cell, x, y, z: sigmoid, 1, 6, -6;
    - 3 for the log of size / prior, x, y, z: linear, 1, 1.6, -1.6;
    - 1 for the probability: sigmoid, 1, 6, -6;
    - 1 for the objectness: sigmoid, 1, 6, -6;
    - one per class: sigmoid, 1, 6, -6, or softmax over the classes of the box, without limits;
    - one per parameter column: linear, 1, 1.2, -0.2.

    The input is multiplied by the slope and cut to the limits; a sigmoid is `1 / (1 + exp(cut(-slope * x)))`, so its
    limits apply to the negated value. Cuts let the gradient through as if they were not there. Axes that are not fitted
    give 0.5 for the position and 0 for the size. Source: Cornu et al. 2024; CIANNA 1.0.

    With `class_softmax` the gradient that comes to the classes goes on to the logits unchanged: `losses.YoloLoss` sends
    the difference of output and target there, which is what a softmax with cross-entropy amounts to, without underflow.

    Args:
        priors: sizes of the boxes in pixels of the network's input, one row per box, x first, one entry per
            fitted axis.
        classes: number of classes.
        params: number of columns for parameters (an angle takes two, see `Parameter`).
        class_softmax: classes exclude each other.
        slopes: part -> (slope, max, min), for the parts that differ from the list: "position", "size",
            "probability", "objectness", "classes", "params".
        fit_dims: number of axes to fit, x first; `None` means as many as a prior has.
        dtype: stays float32 under mixed precision.
        **kwargs: `name` and so on of a Keras layer.

    Input shape: logits `(batch, [z, [y,]] x, boxes * (8 + classes + params))`. Output shape: the same.

    Raises:
        ValueError: if the priors are not positive rows of one length, a part is unknown, or the input is of another
            width.

    Example:
        >>> import numpy as np, astrokeras
        >>> head = astrokeras.layers.YoloHead(priors=[[24, 24], [48, 64]], classes=3)
        >>> tuple(head(np.zeros((1, 9, 9, 22), "float32")).shape)
        (1, 9, 9, 22)
    """

    def __init__(
        self,
        priors: Sequence[Sequence[float]],
        classes: int = 0,
        params: int = 0,
        *,
        class_softmax: bool = False,
        slopes: dict[str, Sequence[float]] | None = None,
        fit_dims: int | None = None,
        dtype="float32",
        **kwargs,
    ):
        super().__init__(dtype=dtype, **kwargs)
        self.priors, self.fit_dims = check_priors(priors, fit_dims)
        self.classes, self.params = int(classes), int(params)
        if min(self.classes, self.params) < 0:
            raise ValueError(f"Expected classes >= 0 and params >= 0; received classes={classes}, params={params}.")
        self.class_softmax = bool(class_softmax)
        self.slopes = fill_slopes(slopes)
        self.boxes = len(self.priors)
        self.columns = 8 + self.classes + self.params

    def build(self, input_shape):
        """Check the width and prepare the limits of each column."""
        if len(input_shape) not in (3, 4, 5) or input_shape[-1] != self.boxes * self.columns:
            raise ValueError(
                f"{self.name}: expected logits (batch, [z, [y,]] x, {self.boxes * self.columns}) for {self.boxes} "
                f"boxes of 8 + {self.classes} classes + {self.params} params columns; received shape "
                f"{tuple(input_shape)}: give the convolution in front so many filters."
            )
        if self.fit_dims > len(input_shape) - 2:
            raise ValueError(
                f"{self.name}: expected at most {len(input_shape) - 2} fitted axes for a grid of that many axes; "
                f"received priors for {self.fit_dims}."
            )
        widths = (3, 3, 1, 1, self.classes, self.params)
        slope, most, least, sigmoid = [], [], [], []
        for part, width in zip(PARTS, widths, strict=True):
            a, high, low = self.slopes[part]
            squashed = part not in ("size", "params")
            slope += [a] * width
            most += [-low if squashed else high] * width
            least += [-high if squashed else low] * width
            sigmoid += [squashed] * width
        fixed = [axis >= self.fit_dims for axis in range(3)] * 2 + [False] * (self.columns - 6)
        neutral = [0.5] * 3 + [0.0] * (self.columns - 3)
        self._limits = [np.asarray(values, "float32") for values in (slope, least, most, neutral)]
        self._sigmoid, self._fixed = np.asarray(sigmoid), np.asarray(fixed)

    def call(self, inputs):
        """Activate logits."""
        x = ops.reshape(inputs, (-1, self.boxes, self.columns))  # TensorFlow's softmax takes 5 axes at most
        slope, least, most, neutral = (ops.cast(values, x.dtype) for values in self._limits)
        scaled = x * slope
        cut = straight_through(scaled, ops.clip(scaled, least, most))
        activated = ops.where(self._sigmoid, ops.sigmoid(cut), cut)
        activated = ops.where(self._fixed, neutral, activated)
        if self.class_softmax and self.classes:
            end = 8 + self.classes
            logits = x[..., 8:end]
            one = self.classes == 1  # Keras warns of a softmax over one class
            shares = straight_through(logits, ops.ones_like(logits) if one else ops.softmax(logits, axis=-1))
            activated = ops.concatenate([activated[..., :8], shares, activated[..., end:]], axis=-1)
        return ops.reshape(activated, (-1, *inputs.shape[1:]))

    def compute_output_shape(self, input_shape):
        """Keep the shape."""
        return tuple(input_shape)

    def get_config(self):
        """Return the arguments."""
        return super().get_config() | {
            "priors": self.priors,
            "classes": self.classes,
            "params": self.params,
            "class_softmax": self.class_softmax,
            "slopes": {part: list(values) for part, values in self.slopes.items()},
            "fit_dims": self.fit_dims,
        }


def straight_through(x, value):
    """Return `value`, with the gradient of `x`."""
    return ops.stop_gradient(value) + (x - ops.stop_gradient(x))


def check_priors(priors, fit_dims: int | None) -> tuple[list[list[float]], int]:
    """Return priors as lists of floats, and the number of fitted axes."""
    rows = [[float(side) for side in np.atleast_1d(prior)] for prior in priors]
    widths = {len(row) for row in rows}
    if len(widths) != 1 or not widths <= {1, 2, 3} or not all(0 < side < np.inf for row in rows for side in row):
        raise ValueError(
            "Expected priors as rows of 1, 2 or 3 positive sizes in pixels, x first, the same number in each row; "
            f"received {rows}."
        )
    width = widths.pop()
    if fit_dims is not None and not 1 <= fit_dims <= width:
        raise ValueError(f"Expected fit_dims in 1..{width}, since a prior has {width} sizes; received {fit_dims}.")
    return rows, width if fit_dims is None else int(fit_dims)


def fill_slopes(slopes: dict | None) -> dict[str, tuple[float, float, float]]:
    """Return (slope, max, min) of every part."""
    filled = dict(SLOPES)
    for part, values in (slopes or {}).items():
        if part not in SLOPES:
            raise ValueError(f"Expected the parts of slopes to be among {', '.join(PARTS)}; received {part!r}.")
        slope, most, least = (float(value) for value in values)
        if not (slope > 0 and most > least):
            raise ValueError(
                f"Expected slopes[{part!r}] to be (slope > 0, max, min < max); received "
                f"({slope:g}, {most:g}, {least:g})."
            )
        filled[part] = (slope, most, least)
    return filled
