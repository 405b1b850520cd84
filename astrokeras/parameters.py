"""Values that a detector predicts for each box: physical for the user, columns within 0..1 for the network."""

import dataclasses
from collections.abc import Sequence

import keras
import numpy as np

_COMMON = ("Jy", "arcsec", "deg", "km / s", "Jy Hz", "pix")  # known to astropy without importing it, which is slow


@keras.saving.register_keras_serializable(package="astrokeras")
@dataclasses.dataclass(frozen=True)
class Parameter:
    """A physical value of each object, such as its flux, its size or its position angle.

    Users give and get one physical value; `encode` and `decode` turn it into what the network sees and back:

    - `"linear"` and `"log"`: one column, 0 at the lower end of the range and 1 at the upper one. Values beyond the
      range go beyond 0..1 without a clip; the head limits what it predicts (by default to -0.2..1.2).
    - an angle: two columns, `(cos(t) + 1) / 2` and `(sin(t) + 1) / 2` with `t = 360 / angle * value`, so that both ends
      of the period meet. (CIANNA's SDC1 uses `cos(PA)` and `(sin(PA) + 1) / 2` of -90..90, which jump at 90.)

    The physical value does not change when an image is zoomed. Angles turn with the image: see `oriented`.

    Args:
        name: also the name of the column in catalogues.
        unit: as astropy reads it, text or `astropy.units` object; degrees for angles.
        scale: `"linear"` or `"log"`.
        range: lowest and highest physical value, in the unit; not for angles.
        angle: period in degrees: 180 (an axis; values in -90..90), 360 (a direction; values in 0..360) or `None`.
        zero: the image axis, `"x"` or `"y"`, along which the angle is 0. It grows from x towards y: counter-clockwise
            in an image drawn with `origin="lower"`. With north up and east left, position angles (east of north) have
            `zero="y"`. For a period of 180 both give the same, and so does a clockwise angle.

    Raises:
        ValueError: if an argument is none of these, or the range is empty, or not above 0 with `"log"`.

    Example:
        >>> from astrokeras.parameters import Parameter
        >>> flux = Parameter("flux", "Jy", scale="log", range=(1e-7, 1e-3))
        >>> flux.encode([1e-7, 1e-5, 1e-3]).tolist()
        [[0.0], [0.5], [1.0]]
    """

    name: str
    unit: str | None = None
    scale: str = "linear"
    range: tuple[float, float] = (0.0, 1.0)
    angle: int | None = None
    zero: str = "x"

    def __post_init__(self) -> None:
        """Check, and keep plain Python values only."""
        if not isinstance(self.name, str) or not self.name:
            raise ValueError(f"Expected a name for the parameter; received {self.name!r}.")
        low, high = map(float, self.range)
        object.__setattr__(self, "range", (low, high))
        object.__setattr__(self, "unit", _unit(self))
        if self.scale not in ("linear", "log"):
            raise ValueError(f'Expected scale "linear" or "log" for {self.name}; received {self.scale!r}.')
        if self.angle not in (None, 180, 360) or self.zero not in ("x", "y"):
            raise ValueError(
                f'Expected angle None, 180 or 360 and zero "x" or "y" for {self.name}; received angle={self.angle!r}, '
                f"zero={self.zero!r}."
            )
        if self.angle and (self.scale, self.range) != ("linear", (0.0, 1.0)):
            raise ValueError(
                f"Expected no scale and no range for the angle {self.name}, whose period says all; received "
                f"scale={self.scale!r}, range={self.range}."
            )
        if not (np.isfinite(low) and np.isfinite(high) and low < high) or (self.scale == "log" and low <= 0):
            above = " 0 <" if self.scale == "log" else ""
            raise ValueError(
                f"Expected a range (low, high) with{above} low < high for {self.name}; received {low, high}."
            )

    @property
    def columns(self) -> int:
        """Number of columns of the network: 2 for an angle, else 1."""
        return 2 if self.angle else 1

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Turn physical values `(...)` into the network's columns `(..., columns)`, float32.

        Raises:
            ValueError: if a value is not finite, or not above 0 with `scale="log"`.

        Example:
            >>> from astrokeras.parameters import Parameter
            >>> Parameter("pa", angle=180).encode([0, 45, 90]).round(2).tolist()
            [[1.0, 0.5], [0.5, 1.0], [0.0, 0.5]]
        """
        values = np.asarray(values, "float64")
        log = self.scale == "log"
        bad = ~np.isfinite(values) | (log & (values <= 0))
        if bad.any():
            first = np.argwhere(bad)[0]
            raise ValueError(
                f"Expected finite {self.name}{' > 0 (its scale is logarithmic)' * log}; received "
                f"{values[tuple(first)]:g} at index {first.tolist()}: correct it or drop the object."
            )
        return self._encoded(values, np).astype("float32")

    def decode(self, columns: np.ndarray) -> np.ndarray:
        """Turn the network's columns `(..., columns)` into physical values `(...)`, float32.

        Angles come back in (-90, 90] for a period of 180 and in [0, 360) for 360.

        Example:
            >>> from astrokeras.parameters import Parameter
            >>> Parameter("pa", angle=180).decode([[0.5, 1.0], [0.5, 0.0]]).tolist()
            [45.0, -45.0]
        """
        columns = np.asarray(columns, "float64")
        if self.angle:
            turn = np.arctan2(columns[..., 1] - 0.5, columns[..., 0] - 0.5)
            return self._wrapped(np.rad2deg(turn) * (self.angle / 360))
        low, high = np.log(self.range) if self.scale == "log" else self.range
        values = low + columns[..., 0] * (high - low)
        return (np.exp(values) if self.scale == "log" else values).astype("float32")

    def oriented(
        self, values: np.ndarray, *, transpose: bool = False, flip_x: bool = False, flip_y: bool = False
    ) -> np.ndarray:
        """Return the values `(...)` after x and y were exchanged, then x, then y flipped; only angles change.

        All flips and quarter turns are made of these three: a quarter turn from x towards y is `transpose` and
        `flip_x`, one from y towards x `transpose` and `flip_y`.

        Example:
            >>> from astrokeras.parameters import Parameter
            >>> Parameter("pa", angle=180).oriented([30.0, 80.0], flip_x=True).tolist()
            [-30.0, -80.0]
            >>> Parameter("direction", angle=360).oriented([30.0, 280.0], transpose=True, flip_x=True).tolist()
            [120.0, 10.0]
        """
        values = np.asarray(values)
        if not self.angle:
            return values
        first = 90 if self.zero == "y" else 0
        angles = values.astype("float64") + first
        if transpose:
            angles = 90 - angles
        if flip_x:
            angles = 180 - angles
        if flip_y:
            angles = -angles
        return self._wrapped(angles - first)

    def _encoded(self, values, xp):
        """Do what `encode` does, for NumPy or `keras.ops`, without looking at the values."""
        if self.angle:
            turn = values * (2 * np.pi / self.angle)
            return xp.stack([xp.cos(turn), xp.sin(turn)], axis=-1) / 2 + 0.5
        low, high = (float(end) for end in (np.log(self.range) if self.scale == "log" else self.range))
        return (((xp.log(values) if self.scale == "log" else values) - low) / (high - low))[..., None]

    def _wrapped(self, angles):
        if self.angle == 360:
            angles = np.mod(angles, 360).astype("float32")
            return np.where(angles == 360, np.float32(0), angles)  # rounded up
        angles = (90 - np.mod(90 - angles, 180)).astype("float32")
        return np.where(angles == -90, np.float32(90), angles)

    def get_config(self) -> dict:
        """Return the arguments as plain values."""
        return dataclasses.asdict(self) | {"range": list(self.range)}

    @classmethod
    def from_config(cls, config: dict) -> "Parameter":
        """Make the parameter of such a config."""
        return cls(**config)


def columns(parameters: Sequence[Parameter]) -> int:
    """Return how many columns of the network these parameters take.

    Example:
        >>> from astrokeras.parameters import Parameter, columns
        >>> columns([Parameter("flux"), Parameter("pa", angle=180)])
        3
    """
    return sum(parameter.columns for parameter in parameters)


def encode(parameters: Sequence[Parameter], values: np.ndarray, where: np.ndarray | None = None) -> np.ndarray:
    """Turn physical values into the network's columns.

    Args:
        parameters: P of them.
        values: `(..., P)`, physical; a tensor is encoded where it is, unchecked.
        where: `(...)` bool, the objects that are there; the others (padding) get zeros and are not checked.

    Returns:
        `(..., columns)` float32.

    Raises:
        ValueError: if the last axis is not P, or a value does not suit its parameter.

    Example:
        >>> from astrokeras.parameters import Parameter, encode
        >>> encode([Parameter("size", "arcsec", range=(0, 4)), Parameter("pa", angle=180)], [[1, 0]]).tolist()
        [[0.25, 1.0, 0.5]]
    """
    if keras.ops.is_tensor(values):
        values = keras.ops.cast(values, "float32")
        parts = []
        for i, parameter in enumerate(parameters):
            value = values[..., i] if where is None else keras.ops.where(where, values[..., i], parameter.range[1])
            parts.append(parameter._encoded(value, keras.ops))
        encoded = keras.ops.concatenate(parts, axis=-1)
        return encoded if where is None else keras.ops.where(where[..., None], encoded, 0.0)
    values = _checked(values, len(parameters), "values")
    if where is not None:
        where = np.asarray(where, bool)[..., None]
        values = np.where(where, values, [parameter.range[0] for parameter in parameters])
    parts = [parameter.encode(values[..., i]) for i, parameter in enumerate(parameters)]
    encoded = np.concatenate([_no_columns(values), *parts], axis=-1)
    return encoded if where is None else np.where(where, encoded, np.float32(0))


def decode(parameters: Sequence[Parameter], columns: np.ndarray) -> np.ndarray:
    """Turn the network's columns into physical values.

    Args:
        parameters: P of them.
        columns: `(..., columns)`, as `encode` makes them and the network predicts them.

    Returns:
        `(..., P)` float32, physical.

    Raises:
        ValueError: if the last axis is not the number of columns.

    Example:
        >>> from astrokeras.parameters import Parameter, decode
        >>> decode([Parameter("size", "arcsec", range=(0, 4)), Parameter("pa", angle=180)], [[0.25, 1.0, 0.5]]).tolist()
        [[1.0, 0.0]]
    """
    widths = [parameter.columns for parameter in parameters]
    columns = _checked(columns, sum(widths), "columns")
    parts = np.split(columns, np.cumsum(widths)[:-1].astype(int), axis=-1)
    parts = [parameter.decode(part)[..., None] for parameter, part in zip(parameters, parts, strict=bool(widths))]
    return np.concatenate([_no_columns(columns), *parts], axis=-1)


def per_column(parameters: Sequence[Parameter], values: Sequence[float]) -> list[float]:
    """Repeat one value of each parameter for each of its columns, such as `param_scales` of the loss.

    Raises:
        ValueError: if there are not as many values as parameters.

    Example:
        >>> from astrokeras.parameters import Parameter, per_column
        >>> per_column([Parameter("flux"), Parameter("pa", angle=180)], [2.0, 0.5])
        [2.0, 0.5, 0.5]
    """
    if len(values) != len(parameters):
        raise ValueError(
            f"Expected one value for each of the {len(parameters)} parameters; received {len(values)} values."
        )
    return [float(v) for parameter, v in zip(parameters, values, strict=True) for _ in range(parameter.columns)]


def _unit(parameter: Parameter) -> str | None:
    unit = parameter.unit
    if unit is None:
        return "deg" if parameter.angle else None
    if isinstance(unit, str) and unit in _COMMON and (unit == "deg" or not parameter.angle):
        return unit
    from astropy import units

    try:
        known = units.Unit(unit)
    except (ValueError, TypeError):
        raise ValueError(f"Expected a unit that astropy knows for {parameter.name}; received {unit!r}.") from None
    if parameter.angle and known != units.deg:
        raise ValueError(f'Expected unit "deg" for the angle {parameter.name}; received {unit!r}.')
    return unit if isinstance(unit, str) else known.to_string()


def _checked(array, width, what):
    array = np.asarray(array, "float64")
    if array.ndim == 0 or array.shape[-1] != width:
        raise ValueError(f"Expected {what} (..., {width}) for these parameters; received shape {array.shape}.")
    return array


def _no_columns(array):
    return np.zeros((*array.shape[:-1], 0), "float32")
