"""Initial weights by CIANNA's rules."""

import math

import numpy as np

NAMES = ("xavier", "xavier_U", "lecun", "lecun_U", "normal", "uniform")


def draw(
    rng: np.random.Generator, rule: str, shape: tuple[int, ...], first: int, second: int, scaling: float = 1.0
) -> np.ndarray:
    """Draw weights.

    `first` and `second` are the two numbers of CIANNA's rules: of a convolution the inputs of a filter with the bias,
    and the filters; of a dense layer its neurons, and its inputs with the bias, in this order. So `lecun` of a dense
    layer goes by its outputs, and `xavier_U` is twice as wide in variance as Glorot's, as in CIANNA.

    Args:
        rng: of the numbers.
        rule: `"xavier"` (normal, variance 2 / (first + second)), `"xavier_U"` (uniform, half-width
            sqrt(12 / (first + second))), `"lecun"` (normal, variance 1 / first), `"lecun_U"` (uniform, half-width
            sqrt(3 / first)), `"normal"` (deviation 1) or `"uniform"` (half-width 1); another name is `"xavier"`.
        shape: of the weights.
        first: see above.
        second: see above.
        scaling: factor of all.

    Returns:
        float32 array of that shape.

    Example:
        >>> import numpy as np
        >>> from astrokeras.cianna.initializers import draw
        >>> draw(np.random.default_rng(0), "lecun_U", (2, 3), 3, 2).shape
        (2, 3)
    """
    width = {
        "xavier_U": math.sqrt(12 / (first + second)),
        "lecun": math.sqrt(1 / first),
        "lecun_U": math.sqrt(3 / first),
        "normal": 1.0,
        "uniform": 1.0,
    }.get(rule, math.sqrt(2 / (first + second)))
    if rule in ("xavier_U", "lecun_U", "uniform"):
        numbers = rng.uniform(-1, 1, shape)
    else:
        numbers = rng.standard_normal(shape)
    return (numbers * width * scaling).astype("float32")


def scaling_of(rule: str, scaling: float) -> float:
    """Return the factor of the weights; negative means none, which two rules do not allow."""
    if scaling < 0 and rule in ("normal", "uniform"):
        raise ValueError(f"Expected init_scaling with init_fct={rule!r}, whose width it is; received none.")
    return 1.0 if scaling < 0 else float(scaling)
