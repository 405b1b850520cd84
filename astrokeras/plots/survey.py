"""How a catalogue compares with the true sources: completeness and purity against flux, parameters, the image."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import rich.box
import rich.table

from astrokeras.plots.blank import blank_figure
from astrokeras.plots.style import BLUE, SKY, VERMILION, YELLOW

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MATCHED, FALSE, MISSED = SKY, VERMILION, YELLOW
MANY = 400  # sources beyond which lines and crosses are thin


def recovery_by_flux(
    true: np.ndarray, found: np.ndarray, true_rows: np.ndarray, rows: np.ndarray, bins: int | Sequence[float] = 12
) -> dict[str, np.ndarray]:
    """Count completeness, purity and flux recovery in bins of flux.

    Args:
        true: `(sources,)` true fluxes; NaN leaves a source out.
        found: `(detections,)` fluxes of the detections, in the same unit; NaN leaves a detection out.
        true_rows: `(matches,)` row of the true source of each match.
        rows: `(matches,)` row of the detection of each match.
        bins: number of logarithmic bins from the faintest detection to the brightest source, or their edges.

    Returns:
        Dict of arrays: `edges` `(bins + 1,)`; and of `(bins,)`: `true` and `found` counts, `completeness` (bins of true
        flux) and `purity` (bins of found flux) with `_low` and `_high`, Wilson's 68 % interval, `ratio`, the
        median of found over true flux (bins of true flux) with `_low` and `_high`, its 16th and 84th percentile. NaN
        where a bin is empty.

    Raises:
        ValueError: if no flux is above 0, or the rows of the matches differ in number.

    Example:
        >>> import numpy as np
        >>> from astrokeras.plots.survey import recovery_by_flux
        >>> result = recovery_by_flux([1, 2, 20, 30], [3, 20, 33], [2, 3], [1, 2], bins=[1, 10, 100])
        >>> result["completeness"], result["purity"], result["ratio"]
        (array([0., 1.]), array([0., 1.]), array([ nan, 1.05]))
    """
    true, found = np.asarray(true, float), np.asarray(found, float)
    true_rows, rows = np.asarray(true_rows, int), np.asarray(rows, int)
    if true_rows.shape != rows.shape:
        raise ValueError(f"Expected one true row for each row of a match; received {true_rows.shape} and {rows.shape}.")
    if np.ndim(bins) == 0:
        known = np.concatenate([found[found > 0], true[true > 0]])
        if not len(known):
            raise ValueError("Expected fluxes above 0; received none.")
        low = found[found > 0].min(initial=known.max()) if (found > 0).any() else known.min()
        high = known.max() * (1 + 1e-9)
        edges = np.geomspace(low, high if high > low * 1.001 else 2 * low, int(bins) + 1)
    else:
        edges = np.asarray(bins, float)
    result = {"edges": edges}
    for name, flux, good, share in (
        ("true", true, true_rows, "completeness"),
        ("found", found, rows, "purity"),
    ):
        hit = np.zeros(len(flux), bool)
        hit[good] = True
        result[name] = np.histogram(flux[np.isfinite(flux)], edges)[0]
        part = np.histogram(flux[np.isfinite(flux) & hit], edges)[0]
        result |= dict(zip((share, f"{share}_low", f"{share}_high"), _wilson(part, result[name]), strict=True))
    flux = true[true_rows]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = found[rows] / flux
    usable = np.isfinite(ratio)
    flux, ratio = flux[usable], ratio[usable]
    place = np.digitize(flux, edges) - 1
    place[flux == edges[-1]] = len(edges) - 2
    percentiles = np.full((3, len(edges) - 1), np.nan)
    for index in np.unique(place[(place >= 0) & (place < len(edges) - 1)]):
        percentiles[:, index] = np.percentile(ratio[place == index], (50, 16, 84))
    return result | dict(zip(("ratio", "ratio_low", "ratio_high"), percentiles, strict=True))


def recovery_table(result: Mapping[str, np.ndarray], unit: str = "Jy", title: str = "") -> rich.table.Table:
    """Write what `recovery_by_flux` returns as a table for the terminal.

    Args:
        result: what `recovery_by_flux` returns.
        unit: of the fluxes.
        title: above the table.

    Returns:
        A `rich` table of one row a bin.

    Example:
        >>> from astrokeras.plots.survey import recovery_by_flux, recovery_table
        >>> result = recovery_by_flux([1, 2, 20, 30], [3, 20, 33], [2, 3], [1, 2], bins=[1, 10, 100])
        >>> recovery_table(result).row_count
        2
    """
    table = rich.table.Table(title=title or None, box=rich.box.SIMPLE_HEAD)
    for heading in (f"flux ({unit})", "true", "completeness", "found", "purity", "flux ratio"):
        table.add_column(heading, justify="right")
    for index, (low, high) in enumerate(zip(result["edges"][:-1], result["edges"][1:], strict=True)):
        shares = (_share(result[name][index]) for name in ("completeness", "purity", "ratio"))
        complete, pure, ratio = shares
        counts = (f"{result[name][index]}" for name in ("true", "found"))
        true, found = counts
        table.add_row(f"{low:.3g} - {high:.3g}", true, complete, found, pure, ratio)
    return table


def recovery(result: Mapping[str, np.ndarray], unit: str = "Jy", title: str = "") -> "Figure":
    """Draw completeness, purity, counts and flux recovery against flux.

    Args:
        result: what `recovery_by_flux` returns.
        unit: of the fluxes.
        title: above the figure.

    Returns:
        A matplotlib Figure of three panels.

    Example:
        >>> from astrokeras.plots.survey import recovery, recovery_by_flux
        >>> result = recovery_by_flux([1, 2, 20, 30], [3, 20, 33], [2, 3], [1, 2], bins=[1, 10, 100])
        >>> len(recovery(result).axes)
        3
    """
    edges = np.asarray(result["edges"])
    middle = np.sqrt(edges[:-1] * edges[1:])
    figure = blank_figure(6.4, 7.2)
    shares, counts, ratios = figure.subplots(3, 1, sharex=True, height_ratios=[2, 1, 1.2])
    for name, colour, said in (
        ("completeness", BLUE, "completeness (true flux)"),
        ("purity", VERMILION, "purity (found flux)"),
    ):
        known = np.isfinite(result[name])
        shares.fill_between(
            middle[known],
            result[f"{name}_low"][known],
            result[f"{name}_high"][known],
            color=colour,
            alpha=0.2,
            linewidth=0,
        )
        shares.plot(middle[known], result[name][known], "o-", color=colour, markersize=4, label=said)
    shares.set(ylim=(-0.03, 1.03), ylabel="fraction")
    shares.legend(loc="best", fontsize=8)
    for name, colour in (("true", BLUE), ("found", VERMILION)):
        counts.stairs(result[name], edges, color=colour, label=name)
    counts.set(ylabel="number", yscale="symlog")
    counts.legend(fontsize=8)
    known = np.isfinite(result["ratio"])
    error = np.abs(np.stack([result["ratio"] - result["ratio_low"], result["ratio_high"] - result["ratio"]]))[:, known]
    ratios.errorbar(middle[known], result["ratio"][known], error, fmt="o", color="0.2", markersize=4, capsize=2)
    ratios.axhline(1, color="black", linewidth=0.8)
    ratios.set(xscale="log", xlabel=f"flux ({unit})", ylabel="found / true flux")
    for axes in (shares, counts, ratios):
        axes.grid(color="0.92")
        axes.set_axisbelow(True)
    figure.suptitle(title, fontsize=10)
    return figure


def predicted_against_true(
    true: Mapping[str, np.ndarray],
    predicted: Mapping[str, np.ndarray],
    units: Mapping[str, str] | None = None,
    periods: Mapping[str, float] | None = None,
    title: str = "",
) -> "Figure":
    """Draw predicted against true values of each parameter of the matched sources.

    Axes are logarithmic where all values are above 0 and span over a factor of 30. Angles are drawn on the turn nearest
    to the true one. Above each panel stand the median difference and the scatter (1.4826 times the median absolute
    deviation), relative to the true value where the axes are logarithmic.

    Args:
        true: parameter -> `(matches,)` true values.
        predicted: parameter -> `(matches,)` predicted values; every name of `true`.
        units: parameter -> unit, for the axes.
        periods: parameter -> period of an angle in its unit, such as `{"pa": 180}`.
        title: above the figure; the number of sources is added.

    Returns:
        A matplotlib Figure of one panel a parameter.

    Raises:
        ValueError: if a parameter is missing or its two columns differ in length.

    Example:
        >>> import numpy as np
        >>> from astrokeras.plots.survey import predicted_against_true
        >>> true = {"flux": np.array([1.0, 2.0]), "pa": np.array([5.0, 90.0])}
        >>> figure = predicted_against_true(true, {"flux": [1.1, 2.2], "pa": [179.0, 92.0]}, periods={"pa": 180})
        >>> [axes.get_title() for axes in figure.axes]
        ['median +0.15, scatter 0.0741', 'median -2, scatter 5.93']
    """
    units, periods = units or {}, periods or {}
    lacks = [name for name in true if name not in predicted]
    if not true or lacks:
        raise ValueError(
            f"Expected the same parameters in true and predicted; received {list(true)} and {list(predicted)}."
        )
    columns = min(len(true), 3)
    rows = -(-len(true) // columns)
    figure = blank_figure(3.5 * columns, 3.4 * rows)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    count = 0
    for axes, name in zip(panels, true, strict=False):
        x, y = np.asarray(true[name], float), np.asarray(predicted[name], float)
        if x.shape != y.shape:
            raise ValueError(f"Expected as many predicted as true values of {name}; received {y.shape} and {x.shape}.")
        known = np.isfinite(x) & np.isfinite(y)
        x, y = x[known], y[known]
        count = max(count, len(x))
        if name in periods:
            y = x + (y - x + periods[name] / 2) % periods[name] - periods[name] / 2
        both = np.concatenate([x, y])
        wide = name not in periods and len(both) > 0 and both.min() > 0 and both.max() > 30 * both.min()
        _cloud(axes, x, y, wide)
        unit = f" ({units[name]})" if units.get(name) else ""
        axes.set(xlabel=f"true {name}{unit}", ylabel=f"predicted {name}{unit}")
        if len(x):
            error = (y - x) / x if wide else y - x
            scatter = 1.4826 * np.median(np.abs(error - np.median(error)))
            relative = " (relative)" if wide else ""
            axes.set_title(f"median {np.median(error):+.3g}, scatter {scatter:.3g}{relative}", fontsize=8)
    for axes in panels[len(true) :]:
        axes.remove()
    figure.suptitle(f"{title}{': ' if title else ''}{count} matched sources", fontsize=10)
    return figure


def sources_on_image(
    image: np.ndarray,
    boxes: np.ndarray,
    matched: np.ndarray | None = None,
    missed: np.ndarray | None = None,
    *,
    corner: tuple[float, float] = (0, 0),
    wcs=None,
    title: str = "",
) -> "Figure":
    """Draw found sources as boxes on a sky image, matched and false ones apart, and missed ones as crosses.

    Args:
        image: `(y, x)` floats; NaN is drawn grey. Shown with an asinh stretch from their 1st percentile on.
        boxes: `(n, 4)` found boxes (x_min, y_min, x_max, y_max): pixel i covers [i, i + 1).
        matched: `(n,)` bool; `None` draws all boxes as found.
        missed: `(m, 2)` positions (x, y) of true sources that were not found, in the same coordinates.
        corner: (x, y) coordinates of the corner of the image, for a cut-out of a larger one.
        wcs: celestial WCS of the image as given (a cut-out's own, not the whole image's); its axes then show the sky.
        title: above the figure; the counts are added.

    Returns:
        A matplotlib Figure.

    Raises:
        ValueError: if image, boxes or missed have other shapes.

    Example:
        >>> import numpy as np
        >>> from astrokeras.plots.survey import sources_on_image
        >>> figure = sources_on_image(np.zeros((9, 9)), [[1, 1, 4, 4], [5, 5, 8, 8]], [True, False], [[2, 7]])
        >>> figure.axes[0].get_title()
        '1 matched, 1 false, 1 missed'
    """
    from matplotlib import colormaps
    from matplotlib.collections import PatchCollection
    from matplotlib.lines import Line2D
    from matplotlib.patches import Rectangle
    from matplotlib.ticker import MaxNLocator

    image = np.asarray(image, float)
    boxes = np.asarray(boxes, float).reshape(-1, 4) if np.size(boxes) == 0 else np.asarray(boxes, float)
    points = np.zeros((0, 2)) if missed is None or not np.size(missed) else np.asarray(missed, float)
    if image.ndim != 2 or boxes.ndim != 2 or boxes.shape[1] != 4 or points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(
            f"Expected an image (y, x), boxes (n, 4) and missed (m, 2); received {image.shape}, {boxes.shape} and "
            f"{points.shape}."
        )
    shift = np.array([*corner, *corner], float) + 0.5  # to centres of pixels as integers, as the axes of a WCS have it
    boxes, points = boxes - shift, points - shift[:2]
    height, width = image.shape
    tall = float(np.clip(6.5 * height / width, 3, 9))
    figure = blank_figure(7.2, tall + 1.2)
    axes = figure.add_subplot(projection=wcs) if wcs is not None else figure.add_subplot()
    colours = colormaps["gray"].with_extremes(bad="0.35")
    edges = (-0.5, width - 0.5, -0.5, height - 0.5)
    axes.imshow(_stretched(image), cmap=colours, origin="lower", extent=edges, interpolation="nearest", vmin=0, vmax=1)
    axes.set(xlim=edges[:2], ylim=edges[2:])
    inside = (boxes[:, 2:] > -0.5).all(axis=1) & (boxes[:, :2] < (width - 0.5, height - 0.5)).all(axis=1)
    good = np.ones(len(boxes), bool) if matched is None else np.asarray(matched, bool)
    groups = [(good & inside, MATCHED, "found" if matched is None else "matched")]
    groups += [] if matched is None else [(~good & inside, FALSE, "false")]
    line = 0.7 if len(boxes) > MANY else 1.3
    handles, said = [], []
    for chosen, colour, name in groups:
        some = [Rectangle(box[:2], *(box[2:] - box[:2])) for box in boxes[chosen]]
        axes.add_collection(PatchCollection(some, facecolor="none", edgecolor=colour, linewidth=line), autolim=False)
        handles.append(Line2D([], [], color=colour, label=f"{name}: {chosen.sum()}"))
        said.append(f"{chosen.sum()} {name}")
    if missed is not None:
        points = points[((points > -0.5) & (points < (width - 0.5, height - 0.5))).all(axis=1)]
        axes.plot(points[:, 0], points[:, 1], "x", color=MISSED, markersize=5, markeredgewidth=line)
        handles.append(Line2D([], [], color=MISSED, marker="x", linestyle="", label=f"missed: {len(points)}"))
        said.append(f"{len(points)} missed")
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    if wcs is not None:
        axes.set(**dict(zip(("xlabel", "ylabel"), wcs.axis_type_names, strict=True)))
    else:
        axes.set(xlabel="x (pixels)", ylabel="y (pixels)")
        for axis, start, size in ((axes.xaxis, corner[0], width), (axes.yaxis, corner[1], height)):
            ticks = MaxNLocator(8, steps=[1, 2, 2.5, 5, 10]).tick_values(start, start + size)
            ticks = ticks[(ticks >= start) & (ticks <= start + size)]
            axis.set_ticks(ticks - start - 0.5, [f"{tick:g}" for tick in ticks])
    axes.set_title(f"{title}{': ' if title else ''}{', '.join(said)}", fontsize=10)
    return figure


def _wilson(part: np.ndarray, whole: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return shares and the ends of their 68 % interval."""
    with np.errstate(divide="ignore", invalid="ignore"):
        share = part / whole
        middle = (share + 0.5 / whole) / (1 + 1 / whole)
        half = np.sqrt(share * (1 - share) / whole + 0.25 / whole**2) / (1 + 1 / whole)
        return share, middle - half, middle + half


