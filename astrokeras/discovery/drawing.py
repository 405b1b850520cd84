"""The parts of the rating page as HTML: arrays in, text out; images stand in the text, so no file is served."""

import base64
import html
import io
from collections.abc import Callable, Sequence

import numpy as np

from astrokeras.discovery.recommender import Progress

COLOURS = ("#5b6472", "#3f6fb5", "#2b9aa0", "#5fb457", "#d9b53a", "#f08a3c")  # of the ratings 0..5


def data_address(image: np.ndarray) -> str:
    """Return an image `(y, x, 3)` uint8 as the address of itself, a PNG in base 64.

    Example:
        >>> import numpy as np
        >>> from astrokeras.discovery.drawing import data_address
        >>> data_address(np.zeros((2, 2, 3), "uint8"))[:22]
        'data:image/png;base64,'
    """
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", compress_level=1)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def object_card(name: str, address: str | None, trouble: str, rating: int | None, scores: Sequence[tuple]) -> str:
    """Show an object: image or what is wrong with it, id, rating, and scores as (name, value, explanation).

    Example:
        >>> from astrokeras.discovery.drawing import object_card
        >>> "a&lt;b.png" in object_card("a<b.png", "data:", "", 3, [("raw score", 4.2, "")])
        True
    """
    name, trouble = html.escape(name, quote=True), html.escape(trouble)
    shown = f'<img src="{address}" alt="{name}">' if address else f'<div class="missing">{trouble}</div>'
    colour = COLOURS[rating] if rating is not None else "transparent"
    stands = "not rated" if rating is None else f"rated {rating}"
    meters = "".join(
        f'<div class="meter" title="{html.escape(about, quote=True)}"><span>{label}</span>'
        f'<i><b style="width:{0 if np.isnan(value) else 20 * value:.1f}%"></b></i>'
        f"<em>{'–' if np.isnan(value) else f'{value:.2f}'}</em></div>"
        for label, value, about in scores
    )
    return (
        f'<figure class="object" data-name="{name}"><div class="frame">{shown}</div><figcaption>'
        f'<strong>{name}</strong><span class="stands" style="--rating:{colour}">{stands}</span></figcaption>'
        f'<div class="meters">{meters}</div></figure>'
    )


def thumbnails(places: Sequence[int], shown: int, ids: Sequence[str], address: Callable, rated: dict, note: str) -> str:
    """Show small images that lead to their objects.

    Args:
        places: of the objects.
        shown: the one that is looked at.
        ids: of all objects.
        address: from a place to the address of its image, or `None`.
        rated: place -> rating.
        note: the line above.

    Example:
        >>> from astrokeras.discovery.drawing import thumbnails
        >>> text = thumbnails([1, 0], 0, ["a", "b"], lambda place: "data:", {1: 5}, "two")
        >>> text.count("<img"), text.count('data-place="1"')
        (2, 1)
    """
    cells = []
    for place in places:
        source, name = address(place), html.escape(ids[place], quote=True)
        image = f'<img src="{source}" alt="{name}">' if source else '<span class="missing">?</span>'
        badge = f'<b style="--rating:{COLOURS[rated[place]]}">{rated[place]}</b>' if place in rated else ""
        kind = ' class="here"' if place == shown else ""
        cells.append(f'<button type="button" data-place="{place}" title="{name}"{kind}>{image}{badge}</button>')
    return f'<p class="note">{html.escape(note)}</p><div class="thumbnails">{"".join(cells)}</div>'


def map_drawing(positions: np.ndarray, places: np.ndarray, values: np.ndarray, shown: int, rated, note: str) -> str:
    """Draw objects as points of a plane, coloured by a score; rated ones have a ring, and the one looked at a cross.

    Args:
        positions: `(m, 2)`.
        places: `(m,)` of the objects.
        values: `(m,)` scores 0..5.
        shown: place of the object that is looked at.
        rated: places of rated objects.
        note: the line above.

    Example:
        >>> import numpy as np
        >>> from astrokeras.discovery.drawing import map_drawing
        >>> text = map_drawing(np.eye(2), np.array([0, 1]), np.array([0, 5]), 1, {0}, "")
        >>> text.count("<circle"), text.count("<path")
        (2, 1)
    """
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    low, high = np.percentile(positions, [0.5, 99.5], axis=0)
    scaled = np.clip((positions - low) / np.where(high > low, high - low, 1), -0.02, 1.02) * (600, 380) + 20
    colours = [to_hex(colour) for colour in colormaps["viridis"](np.linspace(0, 1, 64))]
    steps = np.clip(values / 5 * 63, 0, 63).astype(int)
    rated_class = ' class="rated"'
    points = [
        f'<circle cx="{x:.1f}" cy="{y:.1f}" fill="{colours[step]}" data-place="{place}"'
        f"{rated_class if place in rated else ''}/>"
        for (x, y), step, place in zip(scaled, steps, places.tolist(), strict=True)
    ]
    here = np.flatnonzero(places == shown)
    cross = "".join(f'<path d="M{x - 9:.1f} {y:.1f}h18M{x:.1f} {y - 9:.1f}v18"/>' for x, y in scaled[here])
    scale = f'<span class="scale" style="background:linear-gradient(90deg,{",".join(colours[::9])})"></span>'
    svg = f'<svg viewBox="0 0 640 420" role="img" aria-label="map of the features">{"".join(points)}{cross}</svg>'
    return f'<p class="note">{html.escape(note)} 0 {scale} 5</p><div class="map">{svg}</div>'


def progress_bar(name: str, progress: Progress) -> str:
    """Show the name of the set, how many of its objects are rated, and how.

    Example:
        >>> from astrokeras import discovery
        >>> from astrokeras.discovery.drawing import progress_bar
        >>> "1 of 3 rated" in progress_bar("sky", discovery.Progress(1, 3, 1, (0, 0, 0, 0, 1, 0)))
        True
    """
    most = max(progress.counts) or 1
    bars = "".join(
        f'<div title="{count} rated {rating}"><em>{count or ""}</em>'
        f'<i style="height:{26 * count / most:.0f}px;background:{colour}"></i><span>{rating}</span></div>'
        for rating, (count, colour) in enumerate(zip(progress.counts, COLOURS, strict=True))
    )
    share = 100 * progress.rated / progress.total
    return (
        f'<div class="progress"><strong>{html.escape(name)}</strong>'
        f"<div>{progress.rated:,} of {progress.total:,} rated, "
        f'{progress.session:,} in this session<i><b style="width:{share:.2f}%"></b></i></div>'
        f'<div class="counts">{bars}</div></div>'
    )


def message_line(text: str, wrong: bool) -> str:
    """Show what happened, or what went wrong.

    Example:
        >>> from astrokeras.discovery.drawing import message_line
        >>> message_line("saved", False)
        '<p role="status" class="fine">saved</p>'
    """
    role, kind = ("alert", "wrong") if wrong else ("status", "fine")
    return f'<p role="{role}" class="{kind}">{html.escape(text)}</p>'
