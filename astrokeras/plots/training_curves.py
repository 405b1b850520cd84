"""Loss and metrics against the epoch."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from astrokeras.plots.blank import blank_figure
from astrokeras.plots.style import SMALL, TITLE, colours_of, grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FEW = 30  # epochs up to which each has a point
RING = "lowest validation loss"
ACROSS = 3, 5  # columns of the legend, at most, below one panel and below several
WIDE = 30  # largest over smallest value from which on an axis is logarithmic


def training_curves(history, names: Sequence[str] | None = None, title: str = "") -> "Figure":
    """Draw the loss and each metric against the epoch: training solid, validation dashed.

    A ring marks the lowest validation loss of each run. Losses and learning rates that span over a factor of 30 have a
    logarithmic axis. Values that are not finite are left out.

    Args:
        history: what `fit` returns, or its dict (quantity -> one value per epoch), or a dict of several of them by
            name. With the numbers of the epochs as `"epoch"`, from 0, the columns of a `CSVLogger` file do too.
        names: quantities to draw, without `val_`; all where `None`, the loss first and the learning rate last.
        title: above the figure.

    Returns:
        A matplotlib Figure of one panel a quantity.

    Raises:
        ValueError: if there is no epoch, a name is unknown, or a quantity has more values than epochs.

    Example:
        >>> import astrokeras
        >>> history = {"loss": [0.9, 0.5, 0.4], "val_loss": [0.8, 0.6, 0.7], "accuracy": [0.6, 0.8, 0.9]}
        >>> [axes.get_ylabel() for axes in astrokeras.plots.training_curves(history).figure.axes]
        ['loss', 'accuracy']
    """
    from matplotlib.lines import Line2D

    runs = {name: _columns(name, one) for name, one in _named(history).items()}
    known = _quantities(runs)
    names = known if names is None else list(names)
    wrong = [name for name in names if name not in known]
    if wrong or not names:
        raise ValueError(f"Expected names among {', '.join(known)}; received {', '.join(wrong) or 'none'}.")
    columns = min(len(names), 3)
    rows = -(-len(names) // columns)
    figure = blank_figure(max(4.1 * columns, 5.2), 3.1 * rows + 0.4)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    colours = colours_of(max(len(runs), 2))
    for axes, quantity in zip(panels, names, strict=False):
        _draw(axes, quantity, runs, colours)
    for axes in panels[len(names) :]:
        axes.remove()
    said = {}
    for axes in panels[: len(names)]:
        said |= {label: handle for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    said = dict(sorted(said.items(), key=lambda one: one[0] == RING))
    across = ACROSS[columns > 1]
    tall = 1 if len(said) <= across else 2 * -(-len(said) // (2 * across))  # even: both curves of a run in one column
    said |= {" " * i: Line2D([], [], linestyle="") for i in range(1, -len(said) % tall + 1)}
    columns = len(said) // tall
    figure.legend(said.values(), said, loc="outside lower center", ncols=columns, fontsize=SMALL, frameon=False)
    if title:
        figure.suptitle(title, fontsize=TITLE)
    return figure


def _named(history) -> dict:
    """Return run -> history; a single one has no name."""
    several = isinstance(history, Mapping) and any(
        isinstance(one, Mapping) or hasattr(one, "history") for one in history.values()
    )
    return dict(history) if several else {"": history}


def _columns(name: str, history) -> dict[str, np.ndarray]:
    """Return the quantities of a run as arrays, and the numbers of its epochs, from 1 on, as `epoch`."""
    values = getattr(history, "history", history)
    if not isinstance(values, Mapping):
        raise ValueError(
            "Expected what fit returns, its dict of lists, or a dict of those by name; received "
            f"{type(values).__name__}."
        )
    columns = {str(key): np.atleast_1d(np.asarray(value, float)) for key, value in values.items()}
    longest = max((len(column) for column in columns.values()), default=0)
    epochs = columns.pop("epoch", np.asarray(getattr(history, "epoch", None) or np.arange(longest), float)) + 1
    wrong = {key: len(column) for key, column in columns.items() if len(column) != len(epochs)}
    if not len(epochs) or not columns or wrong:
        raise ValueError(
            f"Expected one value per epoch of each quantity{f' of {name!r}' * bool(name)}, one epoch or more; received "
            f"{len(epochs)} epochs and {wrong or len(columns) or 'no quantity'}."
        )
    return {"epoch": epochs, **columns}


def _quantities(runs: Mapping) -> list[str]:
    """Return the names without `val_`: the loss first, the learning rate last."""
    found = dict.fromkeys(key.removeprefix("val_") for run in runs.values() for key in run if key != "epoch")
    return sorted(found, key=lambda name: (name == "learning_rate") - (name == "loss"))


def _draw(axes, quantity: str, runs: Mapping, colours: np.ndarray) -> None:
    drawn = []
    for number, (run, columns) in enumerate(runs.items()):
        for part, (key, line) in enumerate({quantity: "-", f"val_{quantity}": "--"}.items()):
            if key not in columns:
                continue
            epochs, values = columns["epoch"], columns[key]
            here = np.isfinite(values)
            epochs, values = epochs[here], values[here]
            label = f"{run}{', ' if run else ''}{('training', 'validation')[part]}"
            colour = colours[number if len(runs) > 1 else part]
            marker = "o" if len(columns["epoch"]) <= FEW else ""
            axes.plot(epochs, values, line, color=colour, marker=marker, markersize=3, linewidth=1.6, label=label)
            drawn.append(values)
            if key == "val_loss" and len(values):
                best = values.argmin()
                ring = {"marker": "o", "markersize": 10, "markerfacecolor": "none", "markeredgewidth": 1.2}
                said = RING if number == 0 else "_lowest"
                axes.plot(epochs[best], values[best], linestyle="", color=colour, label=said, **ring)
    values = np.concatenate([*drawn, np.zeros(0)])
    log = quantity.endswith(("loss", "learning_rate")) and len(values) and values.min() > 0
    if log and values.max() > WIDE * values.min():
        axes.set_yscale("log")
    axes.set(xlabel="epoch", ylabel=quantity.replace("_", " "))
    axes.xaxis.get_major_locator().set_params(integer=True)
    grid(axes)
