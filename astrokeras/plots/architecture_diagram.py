"""The drawing of a network: maps as boxes, and what leads from one to the next."""

from collections import Counter
from typing import TYPE_CHECKING

import keras
import numpy as np

from astrokeras.plots import style
from astrokeras.plots.blank import blank_figure
from astrokeras.plots.network_maps import Map, fold, main_path, repeats

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = {
    "input": "0.75",
    "convolution": style.BLUE,
    "pooling": style.ORANGE,
    "dense": style.GREEN,
    "upsampling": style.PINK,
    "head": style.VERMILION,
    "other": style.YELLOW,
}
JOINS = {"addition": "+", "concatenation": "||"}
TALL, WIDE, VECTOR = 1.5, 0.75, 1.2  # inches of the largest map, of the most filters, of the longest vector
MANY, SMALLER = 14, 0.7  # maps beyond which boxes are smaller, and by how much
LEAST = 0.07  # inches that a box has at least
SLANT = 0.28  # depth of a box drawn, in units of its side
APART = 0.05  # inches between what reaches and what leaves a sum
ENTRY = 0.3  # inches at the start of a row that goes on
ROW = 12.5  # inches after which a row ends where it can
TEXT = 6.5  # points
LINE = 0.105  # inches from line to line
LETTER = 0.062  # inches of a letter
LINES = {"color": "0.35", "linewidth": 0.9}


def architecture_diagram(model: keras.Model, *, title: str | None = None) -> "Figure":
    """Draw a network as the course does: each map a box, its height the size of the map, its width the filters.

    The square root of sizes and filters is to scale within a figure. The slant is the second spatial axis; spectra and
    vectors have none. Normalisation, activation, dropout, padding and flattening belong to the map before or after
    them. Blocks that repeat are drawn once, with how often they come. Shortcuts run above the boxes; what a
    branch gives to several maps is led to the first and named at the others, whose own layers for it are left out.

    Args:
        model: functional or sequential, built; nested models are opened.
        title: above the figure; `None` gives the name, the parameters and the most common activation.

    Returns:
        A matplotlib Figure; the front of each box has the name of its layer as `gid`.

    Raises:
        ValueError: if the model is not functional or sequential, or not built.

    Example:
        >>> import astrokeras
        >>> figure = astrokeras.plots.architecture_diagram(astrokeras.applications.lenet5())
        >>> figure.get_suptitle()
        'lenet5: 238,570 parameters, activation relu_leaky'
        >>> [patch.get_gid() for patch in figure.axes[0].patches if patch.get_gid()][:3]
        ['input', 'conv1', 'pool1']
    """
    maps = fold(model)
    common = Counter(one.activation for one in maps if one.activation not in ("linear", "")).most_common(1)
    common = common[0][0] if common else ""
    for one in maps:
        if one.activation not in ("linear", "", common):
            one.lines.append(one.activation)
    maps, blocks = repeats(maps)
    drawing = _Drawing(maps, blocks)
    figure = blank_figure(drawing.right - drawing.left, drawing.top - drawing.bottom + 0.75)
    axes = figure.add_subplot()
    axes.set(xlim=(drawing.left, drawing.right), ylim=(drawing.bottom, drawing.top), aspect="equal")
    axes.set_axis_off()
    drawing.draw(axes)
    _legend(figure, maps)
    if title is None:
        title = f"{model.name}: {model.count_params():,} parameters{', activation ' * bool(common)}{common}"
    figure.suptitle(title, fontsize=style.TITLE)
    return figure


