"""Mean average precision of detections, by the rules of PASCAL VOC, COCO and CIANNA; boxes in 1, 2 and 3 dimensions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from astrokeras import boxes as geometry

COCO_THRESHOLDS = tuple(np.linspace(0.5, 0.95, 10).tolist())
PROTOCOLS = {  # IoU thresholds, detections that count per image and class
    "voc": ((0.5,), None),
    "voc07": ((0.5,), None),
    "coco": (COCO_THRESHOLDS, 100),
    "cianna": ((0.5,), None),
}
AREAS = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e5**2)}  # COCO's, square pixels
CHUNK = 1 << 21  # pairs of boxes that are compared at a time


@dataclass(frozen=True, eq=False)
class AveragePrecision:
    """What `MeanAveragePrecision.result()` returns.

    Attributes:
        protocol: `"voc"`, `"voc07"`, `"coco"` or `"cianna"`.
        scores: name -> value: `"map"` first, the protocol's own figure; `"map50"` and `"map75"` where there are several
            thresholds; of COCO in 2-D `"map_small"`, `"map_medium"`, `"map_large"`; of CIANNA `"all_classes"`, its
            "AP_all": one curve of all detections.
        per_class: `(classes,)` average precision, the mean over the thresholds; NaN for a class without objects.
        per_threshold: `(thresholds, classes)`, the same for each threshold.
        iou_thresholds: from which overlap on an object counts as found.
        objects: `(classes,)` objects that count, without the difficult ones.
        detections: `(classes,)` detections that count.
        curves: for each class `{"recall": ..., "precision": ..., "scores": ...}` at the first threshold, one entry a
            detection in falling order of score; detections that are ignored are left out.
        images: number of images.
        left_out: detections beyond the limit per image and class.
        class_names: of the classes; `None` where they go by number.

    Example:
        >>> import numpy as np
        >>> from astrokeras.metrics import AveragePrecision
        >>> one = np.ones(1)
        >>> AveragePrecision("voc", {"map": 0.5}, one / 2, one[None] / 2, (0.5,), one, one, (), 1).describe()
        'voc mAP@50 0.5000 (1 class, 1 object in 1 image, 1 detection)'
    """

    protocol: str
    scores: dict[str, float]
    per_class: np.ndarray = field(repr=False)
    per_threshold: np.ndarray = field(repr=False)
    iou_thresholds: tuple[float, ...] = field(repr=False)
    objects: np.ndarray = field(repr=False)
    detections: np.ndarray = field(repr=False)
    curves: tuple[dict[str, np.ndarray], ...] = field(repr=False)
    images: int = 0
    left_out: int = 0
    class_names: tuple[str, ...] | None = field(default=None, repr=False)

    @property
    def map(self) -> float:
        """The protocol's mean average precision, over classes with objects and over the thresholds."""
        return self.scores["map"]

    def describe(self) -> str:
        """Say the scores in one line."""
        only = self.iou_thresholds[0]
        first = f"mAP@{100 * only:g}" if len(self.iou_thresholds) == 1 else "mAP"
        said = {"map": first, "map50": "mAP@50", "map75": "mAP@75"}
        scores = ", ".join(f"{said[name]} {value:.4f}" for name, value in self.scores.items() if name in said)
        counts = [(int(np.isfinite(self.per_class).sum()), "class"), (int(self.objects.sum()), "object")]
        counts += [(self.images, "image"), (int(self.detections.sum()), "detection")]
        classes, objects, images, found = (f"{n} {word}{_plural(n, word)}" for n, word in counts)
        limit = f"; {self.left_out} beyond the limit per image and class" if self.left_out else ""
        return f"{self.protocol} {scores} ({classes}, {objects} in {images}, {found}{limit})"


