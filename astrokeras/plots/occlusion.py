"""Where an answer comes from: an occluded image, the map of differences, and both in one."""

from typing import TYPE_CHECKING

import numpy as np

from astrokeras.plots.blank import blank_figure
from astrokeras.plots.style import TITLE

if TYPE_CHECKING:
    from matplotlib.animation import FuncAnimation
    from matplotlib.figure import Figure

COLOURS = "RdBu_r"  # red: hiding lowers the answer; ColorBrewer counts it among those that all eyes tell apart


def occlusion(image, occluded, found, title: str = "", *, what: str = "lost when hidden") -> "Figure":
    """Draw an image with one window hidden, the map of differences, and the map over the image.

    Any map of an explanation fits in place of the occlusion map (`explain.saliency`, `explain.grad_cam`). Cubes are
    seen along z: their maximum, and of the map the value farthest from zero.

    Args:
        image: `([z, [y,]] x, channels)`, uint8, or floats of any range (0..1 and 0..255 are shown as they are).
        occluded: of the same shape, the image with one window hidden (`explain.Occlusion.occluded`), or `None` to show
            the image itself there.
        found: `([z, [y,]] x)`, the map: positive where hiding lowers the answer.
        title: above the figure.
        what: name of the map's values, at the colours.

    Returns:
        A matplotlib Figure of three panels.

    Raises:
        ValueError: if the shapes do not fit.

    Reference:
        Course, ImageNet practical: occluded input beside the map, and the map over the image.

    Example:
        >>> import numpy as np, astrokeras
        >>> image, found = np.zeros((8, 8, 3)), np.eye(8)
        >>> figure = astrokeras.plots.occlusion(image, image + 0.5, found)
        >>> [axes.get_title() for axes in figure.axes[:3]]
        ['one window hidden', 'difference map', 'over the image']
    """
    image, found = np.asarray(image), np.asarray(found, "float32")
    hidden = image if occluded is None else np.asarray(occluded)
    if image.shape[:-1] != found.shape or hidden.shape != image.shape or found.ndim not in (1, 2, 3):
        raise ValueError(
            "Expected image and occluded image ([z, [y,]] x, channels) and a map ([z, [y,]] x) of the same pixels; "
            f"received shapes {image.shape}, {hidden.shape} and {found.shape}."
        )
    titles = ["image", "map"] if occluded is None else ["one window hidden", "difference map"]
    titles.append("over the image")
    if found.ndim == 1:
        return _spectrum(image, hidden, found, titles, title, what)
    image, hidden, found = (_flat(values, found.ndim) for values in (image, hidden, found))
    shown, hidden = _shown(image, image), _shown(hidden, image)
    limit = _limit(found)
    y, x = found.shape
    tall = float(np.clip(3.6 * y / x, 2.0, 6.0))
    figure = blank_figure(3 * max(tall * x / y, 2.4) + 1.6, tall + 0.9)
    panels = figure.subplots(1, 3, sharey=True)
    _picture(panels[0], hidden)
    drawn = panels[1].imshow(found, cmap=COLOURS, vmin=-limit, vmax=limit, extent=(0, x, y, 0), interpolation="nearest")
    _picture(panels[2], _overlay(shown, found, limit))
    for axes, name in zip(panels, titles, strict=True):
        axes.set(xlabel="x (pixels)")
        axes.set_title(name, fontsize=TITLE)
    panels[0].set_ylabel("y (pixels)")
    figure.colorbar(drawn, ax=panels, label=what, fraction=0.03, pad=0.01)
    if title:
        figure.suptitle(title)
    return figure


