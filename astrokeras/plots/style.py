"""One style for all figures: colours that colour-blind eyes tell apart, sizes of text, plain axes.

Reference: Okabe & Ito 2008, "Color Universal Design" (the first seven).
"""

import numpy as np

BLUE, ORANGE, GREEN, PINK = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
SKY, VERMILION, YELLOW = "#56B4E9", "#D55E00", "#F0E442"
COLOURS = (BLUE, ORANGE, GREEN, PINK, SKY, VERMILION, YELLOW, "#882255", "#661100", "#4D004B")
SMALL, TITLE = 8, 10  # points


def colours_of(count: int) -> np.ndarray:
    """Return so many colours, `(count, 3)` in 0..1; beyond ten they come from a rainbow and need names beside them."""
    from matplotlib import colormaps
    from matplotlib.colors import to_rgb

    if count <= len(COLOURS):
        return np.array([to_rgb(colour) for colour in COLOURS[:count]]).reshape(-1, 3)
    return colormaps["turbo"](np.linspace(0, 1, count))[:, :3]


def box_colour(label: int, dims: int) -> np.ndarray:
    """Return the colour of a class whose boxes lie on a picture, bright, or (1-D) on white, darker."""
    from matplotlib.colors import hsv_to_rgb, to_rgb

    bright = (ORANGE, SKY, GREEN, YELLOW, PINK, VERMILION, BLUE)
    known = 0 <= label < len(bright)
    colour = np.array(to_rgb(bright[label]) if known else hsv_to_rgb(((0.09 + 0.618034 * label) % 1, 0.8, 1.0)))
    return colour if dims > 1 else 0.75 * colour


def grid(axes) -> None:
    """Draw a pale grid behind everything, and no frame at the top and right."""
    axes.grid(color="0.92")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def plain_ticks(axis) -> None:
    """Number a logarithmic axis at 1, 2, 5, 10, ... in plain figures."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