class MeanAveragePrecision:
    """Mean average precision over images that come batch by batch. A plain NumPy class, not a Keras metric.

    Each detection, in falling order of score (equal scores: as given), asks for an object of its class and image
    whose IoU reaches the threshold: the best one that is still free. If it gets one it is true, otherwise false. What
    a difficult object gets counts neither way, and difficult objects are not expected to be found.

    - `"voc"`, as the devkit of PASCAL VOC 2010-2012 (Everingham et al. 2010): a detection may ask for its best object
      only, taken or not, so duplicates are false; a difficult object takes any number. The average precision is the
      area under the precision, made falling from the right, at IoU >= 0.5. Edges here are continuous: the devkit
      counts a pixel more per side, which belongs to corners that name the first and the last pixel.
    - `"voc07"`: the same, but the mean of the precision at the recalls 0, 0.1, ... 1 (the devkit of 2007).
    - `"coco"`, as pycocotools (Lin et al. 2014): 10 thresholds 0.50, 0.55, ... 0.95, the precision at 101 recalls, 100
      detections per image and class. Any object that is not difficult goes before a difficult one; each takes one
      detection. Difficult means "ignore" there, not "iscrowd": the overlap stays the IoU. Areas are those of the boxes.
    - `"cianna"`, as CIANNA's own scripts (Deyht/CIANNA, examples/PASCAL/aux_fct.py): the best object that is free,
      where a difficult one is as good as any and takes any number; the trapezoidal area between the recalls of the
      first and the last detection (what lies left of the first is missing, so a single perfect detection scores 0);
      one pixel more per side in the IoU, which is meant for pixels of the network's input. Compared with "voc", a
      duplicate on a neighbour may be true. CIANNA divides by all classes; here classes without objects are left out.

    An object of no class (label -2) is left out, and so are images that are `class_only`.

    Args:
        protocol: `"voc"`, `"voc07"`, `"coco"` or `"cianna"`.
        classes: number of classes; `None` takes the highest label that comes.
        class_names: of the classes, for figures.
        iou_thresholds: one or several, above 0 and up to 1, over which the score is the mean; `None` takes the
            protocol's.
        iou_kind: what the thresholds mean: one of `boxes.IOU_KINDS`.
        max_detections: that count per image and class, the best by score; `None` counts all; `"protocol"` is 100 for
            COCO and all otherwise.

    Raises:
        ValueError: for an unknown protocol or kind, and thresholds outside 0..1.

    Example:
        >>> import numpy as np
        >>> from astrokeras.detections import Detections
        >>> from astrokeras.metrics import MeanAveragePrecision
        >>> metric = MeanAveragePrecision("voc")
        >>> targets = [{"boxes": np.array([[0, 0, 4, 4], [6, 6, 9, 9]]), "labels": np.array([0, 0])}]
        >>> metric.update_state(targets, [Detections([[0, 0, 4, 5], [6, 0, 9, 3]], [0.9, 0.8])])
        >>> metric.result().map
        0.5
    """

    def __init__(
        self,
        protocol: str = "voc",
        *,
        classes: int | None = None,
        class_names: Sequence[str] | None = None,
        iou_thresholds: float | Sequence[float] | None = None,
        iou_kind: str = "iou",
        max_detections: int | str | None = "protocol",
    ):
        if protocol not in PROTOCOLS:
            raise ValueError(f"Expected protocol to be one of {', '.join(PROTOCOLS)}; received {protocol!r}.")
        if iou_kind not in geometry.IOU_KINDS:
            raise ValueError(f"Expected iou_kind to be one of {', '.join(geometry.IOU_KINDS)}; received {iou_kind!r}.")
        own_thresholds, own_limit = PROTOCOLS[protocol]
        thresholds = np.atleast_1d(own_thresholds if iou_thresholds is None else iou_thresholds).astype(float)
        if not (thresholds.size and (thresholds > 0).all() and (thresholds <= 1).all()):
            raise ValueError(f"Expected iou_thresholds above 0 and at most 1; received {thresholds.tolist()}.")
        self.protocol = protocol
        self.class_names = None if class_names is None else tuple(map(str, class_names))
        self.classes = len(self.class_names) if classes is None and self.class_names else classes
        self.classes = None if self.classes is None else max(self.classes, 1)  # without classes all objects carry 0
        self.iou_thresholds = tuple(thresholds.tolist())
        self.iou_kind = iou_kind
        self.max_detections = own_limit if max_detections == "protocol" else max_detections
        self.reset_state()

    def reset_state(self) -> None:
        """Forget all images."""
        self._images, self._width, self._objects, self._found = 0, None, [], []

    def update_state(self, targets, detections: Sequence) -> None:
        """Add some images.

        Args:
            targets: list with one dict per image, `"boxes"` `(n, 2 * dims)` corners with x first and `"labels"` `(n,)`,
                optional `"difficult"` `(n,)` (above 0: difficult) and `"class_only"`; or the padded arrays of a batch
                in one dict, where the label -1 is padding.
            detections: one `Detections` per image, in the same pixels.

        Raises:
            ValueError: if there are not as many of the one as of the other, boxes or labels do not fit, or are not
                finite; the image and the object are named.
        """
        images = len(targets["boxes"]) if isinstance(targets, Mapping) else len(targets)
        if images != len(detections):
            raise ValueError(
                f"Expected one Detections per image; received {images} images and {len(detections)} Detections."
            )
        objects, class_only = _flat(targets)
        found = _flat_detections(detections)
        for what, columns in (("object", objects), ("detection", found)):
            self._check(what, columns)
            columns["image"] = columns["image"] + self._images
        alone = np.flatnonzero(class_only) + self._images
        keep = (objects["label"] >= 0) & ~np.isin(objects["image"], alone)
        self._objects.append({name: column[keep] for name, column in objects.items()})
        keep = ~np.isin(found["image"], alone)
        self._found.append({name: column[keep] for name, column in found.items()})
        self._images += images

    def result(self) -> AveragePrecision:
        """Return the scores of all images since the last `reset_state`."""
        objects, found = _joined(self._objects, "difficult"), _joined(self._found, "score")
        classes = self.classes
        if classes is None:
            classes = int(max(objects["label"].max(initial=-1), found["label"].max(initial=-1))) + 1
        found = {name: column[np.argsort(-found["score"], kind="stable")] for name, column in found.items()}
        objects["group"] = objects["image"] * max(classes, 1) + objects["label"]
        found["group"] = found["image"] * max(classes, 1) + found["label"]
        given = len(found["group"])
        if self.max_detections is not None:
            keep = _place_in_group(found["group"]) < self.max_detections
            found = {name: column[keep] for name, column in found.items()}
        if self.protocol == "cianna":
            for columns in (objects, found):
                dims = columns["boxes"].shape[1] // 2
                columns["boxes"] = columns["boxes"] + np.repeat([0.0, 1.0], dims)
        pairs = _overlapping(found, objects, min(self.iou_thresholds), self.iou_kind)

        table, curves = self._score(objects, found, pairs, classes, objects["difficult"] > 0, None)
        scores = {"map": _mean(table)}
        for percent in (50, 75):
            row = np.flatnonzero(np.isclose(self.iou_thresholds, percent / 100))
            if len(row) and len(self.iou_thresholds) > 1:
                scores[f"map{percent}"] = _mean(table[row])
        if self.protocol == "coco" and self._width == 4:
            for name, limits in AREAS.items():
                ignored = (objects["difficult"] > 0) | _outside(objects["boxes"], limits)
                scores[f"map_{name}"] = _mean(self._score(objects, found, pairs, classes, ignored, limits)[0])
        if self.protocol == "cianna":
            flags = np.concatenate([curve["true"] for curve in curves]) if curves else np.zeros(0, bool)
            order = np.argsort(-np.concatenate([curve["scores"] for curve in curves] or [[]]), kind="stable")
            scores["all_classes"] = _area(flags[order], int((objects["difficult"] == 0).sum()), "cianna")[0]
        return AveragePrecision(
            protocol=self.protocol,
            scores=scores,
            per_class=table.mean(axis=0),
            per_threshold=table,
            iou_thresholds=self.iou_thresholds,
            objects=np.bincount(objects["label"][objects["difficult"] == 0], minlength=classes),
            detections=np.array([len(curve["scores"]) for curve in curves], int),
            curves=tuple({name: curve[name] for name in ("recall", "precision", "scores")} for curve in curves),
            images=self._images,
            left_out=given - len(found["group"]),
            class_names=self.class_names,
        )

    def _score(self, objects, found, pairs, classes, ignored, area) -> tuple[np.ndarray, list[dict]]:
        """Return the average precision `(thresholds, classes)`, and the curves of the first threshold."""
        detection, target, overlap = pairs
        if self.protocol == "coco":
            order = np.lexsort((-target, -overlap, ignored[target], detection))  # of equals, pycocotools takes the last
        else:
            order = np.lexsort((target, -overlap, detection))
        detection, target, overlap = detection[order], target[order], overlap[order]
        shared = np.zeros_like(ignored) if self.protocol == "coco" else ignored
        counts = np.bincount(objects["label"][~ignored], minlength=classes)
        by_class = np.argsort(found["label"], kind="stable")
        ends = np.searchsorted(found["label"][by_class], np.arange(classes + 1))
        table, curves = np.full((len(self.iou_thresholds), classes), np.nan), []
        for row, threshold in enumerate(self.iou_thresholds):
            near = overlap >= min(threshold, 1 - 1e-10)
            asked, wanted = detection[near], target[near]
            if self.protocol in ("voc", "voc07"):
                best = np.diff(asked, prepend=-1) != 0
                asked, wanted = asked[best], wanted[best]
            got = _assigned(asked, wanted, shared, len(found["score"]))
            true = (got >= 0) & ~np.append(ignored, True)[got]
            counted = true | (got < 0)
            if area is not None:
                counted &= true | ~_outside(found["boxes"], area)
            for label in range(classes):
                rows = by_class[ends[label] : ends[label + 1]]
                rows = rows[counted[rows]]
                value, recall, precision = _area(true[rows], counts[label], self.protocol)
                table[row, label] = value
                if row == 0:
                    columns = {"recall": recall, "precision": precision, "true": true[rows]}
                    curves.append(columns | {"scores": found["score"][rows]})
        return table, curves

    def _check(self, what: str, columns: dict) -> None:
        """Refuse boxes and labels that cannot be; `columns` are those of the new images."""
        width = columns["boxes"].shape[1]
        if len(columns["boxes"]):
            if width not in (2, 4, 6) if self._width is None else width != self._width:
                expected = self._width or "2, 4 or 6"
                raise ValueError(f"Expected boxes (n, {expected}) of every {what}; received {width} columns.")
            self._width = width
        lowest = -2 if what == "object" else 0
        bad = ~np.isfinite(columns["boxes"]).all(axis=1)
        wrong = (columns["label"] < lowest) | (columns["label"] >= (np.inf if self.classes is None else self.classes))
        for flags, expected, name in ((bad, "finite boxes", "boxes"), (wrong, "labels of the classes", "label")):
            if flags.any():
                first = int(np.argmax(flags))
                image = columns["image"][first]
                place = first - int(np.argmax(columns["image"] == image))
                raise ValueError(
                    f"Expected {expected}; {what} {place} of image {image + self._images} has "
                    f"{columns[name][first].tolist()}: correct or drop it."
                )


