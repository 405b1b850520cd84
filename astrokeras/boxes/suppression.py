"""Suppression of duplicate boxes: greedy, exact, n-D; on the host for any number of boxes, in-graph for a fixed one."""

import itertools
import warnings
from collections.abc import Iterator

import keras
import numpy as np

from astrokeras.boxes.geometry import IOU_KINDS, centers_and_sizes, interval_iou, intervals, iou

_FEW = 200  # boxes of which all pairs are compared: up to here that is faster than to look for neighbours
_CANDIDATES = 16  # most pairs that are looked at together, for each box: bounds the memory
_PART = 2**14  # boxes that are looked up at once
_PIECE = 2**16  # pairs whose overlap is computed at once: small enough for the processor's cache
_LEVELS = 40  # classes of size, each half of the one before


def suppress(
    boxes: np.ndarray,
    scores: np.ndarray,
    labels: np.ndarray | None = None,
    *,
    threshold: float = 0.5,
    other_threshold: float | None = None,
    kind: str = "iou",
    max_detections: int | None = None,
) -> np.ndarray:
    """Choose the boxes that no better chosen box overlaps too much (greedy non-maximum suppression).

    Boxes are taken in order of score. A box is dropped if a better box that was kept overlaps it by more than
    `threshold` (same class) or `other_threshold` (another class). The result is that of the plain double loop; the
    time grows in proportion to the number of boxes where boxes are small beside the field, whatever their sizes.

    Args:
        boxes: `(n, 2 * dims)`, corners with x first.
        scores: `(n,)`, any finite or infinite numbers; of equal scores the lower index is the better one.
        labels: `(n,)` classes; without them all boxes are of one class.
        threshold: overlap, -1 to 1, above which a box of the same class is dropped.
        other_threshold: likewise for a box of another class; None keeps it always.
        kind: overlap to use, one of `IOU_KINDS`. DIoU with -0.1 also joins boxes that do not touch.
        max_detections: most boxes to return; warns if that drops some. None returns all.

    Returns:
        `(kept,)` integer indices into `boxes`, best score first.

    Raises:
        ValueError: if shapes, thresholds or kind do not fit, a score is NaN, or a box is not finite or has min > max.

    Example:
        >>> import numpy as np, astrokeras
        >>> boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10]])
        >>> astrokeras.boxes.suppress(boxes, np.array([0.6, 0.9, 0.3])).tolist()
        [1, 2]
    """
    boxes, scores, labels = _checked(boxes, scores, labels)
    _check_settings(threshold, other_threshold, kind, max_detections)
    if not len(boxes):
        return np.empty(0, int)
    few = len(boxes) <= _FEW
    kept = (_among_few if few else _among_many)(boxes, scores, labels, threshold, other_threshold, kind)
    if max_detections is not None and len(kept) > max_detections:
        warnings.warn(
            f"max_detections={max_detections} drops {len(kept) - max_detections} of {len(kept)} boxes; "
            "raise it, or the score threshold, to keep a complete list.",
            stacklevel=2,
        )
    return kept[:max_detections]


def _among_few(boxes, scores, labels, threshold, other, kind) -> np.ndarray:
    """Compare every box with every other one; return the kept ones, best first."""
    order, dropped = np.argsort(-scores, kind="stable"), np.zeros(len(scores), bool)
    better, worse = np.triu_indices(len(order), 1)
    over = _exceeds(boxes[order], labels[order], better, worse, threshold, other, kind)
    _resolve(better[over], worse[over], np.arange(len(order)), dropped)
    return order[~dropped]


def _among_many(boxes, scores, labels, threshold, other, kind) -> np.ndarray:
    """Compare every box with those near to it; return the kept ones, best first."""
    return _Field(boxes, scores, labels, threshold, other, kind).greedy()


def _exceeds(boxes, labels, first, second, threshold, other, kind) -> np.ndarray:
    """Tell which of the pairs of boxes overlap by more than the threshold of their classes, `(pairs,)`."""
    limit = threshold
    if other != threshold:
        limit = np.where(labels[first] == labels[second], threshold, np.inf if other is None else other)
    columns = intervals(boxes)
    one, two = ([(low[pair], high[pair]) for low, high in columns] for pair in (first, second))
    return interval_iou(one, two, kind) > limit