def occlusion_animation(
    image, fill, boxes, differences, title: str = "", *, interval: int = 100, what: str = "lost when hidden"
) -> "FuncAnimation":
    """Animate the window that moves over the image while the map fills in.

    Show it in a notebook with `IPython.display.HTML(animation.to_jshtml())`, or save it: `animation.save("map.gif")`.

    Args:
        image: `(y, x, channels)`, as in `explain.Occlusion.image`.
        fill: `(y, x, channels)`, what the windows show instead (`.fill`).
        boxes: `(windows, 4)` `(x_min, y_min, x_max, y_max)` in pixels (`.boxes`).
        differences: `(windows,)`, what the answer loses (`.differences`).
        title: above the figure.
        interval: between two windows, in milliseconds.
        what: name of the map's values, at the colours.

    Returns:
        A matplotlib animation with one frame per window.

    Raises:
        ValueError: if the shapes do not fit.

    Reference:
        Course, ImageNet practical with the occlusion animation.

    Example:
        >>> import numpy as np, astrokeras
        >>> boxes = np.array([[0, 0, 4, 4], [4, 0, 8, 4]])
        >>> animation = astrokeras.plots.occlusion_animation(np.zeros((4, 8, 1)), np.ones((4, 8, 1)), boxes, [0.1, 0.7])
        >>> "frames" in animation.to_jshtml()
        True
    """
    from matplotlib.animation import FuncAnimation
    from matplotlib.patches import Rectangle

    image, fill, boxes = np.asarray(image), np.asarray(fill), np.asarray(boxes, int)
    differences = np.asarray(differences, "float64")
    if image.ndim != 3 or fill.shape != image.shape or boxes.shape != (len(differences), 4) or not len(boxes):
        raise ValueError(
            "Expected image and fill (y, x, channels), boxes (windows, 4) and as many differences; received shapes "
            f"{image.shape}, {fill.shape}, {boxes.shape} and {differences.shape}."
        )
    shown, drawn_fill = _shown(image, image), _shown(fill, image)
    y, x = image.shape[:2]
    limit = _limit(differences)
    tall = float(np.clip(4.0 * y / x, 2.4, 6.5))
    figure = blank_figure(2 * max(tall * x / y, 2.4) + 1.6, tall + 0.9)
    left, right = figure.subplots(1, 2, sharey=True)
    input_drawn, map_drawn = _picture(left, shown), _picture(right, shown)
    frame = right.add_patch(Rectangle((0, 0), 1, 1, fill=False, edgecolor="black", linewidth=1.5))
    left.set(title="occluded input", xlabel="x (pixels)", ylabel="y (pixels)")
    right.set(title="difference map", xlabel="x (pixels)")
    figure.colorbar(_colours(limit), ax=[left, right], label=what, fraction=0.03, pad=0.01)
    if title:
        figure.suptitle(title)
    total, count = np.zeros((y, x)), np.zeros((y, x))

    def draw(index: int) -> tuple:
        if index == 0:
            total[:], count[:] = 0, 0
        x_min, y_min, x_max, y_max = boxes[index]
        window = slice(y_min, y_max), slice(x_min, x_max)
        hidden = shown.copy()
        hidden[window] = drawn_fill[window]
        input_drawn.set_data(hidden)
        total[window] += differences[index]
        count[window] += 1
        mean = total / np.maximum(count, 1)
        map_drawn.set_data(_overlay(shown, mean, limit))
        frame.set_bounds(x_min, y_min, x_max - x_min, y_max - y_min)
        return input_drawn, map_drawn, frame

    return FuncAnimation(figure, draw, frames=len(boxes), interval=interval, init_func=lambda: ())


def _picture(axes, colours: np.ndarray):
    y, x = colours.shape[:2]
    return axes.imshow(colours, extent=(0, x, y, 0), interpolation="nearest")


def _colours(limit: float):
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    return ScalarMappable(Normalize(-limit, limit), COLOURS)


def _overlay(shown: np.ndarray, found: np.ndarray, limit: float) -> np.ndarray:
    """Lay the colours of the map over the image in grey: the stronger, the less of the image is seen."""
    grey = np.repeat(0.25 + 0.6 * shown.mean(axis=-1, keepdims=True), 3, axis=-1)
    strength = 0.75 * np.clip(np.abs(found) / limit, 0, 1)[..., None] ** 0.7
    return (1 - strength) * grey + strength * _colours(limit).to_rgba(found)[..., :3]


def _limit(found: np.ndarray) -> float:
    return float(np.abs(found).max()) or 1.0


def _flat(values: np.ndarray, dims: int) -> np.ndarray:
    """Look at a cube along z: the brightest value of an image, the strongest of a map."""
    if dims == 2:
        return values
    if values.ndim == 4:
        return values.max(axis=0)
    return np.take_along_axis(values, np.abs(values).argmax(axis=0)[None], axis=0)[0]


def _shown(values: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Return colours `(y, x, 3)` in 0..1, on the scale of the image."""
    low, high = 0.0, 1.0
    if image.dtype == np.uint8 or (image.min() >= 0 and 1 < image.max() <= 255):
        high = 255.0
    elif image.min() < 0 or image.max() > 1:
        low, high = np.percentile(image, (1, 99.5))
    values = np.clip((values.astype("float32") - low) / max(float(high - low), 1e-30), 0, 1)
    return values if values.shape[-1] == 3 else np.repeat(values.mean(axis=-1, keepdims=True), 3, axis=-1)


def _spectrum(
    image: np.ndarray, hidden: np.ndarray, found: np.ndarray, titles: list, title: str, what: str
) -> "Figure":
    figure = blank_figure(9, 6.4)
    panels = figure.subplots(3, 1, sharex=True)
    edges, limit = np.arange(len(found) + 1), _limit(found)
    for axes, values in ((panels[0], hidden), (panels[2], image)):
        for index, channel in enumerate(values.T):
            colour = "black" if values.shape[1] == 1 else str(0.6 * index / (values.shape[1] - 1))
            axes.stairs(channel, edges, baseline=None, color=colour, linewidth=0.9)
        axes.set_ylabel("value")
    panels[1].stairs(found, edges, fill=True, color="0.75")
    panels[1].stairs(found, edges, baseline=None, color="black", linewidth=0.9)
    panels[1].axhline(0, color="black", linewidth=0.6)
    panels[1].set_ylabel(what)
    low, high = panels[2].get_ylim()
    mesh = panels[2].pcolormesh(edges, [low, high], found[None], cmap=COLOURS, vmin=-limit, vmax=limit, alpha=0.7)
    mesh.set_zorder(0)
    figure.colorbar(mesh, ax=panels[2], label=what)
    for axes, name in zip(panels, titles, strict=True):
        axes.set_title(name, fontsize=TITLE)
    panels[2].set(xlabel="x (pixels)", xlim=(0, len(found)), ylim=(low, high))
    if title:
        figure.suptitle(title)
    return figure