def _flat(targets) -> tuple[dict, np.ndarray]:
    """Put the objects of all images below each other, without padding; also tell which images are class-only."""
    if isinstance(targets, Mapping):
        labels = np.asarray(targets["labels"] if "labels" in targets else targets["classes"], int)
        keep = labels != -1
        objects = {"boxes": np.asarray(targets["boxes"], "float64")[keep], "label": labels[keep]}
        objects["difficult"] = np.asarray(targets.get("difficult", np.zeros_like(labels)), int)[keep]
        objects["image"] = np.nonzero(keep)[0]
        return objects, np.asarray(targets.get("class_only", np.zeros(len(labels))), bool)
    parts = []
    for index, image in enumerate(targets):
        labels = np.asarray(image["labels"] if "labels" in image else image["classes"], int).reshape(-1)
        found = np.asarray(image["boxes"], "float64")
        if len(labels) != (len(found) if found.size else 0):
            raise ValueError(
                f"Expected as many boxes as labels; image {index} has boxes {found.shape} and {len(labels)} labels."
            )
        keep = labels != -1
        difficult = np.asarray(image.get("difficult", np.zeros_like(labels)), int).reshape(-1)
        part = {"boxes": found.reshape(len(labels), -1) if found.size else np.zeros((0, 4)), "label": labels}
        part |= {"difficult": difficult, "image": np.full(len(labels), index)}
        parts.append({name: column[keep] for name, column in part.items()})
    return _joined(parts, "difficult"), np.array([bool(image.get("class_only", False)) for image in targets], bool)


