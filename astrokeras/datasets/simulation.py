"""What the simulators share: the check of their arguments, and parameters drawn one an example."""

from collections.abc import Callable

import numpy as np


def check_at_least(**arguments: tuple[float, float]) -> None:
    """Refuse arguments below their least value, each given as `name=(value, least)`.

    Raises:
        ValueError: naming all of them.
    """
    if any(value < least for value, least in arguments.values()):
        expected = ", ".join(f"{name} >= {least}" for name, (_, least) in arguments.items())
        received = ", ".join(f"{name}={value}" for name, (value, _) in arguments.items())
        raise ValueError(f"Expected {expected}; received {received}.")


def drawer(rng: np.random.Generator, count: int) -> Callable[[float, float], np.ndarray]:
    """Return `draw(low, high)`: one random float32 an image, shaped `(count, 1, 1)` to broadcast with `(n, y, x)`."""

    def draw(low: float, high: float) -> np.ndarray:
        return rng.uniform(low, high, (count, 1, 1)).astype("float32")

    return draw
