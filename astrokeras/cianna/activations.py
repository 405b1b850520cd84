"""CIANNA's activations by name."""

import math

from astrokeras.cianna_files import activation_values

BIAS = {"LIN": 0.5, "RELU": 0.1, "LOGI": -1.0, "SMAX": 0.1, "YOLO": 0.5}  # value of the bias input
_LETTERS = {"RELU": ("S", "L"), "LOGI": ("S", "B")}


def linear() -> str:
    """Return the name of CIANNA's linear activation (CIANNA itself returns an empty name here).

    Example:
        >>> from astrokeras import cianna as cnn
        >>> cnn.linear()
        'LIN'
    """
    return "LIN"


def relu(saturation: float = math.nan, leaking: float = math.nan) -> str:
    """Return the name of CIANNA's leaky rectifier with these settings; 800 and 0.05 where they are not given.

    Example:
        >>> from astrokeras import cianna as cnn
        >>> cnn.relu(), cnn.relu(leaking=0.1)
        ('RELU', 'RELU_L0.10')
    """
    return "RELU" + _written("S", saturation) + _written("L", leaking)


def logistic(saturation: float = math.nan, beta: float = math.nan) -> str:
    """Return the name of CIANNA's sigmoid with these settings; 6 and 1 where they are not given.

    Example:
        >>> from astrokeras import cianna as cnn
        >>> cnn.logistic(saturation=4)
        'LOGI_S4.00'
    """
    return "LOGI" + _written("S", saturation) + _written("B", beta)


def softmax() -> str:
    """Return the name of CIANNA's softmax.

    Example:
        >>> from astrokeras import cianna as cnn
        >>> cnn.softmax()
        'SMAX'
    """
    return "SMAX"


def yolo() -> str:
    """Return the name of CIANNA's YOLO activation, see `set_yolo_params`.

    Example:
        >>> from astrokeras import cianna as cnn
        >>> cnn.yolo()
        'YOLO'
    """
    return "YOLO"


def complete(activation: str, *refused: str) -> str:
    """Return the activation as files hold it, its numbers written; what CIANNA does not know is linear.

    Args:
        activation: as given to a layer.
        *refused: kinds that this layer does not take.

    Example:
        >>> from astrokeras.cianna.activations import complete
        >>> complete("RELU"), complete("LOGI_B2.00")
        ('RELU_S800.00_L0.05', 'LOGI_S6.00_B2.00')
    """
    kind = next((kind for kind in BIAS if str(activation).startswith(kind)), "LIN")
    if not str(activation).startswith(kind) and activation:
        print(f"activation {activation!r} is unknown: it is LIN, as in CIANNA")
    if kind in refused:
        raise ValueError(f"Expected another activation of this layer than {kind}, which CIANNA refuses here.")
    if kind not in _LETTERS:
        return kind
    try:
        values = activation_values(str(activation))[1:]
    except ValueError:
        raise ValueError(f"Expected an activation such as RELU_S800.00_L0.05; received {activation!r}.") from None
    return kind + "".join(_written(letter, value) for letter, value in zip(_LETTERS[kind], values, strict=True))


def _written(letter: str, value: float) -> str:
    return "" if math.isnan(value) else f"_{letter}{value:.2f}"