class _Drawing:
    """Where everything lies, in inches: rows of the main path, and branches and shortcuts above them."""

    def __init__(self, maps: list[Map], blocks: list[tuple[int, int, int]]):
        self.maps = maps
        self.blocks = blocks  # first and last map, how often
        self.path = main_path(maps)
        self.sizes = _sizes(maps, 1.0 if len(self.path) <= MANY else SMALLER)
        self.places: dict[int, tuple[float, float]] = {}  # map -> centre of its box
        self.tracks: list[list[tuple[float, float]]] = []
        self.notes: list[tuple[float, float, str]] = []
        self.skyline: list[tuple[float, float, float]] = []  # of one row: from x, to x, height that is taken
        self.local: dict[int, tuple[float, float]] = {}  # of one row: as places, around 0
        branches = self._branches()
        place = {number: step for step, number in enumerate(self.path)}
        self.spans = [self._ends(chain, place) for chain in branches]
        self.rows = self._cut(place)
        self.bottom, self.right = 0.0, 0.0
        self.left = -0.15
        self.top = 0.15
        below = 0.0
        for row in self.rows:
            below = self._lay(row, branches, place, below)
        self.bottom = below - 0.05

    def _branches(self) -> list[list]:
        """Return what lies off the main path as chains `[source or None, maps ..., target or None]`."""
        done, chains = set(self.path), []
        steps = set(zip(self.path, self.path[1:], strict=False))
        consumers = {number: [] for number in range(len(self.maps))}
        for number, one in enumerate(self.maps):
            for source in one.sources:
                consumers[source].append(number)
        while len(done) < len(self.maps):
            off = [number for number in range(len(self.maps)) if number not in done]
            number = next(one for one in off if not consumers[one] or done.intersection(consumers[one]))
            target = next((other for other in consumers[number] if other in done), None)
            chain = [number]
            done.add(number)
            while True:
                new = [source for source in self.maps[chain[0]].sources if source not in done]
                if not new:
                    break
                chain.insert(0, new[-1])
                done.add(new[-1])
            source = next(iter(self.maps[chain[0]].sources), None)
            chains.append([source, *chain, target])
            steps |= set(zip(chains[-1], chains[-1][1:], strict=False))
        for number, one in enumerate(self.maps):
            chains += [[source, number] for source in one.sources if (source, number) not in steps]
        return chains

    def _ends(self, chain: list, place: dict[int, int]) -> tuple[int, int]:
        """Return the first and last step of the main path that a chain spans."""
        ends = [place[number] for number in (chain[0], chain[-1]) if number in place]
        return (min(ends), max(ends)) if ends else (0, len(self.path) - 1)

    def _cut(self, place: dict[int, int]) -> list[list[int]]:
        """Cut the main path into rows, where no shortcut and no repeated block is cut."""
        whole = [(low + 1, high) for low, high in self.spans]  # a shortcut may start at the end of the row before
        whole += [(place[first], place[last]) for first, last, _ in self.blocks]
        rows, row, x = [], [], 0.0
        total = sum(self._step(*pair) for pair in zip([None, *self.path], self.path, strict=False))
        limit = total if total <= 1.2 * ROW else 1.08 * total / -(-total // ROW)  # rows of about one width
        free = [not any(low <= step < high for low, high in whole) for step in range(len(self.path))]
        for step, number in enumerate(self.path):
            ahead = x + self._step(row[-1] if row else None, number)
            later = next((end for end in range(step, len(self.path)) if free[end]), len(self.path) - 1)
            needed = ahead + sum(
                self._step(*self.path[at : at + 2]) for at in range(step, min(later, len(self.path) - 1))
            )
            if row and free[step - 1] and needed > limit:
                rows.append(row)
                row, ahead = [], self._slot(number) / 2 + ENTRY
            row.append(number)
            x = ahead
        return [*rows, row]

    def _slot(self, number: int) -> float:
        """Return the width of a map with its text."""
        width, _, depth = self.sizes[number]
        return max([width + depth, *(LETTER * len(line) for line in self.maps[number].text())])

    def _step(self, before: int | None, number: int) -> float:
        """Return the distance of the centres of two neighbours."""
        if before is None:
            return self._slot(number) / 2
        boxes = sum(self.sizes[one][0] + self.sizes[one][2] for one in (before, number)) / 2
        return max(boxes + 0.24, (self._slot(before) + self._slot(number)) / 2 + 0.08)

    def _under(self, number: int) -> float:
        """Return how far a map reaches below its centre, with its text."""
        return sum(self.sizes[number][1:]) / 2 + LINE * len(self.maps[number].text()) + 0.06

    def _lay(self, row: list[int], branches: list[list], place: dict[int, int], below: float) -> float:
        """Place a row of the main path and what lies above it; return its lower end."""
        first, last = place[row[0]], place[row[-1]]
        x, before = ENTRY if first else 0.0, None
        self.skyline, self.local = [], {}
        for number in row:
            x += self._step(before, number)
            before = number
            self.local[number] = (x, 0.0)
        tracks, notes = len(self.tracks), len(self.notes)
        ends = zip(branches, self.spans, strict=True)
        waiting = [chain for chain, (low, high) in ends if first <= max(low, high) <= last and (low >= first - 1)]
        for chain in waiting:
            self._widen(chain)
        self.skyline = [
            (
                self.local[number][0] - self._slot(number) / 2,
                self.local[number][0] + self._slot(number) / 2,
                self._top(number),
            )
            for number in row
        ]
        while waiting:  # those with maps first, then the shorter ones; a chain waits for the maps that it leaves from
            later = {number for chain in waiting for number in chain[1:-1]}
            ready = [chain for chain in waiting if chain[0] not in later and chain[-1] not in later] or waiting
            chain = min(ready, key=lambda chain: (not self._is_note(chain), len(chain) == 2, self._width(chain)))
            waiting.remove(chain)
            (self._write if self._is_note(chain) else self._raise)(chain)
        top = max(height for _, _, height in self.skyline)
        under = max(self._under(number) for number in row) + (0.3 if self.blocks else 0)
        shift = below - top - (0.3 if below else 0)
        self.places |= {number: (x, y + shift) for number, (x, y) in self.local.items()}
        self.tracks[tracks:] = [[(x, y + shift) for x, y in track] for track in self.tracks[tracks:]]
        self.notes[notes:] = [(x, y + shift, said) for x, y, said in self.notes[notes:]]
        self.right = max([self.right, *(high + 0.2 for _, high, _ in self.skyline)])
        self.left = min([self.left, *(low - 0.15 for low, _, _ in self.skyline)])
        return shift - under

    def _width(self, chain: list) -> float:
        ends = [self.local.get(number, (ENTRY / 2, 0.0))[0] for number in (chain[0], chain[-1])]
        return max(ends) - min(ends)

    def _is_note(self, chain: list) -> bool:
        """Tell whether a chain comes from a branch: what conditions all blocks is named where it arrives, not led."""
        return chain[0] is not None and chain[0] not in self.path and chain[-1] is not None

    def _write(self, chain: list) -> None:
        """Put a short arrow with the name of the source above the target."""
        x, y = self._foot(chain[-1], -APART)
        lines = self.maps[chain[0]].name_lines()
        half, high = LETTER * max(map(len, lines)) / 2, y + 0.3 + LINE * len(lines)
        self.tracks.append([(x, y + 0.28), (x, y + 0.27), (x, y)])
        self.notes.append((x, y + 0.3, "\n".join(lines)))
        self.skyline.append((x - half, x + half, high))

    def _widen(self, chain: list) -> None:
        """Move a target to the right, with all behind it, until the maps of its branch fit above."""
        source, inside, target = chain[0], chain[1:-1], chain[-1]
        if not inside or self._is_note(chain) or target not in self.local:
            return
        length = sum(self._step(*pair) for pair in zip(inside, inside[1:], strict=False))
        length += (self._slot(inside[0]) + self._slot(inside[-1])) / 2 + 0.2
        start = self.local[source][0] if source in self.local else (ENTRY / 2 if source is not None else -length)
        lacks = length - (self.local[target][0] - start)
        if lacks > 0:
            edge = self.local[target][0]
            self.local = {number: (x + lacks * (x >= edge), y) for number, (x, y) in self.local.items()}

    def _top(self, number: int) -> float:
        return sum(self.sizes[number][1:]) / 2

    def _raise(self, chain: list) -> None:
        """Lead a track up from its source, over all that lies between, through its maps, and down to its target."""
        source, inside, target = chain[0], chain[1:-1], chain[-1]
        gaps = [self._step(*pair) for pair in zip(inside, inside[1:], strict=False)]
        length = sum(gaps) + (self._slot(inside[0]) if inside else 0)
        end = self._foot(target, -APART) if target in self.local else None
        if source in self.local:
            start = self._foot(source, APART)
        elif source is not None:
            start = (ENTRY / 2, 0.0)  # in the row before
        else:
            start = ((end[0] if end else length) - length - 0.3, 0.0)
        end = end or (start[0] + length + 0.3, 0.0)
        low, high = min(start[0], end[0]), max(start[0], end[0])
        x = (low + high) / 2 - sum(gaps) / 2
        xs = [x + sum(gaps[:at]) for at in range(len(inside))]
        halves = [self._slot(number) / 2 for number in inside]
        low = min([low, *(x - half for x, half in zip(xs, halves, strict=True))])
        high = max([high, *(x + half for x, half in zip(xs, halves, strict=True))])
        taken = max([height for a, b, height in self.skyline if a < high and b > low], default=0.0)
        y = taken + 0.14 + max([self._under(number) for number in inside], default=0.0)
        self.local |= {number: (x, y) for number, x in zip(inside, xs, strict=True)}
        above = max([sum(self.sizes[number][1:]) / 2 for number in inside], default=0.0)
        self.skyline.append((low, high, y + above))
        track = [(xs[0], y)] if source is None else [start, (start[0], y)]
        track += [(xs[-1], y)] if target not in self.local else [(end[0], y), end]
        self.tracks.append(track)

    def _foot(self, number: int, aside: float) -> tuple[float, float]:
        """Return where a track meets a map from above; beside the middle of a sum, which others leave or reach."""
        x, y = self.local[number]
        return x + aside * (self.maps[number].kind in JOINS), y + sum(self.sizes[number][1:]) / 2 - 0.01

    def draw(self, axes) -> None:
        """Draw arrows, then boxes over them, then texts."""
        arrow = {"arrowstyle": "-|>,head_width=0.18,head_length=0.35", "shrinkA": 0, "shrinkB": 0, **LINES}
        for row, following in zip(self.rows, [*self.rows[1:], []], strict=True):
            for before, number in zip(row, row[1:], strict=False):
                self._arrow(axes, self.places[before], self._side(number), arrow)
            if following:
                (x, y), end = self.places[row[-1]], self._side(following[0])
                out = x + sum(self.sizes[row[-1]][::2]) / 2 + ENTRY / 2
                axes.plot([x, out], [y, y], linestyle=":", zorder=1, **LINES)
                axes.plot([0, ENTRY / 2], [end[1], end[1]], linestyle=":", zorder=1, **LINES)
                self._arrow(axes, (ENTRY / 2, end[1]), end, arrow)
        for track in self.tracks:
            axes.plot(*zip(*track[:-1], strict=True), zorder=1.5, solid_joinstyle="round", **LINES)
            self._arrow(axes, track[-2], track[-1], arrow)
        for x, y, said in self.notes:
            axes.text(x, y, said, ha="center", va="bottom", fontsize=TEXT, color="0.45", zorder=4)
        for number, place in self.places.items():
            self._box(axes, self.maps[number], *place, *self.sizes[number])
        place = {number: step for step, number in enumerate(self.path)}
        for first, last, count in self.blocks:
            some = self.path[place[first] : place[last] + 1]
            low = self.places[first][0] - self._slot(first) / 2
            high = self.places[last][0] + self._slot(last) / 2
            y = min(self.places[number][1] - self._under(number) for number in some) - 0.05
            axes.plot([low, low, high, high], [y + 0.06, y, y, y + 0.06], color="black", linewidth=1)
            axes.text((low + high) / 2, y - 0.04, f"× {count}", ha="center", va="top", fontsize=TEXT + 2)

    def _side(self, number: int) -> tuple[float, float]:
        x, y = self.places[number]
        return x - (self.sizes[number][0] + self.sizes[number][2]) / 2, y

    @staticmethod
    def _arrow(axes, start, end, arrow: dict) -> None:
        axes.annotate("", end, start, arrowprops=arrow, zorder=1.5)

    @staticmethod
    def _box(axes, one: Map, x: float, y: float, width: float, height: float, depth: float) -> None:
        from matplotlib.colors import to_rgb
        from matplotlib.patches import Circle, Polygon, Rectangle

        rim = {"edgecolor": "0.2", "linewidth": 0.6, "zorder": 2}
        lower = y - (height + depth) / 2
        if one.kind in JOINS:
            axes.add_patch(Circle((x, y), width / 2, facecolor="white", gid=one.name, **rim))
            axes.text(x, y, JOINS[one.kind], ha="center", va="center", fontsize=TEXT + 1, zorder=3)
        else:
            colour = np.array(to_rgb(COLOURS.get(one.kind, COLOURS["other"])))
            left = x - (width + depth) / 2
            right, upper = left + width, lower + height
            top = [(left, upper), (left + depth, upper + depth), (right + depth, upper + depth), (right, upper)]
            side = [(right, lower), (right + depth, lower + depth), (right + depth, upper + depth), (right, upper)]
            if depth:
                axes.add_patch(Polygon(top, facecolor=0.45 * colour + 0.55, **rim))
                axes.add_patch(Polygon(side, facecolor=0.7 * colour, **rim))
            axes.add_patch(Rectangle((left, lower), width, height, facecolor=0.75 * colour + 0.25, gid=one.name, **rim))
        words = one.text()
        names = len(one.name_lines())
        for line, said in enumerate(words):
            shade = "0.45" if line >= len(words) - names else "black"
            axes.text(x, lower - 0.05 - LINE * line, said, ha="center", va="top", fontsize=TEXT, color=shade, zorder=4)


def _sizes(maps: list[Map], scale: float) -> list[tuple[float, float, float]]:
    """Return width, height and depth of each box in inches."""
    spatial = [size or 1 for one in maps if len(one.shape) > 1 for size in one.shape[:-1]]
    filters = [one.shape[-1] or 1 for one in maps if len(one.shape) > 1]
    vectors = [one.shape[0] or 1 for one in maps if len(one.shape) == 1]
    largest, most, longest = (max(some, default=1) for some in (spatial, filters, vectors))
    sizes = []
    for one in maps:
        if one.kind in JOINS:
            sizes.append((0.2, 0.2, 0.0))
        elif len(one.shape) <= 1:
            count = (one.shape or (1,))[0] or 1
            sizes.append((0.11, max(0.15, scale * VECTOR * (count / longest) ** 0.5), 0.0))
        else:
            y, x = (one.shape[-3] if len(one.shape) > 2 else one.shape[0]) or 1, one.shape[-2] or 1
            height, far = (max(LEAST, scale * TALL * (size / largest) ** 0.5) for size in (y, x))
            width = max(LEAST, scale * WIDE * ((one.shape[-1] or 1) / most) ** 0.5)
            sizes.append((width, height, SLANT * far if len(one.shape) > 2 else 0.0))
    return sizes


def _legend(figure, maps: list[Map]) -> None:
    from matplotlib.patches import Patch

    kinds = [kind for kind in COLOURS if any(one.kind == kind for one in maps)]
    handles = [Patch(facecolor=COLOURS[kind], edgecolor="0.2", linewidth=0.6, alpha=0.8, label=kind) for kind in kinds]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(kinds), fontsize=style.SMALL, frameon=False)