def _flat_detections(detections) -> dict:
    parts = [
        {
            "boxes": np.asarray(one.boxes, "float64"),
            "label": np.asarray(one.labels, int),
            "score": np.asarray(one.scores, "float64"),
            "image": np.full(len(one.scores), index),
        }
        for index, one in enumerate(detections)
    ]
    return _joined(parts, "score")


def _joined(parts: list[dict], last: str) -> dict:
    """Concatenate columns; empty parts do not say of how many dimensions the boxes are."""
    full = [part for part in parts if len(part["label"])]
    if not full:
        return {"boxes": np.zeros((0, 4)), "label": np.zeros(0, int), last: np.zeros(0), "image": np.zeros(0, int)}
    widths = {part["boxes"].shape[1] for part in full}
    if len(widths) > 1:
        raise ValueError(f"Expected boxes of one number of dimensions; received boxes of {sorted(widths)} columns.")
    return {name: np.concatenate([part[name] for part in full]) for name in full[0]}


def _place_in_group(group: np.ndarray) -> np.ndarray:
    """Count each entry's equals before it."""
    order = np.argsort(group, kind="stable")
    ordered = group[order]
    places = np.empty(len(group), int)
    places[order] = np.arange(len(group)) - np.searchsorted(ordered, ordered)
    return places


