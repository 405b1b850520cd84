"""The latent space of an auto-encoder: where the images lie, and what lies between them."""

import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from astrokeras.plots.blank import blank_figure, names_of
from astrokeras.plots.image_rows import image_rows
from astrokeras.plots.style import colours_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def latent_scatter(
    latent: np.ndarray,
    labels: np.ndarray | None = None,
    names: Sequence[str] | None = None,
    title: str = "",
    *,
    point: float | None = None,
) -> "Figure":
    """Draw latent vectors as points, coloured by class, with each class's name at its median.

    More than two latent variables are reduced to the two principal components.

    Args:
        latent: `(n, variables)`, two variables or more.
        labels: `(n,)` class numbers, or `None` for points of one colour.
        names: of the classes; their numbers where `None`.
        title: above the figure.
        point: area of a point in square points; smaller for more points where `None`.

    Returns:
        A matplotlib Figure.

    Raises:
        ValueError: if there is one variable only, a value is not finite, labels or names do not fit.

    Example:
        >>> import numpy as np, astrokeras
        >>> figure = astrokeras.plots.latent_scatter(np.eye(3, 2), np.array([0, 1, 1]), ["cat", "dog"])
        >>> [text.get_text() for text in figure.axes[0].texts]
        ['cat', 'dog']
    """
    latent = np.asarray(latent, "float64")
    if latent.ndim != 2 or latent.shape[1] < 2 or not len(latent) or not np.isfinite(latent).all():
        raise ValueError(f"Expected finite latent vectors (n, 2 or more); received shape {latent.shape}, or NaN.")
    points, axis_names = latent, ["latent 1", "latent 2"]
    if latent.shape[1] > 2:
        points, shares = _two_components(latent)
        axis_names = [f"component {i + 1} ({100 * share:.0f} % of the variance)" for i, share in enumerate(shares)]
    point = float(np.clip(4e4 / len(points), 1.0, 20.0)) if point is None else point

    figure = blank_figure(7.0 if labels is None else 8.0, 6.6)
    axes = figure.add_subplot()
    axes.set_xlabel(axis_names[0])
    axes.set_ylabel(axis_names[1])
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_title(title)
    if labels is None:
        axes.scatter(points[:, 0], points[:, 1], s=point, linewidths=0)
        return figure
    labels = np.asarray(labels).reshape(-1)
    if labels.shape != latent.shape[:1] or labels.min() < 0:
        raise ValueError(f"Expected {len(latent)} labels from 0 on, one per vector; received shape {labels.shape}.")
    names = names_of(names, int(labels.max()) + 1)
    if len(names) <= labels.max():
        raise ValueError(f"Expected at least {int(labels.max()) + 1} names; received {len(names)}.")
    colours = colours_of(len(names))
    order = np.random.default_rng(0).permutation(len(points))  # no class lies on top of the others
    axes.scatter(points[order, 0], points[order, 1], s=point, c=colours[labels[order]], linewidths=0)
    _name_classes(axes, points, labels, names, colours)
    return figure


def polar_latent_grid(radii: int = 8, angles: int = 60, *, smallest: float = 3.0, largest: float = 25.0) -> np.ndarray:
    """Return the course's regular sampling of a latent space of two variables: circles around the origin.

    Args:
        radii: number of circles.
        angles: points on each, counter-clockwise from the first axis.
        smallest: radius of the inmost circle.
        largest: radius of the outmost; look at `latent_scatter` for how far the images go.

    Returns:
        `(radii * angles, 2)` float32 for `decoder.predict`, circle by circle; `polar_latent_map` draws the images.

    Raises:
        ValueError: if a number is below 1, or not 0 <= `smallest` <= `largest`.

    Reference:
        The course's practical work on auto-encoders (mnist_autoencoder_CIANNA.ipynb): 3 to 25, 8 radii, 60 angles.

    Example:
        >>> import astrokeras
        >>> astrokeras.plots.polar_latent_grid().shape
        (480, 2)
        >>> (astrokeras.plots.polar_latent_grid(2, 4, smallest=1, largest=2).round(3) + 0).tolist()[3:6]
        [[0.0, -1.0], [2.0, 0.0], [0.0, 2.0]]
    """
    if radii < 1 or angles < 1 or not 0 <= smallest <= largest:
        raise ValueError(
            f"Expected radii >= 1, angles >= 1 and 0 <= smallest <= largest; received {radii}, {angles}, {smallest}, "
            f"{largest}."
        )
    angle = np.linspace(0, 2 * np.pi, angles, endpoint=False)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    grid = np.linspace(smallest, largest, radii)[:, None, None] * circle
    return grid.reshape(-1, 2).astype("float32")


