"""What a CIANNA model file holds, as plain records.

A file is the size of the input and one record per layer, to its end. It holds no magic number, no number of layers and
no shape of its arrays: a reader follows the shapes from layer to layer. Sizes are in the order of CIANNA, x, y, z.
Source: CIANNA 1.0 (Cornu, https://github.com/Deyht/CIANNA), the `*_save` functions of its layers.
"""

import dataclasses
import math

import numpy as np

LEAST_RATE = 0.01  # CIANNA ignores dropout rates up to this
Size = tuple[int, int, int]


class Record:
    """Records are equal where their fields are: numbers as float32, arrays value by value, NaN equal to NaN."""

    def __eq__(self, other) -> bool:
        """Compare field by field; the leftover bytes of `names` say nothing."""
        if type(self) is not type(other):
            return NotImplemented
        pairs = ((getattr(self, f.name), getattr(other, f.name)) for f in dataclasses.fields(self) if f.compare)
        return all(_same(a, b) for a, b in pairs)

    __hash__ = None


@dataclasses.dataclass(eq=False)
class Yolo(Record):
    """What a YOLO layer says of itself: `priors` `(boxes, 3)`, `slopes` `(6, 3)`: slope, max, min of each part.

    Example:
        >>> import numpy as np
        >>> from astrokeras import cianna_files as files
        >>> priors, slopes = np.array([[8.0, 8.0, 0.0]]), np.array([[1.0, 6.0, -6.0]] * 6)
        >>> yolo = files.Yolo(1, 0, 0, 2, False, priors, slopes)
        >>> yolo.boxes * (8 + yolo.classes + yolo.params)  # filters of its convolution
        8
    """

    boxes: int
    classes: int
    params: int
    fit_dims: int
    class_softmax: bool
    priors: np.ndarray
    slopes: np.ndarray


@dataclasses.dataclass(eq=False)
class Conv(Record):
    """A convolution; `weights` `(filters, channels * z * y * x + 1)`, the bias weight last.

    Example:
        >>> import numpy as np
        >>> from astrokeras import cianna_files as files
        >>> one, none = (1, 1, 1), (0, 0, 0)
        >>> weights = np.ones((4, 3 * 3 * 3 + 1), "float32")
        >>> conv = files.Conv(4, (3, 3, 1), one, (1, 1, 0), none, (32, 24, 1), 3, 0.0, 0.1, "RELU", weights)
        >>> files.output_size(conv, conv.input_size)
        (32, 24, 1)
    """

    filters: int
    kernel_size: Size
    strides: Size
    padding: Size
    internal_padding: Size
    input_size: Size
    channels: int
    dropout: float
    bias_value: float
    activation: str
    weights: np.ndarray | None = None
    yolo: Yolo | None = None
    names: tuple[bytes, ...] = dataclasses.field(default=(), compare=False, repr=False)


@dataclasses.dataclass(eq=False)
class Pool(Record):
    """A pooling; `kind` is "MAX" or "AVG".

    Example:
        >>> from astrokeras import cianna_files as files
        >>> files.Pool((2, 2, 1), (2, 2, 1), (0, 0, 0), False, 0.0, "AVG", "LIN").kind
        'AVG'
    """

    pool_size: Size
    strides: Size
    padding: Size
    is_global: bool
    dropout: float
    kind: str
    activation: str
    names: tuple[bytes, ...] = dataclasses.field(default=(), compare=False, repr=False)


@dataclasses.dataclass(eq=False)
class Norm(Record):
    """A group normalisation; one `gamma` and one `beta` per group.

    Example:
        >>> import numpy as np
        >>> from astrokeras import cianna_files as files
        >>> files.Norm(2, 0, "LIN", np.ones(3, "float32"), np.zeros(3, "float32")).gamma.shape  # of 6 channels
        (3,)
    """

    group_size: int
    set_off: int
    activation: str
    gamma: np.ndarray | None = None
    beta: np.ndarray | None = None
    names: tuple[bytes, ...] = dataclasses.field(default=(), compare=False, repr=False)


@dataclasses.dataclass(eq=False)
class LocalNorm(Record):
    """A local response normalisation over `depth` channels.

    Example:
        >>> from astrokeras import cianna_files as files
        >>> files.LocalNorm(5, 1.0, 1.0, 0.5, "LIN").depth
        5
    """

    depth: int
    k: float
    alpha: float
    beta: float
    activation: str
    names: tuple[bytes, ...] = dataclasses.field(default=(), compare=False, repr=False)


@dataclasses.dataclass(eq=False)
class Dense(Record):
    """A dense layer; `weights` `(inputs + 1, units + 1)`: the last row is of the bias, the last column of the pivot.

    Example:
        >>> import numpy as np
        >>> from astrokeras import cianna_files as files
        >>> files.Dense(2, 0.0, 0.1, "LIN", np.zeros((4, 3), "float32")).weights.size  # of 3 inputs
        12
    """

    units: int
    dropout: float
    bias_value: float
    activation: str
    weights: np.ndarray | None = None
    names: tuple[bytes, ...] = dataclasses.field(default=(), compare=False, repr=False)


Layer = Conv | Pool | Norm | LocalNorm | Dense


@dataclasses.dataclass(eq=False)
class CiannaNetwork(Record):
    """A network as CIANNA stores it: `input_size` (x, y, z), `channels`, `layers`.

    Example:
        >>> import numpy as np
        >>> from astrokeras import cianna_files as files
        >>> dense = files.Dense(2, 0.0, 0.1, "LIN", np.zeros((4, 3), "float32"))
        >>> len(files.CiannaNetwork((3, 1, 1), 1, [dense]).layers)
        1
    """

    input_size: Size
    channels: int
    layers: list[Layer]


def output_size(layer: Conv | Pool, size: Size) -> Size:
    """Return the size of the map behind a convolution or pooling.

    Example:
        >>> from astrokeras import cianna_files as files
        >>> pool = files.Pool((2, 2, 1), (2, 2, 1), (0, 0, 0), False, 0.0, "MAX", "LIN")
        >>> files.output_size(pool, (7, 4, 1))
        (3, 2, 1)
    """
    if isinstance(layer, Conv):
        window, inner = layer.kernel_size, layer.internal_padding
    elif layer.is_global:
        return 1, 1, 1  # whatever the file says of its window, which is that of another input size
    else:
        window, inner = layer.pool_size, (0, 0, 0)
    axes = zip(size, window, layer.strides, layer.padding, inner, strict=True)
    return tuple((n + (n - 1) * i + 2 * p - f) // s + 1 for n, f, s, p, i in axes)


def activation_values(activation: str) -> tuple[str, float, float]:
    """Return kind, saturation, and leak (RELU) or beta (LOGI) of an activation, its defaults filled in.

    Example:
        >>> from astrokeras import cianna_files as files
        >>> files.activation_values("RELU_S6.00_L0.10"), files.activation_values("LOGI")
        (('RELU', 6.0, 0.1), ('LOGI', 6.0, 1.0))
    """
    kind, *parts = activation.split("_")
    saturation, other = {"RELU": (800.0, 0.05), "LOGI": (6.0, 1.0)}.get(kind, (math.inf, 0.0))
    found = {part[0]: float(part[1:]) for part in parts}
    return kind, found.get("S", saturation), found.get("L", found.get("B", other))


def _same(a, b) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return a is not None and b is not None and np.array_equal(a, b, equal_nan=True)
    if isinstance(a, float) and isinstance(b, float):
        return bool(np.float32(a) == np.float32(b))
    return a == b