def _overlapping(found: dict, objects: dict, lowest: float, kind: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the pairs of one group whose IoU is at least `lowest` > 0: detection, object, IoU.

    Objects are sorted along x, each group on its own stretch of the axis, so that only neighbours are compared.
    """
    none = np.zeros(0, int), np.zeros(0, int), np.zeros(0)
    if not len(found["boxes"]) or not len(objects["boxes"]):
        return none
    dims = objects["boxes"].shape[1] // 2
    low, high = objects["boxes"][:, 0], objects["boxes"][:, dims]
    left, right = found["boxes"][:, 0], found["boxes"][:, dims]
    widest = (high - low).max()
    stretch = max(high.max(), right.max()) - min(low.min(), left.min()) + widest + 2
    low = low + objects["group"] * stretch
    left, right = left + found["group"] * stretch, right + found["group"] * stretch
    order = np.argsort(low, kind="stable")
    first = np.searchsorted(low[order], left - widest - 1)
    count = np.maximum(np.searchsorted(low[order], right + 1) - first, 0)
    total = np.cumsum(count)
    cuts = np.searchsorted(total, np.arange(CHUNK, total[-1] + CHUNK, CHUNK), side="right")
    parts, start = [none], 0
    for stop in np.unique(np.append(np.maximum(cuts, 1), len(count))):
        detection = np.repeat(np.arange(start, stop), count[start:stop])
        before = total[detection] - count[detection] - (total[start] - count[start])
        target = order[first[detection] + np.arange(len(detection)) - before]
        same = found["group"][detection] == objects["group"][target]
        detection, target = detection[same], target[same]
        overlap = geometry.iou(found["boxes"][detection], objects["boxes"][target], kind)
        near = overlap >= min(lowest, 1 - 1e-10)
        parts.append((detection[near], target[near], overlap[near]))
        start = stop
    detection, target, overlap = (np.concatenate(column) for column in zip(*parts, strict=True))
    return detection, target, overlap


def _assigned(asked: np.ndarray, wanted: np.ndarray, shared: np.ndarray, count: int) -> np.ndarray:
    """Let detections choose objects one after the other, all at once.

    Detection 0 takes its first wish, detection 1 its first that is left, and so on. Each asks for its current wish, an
    object keeps the earliest who asks, the others go on to their next wish, until nobody has to move: that is the one
    stable matching, hence the same choice (Gale and Shapley 1962).

    Args:
        asked: detection of each wish, rising.
        wanted: object of each wish; those of one detection in order of preference.
        shared: whether an object takes any number.
        count: number of detections.

    Returns:
        `(count,)` object of each detection, -1 for none.
    """
    got = np.full(count, -1)
    wish = np.flatnonzero(np.diff(asked, prepend=-1))  # the current wish of each detection that has one
    keeper = np.empty(len(shared), int)
    following = np.append(asked[1:], -1)
    while True:
        keeper[wanted[wish][::-1]] = asked[wish][::-1]  # the last one written, the earliest, stays
        refused = (keeper[wanted[wish]] != asked[wish]) & ~shared[wanted[wish]]
        if not refused.any():
            got[asked[wish]] = wanted[wish]
            return got
        gives_up = refused & (following[wish] != asked[wish])
        wish = (wish + refused)[~gives_up]


def _area(true: np.ndarray, objects: int, protocol: str) -> tuple[float, np.ndarray, np.ndarray]:
    """Return average precision, recall and precision of detections in falling order of score."""
    if not objects:
        return np.nan, np.full(len(true), np.nan), np.zeros(len(true))
    hits = np.cumsum(true)
    recall, precision = hits / objects, hits / np.arange(1, len(true) + 1)
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    if protocol == "voc":
        value = (np.diff(recall, prepend=0) * falling).sum()
    elif protocol == "cianna":
        value = np.trapezoid(falling, recall)
    else:  # 0.3 is 0.30000000000000004 here, as in the devkit and in pycocotools
        points = np.linspace(0, 1, 11 if protocol == "voc07" else 101)
        value = np.append(falling, 0)[np.searchsorted(recall, points)].mean()
    return float(value), recall, precision


def _outside(found: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """Tell which 2-D boxes have an area outside COCO's limits."""
    area = (found[:, 2] - found[:, 0]) * (found[:, 3] - found[:, 1])
    return (area < limits[0]) | (area > limits[1])


def _mean(table: np.ndarray) -> float:
    """Mean over what is known; NaN where nothing is."""
    known = np.isfinite(table)
    return float(table[known].mean()) if known.any() else float("nan")


def _plural(count: int, word: str) -> str:
    return "" if count == 1 else "es" if word.endswith("s") else "s"
