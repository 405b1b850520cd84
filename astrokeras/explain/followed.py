"""Which number of a network's answer an explanation follows, and of which layer."""

import math
from collections.abc import Callable, Sequence

import keras
import numpy as np

from astrokeras import backend
from astrokeras.models import YoloDetector

CONVOLUTIONS = (
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv1D,
    keras.layers.SeparableConv2D,
)


def checked_image(model: keras.Model, image) -> np.ndarray:
    """Return one image as float32, of the shape that the model takes.

    Args:
        model: that will see it.
        image: `([z, [y,]] x, channels)`, without a batch axis.

    Raises:
        ValueError: if the model has several inputs, the shape is another, or a value is not finite.

    Example:
        >>> import numpy as np, astrokeras
        >>> from astrokeras.explain.followed import checked_image
        >>> checked_image(astrokeras.applications.lenet5(), np.zeros((28, 28)))
        Traceback (most recent call last):
        ValueError: lenet5: expected one image (28, 28, 1), without a batch axis; received shape (28, 28).
    """
    image = np.asarray(image, "float32")
    expected = getattr(model, "input_shape", (None,) * (image.ndim + 1))  # a subclassed model does not know
    if isinstance(expected, (list, dict)):
        raise ValueError(f"{model.name}: expected a model with one input; received one with {len(expected)}.")
    expected = expected[1:]
    fits = len(expected) == image.ndim
    if not fits or any(side not in (None, n) for side, n in zip(expected, image.shape, strict=True)):
        sides = ", ".join("any" if side is None else str(side) for side in expected)
        raise ValueError(
            f"{model.name}: expected one image ({sides}), without a batch axis; received shape {image.shape}."
        )
    if not np.isfinite(image).all():
        raise ValueError(
            f"{model.name}: expected an image of finite values; received {int((~np.isfinite(image)).sum())} that are "
            "NaN or infinite: fill them first."
        )
    return image


def follow(model: keras.Model, target, image_shape: Sequence[int]) -> tuple[int, ...]:
    """Return where, in `followable(model, answers)`, the followed number of an image stands.

    Args:
        model: gives the answers.
        target: number of the output; one index per axis where an answer has several; for a `YoloDetector` the
            position `(x, y)` in pixels whose cell's highest objectness is followed (`(x, y, z)` in cubes, `x` in
            spectra).
        image_shape: `([z, [y,]] x, channels)`.

    Raises:
        ValueError: if there is no such output or position.

    Example:
        >>> import astrokeras
        >>> from astrokeras.explain.followed import follow
        >>> follow(astrokeras.applications.yolo_sdc1((64, 96, 1)), (50, 20), (64, 96, 1))  # cells of 16 pixels, y first
        (1, 3)
    """
    if isinstance(model, YoloDetector):
        return _cell_of(model, target, image_shape)
    shape = getattr(model, "output_shape", None)
    if isinstance(shape, dict) or (isinstance(shape, list) and isinstance(shape[0], tuple)):
        raise ValueError(f"{model.name}: expected a model with one output; received one with {len(shape)}.")
    if shape is None or None in shape[1:]:
        shape = model.compute_output_shape((1, *image_shape))
    shape = tuple(shape[1:])
    index = tuple(np.atleast_1d(np.asarray(target, object)))
    whole = all(isinstance(number, (int, np.integer)) and not isinstance(number, bool) for number in index)
    if not whole or len(index) != len(shape) or any(not 0 <= i < n for i, n in zip(index, shape, strict=True)):
        ranges = ", ".join(f"0 to {n - 1}" for n in shape)
        what = f"target from {ranges}" if len(shape) == 1 else f"target of {len(shape)} indices ({ranges})"
        raise ValueError(f"{model.name}: expected a {what}, an output of the model; received {target!r}.")
    return tuple(map(int, index))


