"""What layers see, drawn: feature maps in colours, and filters."""

import math
from typing import TYPE_CHECKING

import numpy as np

from astrokeras.plots.blank import blank_figure
from astrokeras.plots.style import BLUE, GREEN, ORANGE, PINK, SKY, SMALL, VERMILION, YELLOW

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BRIGHT = (ORANGE, SKY, GREEN, YELLOW, PINK, VERMILION, BLUE)  # on black


def feature_maps(maps: np.ndarray, title: str = "", *, most: int = 15, columns: int = 4) -> "Figure":
    """Draw the feature maps of a layer: all in one picture, each in its colour, then one by one.

    Each map is drawn from its smallest value, black, to its largest, its full colour. Up to seven maps have colours
    that all eyes tell apart, more those of a rainbow by their number.

    Args:
        maps: `(y, x, filters)` (`explain.feature_maps`); cubes `(z, y, x, filters)` show their maximum along z, spectra
            `(x, filters)` are lines.
        title: above the figure.
        most: maps drawn one by one; the first ones.
        columns: pictures in a row.

    Returns:
        A matplotlib Figure; the first axes hold the maps laid over one another.

    Raises:
        ValueError: if there are no maps, or a value is not finite.

    Reference:
        Course, slides on convolutional networks: the maps of a layer superimposed in colours.

    Example:
        >>> import numpy as np, astrokeras
        >>> figure = astrokeras.plots.feature_maps(np.random.default_rng(0).random((8, 8, 3)))
        >>> [axes.get_title() for axes in figure.axes]
        ['all 3 maps', '0', '1', '2']
    """
    maps = np.asarray(maps, "float32")
    if maps.ndim not in (2, 3, 4) or not maps.size or not np.isfinite(maps).all():
        raise ValueError(f"Expected finite maps ([z, [y,]] x, filters); received shape {maps.shape}, or NaN.")
    colours = _colours(maps.shape[-1])
    singles = min(maps.shape[-1], most)
    if maps.ndim == 2:
        return _lines(maps, colours, singles, title)
    maps = maps if maps.ndim == 3 else maps.max(axis=0)
    y, x, count = maps.shape
    low, high = maps.min(axis=(0, 1)), maps.max(axis=(0, 1))
    scaled = (maps - low) / np.where(high > low, high - low, 1)
    together = scaled @ colours
    together = together / max(float(together.max()), 1e-30)

    columns = min(columns, 1 + singles)
    rows = math.ceil((1 + singles) / columns)
    size = 1.9
    wide, tall = size * max(x / y, 0.5) ** 0.5, size * max(y / x, 0.5) ** 0.5
    figure = blank_figure(columns * wide + 0.4, rows * (tall + 0.3) + 0.5)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels[1 + singles :]:
        axes.remove()
    pictures = [together, *(scaled[..., index, None] * colours[index] for index in range(singles))]
    names = [f"all {count} maps", *map(str, range(singles))]
    for axes, picture, name in zip(panels, pictures, names, strict=False):
        axes.imshow(picture, extent=(0, x, y, 0), interpolation="nearest")
        axes.set_title(name, fontsize=9)
        axes.set_xticks([])
        axes.set_yticks([])
    panels[0].set_xlabel(f"{x} pixels", fontsize=SMALL)
    panels[0].set_ylabel(f"{y} pixels", fontsize=SMALL)
    if title:
        figure.suptitle(title)
    return figure


def filters(kernels: np.ndarray, title: str = "", *, columns: int | None = None) -> "Figure":
    """Draw filters, each on one scale around zero: blue is negative, red positive.

    Filters over three channels are drawn in colours instead: grey is zero, and each channel is a primary colour.

    Args:
        kernels: `(filters, y, x, channels)` (`explain.first_filters`); `(filters, y, x)` for one channel. Filters over
            other numbers of channels show the mean of their channels, cubes `(filters, z, y, x, channels)` that along
            z, spectra `(filters, x, channels)` with one or three channels are strips.
        title: above the figure.
        columns: filters in a row; as many as rows where `None`.

    Returns:
        A matplotlib Figure.

    Raises:
        ValueError: if the shape is another, or a value is not finite.

    Example:
        >>> import numpy as np, astrokeras
        >>> figure = astrokeras.plots.filters(np.eye(3)[None], "identity")
        >>> len(figure.axes)  # one filter and the colours
        2
    """
    kernels = np.asarray(kernels, "float32")
    if kernels.ndim == 3:
        strips = kernels.shape[-1] in (1, 3) and kernels.shape[1] != kernels.shape[2]
        kernels = kernels[:, None] if strips else kernels[..., None]
    if kernels.ndim == 5:
        kernels = kernels.mean(axis=1)
    if kernels.ndim != 4 or not kernels.size or not np.isfinite(kernels).all():
        raise ValueError(f"Expected finite filters (filters, [z, [y,]] x, channels); received shape {kernels.shape}.")
    count, height, width, channels = kernels.shape
    limit = float(np.abs(kernels).max()) or 1.0
    columns = math.ceil(math.sqrt(count)) if columns is None else max(1, min(columns, count))
    rows = math.ceil(count / columns)
    inch = 1.1 / max(height, width)
    figure = blank_figure(columns * max(inch * width, 0.4) + 1.2, rows * (max(inch * height, 0.25) + 0.3) + 0.5)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels[count:]:
        axes.remove()
    for index, (axes, kernel) in enumerate(zip(panels, kernels, strict=False)):
        if channels == 3:
            axes.imshow(0.5 + 0.5 * kernel / limit, interpolation="nearest")
        else:
            drawn = axes.imshow(kernel.mean(axis=-1), cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
        axes.set_title(str(index), fontsize=SMALL)
        axes.set_xticks([])
        axes.set_yticks([])
    if channels != 3:
        figure.colorbar(drawn, ax=list(panels[:count]), label="weight", fraction=0.05)
    if title:
        figure.suptitle(title)
    return figure


def _colours(count: int) -> np.ndarray:
    """`(count, 3)`."""
    import matplotlib
    from matplotlib.colors import to_rgb

    if count <= len(BRIGHT):
        return np.array([to_rgb(colour) for colour in BRIGHT[:count]], "float32")
    return matplotlib.colormaps["turbo"](np.linspace(0.08, 0.92, count))[:, :3].astype("float32")


def _lines(maps: np.ndarray, colours: np.ndarray, singles: int, title: str) -> "Figure":
    """Draw the maps of a spectrum: all in one panel, then one panel each."""
    figure = blank_figure(9, 2.6 + 0.8 * singles)
    heights = [2.2] + [0.8] * singles
    panels = figure.subplots(1 + singles, 1, sharex=True, squeeze=False, height_ratios=heights).ravel()
    edges = np.arange(len(maps) + 1)
    for index, (values, colour) in enumerate(zip(maps.T, colours, strict=True)):
        panels[0].stairs(values, edges, baseline=None, color=colour)
        if index < singles:
            panels[1 + index].stairs(values, edges, baseline=None, color=colour)
            panels[1 + index].set_ylabel(str(index), rotation=0, ha="right", va="center")
    panels[0].set(title=f"all {maps.shape[1]} maps", ylabel="activation", xlim=(0, len(maps)))
    panels[-1].set_xlabel("x (pixels)")
    if title:
        figure.suptitle(title)
    return figure
