"""What every figure and table starts from: an empty Figure, and names for what goes by number."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def blank_figure(width: float, height: float) -> "Figure":
    """Return an empty Figure of so many inches that no window will ever show by itself."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def names_of(names: Sequence[str] | None, count: int) -> list[str]:
    """Return the names as text, or the numbers where there are none."""
    return [str(i) for i in range(count)] if names is None else [str(name) for name in names]


def slanted(names: Sequence[str]) -> dict:
    """Return the arguments of `set_xticks` that keep long names apart."""
    return {"rotation": 45, "ha": "right"} if max(map(len, names)) > 3 else {"rotation": 0, "ha": "center"}
