"""Draw pixels, boxes and axes as the library counts them: `python docs/figures/conventions.py`."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

BLUE, ORANGE, GREY, GREEN = "#0072B2", "#D55E00", "0.55", "#009E73"


def main() -> None:
    """Write conventions.png beside this script."""
    figure = Figure(figsize=(12, 5.4), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1.45, 1))
    image(left.add_subplot())
    above, below = right.subplots(2, 1, height_ratios=(1, 1.5))
    spectrum(above)
    cube(below)
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=110)


def image(axes) -> None:
    """Draw an image of 6 rows and 8 columns, one pixel of it, and a box."""
    rows, columns = 6, 8
    y, x = np.mgrid[:rows, :columns] + 0.5
    values = np.exp(-(((x - 4) / 2.2) ** 2) - ((y - 2.5) / 1.4) ** 2)
    axes.imshow(values, cmap="gray_r", vmin=0, vmax=2.2, extent=(0, columns, rows, 0))
    for edge in range(columns + 1):
        axes.axvline(edge, color="0.8", linewidth=0.8)
    for edge in range(rows + 1):
        axes.axhline(edge, color="0.8", linewidth=0.8)
    axes.add_patch(Rectangle((3, 2), 1, 1, facecolor=GREEN, alpha=0.35))
    axes.plot(3.5, 2.5, "o", color=GREEN, markersize=6)
    axes.annotate(
        "image[2, 3]: row y = 2, column x = 3\ncentre in boxes: (3.5, 2.5)\ncentre in WCS, columns x and y: (3, 2)",
        (3.5, 2.5),
        (0.1, 5.2),
        color=GREEN,
        ha="left",
        va="center",
        arrowprops={"arrowstyle": "-", "color": GREEN, "relpos": (0.45, 1)},
    )
    axes.add_patch(Rectangle((2, 1), 4, 3, fill=False, edgecolor=BLUE, linewidth=2.5, zorder=3))
    corners = (
        (2, 1, "(x_min, y_min)\n= (2, 1)", 1.9, 0.7, "right"),
        (6, 4, "(x_max, y_max)\n= (6, 4)", 6.1, 4.35, "left"),
    )
    for x, y, text, *place, align in corners:
        axes.plot(x, y, "s", color=BLUE, markersize=7, zorder=4)
        axes.text(*place, text, color=BLUE, ha=align, va="center")
    axes.annotate("", (2, 0.75), (6, 0.75), arrowprops={"arrowstyle": "<->", "color": BLUE, "shrinkA": 0, "shrinkB": 0})
    axes.text(4, 0.5, "width 6 - 2 = 4 pixels", color=BLUE, ha="center", va="center")
    axes.set(xticks=range(columns + 1), yticks=range(rows + 1), xlim=(-0.1, 8.6), ylim=(rows + 0.1, -0.1))
    axes.set_xlabel("x: columns (edges of pixels)")
    axes.set_ylabel("y: rows (edges of pixels)")
    axes.set_title("image (y, x, c), box (x_min, y_min, x_max, y_max)", fontsize=11)
    axes.spines[:].set_visible(False)


def spectrum(axes) -> None:
    """Draw a spectrum and the span of a line."""
    x = np.arange(24)
    values = 1 + 0.8 * np.exp(-(((x + 0.5 - 14) / 1.6) ** 2)) + 0.05 * np.sin(2.4 * x)
    axes.stairs(values, np.arange(25), color="black", baseline=None)
    axes.axvspan(11, 17, color=ORANGE, alpha=0.2)
    for edge, name in ((11, "x_min = 11"), (17, "x_max = 17")):
        axes.axvline(edge, color=ORANGE, linewidth=2)
        axes.text(edge + (0.3 if edge == 17 else -0.3), 1.72, name, color=ORANGE, ha="left" if edge == 17 else "right")
    axes.set(xlim=(0, 24), ylim=(0.8, 1.95), xticks=range(0, 25, 4), yticks=[], xlabel="x: channels (edges)")
    axes.set_title("spectrum (x, c), box (x_min, x_max)", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)


def cube(axes) -> None:
    """Draw a cube and a box in it, seen from a corner."""

    def seen(x, y, z):
        return np.stack([x + 0.55 * z, -y + 0.42 * z], axis=-1)

    def wires(low, high, colour, width, fill=False):
        corner = np.array(np.meshgrid(*zip(low, high, strict=True), indexing="ij")).reshape(3, -1).T
        for i, a in enumerate(corner):
            for b in corner[i + 1 :]:
                if (a != b).sum() == 1:
                    hidden = not fill and (a[2] == b[2] == high[2] or a[2] != b[2]) and max(a[1], b[1]) == high[1]
                    hidden = hidden and min(a[0], b[0]) == low[0]
                    style = ":" if hidden else "-"
                    axes.plot(*seen(*np.array([a, b]).T).T, color=colour, linewidth=width, linestyle=style)
        return corner

    wires((0, 0, 0), (8, 6, 6), GREY, 1.2)
    wires((2, 1, 2), (5, 4, 4), BLUE, 2.2)
    corners = (((2, 1, 2), "(x_min, y_min, z_min)", (2.2, 3.6)), ((5, 4, 4), "(x_max, y_max, z_max)", (8.6, -2.2)))
    for at, text, place in corners:
        axes.plot(*seen(*at), "s", color=BLUE, markersize=6)
        line = {"arrowstyle": "-", "color": BLUE, "linewidth": 0.8}
        white = {"facecolor": "white", "edgecolor": "none", "pad": 1}
        axes.annotate(text, seen(*at), place, color=BLUE, va="center", fontsize=9, arrowprops=line, bbox=white)
    for start, end, name, place in (
        ((0, 6, 0), (8, 6, 0), "x", seen(4, 6.7, 0)),
        ((0, 0, 0), (0, 6, 0), "y", seen(-0.5, 3, 0)),
        ((8, 6, 0), (8, 6, 6), "z (frequency)", seen(8.4, 6.3, 1.9)),
    ):
        axes.annotate("", seen(*end), seen(*start), arrowprops={"arrowstyle": "->", "color": "black"})
        axes.text(*place, name, ha="left" if name[0] == "z" else "center", va="center")
    axes.set(aspect="equal", xlim=(-1.2, 14.5), ylim=(-7.3, 4.1))
    axes.axis("off")
    axes.set_title("cube (z, y, x, c), box of six numbers", fontsize=11)


if __name__ == "__main__":
    main()