def followable(model: keras.Model, answers):
    """Return the numbers among which one is followed: the answers, or the highest objectness of each cell.

    Args:
        model: that gave the answers.
        answers: `(batch, ...)`.

    Example:
        >>> import numpy as np, astrokeras
        >>> from astrokeras.explain.followed import followable
        >>> model = astrokeras.applications.yolo_sdc1((64, 96, 1))
        >>> tuple(followable(model, np.zeros((2, *model.output_shape[1:]))).shape)
        (2, 4, 6)
    """
    if not isinstance(model, YoloDetector):
        return answers
    boxes, *cells = len(model.settings.priors), *model.output_shape[1:-1]
    by_box = keras.ops.reshape(answers, (-1, *cells, boxes, model.output_shape[-1] // boxes))
    return keras.ops.max(by_box[..., 7], axis=-1)


def _cell_of(model: YoloDetector, target, image_shape: Sequence[int]) -> tuple[int, ...]:
    sides = tuple(image_shape[:-1])[::-1]  # x first
    position = tuple(np.atleast_1d(np.asarray(target, object)))
    known = all(isinstance(at, (int, float, np.number)) for at in position) and len(position) == len(sides)
    if not known or any(not 0 <= at < side for at, side in zip(position, sides, strict=True)):
        names, ranges = ", ".join("xyz"[: len(sides)]), " x ".join(map(str, sides))
        raise ValueError(
            f"{model.name}: expected target to be a position ({names}) in pixels, x first, inside the image of "
            f"{ranges} pixels; received {target!r}."
        )
    return tuple(int(at // side) for at, side in zip(position, model.settings.cell, strict=True))[::-1]


def scores(model: keras.Model) -> keras.Model:
    """Return the model up to its scores: without the softmax or sigmoid at its end, where there is one.

    A softmax near 1 has almost no gradient, and an output rises where the others fall; the score in front of it has
    neither fault. The weights are those of the model; it is not changed.

    Args:
        model: a functional or sequential model; others are returned as they are.

    Example:
        >>> import astrokeras
        >>> from astrokeras.explain.followed import scores
        >>> scores(astrokeras.applications.lenet5()).layers[-1].name
        'dense3'
    """
    if isinstance(model, YoloDetector) or not hasattr(model, "operations") or len(model.outputs) != 1:
        return model
    last, answers = model.layers[-1], model.outputs[0]
    if last.output is not answers:
        return model
    squashes = getattr(last, "activation", None) in (keras.activations.softmax, keras.activations.sigmoid)
    if isinstance(last, keras.layers.Softmax) or (squashes and isinstance(last, keras.layers.Activation)):
        return keras.Model(model.inputs[0], last.input)
    return keras.Model(model.inputs[0], _Linear(last)(last.input)) if squashes else model


class _Linear(keras.layers.Layer):
    """A layer without its activation, on the same weights."""

    def __init__(self, layer: keras.layers.Layer):
        super().__init__(name=f"{layer.name}_scores", dtype=layer.dtype_policy)
        self.layer = layer

    def call(self, inputs):
        activation = self.layer.activation
        self.layer.activation = keras.activations.linear
        try:
            return self.layer.call(inputs)
        finally:
            self.layer.activation = activation


def known_layer(model: keras.Model, name: str) -> keras.layers.Layer:
    """Return a layer by its name.

    Args:
        model: a functional or sequential model.
        name: of the layer.

    Raises:
        ValueError: if there is none of that name; the error lists the known ones.

    Example:
        >>> import astrokeras
        >>> from astrokeras.explain.followed import known_layer
        >>> known_layer(astrokeras.applications.lenet5(), "conv2").filters
        16
    """
    layers = {layer.name: layer for layer in model.layers}
    if name not in layers:
        raise ValueError(f"{model.name}: expected layer to be one of {', '.join(layers)}; received {name!r}.")
    return layers[name]


def convolutions(model: keras.Model) -> list[keras.layers.Layer]:
    """Return the convolutions of a model in their order, at least one.

    Args:
        model: a functional or sequential model.

    Raises:
        ValueError: if there is none.

    Example:
        >>> import astrokeras
        >>> from astrokeras.explain.followed import convolutions
        >>> [layer.name for layer in convolutions(astrokeras.applications.lenet5())]
        ['conv1', 'conv2']
    """
    found = [layer for layer in model.layers if isinstance(layer, CONVOLUTIONS)]
    if not found:
        raise ValueError(f"{model.name}: expected a model with a convolution; received one of layers without any.")
    return found


class Slope(keras.Model):
    """The gradient of the followed number, in one compiled call: `of(inputs, index)`.

    Args:
        model: gives the answers.
        numbers: takes the followable numbers `(batch, ...)` out of them.

    Input: as the model's; of several inputs the gradient is that of the last one.

    Example:
        >>> import keras, numpy as np
        >>> from astrokeras.explain.followed import Slope
        >>> model = keras.Sequential([keras.layers.Rescaling(3.0)])
        >>> Slope(model, lambda answers: answers).of(np.ones((1, 2), "float32"), (1,)).tolist()
        [[0.0, 3.0]]
    """

    def __init__(self, model: keras.Model, numbers: Callable):
        super().__init__(name="slope", dtype="float32")
        self.model, self.numbers = model, numbers
        self.built = True  # it has no weights but those of the model

    def call(self, inputs):
        """Return the gradient of the sum over the batch."""
        *others, last, index = inputs

        def followed(x):
            numbers = self.numbers(self.model([*others, x] if others else x, training=False))
            sizes, place = keras.ops.shape(numbers), 0
            for axis, size in enumerate(sizes[1:]):
                place = place * size + index[axis]
            flat = keras.ops.reshape(numbers, (sizes[0], -1))
            return keras.ops.sum(keras.ops.take(flat, place, axis=1))

        return backend.gradient(followed, last)

    def of(self, inputs, index: Sequence[int]) -> np.ndarray:
        """Return the gradient of the number at this index."""
        inputs = [*(inputs if isinstance(inputs, list) else [inputs]), np.asarray(index, "int32")]
        if keras.config.backend() == "torch":  # it has nothing to compile, and predicts without gradients
            return keras.ops.convert_to_numpy(self([keras.ops.convert_to_tensor(values) for values in inputs]))
        return keras.ops.convert_to_numpy(self.predict_on_batch(inputs))


def along_axes(values: np.ndarray, matrices: Sequence[np.ndarray]) -> np.ndarray:
    """Multiply each of the first axes of an array with its matrix: sums over windows, interpolation, blur.

    Args:
        values: `(n_1, n_2, ...)`.
        matrices: `(m_i, n_i)`, one per axis, from the first axis on.

    Returns:
        `(m_1, m_2, ...)`.

    Example:
        >>> import numpy as np
        >>> from astrokeras.explain.followed import along_axes
        >>> along_axes(np.eye(2), [np.ones((1, 2)), np.eye(2)]).tolist()
        [[1.0, 1.0]]
    """
    for axis, matrix in enumerate(matrices):
        values = np.moveaxis(np.tensordot(matrix, values, (1, axis)), 0, axis)
    return values


def in_batches(count: int, batch_size: int) -> tuple[int, int]:
    """Return into how many equal batches of at most `batch_size` so many rows go, and their size.

    Example:
        >>> from astrokeras.explain.followed import in_batches
        >>> in_batches(145, 64)
        (3, 49)
    """
    if batch_size < 1:
        raise ValueError(f"Expected batch_size >= 1; received {batch_size}.")
    batches = math.ceil(count / batch_size)
    return batches, math.ceil(count / batches)
