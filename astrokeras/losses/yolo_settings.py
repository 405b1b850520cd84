"""The settings of the YOLO loss: CIANNA's defaults filled in, mistakes refused."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import numpy as np
from keras import ops

from astrokeras.boxes import IOU_KINDS
from astrokeras.layers.yolo_head import PARTS, check_priors, fill_slopes

SCALES = {"position": 2.0, "size": 2.0, "probability": 1.0, "objectness": 2.0, "classes": 1.0, "params": 1.0}
_LIMITS = (
    "good low_best probability objectness classes params difficult_iou difficult_objectness".split(),
    {
        "iou": (0.5, 0.1, 0, 0, 0.2, 0.2, 0.5, 0.3),
        "giou": (0.4, -0.5, -1, -1, -0.3, -0.3, 0.4, 0.2),
        "diou": (0.3, -0.6, -1, -1, -0.5, -0.5, 0.3, 0.1),
        "diou2": (0.3, -0.5, -1, -1, -0.4, -0.4, 0.3, 0.1),
    },
)
LIMITS = {kind: dict(zip(_LIMITS[0], map(float, values), strict=True)) for kind, values in _LIMITS[1].items()}
STARTUP = 64_000  # images, CIANNA's default
_PRIOR_DISTANCES = ("iou", "size", "offset")
_RATES = ("best_prior_rate", "random_rate")


@dataclass
class YoloSettings:
    """Complete settings of `YoloLoss`, which tells what they mean.

    Raises:
        ValueError: if a value is out of range, or a key of a dict is unknown (with the known ones).

    Example:
        >>> from astrokeras.losses import YoloSettings
        >>> YoloSettings(priors=[[24, 24]], cell=(32, 32), iou="diou").limits["good"]
        0.3
    """

    priors: Sequence[Sequence[float]]
    cell: Sequence[float]
    classes: int = 0
    params: int = 0
    iou: str = "giou"
    prior_distance: str = "size"
    scales: dict[str, float] = field(default_factory=dict)
    param_scales: Sequence[float] | None = None
    limits: dict[str, float] = field(default_factory=dict)
    fit: dict[str, int] = field(default_factory=dict)
    noobj: float | Sequence[float] = 0.2
    strict_priors: int = 0
    best_prior_rate: float = 0.0
    random_rate: float = 0.0
    random_startup: int | None = None
    smallest_prior_scale: float = 0.0
    class_softmax: bool = False
    slopes: dict[str, Sequence[float]] | None = None
    fit_dims: int | None = None
    difficult: bool = False

    def __post_init__(self):
        """Fill in and check."""
        self.priors, self.fit_dims = check_priors(self.priors, self.fit_dims)
        self.cell = tuple(float(side) for side in np.atleast_1d(self.cell))
        if not self.fit_dims <= len(self.cell) <= 3 or not min(self.cell) > 0:
            raise ValueError(
                f"Expected cell as the size of a grid cell in pixels, x first, on {self.fit_dims} to 3 axes; received "
                f"{self.cell}."
            )
        self.classes, self.params = int(self.classes), int(self.params)
        _one_of("iou", self.iou, IOU_KINDS)
        _one_of("prior_distance", self.prior_distance, _PRIOR_DISTANCES)
        self.scales = _filled("scales", self.scales, SCALES)
        self.limits = _filled("limits", self.limits, LIMITS[self.iou])
        absent = {"classes": self.classes, "params": self.params}
        self.fit = _filled("fit", self.fit, {part: 1 for part in PARTS})
        self.fit = {part: -1 if absent.get(part) == 0 else int(value) for part, value in self.fit.items()}
        for part, value in self.fit.items():
            _one_of(f"fit[{part!r}]", value, (1, 0, -1))
        self.noobj = _row("noobj", self.noobj, len(self.priors), "boxes")
        self.param_scales = _row(
            "param_scales", 1.0 if self.param_scales is None else self.param_scales, self.params, "params"
        )
        self.slopes = fill_slopes(self.slopes)
        for name in _RATES:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"Expected {name} in 0..1; received {getattr(self, name)}.")
        for name in ("strict_priors", "smallest_prior_scale", "random_startup"):
            if (getattr(self, name) or 0) < 0:
                raise ValueError(f"Expected {name} >= 0; received {getattr(self, name)}.")
        self.class_softmax, self.difficult = bool(self.class_softmax), bool(self.difficult)

    @classmethod
    def checked(cls, priors, cell, classes: int, params: int, **settings) -> "YoloSettings":
        """Make settings, and refuse an unknown one with the list of the known ones."""
        known = [item.name for item in fields(cls)]
        unknown = sorted(set(settings) - set(known))
        if unknown:
            raise ValueError(
                f"Expected the settings of YoloLoss to be among {', '.join(known[4:])}; received {', '.join(unknown)}."
            )
        return cls(priors, cell, classes, params, **settings)

    @property
    def sides(self) -> np.ndarray:
        """`(boxes, grid axes)`: the priors, at least 1 pixel, and 1 on axes that are not fitted."""
        sides = np.ones((len(self.priors), len(self.cell)), "float32")
        sides[:, : self.fit_dims] = np.maximum(1, np.asarray(self.priors, "float32")[:, : self.fit_dims])
        return sides

    @property
    def chances(self) -> list[str]:
        """Names of the rates that make the association random."""
        return [name for name in _RATES if 0 < getattr(self, name) < 1]

    def size_target(self, side, prior):
        """Return the log of object size / prior, cut to the limits of the size."""
        _, most, least = self.slopes["size"]
        return ops.clip(ops.log(ops.maximum(side / prior, 1e-30)), least, most)

    def to_dict(self) -> dict:
        """Return plain values, complete, for a config."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        values["cell"] = list(self.cell)
        values["slopes"] = {part: list(limits) for part, limits in self.slopes.items()}
        return values


def _one_of(name: str, value, known) -> None:
    if value not in known:
        raise ValueError(f"Expected {name} to be one of {', '.join(map(str, known))}; received {value!r}.")


def _filled(name: str, given: dict, defaults: dict) -> dict:
    unknown = sorted(set(given or {}) - set(defaults))
    if unknown:
        raise ValueError(
            f"Expected the keys of {name} to be among {', '.join(defaults)}; received {', '.join(unknown)}."
        )
    return defaults | {key: float(value) for key, value in (given or {}).items()}


def _row(name: str, values, length: int, what: str) -> list[float]:
    row = np.ravel(np.asarray(values, "float64"))
    row = np.repeat(row, length) if row.size == 1 else row
    if len(row) != length:
        raise ValueError(f"Expected {name} as one number, or one for each of {length} {what}; received {len(row)}.")
    return [float(value) for value in row]