class _Field:
    """Boxes laid out in space so that the pairs which can suppress each other are found quickly.

    Two boxes can only suppress each other if their centres are close (`_reach`). Boxes are sorted into classes of size,
    each with its own grid: a box is looked for around the boxes of its own class and of smaller ones. Arrays are
    `(n,)` or `(dims, n)`, neighbours in space are neighbours in memory; `rank` is 0 for the best box.
    """

    def __init__(self, boxes, scores, labels, threshold, other, kind):
        self.threshold, self.other, self.kind = threshold, other, kind
        self.lowest = threshold if other is None else min(threshold, other)
        self.order = np.argsort(-scores, kind="stable")
        rank = np.empty(len(self.order), int)
        rank[self.order] = np.arange(len(self.order))
        place = _in_space(boxes.T[: boxes.shape[1] // 2])
        self.rank, self.labels = rank[place], labels[place]
        self.corners = np.ascontiguousarray(boxes.take(place, axis=0).T)
        centers, sizes = centers_and_sizes(self.corners.T)
        self.centers, self.sizes = centers.T, sizes.T
        self.span = 1.001 * np.ptp(self.centers, axis=1) + 1  # reaches everything
        self.slack = 8 * np.finfo("float64").eps * np.abs(self.corners).max() + 1e-17  # rounding of the centres
        unit = self.sizes.mean(axis=1, keepdims=True)
        self.extent = (self.sizes / np.where(unit > 0, unit, 1)).max(axis=0)
        largest = self.extent.max() or 1.0
        self.level = np.frexp(largest / np.maximum(self.extent, largest * 2.0**-_LEVELS))[1].astype("int8")
        if kind == "giou" and self.lowest < 0 and self.sizes.prod(axis=0).min() < 1e-35:
            self.lowest = -1.0  # two boxes without volume may have a GIoU of 0 at any distance

    def greedy(self) -> np.ndarray:
        """Return the kept boxes, best first."""
        dropped = np.zeros(len(self.rank), bool)
        left, chosen = np.arange(len(self.rank)), np.zeros(len(self.rank), bool)
        while len(left):
            block, ranges = self._block(left)
            pairs = [np.empty((2, 0), int), *self._overlapping(ranges)]
            _resolve(*np.concatenate(pairs, axis=1), self.rank, dropped)
            kept = block[~dropped[block]]
            chosen[self.rank[kept]] = True
            left = left[self.rank[left] > self.rank[block].max()]
            for _, worse in self._overlapping(self._ranges(kept, left)):
                dropped[worse] = True
            left = left[~dropped[left]]
        return self.order[chosen]

    def _block(self, left) -> tuple:
        """Take the best boxes, as many as have few enough candidate pairs among them: all, unless they pile up."""
        block, most = left, _CANDIDATES * max(len(self.rank), 1000)
        while True:
            ranges = list(self._ranges(block))
            count = sum(int(counts.sum()) for _, _, counts, _ in ranges)
            if count <= most or len(block) == 1:
                return block, ranges
            size = max(1, int(0.9 * len(block) * (most / count) ** 0.5))  # the pairs grow as the square
            ranks = self.rank[left]
            block = left[ranks <= np.partition(ranks, size - 1)[size - 1]]

    def _ranges(self, first, second=None) -> Iterator[tuple]:
        """Yield, for each class of size, which stretches of `members` lie around which boxes: the candidate pairs.

        Pairs are of one box of `first` and one of `second`, or of two of `first`; each pair comes once.
        """
        for level in np.unique(self.level[first if second is None else np.concatenate([first, second])]):
            ours, smaller = first[self.level[first] == level], first[self.level[first] > level]
            if second is None:
                jobs = [(ours, (ours, smaller))]
            else:
                theirs, their_smaller = second[self.level[second] == level], second[self.level[second] > level]
                jobs = [(theirs, (ours, smaller)), (ours, (their_smaller,))]
            for members, searches in jobs:
                if len(members):
                    yield from self._around(members, searches)

    def _around(self, members, searches) -> Iterator[tuple]:
        """Lay a grid over `members`, sort them by cell, and look around each box of `searches`."""
        dims = len(self.centers)
        center, size = self.centers.take(members, axis=1), self.sizes.take(members, axis=1)
        origin, span = center.min(axis=1), np.ptp(center, axis=1)
        largest, least = size.max(axis=1, keepdims=True), self.extent[members].min()
        groups = self.labels if self.other is None else np.zeros_like(self.labels)  # boxes that may meet

        def reach_of(sizes):
            reach = _reach(sizes, largest, self.lowest, self.kind) * (1 + 1e-6) + 1e-6 * sizes + self.slack
            return np.minimum(reach, self.span[:, None])

        widest = [self.sizes.take(queries, axis=1).max(axis=1, initial=0) for queries in searches]
        cell = 2.000001 * reach_of(np.max(widest, axis=0)[:, None])[:, 0]  # a box reaches into two rows at most
        cell[0] /= 8  # along x the stretch has any length
        most = min(2**20, (2**60 / (groups.max() + 1)) ** (1 / dims))  # the numbers of all cells must fit in an integer
        cell = np.maximum(cell, span / most)
        cells = (span / cell).astype(int) + 1

        def in_order(boxes):
            parts = [
                _number(_index(self.centers.take(part, axis=1), origin, cell, 0, cells - 1), cells, groups[part])
                for part in _parts(boxes)
            ]
            numbers = np.concatenate(parts)
            order = _sorted(numbers)
            return numbers[order], boxes[order]

        given, (numbers, members) = members, in_order(members)
        for queries in searches:
            among = queries is given
            if self.lowest > 0 and not among:  # IoU > t: on each axis, one size is at least t times the other
                queries = queries[self.extent[queries] >= self.lowest * (1 - 1e-6) * least]
            queries = members if among else in_order(queries)[1]  # nearby searches, one after the other, are faster
            place = 0
            for part in _parts(queries):
                center, group = self.centers.take(part, axis=1), groups[part]
                reach = reach_of(self.sizes.take(part, axis=1))
                low = _index(center - reach, origin, cell, 0, cells)
                high = _index(center + reach, origin, cell, -1, cells - 1)
                after = np.arange(place, place + len(part)) + 1 if among else 0  # look ahead only
                place += len(part)
                for step in itertools.product((0, 1), repeat=dims - 1):
                    row = low[1:] + np.reshape(step, (-1, 1)).astype(int)
                    begin, end = (_number([x, *row], cells, group) for x in (low[0], high[0]))
                    start = np.maximum(_look_up(numbers, begin), after)
                    counts = _look_up(numbers, end + 1) - start
                    here = np.flatnonzero((counts > 0) & (row <= high[1:]).all(axis=0))
                    yield part[here], start[here], counts[here], members

    def _overlapping(self, ranges) -> Iterator[np.ndarray]:
        """Yield the pairs `(better, worse)` that suppress, `(2, pairs)`, a piece at a time."""
        other = self.threshold if self.other is None else self.other  # then pairs are of one class
        for queries, start, counts, members in ranges:
            ends = np.cumsum(counts)
            cuts = np.searchsorted(ends, np.arange(_PIECE, ends[-1] if len(ends) else 0, _PIECE))
            for piece in map(slice, [0, *cuts], [*cuts, len(ends)]):
                many = counts[piece]
                shift = start[piece] - (ends[piece] - many - (ends[piece.start - 1] if piece.start else 0))
                query = np.repeat(queries[piece], many)
                member = members[np.repeat(shift, many) + np.arange(len(query))]
                over = _exceeds(self.corners.T, self.labels, query, member, self.threshold, other, self.kind)
                query, member = query[over], member[over]
                yield np.where(self.rank[query] < self.rank[member], [query, member], [member, query])


def _parts(array) -> list[np.ndarray]:
    return np.array_split(array, len(array) // _PART + 1)


def _in_space(points) -> np.ndarray:
    """Return an order of points `(dims, n)` in which neighbours are neighbours: cell after cell of a coarse grid."""
    span, most = np.ptp(points, axis=1), int(2 ** (16 / len(points)))
    cell = np.where(span > 0, span, 1) / (most - 1)
    index = _index(points, points.min(axis=1), cell, 0, most - 1)
    return _sorted(_number(index, [most] * len(points)))


def _look_up(numbers, wanted) -> np.ndarray:
    """Do `np.searchsorted(numbers, wanted)` where what is wanted lies close together."""
    start, stop = np.searchsorted(numbers, [wanted.min(), wanted.max()]) if len(wanted) else (0, 0)
    return start + np.searchsorted(numbers[start:stop], wanted)


def _sorted(numbers) -> np.ndarray:
    """Return the order of integers from 0 on; two bytes at a time, which NumPy does in linear time."""
    order = np.argsort(numbers.astype("uint16"), kind="stable")
    for shift in range(16, int(numbers.max(initial=0)).bit_length(), 16):
        order = order[np.argsort((numbers >> shift).astype("uint16")[order], kind="stable")]
    return order


def _index(points, origin, cell, low, high) -> np.ndarray:
    """Return in which cell of a grid each point lies, `(dims, n)`; cells outside of `low` to `high` become these."""
    index = np.floor((points - origin[:, None]) / cell[:, None])
    return np.clip(index, low, np.reshape(high, (-1, 1))).astype(int)


def _number(index, cells, group=0) -> np.ndarray:
    """Return one integer for each cell and group; neighbours along x follow each other."""
    for axis in reversed(range(len(cells))):
        group = group * cells[axis] + index[axis]
    return group


def _resolve(better, worse, rank, dropped) -> None:
    """Mark in `dropped` what the greedy loop drops, given the pairs `(better, worse)` that suppress.

    A box that is the worse of no undecided pair is kept, as all its better neighbours are dropped; its own worse
    neighbours are dropped then, and pairs with a decided box say nothing further. By induction over the rank this is
    the greedy result. A chain of L boxes needs L / 2 such rounds: where a round decides little, one pass over the pairs
    in order of the better box, which is final when its turn comes, ends it.
    """
    while len(better):
        waits = np.zeros(len(rank), bool)
        waits[worse] = True
        dropped[worse[~waits[better]]] = True
        left = ~(dropped[better] | dropped[worse])
        slow = left.sum() > 0.8 * len(left)
        better, worse = better[left], worse[left]
        if slow:
            order = np.argsort(rank[better], kind="stable")
            flags = dropped.tolist()
            for first, second in zip(better[order].tolist(), worse[order].tolist(), strict=True):
                if not flags[first]:
                    flags[second] = True
            dropped[:] = flags
            return


def _reach(sizes, largest, threshold, kind) -> np.ndarray:
    """Bound, axis by axis, the distance d of the centres of two boxes whose overlap exceeds the threshold t.

    With the sizes u, v, the enclosing box E, and V, W the volumes:

    - t >= 0: all kinds are at most the IoU, so IoU > t, so on each axis the shared side exceeds t max(u, v);
      it is at most (u + v) / 2 - d, so d < (1 - t) (u + v) / 2.
    - GIoU, t < 0: IoU + union / E - 1 > t. Without intersection E < (V + W) / (1 + t), so on each axis the side
      d + (u + v) / 2 of E is below (u + v) / (1 + t), as on the other axes E is at least as wide as both.
    - DIoU, t < 0: without intersection, distance / diagonal < -t (DIoU2: its square), and the diagonal is at most
      distance + |max(u, v)|, so d <= distance < r / (1 - r) |max(u, v)| with r = -t (DIoU2: its root).
    - IoU, t < 0: all boxes; so it is near -1 for the others.

    Args:
        sizes: `(dims, n)` sizes u.
        largest: `(dims, 1)` greatest sizes v that are met.
        threshold: t.
        kind: one of `IOU_KINDS`.
    """
    half = (sizes + largest) / 2
    if threshold >= 0:
        return (1 - threshold) * half
    if kind == "iou" or threshold <= -1:
        return np.full_like(half, np.inf)
    if kind == "giou":
        return (2 / (1 + threshold) - 1) * half
    share = -threshold if kind == "diou" else (-threshold) ** 0.5
    diagonal = np.linalg.norm(np.maximum(sizes, largest), axis=0)
    with np.errstate(divide="ignore"):
        return np.maximum(half, share / np.float64(1 - share) * diagonal)


def suppress_padded(
    boxes,
    scores,
    labels=None,
    *,
    threshold: float = 0.5,
    other_threshold: float | None = None,
    kind: str = "iou",
    max_detections: int,
) -> tuple:
    """Do what `suppress` does for a batch of padded boxes, inside a compiled graph (TensorFlow, XLA, JAX, torch).

    One box an image is chosen in each step, and the loop ends when nothing is left; a step takes memory in proportion
    to the number of boxes. Computes in float32. No gradient flows through.

    Args:
        boxes: `(batch, n, 2 * dims)`, corners with x first.
        scores: `(batch, n)`; a box whose score is 0, negative or NaN is padding.
        labels: `(batch, n)` classes; without them all boxes are of one class.
        threshold: overlap, -1 to 1, above which a box of the same class is dropped.
        other_threshold: likewise for a box of another class; None keeps it always.
        kind: overlap to use, one of `IOU_KINDS`.
        max_detections: number of boxes to return for each image; better ones first, the rest is lost without a word.

    Returns:
        Indices `(batch, max_detections)` int32 into the n boxes, best score first, and whether each is one `(batch,
        max_detections)` bool; 0 where not.

    Raises:
        ValueError: if the shapes, thresholds or kind do not fit.

    Example:
        >>> import numpy as np, astrokeras
        >>> boxes = np.array([[[0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10], [0, 0, 0, 0]]])
        >>> scores = np.array([[0.6, 0.9, 0.3, 0.0]])
        >>> kept, valid = astrokeras.boxes.suppress_padded(boxes, scores, max_detections=3)
        >>> np.asarray(kept).tolist(), np.asarray(valid).tolist()
        ([[1, 2, 0]], [[True, True, False]])
    """
    _check_settings(threshold, other_threshold, kind, max_detections)
    ops = keras.ops
    boxes = ops.stop_gradient(ops.cast(boxes, "float32"))
    scores = ops.stop_gradient(ops.cast(scores, "float32"))
    labels = ops.zeros_like(scores, "int32") if labels is None else ops.cast(labels, "int32")
    if len(boxes.shape) != 3 or boxes.shape[-1] not in (2, 4, 6) or not len(scores.shape) == len(labels.shape) == 2:
        raise ValueError(
            "Expected boxes (batch, n, 2 * dims), scores (batch, n) and labels (batch, n); received shapes "
            f"{tuple(boxes.shape)}, {tuple(scores.shape)} and {tuple(labels.shape)}."
        )
    if scores.shape[1] == 0:  # argmax wants something to choose from
        boxes, scores, labels = (ops.pad(x, [[0, 0], [0, 1], [0, 0]][: len(x.shape)]) for x in (boxes, scores, labels))
    scores = ops.where(scores > 0, scores, 0.0)  # NaN too
    found = ops.zeros_like(scores[:, :1], "int32") + ops.zeros((1, max_detections), "int32")
    slots, numbers = ops.arange(max_detections), ops.arange(ops.shape(scores)[1])

    def more(step, left, found, valid):
        return ops.logical_and(step < max_detections, ops.any(left > 0))

    def choose(step, left, found, valid):
        best = ops.cast(ops.argmax(left, axis=1), "int32")[:, None]
        here = ops.take_along_axis(left, best, axis=1) > 0
        box = ops.take_along_axis(boxes, best[..., None], axis=1)
        overlap = iou(boxes, box, kind)
        limit = threshold
        if other_threshold != threshold:
            same = ops.take_along_axis(labels, best, axis=1) == labels
            limit = ops.where(same, threshold, 2.0 if other_threshold is None else other_threshold)
        out = ops.logical_or(overlap > limit, numbers[None] == best)
        slot = ops.logical_and(slots[None] == step, here)
        return (
            step + 1,
            ops.where(out, 0.0, left),
            ops.where(slot, best, found),
            ops.logical_or(valid, slot),
        )

    start = (ops.cast(0, "int32"), scores, found, found > 0)
    return tuple(ops.while_loop(more, choose, start, maximum_iterations=max_detections)[2:])


def _checked(boxes, scores, labels) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    boxes, scores = np.asarray(boxes, "float64"), np.asarray(scores, "float64")
    named = np.zeros(scores.shape, int) if labels is None else np.asarray(labels)
    if boxes.ndim != 2 or boxes.shape[1] not in (2, 4, 6) or not scores.shape == named.shape == boxes.shape[:1]:
        raise ValueError(
            "Expected boxes (n, 2 * dims) with one score and one label for each; received shapes "
            f"{boxes.shape}, {scores.shape} and {named.shape}."
        )
    wrong = np.flatnonzero(np.isnan(scores))
    if len(wrong):
        raise ValueError(f"Expected scores that are numbers; box {wrong[0]} has the score NaN: drop it first.")
    dims = boxes.shape[1] // 2
    wrong = np.flatnonzero(~(np.isfinite(boxes).all(axis=1) & (boxes[:, :dims] <= boxes[:, dims:]).all(axis=1)))
    if len(wrong):
        raise ValueError(
            "Expected finite boxes with min <= max, corners with x first; "
            f"received {boxes[wrong[0]].tolist()} as box {wrong[0]}: drop it first."
        )
    return boxes, scores, named if labels is None else np.unique(named, return_inverse=True)[1]


def _check_settings(threshold, other_threshold, kind, max_detections) -> None:
    for name, value in (("threshold", threshold), ("other_threshold", other_threshold)):
        if not (value is None and name == "other_threshold") and not -1 <= value <= 1:
            raise ValueError(f"Expected {name} from -1 to 1; received {value!r}.")
    if kind not in IOU_KINDS:
        raise ValueError(f"Expected kind to be one of {', '.join(IOU_KINDS)}; received {kind!r}.")
    if max_detections is not None and max_detections < 1:
        raise ValueError(f"Expected max_detections of at least 1; received {max_detections!r}.")
