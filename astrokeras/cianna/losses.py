"""What CIANNA's networks learn, and the loss that it displays."""

import dataclasses

import keras
import numpy as np
from keras import ops

from astrokeras.layers import PivotDense, UnscaledDropout
from astrokeras.losses import YoloSettings, yolo_loss

PARTS = ("position", "size", "probability", "objectness", "classes", "params")
TERMS = ("loss", *PARTS, "found", "iou", "found_objectness", "good")
_LEAST = 1e-6  # of an output under the logarithm


def before_softmax(model: keras.Model) -> keras.Model:
    """Return the model without the softmax at its end; it shares all weights.

    Example:
        >>> import keras
        >>> from astrokeras.cianna.losses import before_softmax
        >>> x = keras.Input((3,))
        >>> before_softmax(keras.Model(x, keras.layers.Softmax()(keras.layers.Dense(2)(x)))).layers[-1].units
        2
    """
    last = model.layers[-1]
    return keras.Model(model.inputs, _Logits(last)(last.input) if isinstance(last, PivotDense) else last.input)


class _Logits(keras.layers.Layer):
    """What the last dense layer has in front of its softmax."""

    def __init__(self, dense: PivotDense):
        super().__init__(dtype=dense.dtype_policy)
        self.dense, self.dropout = dense, UnscaledDropout(dense.dropout, dtype=dense.dtype_policy)

    def call(self, inputs, training=False):
        kernel, bias = (ops.cast(part, inputs.dtype) for part in (self.dense.kernel, self.dense.bias_kernel))
        count = kernel.shape[0]
        given = inputs[:, count:] if self.dense.takes_pivot else self.dense.bias_value
        return self.dropout(ops.matmul(inputs[:, :count], kernel) + given * bias, training=training)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.dense.units)


class SquaredError(keras.losses.Loss):
    """Half the sum of the squared differences of each image: the loss behind LIN, RELU and LOGI."""

    def call(self, y_true, y_pred):
        """Return `(batch,)`."""
        difference = ops.reshape(y_pred - y_true, (ops.shape(y_pred)[0], -1))
        return 0.5 * ops.sum(ops.square(difference), axis=-1)


class SoftmaxError(keras.losses.Loss):
    """The cross-entropy of each image, of the values in front of the softmax.

    Its gradient is output minus target whatever the targets sum to, and however small the outputs are, as CIANNA has
    it. The softmax runs over all values of an image.
    """

    def call(self, y_true, y_pred):
        """Return `(batch,)`."""
        shape = (ops.shape(y_pred)[0], -1)
        truth, logits = ops.reshape(y_true, shape), ops.reshape(y_pred, shape)
        outputs = ops.softmax(logits, axis=-1)
        value = ops.stop_gradient(-ops.sum(truth * ops.log(ops.maximum(outputs, _LEAST)), axis=-1))
        slope = ops.sum(ops.stop_gradient(outputs - truth) * logits, axis=-1)
        return value + slope - ops.stop_gradient(slope)


def image_losses(outputs: np.ndarray, targets: np.ndarray, softmax: bool) -> np.ndarray:
    """Return the loss of each image from activated outputs, as CIANNA displays it.

    Args:
        outputs: `(n, ...)`.
        targets: the same shape.
        softmax: cross-entropy, else half the squared difference.

    Example:
        >>> import numpy as np
        >>> from astrokeras.cianna.losses import image_losses
        >>> image_losses(np.array([[1.0, 0.0]]), np.array([[0.0, 2.0]]), softmax=False).tolist()
        [2.5]
    """
    outputs, targets = (values.reshape(len(values), -1).astype("float64") for values in (outputs, targets))
    if softmax:
        return -(targets * np.log(np.maximum(outputs, _LEAST))).sum(axis=1)
    return 0.5 * ((outputs - targets) ** 2).sum(axis=1)


def displayed(settings: YoloSettings, error_type: str) -> YoloSettings:
    """Return the settings of the loss that CIANNA displays.

    `"complete"` has no random rules. `"natural"` also leaves out all that corrects the association (closest priors, low
    IoU, smallest prior) and the limits on the IoU, and skips difficult objects.

    Example:
        >>> from astrokeras.cianna.losses import displayed
        >>> from astrokeras.losses import YoloSettings
        >>> displayed(YoloSettings([[8, 8]], (16, 16), strict_priors=3), "natural").strict_priors
        0
    """
    calm = dataclasses.replace(settings, best_prior_rate=0, random_rate=0, random_startup=0)
    if error_type == "complete":
        return calm
    never, always = np.inf, -np.inf
    limits = calm.limits | dict.fromkeys(("low_best", "probability", "objectness", "classes", "params"), always)
    limits |= {"difficult_iou": never}
    return dataclasses.replace(calm, strict_priors=0, smallest_prior_scale=0, limits=limits)


class _Terms(keras.layers.Layer):
    def __init__(self, settings: YoloSettings):
        super().__init__(dtype="float32")
        self.settings = settings

    def call(self, inputs):
        terms = yolo_loss(*inputs, self.settings)
        return ops.stack([terms[name] for name in TERMS], axis=-1)

    def compute_output_shape(self, input_shape):
        return (input_shape[0][0], len(TERMS))


def terms_model(settings: YoloSettings, objects: tuple[int, ...], outputs: tuple[int, ...]) -> keras.Model:
    """Return a model of packed targets and outputs that gives the terms of the loss, `(batch, len(TERMS))`.

    A model, so that Keras compiles it on each backend.

    Args:
        settings: of the loss, without chance.
        objects: shape of the packed targets of an image.
        outputs: shape of the output for an image.
    """
    inputs = [keras.Input(objects), keras.Input(outputs)]
    return keras.Model(inputs, _Terms(settings)(inputs))
