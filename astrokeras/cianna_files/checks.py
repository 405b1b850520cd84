"""What a value of a file may be; a `Problem` says what is wrong, before the place is known."""

import math
import re
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from astrokeras.cianna_files.records import Yolo, activation_values

LARGEST = 2**31  # of an integer, and of the values of a map, which CIANNA counts in 32 bits
RANGE = 2**16  # of a local response normalisation, in channels
NAME = 40  # bytes of a name with the NUL that ends it
_NUMBER = r"(?:[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|inf)"
_ACTIVATION = re.compile(f"LIN|SMAX|YOLO|RELU(_S{_NUMBER})?(_L{_NUMBER})?|LOGI(_S{_NUMBER})?(_B{_NUMBER})?")
_GREATEST = float(np.finfo("float32").max)


class Problem(Exception):
    """What is wrong, before the place is known."""


def check_sizes(what: str, values: Sequence[int], least: int, below: int = LARGEST) -> None:
    """Refuse integers that no file means."""
    if not all(least <= value < below for value in values):
        raise Problem(f"expected {what} of {least} to {below - 1}; received {', '.join(map(str, values))}")


def check_finite(what: str, *values: float) -> None:
    """Refuse what is no finite float32."""
    if not all(abs(value) <= _GREATEST for value in values):  # of NaN too
        raise Problem(f"expected finite {what}; received {', '.join(f'{value:g}' for value in values)}")


def check_dropout(rate: float) -> None:
    """Refuse a rate outside 0..1, as rounded in the text form."""
    if not (0 <= rate and round(rate, 6) < 1):
        raise Problem(f"expected a dropout rate from 0 to below 1; received {rate:g}")


def check_flag(what: str, value: int) -> None:
    """Refuse all but 0 and 1."""
    if value not in (0, 1):
        raise Problem(f"expected {what} to be 0 or 1; received {value}")


def check_activation(activation: str) -> str:
    """Return the name of a known activation."""
    if len(activation) < NAME and _ACTIVATION.fullmatch(activation) and math.isfinite(activation_values(activation)[2]):
        return activation
    raise Problem(f"expected an activation LIN, RELU, LOGI, SMAX or YOLO; received {activation[:NAME]!r}")


def check_yolo(yolo: Yolo, filters: int) -> None:
    """Refuse YOLO settings that do not fit together."""
    if filters != yolo.boxes * (8 + yolo.classes + yolo.params):
        raise Problem(
            f"expected {yolo.boxes} boxes of 8 + {yolo.classes} classes + {yolo.params} parameters to fill {filters} "
            "filters"
        )
    check_sizes("fitted axes", (yolo.fit_dims,), 1, 4)
    if np.shape(yolo.priors) != (yolo.boxes, 3) or np.shape(yolo.slopes) != (6, 3):
        raise Problem(
            f"expected priors ({yolo.boxes}, 3) and slopes (6, 3); received {np.shape(yolo.priors)} and "
            f"{np.shape(yolo.slopes)}"
        )
    if not np.isfinite(yolo.priors).all() or not (yolo.priors[:, : yolo.fit_dims] > 0).all():
        raise Problem(f"expected finite priors, positive on the {yolo.fit_dims} fitted axes")
    slope, most, least = yolo.slopes.T
    if not np.isfinite(yolo.slopes).all() or not ((slope > 0) & (most > least)).all():
        raise Problem("expected slopes > 0 and each maximum above its minimum")


def read_yolo(five: Iterable[int], array: Callable[[int, int], np.ndarray]) -> Yolo:
    """Return YOLO settings of five integers and the two arrays behind them, read when their sizes are sound."""
    boxes, classes, params, fit_dims, softmax = five
    check_sizes("boxes", (boxes,), 1)
    check_sizes("classes and parameters", (classes, params), 0)
    check_flag("softmax of the classes", softmax)
    priors = np.ascontiguousarray(array(3, boxes).T)
    return Yolo(boxes, classes, params, fit_dims, bool(softmax), priors, array(6, 3))