def _cloud(axes, x: np.ndarray, y: np.ndarray, wide: bool) -> None:
    """Draw a cloud of points, as counts where there are many, and the line where both are equal."""
    from matplotlib.colors import LogNorm

    if wide:
        axes.set(xscale="log", yscale="log")
    both = np.concatenate([x, y]) if len(x) else np.array([0.0, 1.0])
    low, high = both.min(), both.max()
    high = high if high > low else low + 1
    if len(x) > 2000:
        edges = np.geomspace(low, high, 81) if wide else np.linspace(low, high, 81)
        axes.hist2d(x, y, bins=[edges, edges], norm=LogNorm(), cmap="viridis")
    else:
        axes.plot(x, y, ".", color=BLUE, markersize=3 if len(x) > 200 else 5, alpha=0.6)
    axes.plot([low, high], [low, high], color="black", linewidth=0.8)


def _stretched(image: np.ndarray) -> np.ndarray:
    """Bring a sky image to 0..1: asinh of the height above its median, in units of three times its scatter."""
    known = image[np.isfinite(image)]
    if not known.size:
        return image
    low, middle, high = np.percentile(known, (1, 50, 99.8))
    scatter = max((middle - low) / 2.33, 1e-30)
    top = np.arcsinh(max((high - low) / (3 * scatter), 1e-6))
    return np.clip(np.arcsinh((image - low) / (3 * scatter)) / top, 0, 1)


def _share(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}"