def gaussian_latent_grid(side: int = 20) -> np.ndarray:
    """Return a square grid of vectors at the quantiles of the normal distribution.

    Each stands for an equal share of what a variational auto-encoder of two latent variables generates.

    Args:
        side: points on each axis, at the quantiles (i + 1/2) / `side`.

    Returns:
        `(side * side, 2)` float32 for `decoder.predict`, row by row from the top, where the second variable is largest;
        `latent_map` draws the images.

    Raises:
        ValueError: if `side` < 1.

    Reference:
        Kingma & Welling 2014, arXiv:1312.6114, figure 4.

    Example:
        >>> import astrokeras
        >>> astrokeras.plots.gaussian_latent_grid(2).round(3).tolist()
        [[-0.674..., 0.674...], [0.674..., 0.674...], [-0.674..., -0.674...], [0.674..., -0.674...]]
    """
    if side < 1:
        raise ValueError(f"Expected side >= 1; received {side}.")
    values = [statistics.NormalDist().inv_cdf((i + 0.5) / side) for i in range(side)]
    first, second = np.meshgrid(values, values[::-1])
    return np.stack([first, second], axis=-1).reshape(-1, 2).astype("float32")


def latent_map(images, rows: int | None = None, title: str = "", *, size: float = 0.4, cmap: str = "gray") -> "Figure":
    """Draw the images decoded from a grid of latent vectors, where they lie.

    Args:
        images: `(rows * columns, y, x, channels)` with 1 or 3 channels, row by row from the top.
        rows: of the grid; a square one where `None`.
        title: above the figure.
        size: of an image, in inches.
        cmap: colours of images of one channel.

    Returns:
        A matplotlib Figure.

    Raises:
        ValueError: if the images do not fill the rows.

    Example:
        >>> import numpy as np, astrokeras
        >>> grid = astrokeras.plots.gaussian_latent_grid(3)
        >>> figure = astrokeras.plots.latent_map(np.zeros((len(grid), 8, 8, 1)))
        >>> figure.axes[0].images[0].get_array().shape
        (26, 26)
    """
    images = np.asarray(images)
    rows = round(len(images) ** 0.5) if rows is None else rows
    figure = image_rows(_table(images, rows), title=title, size=size, cmap=cmap)
    figure.axes[0].set_xlabel("latent 1 \N{RIGHTWARDS ARROW}")
    figure.axes[0].set_ylabel("latent 2 \N{RIGHTWARDS ARROW}")
    return figure


def polar_latent_map(
    images,
    radii: int = 8,
    title: str = "",
    *,
    smallest: float = 3.0,
    largest: float = 25.0,
    size: float = 0.4,
    cmap: str = "gray",
) -> "Figure":
    """Draw the images decoded from `polar_latent_grid` as the course does: a column a radius, a row an angle.

    Args:
        images: `(radii * angles, y, x, channels)` with 1 or 3 channels, circle by circle.
        radii: number of circles.
        title: above the figure.
        smallest: radius of the first column, for its name.
        largest: radius of the last.
        size: of an image, in inches.
        cmap: colours of images of one channel.

    Returns:
        A matplotlib Figure.

    Raises:
        ValueError: if the images do not fill the circles.

    Example:
        >>> import numpy as np, astrokeras
        >>> figure = astrokeras.plots.polar_latent_map(np.zeros((480, 8, 8, 1)))
        >>> [label.get_text() for label in figure.axes[0].get_xticklabels()][-2:]
        ['21.9', '25']
    """
    table = _table(np.asarray(images), radii).swapaxes(0, 1)
    angles = [f"{360 * i / len(table):.3g}°" for i in range(len(table))]
    circles = [f"{radius:.3g}" for radius in np.linspace(smallest, largest, radii)]
    circles[0] = f"r = {circles[0]}"
    return image_rows(table, angles, circles, title, size=size, cmap=cmap)


def _table(images: np.ndarray, rows: int) -> np.ndarray:
    if images.ndim != 4 or rows < 1 or not len(images) or len(images) % rows:
        raise ValueError(f"Expected images (n, y, x, 1 or 3) that fill {rows} rows; received shape {images.shape}.")
    return images.reshape(rows, -1, *images.shape[1:])


def _two_components(latent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two principal components of each vector, and their shares of the variance."""
    centred = latent - latent.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred)
    return centred @ vectors[:, :-3:-1], values[:-3:-1] / max(values.sum(), np.finfo(float).tiny)


def _name_classes(axes, points: np.ndarray, labels: np.ndarray, names: Sequence[str], colours: np.ndarray) -> None:
    """Write each name at the median of its class, and a legend beside the figure."""
    from matplotlib.patheffects import withStroke

    for label in np.unique(labels):
        colour = colours[label]
        x, y = np.median(points[labels == label], axis=0)
        outline = [withStroke(linewidth=3, foreground="white")]
        axes.text(
            x, y, names[label], ha="center", va="center", fontsize=14, fontweight="bold", color=0.6 * colour
        ).set_path_effects(outline)
        axes.plot([], [], "o", color=colour, label=names[label])
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
