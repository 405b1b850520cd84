import warnings

import keras
import numpy as np
import pytest
from matplotlib.figure import Figure

from astrokeras import boxes, callbacks, metrics, plots
from astrokeras.detections import Detections, targets_to_keras_cv, to_keras_cv
from astrokeras.metrics import MeanAveragePrecision, mean_average_precision

COCO = np.linspace(0.5, 0.95, 10)


def score(targets, detections, protocol="voc", **settings):
    metric = MeanAveragePrecision(protocol, **settings)
    metric.update_state(targets, detections)
    return metric.result()


def random_set(seed, images=25, classes=4, dims=2, difficult=True, grid=0):
    """Crowded images, equal scores, images without objects or detections, a class without objects."""
    rng = np.random.default_rng(seed)
    targets, detections = [], []
    for image in range(images):
        count = 0 if image == 1 else rng.integers(0, 12)
        low, size = rng.uniform(0, 120, (count, dims)), rng.uniform(8, 130, (count, dims))
        found = np.concatenate([low, low + size], axis=1).astype("float32")
        labels = rng.integers(0, classes - 1, count)
        targets.append({"boxes": found, "labels": labels})
        if difficult:
            targets[-1]["difficult"] = rng.integers(0, 4, count) * (rng.random(count) < 0.3)
        chosen = rng.integers(0, count, 3 * count) if count and image != 2 else np.zeros(0, int)
        near = found[chosen] + rng.normal(0, 5, (len(chosen), 2 * dims))
        extra = 0 if image == 2 else 4
        low = rng.uniform(0, 120, (extra, dims))
        near = np.concatenate([near, np.concatenate([low, low + rng.uniform(5, 150, (extra, dims))], axis=1)])
        if grid:
            found, near = np.round(found / grid) * grid, np.round(near / grid) * grid
            targets[-1]["boxes"] = found = np.maximum(found, np.repeat([0, grid], dims))
        near[:, dims:] = np.maximum(near[:, dims:], near[:, :dims] + 1)
        guess = np.concatenate([labels[chosen], rng.integers(0, classes, extra)])
        wrong = rng.random(len(guess)) < 0.2
        guess[wrong] = rng.integers(0, classes, wrong.sum())
        detections.append(Detections(near, rng.integers(1, 20, len(near)) / 20, guess))
    return targets, detections


# --- by hand -----------------------------------------------------------------------------------------------------

A, B, C, D, E = ([x, 0, x + 10, 10] for x in (0, 20, 40, 60, 80))
TARGETS = [{"boxes": [A, B, C], "labels": [0, 0, 0]}, {"boxes": [D, E], "labels": [0, 0], "difficult": [0, 2]}]
FOUND = [
    Detections(
        [[0, 0, 10, 8], [0, 0, 10, 9], [20, 0, 30, 7], [40, 0, 50, 9]], [0.9, 0.8, 0.6, 0.4]
    ),  # A, A again, B, C
    Detections([[80, 0, 90, 9], [62, 3, 75, 15]], [0.7, 0.5]),  # the difficult E; beside D (IoU 56 / 200)
]
# In order of score: A true, A again false, E ignored, B true, beside D false, C true; D is missed; 4 objects count.
# recall     1/4 1/4 2/4 2/4 3/4
# precision  1   1/2 2/3 2/4 3/5, made falling from the right: 1 2/3 2/3 3/5 3/5
BY_HAND = {
    "voc": (1 + 2 / 3 + 3 / 5) / 4,
    "voc07": (3 * 1 + 3 * 2 / 3 + 2 * 3 / 5) / 11,  # recalls 0, .1, .2 | .3, .4, .5 | .6, .7 | .8, .9, 1 are missed
    "coco": (26 * 1 + 25 * 2 / 3 + 25 * 3 / 5) / 101,  # recalls 0 ... .25 | .26 ... .50 | .51 ... .75 | missed
    "cianna": (2 / 3 + 3 / 5) / 4,  # from the recall 1/4 of the first detection on
}


@pytest.mark.parametrize("protocol", BY_HAND)
def test_by_hand(protocol):
    result = score(TARGETS, FOUND, protocol, iou_thresholds=0.5)
    assert result.map == pytest.approx(BY_HAND[protocol], abs=1e-15)
    np.testing.assert_allclose(result.curves[0]["recall"], [0.25, 0.25, 0.5, 0.5, 0.75])
    np.testing.assert_allclose(result.curves[0]["precision"], [1, 1 / 2, 2 / 3, 2 / 4, 3 / 5])
    np.testing.assert_allclose(result.curves[0]["scores"], [0.9, 0.8, 0.6, 0.5, 0.4])
    assert result.objects.tolist() == [4] and result.detections.tolist() == [5] and result.images == 2


def flags(protocol, targets, found):
    """Return, in order of score, 1 for each true and 0 for each false detection; ignored ones are left out."""
    curve = score([targets], [found], protocol, iou_thresholds=0.4).curves[0]
    hits = np.round(curve["precision"] * np.arange(1, len(curve["precision"]) + 1))
    return np.diff(hits, prepend=0).astype(int).tolist()


def test_a_duplicate_may_have_a_neighbour_in_coco_and_cianna_but_not_in_voc():
    pair = {"boxes": [[0, 0, 10, 10], [0, 3, 10, 13]], "labels": [0, 0]}  # both detections like the first one best
    found = Detections([[0, 0, 10, 10], [0, 1, 10, 11]], [0.9, 0.8])
    assert flags("voc", pair, found) == flags("voc07", pair, found) == [1, 0]
    assert flags("coco", pair, found) == flags("cianna", pair, found) == [1, 1]


def test_difficult_objects_by_protocol():
    pair = {"boxes": [[0, 0, 10, 10], [0, 3, 10, 13]], "labels": [0, 0], "difficult": [1, 0]}
    likes_the_difficult_one_best = Detections([[0, 1, 10, 11]], [0.9])
    assert flags("voc", pair, likes_the_difficult_one_best) == []
    assert flags("cianna", pair, likes_the_difficult_one_best) == []
    assert flags("coco", pair, likes_the_difficult_one_best) == [1]
    alone = {"boxes": [[0, 0, 10, 10], [50, 0, 60, 10]], "labels": [0, 0], "difficult": [3, 0]}
    twice = Detections([[0, 0, 10, 9], [0, 0, 10, 8]], [0.9, 0.8])
    assert flags("voc", alone, twice) == flags("cianna", alone, twice) == []
    assert flags("coco", alone, twice) == [0]


def test_a_displaced_detection_takes_the_next_free_object():
    # Three detections want object 0 first; each later one moves on: 0 -> 1 -> 2, the fourth finds none.
    targets = {"boxes": [[0, y, 10, y + 10] for y in (0, 2, 4)], "labels": [0, 0, 0]}
    found = Detections([[0, 0, 10, 10]] * 4, [0.9, 0.8, 0.7, 0.6])
    assert flags("coco", targets, found) == [1, 1, 1, 0]


def test_thresholds_are_reached_by_equality_and_iou_kinds_differ():
    targets, found = [{"boxes": [[0, 0, 4, 4]], "labels": [0]}], [Detections([[0, 0, 4, 2]], [0.5])]  # IoU exactly 1/2
    assert score(targets, found).map == 1 and score(targets, found, iou_thresholds=0.51).map == 0
    assert score(targets, found, iou_kind="diou").map == 0  # 1/2 - 1 / sqrt(32)
    several = score(targets, found, iou_thresholds=[0.25, 0.5, 0.75])
    assert several.map == pytest.approx(2 / 3) and several.scores["map50"] == 1 and several.scores["map75"] == 0


def test_cianna_counts_one_pixel_more():
    targets, found = [{"boxes": [[0, 0, 4, 4]], "labels": [0]}], [Detections([[0, 0, 4, 1]], [0.5])] * 1
    two = Detections([[0, 0, 4, 1], [0, 0, 4, 1]], [0.5, 0.4])
    assert score(targets, found, iou_thresholds=0.4).curves[0]["recall"].tolist() == [0]  # 1/4
    assert score(targets, [two], "cianna", iou_thresholds=0.4).curves[0]["recall"].tolist() == [1, 1]  # 5 * 2 / 25


# --- other people's numbers --------------------------------------------------------------------------------------


def pycocotools(targets, detections, classes, limit=100):
    """Return the precision (thresholds, recalls, classes, areas) and the twelve figures of pycocotools."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    class Evaluation(COCOeval):
        def _prepare(self):
            super()._prepare()  # sets ignore to iscrowd, for which the overlap would no longer be the IoU
            for objects in self._gts.values():
                for one in objects:
                    one["ignore"] = one["difficult"]

    def sized(box):
        x, y, x_max, y_max = map(float, box)
        return {"bbox": [x, y, x_max - x, y_max - y], "area": (x_max - x) * (y_max - y)}

    truth, annotations, results = COCO(), [], []
    for image, objects in enumerate(targets, 1):
        difficult = objects.get("difficult", np.zeros(len(objects["labels"])))
        for box, label, hard in zip(objects["boxes"], objects["labels"], difficult, strict=True):
            one = {"id": len(annotations) + 1, "image_id": image, "category_id": int(label), "iscrowd": 0}
            annotations.append(one | {"difficult": int(hard > 0)} | sized(box))
    for image, found in enumerate(detections, 1):
        for box, label, value in zip(found.boxes, found.labels, found.scores, strict=True):
            results.append({"image_id": image, "category_id": int(label), "score": float(value)} | sized(box))
    truth.dataset = {"info": {}, "images": [{"id": i + 1} for i in range(len(targets))], "annotations": annotations}
    truth.dataset["categories"] = [{"id": i} for i in range(classes)]
    truth.createIndex()
    evaluation = Evaluation(truth, truth.loadRes(results), "bbox")
    evaluation.params.maxDets = [1, 10, limit]
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    precision = evaluation.eval["precision"][..., -1]
    return np.where(precision == -1, np.nan, precision), evaluation.stats


@pytest.mark.parametrize("seed", range(8))
def test_equals_pycocotools(seed):
    targets, detections = random_set(seed, difficult=seed % 2 == 0, grid=16 if seed >= 4 else 0)
    precision, stats = pycocotools(targets, detections, 4)
    result = score(targets, detections, "coco", classes=4)
    np.testing.assert_allclose(result.per_threshold, precision[..., 0].mean(axis=1), rtol=0, atol=1e-12)
    assert np.isnan(result.per_class[3]) and result.objects[3] == 0 and result.detections[3] > 0
    names = ("map", "map50", "map75", "map_small", "map_medium", "map_large")
    expected = np.where(stats[:6] == -1, np.nan, stats[:6])
    np.testing.assert_allclose([result.scores[name] for name in names], expected, rtol=0, atol=1e-12)
    assert 0.1 < result.map < 0.9


def test_equals_pycocotools_beyond_its_limit_of_detections():
    targets, detections = random_set(3, images=3, classes=2)
    many = [one[np.tile(np.arange(len(one)), 8)] for one in detections]
    assert max(map(len, many)) > 150
    for limit in (100, 20, None):
        settings = {} if limit == 100 else {"max_detections": limit}
        precision, _ = pycocotools(targets, many, 2, limit or 10**6)
        found = score(targets, many, "coco", classes=2, **settings)
        np.testing.assert_allclose(found.per_threshold, precision[..., 0].mean(axis=1), rtol=0, atol=1e-12)
        assert (found.left_out > 0) == ("beyond the limit" in found.describe()) == (limit is not None)


def one_by_one(protocol, targets, detections, classes, threshold=0.5):
    """Read the rules of VOC's devkit and of CIANNA's script, one detection after the other."""
    values = np.full(classes, np.nan)
    for label in range(classes):
        queue = [
            (float(value), image, np.float64(box))
            for image, found in enumerate(detections)
            for box, kind, value in zip(found.boxes, found.labels, found.scores, strict=True)
            if kind == label
        ]
        queue.sort(key=lambda entry: -entry[0])  # stable
        objects = []
        for image in targets:
            hard = np.asarray(image.get("difficult", np.zeros(len(image["labels"])))) > 0
            rows = np.flatnonzero(np.asarray(image["labels"]) == label)
            objects.append([{"box": np.float64(image["boxes"][i]), "hard": hard[i], "free": True} for i in rows])
        count = sum(not one["hard"] for image in objects for one in image)
        if not count:
            continue
        history = []
        for _, image, box in queue:
            more = np.array([0, 0, 1, 1]) if protocol == "cianna" else 0
            best, overlap = None, -1
            for one in objects[image]:
                found = boxes.iou(one["box"] + more, box + more)
                if found > overlap and (one["free"] or protocol != "cianna"):
                    best, overlap = one, found
            if best is None or overlap < threshold:
                history.append(False)
            elif not best["hard"]:
                history.append(best["free"])
                best["free"] = False
        recall = np.cumsum(history) / count
        precision = np.cumsum(history) / np.arange(1, len(history) + 1)
        if protocol == "voc":
            recall, precision = np.r_[0, recall, 1], np.r_[0, precision, 0]
        for i in range(len(precision) - 1, 0, -1):
            precision[i - 1] = max(precision[i - 1], precision[i])
        if protocol == "voc":
            values[label] = sum((recall[i] - recall[i - 1]) * precision[i] for i in range(1, len(recall)))
        elif protocol == "voc07":
            values[label] = np.mean([max(precision[recall >= t], default=0) for t in np.linspace(0, 1, 11)])
        else:
            pairs = zip(recall[1:] - recall[:-1], precision[1:] + precision[:-1], strict=True)
            values[label] = sum(step * height / 2 for step, height in pairs)
    return values


@pytest.mark.parametrize("protocol", ["voc", "voc07", "cianna"])
@pytest.mark.parametrize("seed", range(4))
def test_equals_a_reading_one_by_one(protocol, seed):
    targets, detections = random_set(100 + seed, grid=16 if seed >= 2 else 0)
    threshold = (0.5, 0.1)[seed % 2]
    found = score(targets, detections, protocol, classes=4, iou_thresholds=threshold)
    expected = one_by_one(protocol, targets, detections, 4, threshold)
    np.testing.assert_allclose(found.per_class, expected, rtol=0, atol=1e-12)
    assert found.map == pytest.approx(np.nanmean(expected), abs=1e-12) and 0.1 < found.map < 0.9


def test_all_classes_as_one_curve():
    targets, detections = random_set(7)
    pooled = score(targets, detections, "cianna", classes=4)
    flags = np.concatenate(
        [np.diff(np.round(c["precision"] * np.arange(1, len(c["scores"]) + 1)), prepend=0) for c in pooled.curves[:3]]
        + [np.zeros(pooled.detections[3])]
    )
    order = np.argsort(-np.concatenate([c["scores"] for c in pooled.curves]), kind="stable")
    hits = np.cumsum(flags[order])
    falling = np.maximum.accumulate((hits / np.arange(1, len(hits) + 1))[::-1])[::-1]
    assert pooled.scores["all_classes"] == pytest.approx(np.trapezoid(falling, hits / pooled.objects.sum()), abs=1e-12)


def test_equals_keras_cv():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        keras_cv = pytest.importorskip("keras_cv")
        targets, detections = random_set(5, difficult=False)
        # KerasCV takes equal scores in the order of the images' names, "10" before "2": let there be none
        counts = np.cumsum([len(found) for found in detections])
        scores = np.split(np.random.default_rng(5).permutation(counts[-1]) / counts[-1] + 1e-3, counts[:-1])
        detections = [Detections(found.boxes, own, found.labels) for found, own in zip(detections, scores, strict=True)]
        # KerasCV scores only images with a detection, and takes the number of scores > 0 as the number of detections
        used = [i for i, found in enumerate(detections) if len(found)]
        targets, detections = [targets[i] for i in used], [detections[i] for i in used]
        width = max(len(image["labels"]) for image in targets)
        padded = {"boxes": np.zeros((len(used), width, 4)), "labels": np.full((len(used), width), -1)}
        for row, image in enumerate(targets):
            padded["boxes"][row, : len(image["labels"])] = image["boxes"]
            padded["labels"][row, : len(image["labels"])] = image["labels"]
        metric = keras_cv.metrics.BoxCOCOMetrics(bounding_box_format="xyxy", evaluate_freq=1)
        y_pred = {name: value for name, value in to_keras_cv(detections).items() if name != "num_detections"}
        metric.update_state(targets_to_keras_cv(padded), y_pred)
        theirs = {name: float(value) for name, value in metric.result(force=True).items()}
    ours = score(padded, detections, "coco").scores
    for name, key in (("map", "MaP"), ("map50", "MaP@[IoU=50]"), ("map75", "MaP@[IoU=75]")):
        assert ours[name] == pytest.approx(theirs[key], abs=1e-5)


@pytest.mark.parametrize("box", [[0, 0, 10, 10], [0, 5, 10, 15]])
def test_of_equal_overlaps_pycocotools_takes_the_last_and_the_others_the_first(box):
    """The best detection lies halfway between two objects, the next one on `box`, one of them."""
    targets = {"boxes": [[0, 0, 10, 10], [0, 5, 10, 15]], "labels": [0, 0]}
    found = Detections([[0, 2.5, 10, 12.5], box], [0.9, 0.8])
    precision, _ = pycocotools([targets], [found], 1)
    assert score([targets], [found], "coco").scores["map50"] == pytest.approx(precision[0].mean(axis=0)[0, 0])
    # IoU of the two objects is 1/3, so the second detection has no other choice
    assert flags("coco", targets, found) == [1, int(box[1] == 0)]
    assert flags("voc", targets, found) == [1, int(box[1] == 5)]


# --- properties --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", mean_average_precision.PROTOCOLS)
def test_one_and_three_dimensions(protocol):
    """A further axis on which all boxes are equal changes no overlap."""
    targets, detections = random_set(11, dims=1)
    expected = score(targets, detections, protocol)
    assert 0.1 < expected.map < 0.9 and "map_small" not in expected.scores

    def deeper(edges):
        edges = np.asarray(edges)
        flat = np.zeros((len(edges), 1))
        return np.concatenate([edges[:, :1], flat, flat + 2, edges[:, 1:], flat + 1, flat + 4], axis=1)

    wide = [image | {"boxes": deeper(image["boxes"])} for image in targets]
    found = [Detections(deeper(one.boxes), one.scores, one.labels) for one in detections]
    np.testing.assert_allclose(score(wide, found, protocol).per_threshold, expected.per_threshold, rtol=0, atol=1e-12)


@pytest.mark.parametrize("protocol", mean_average_precision.PROTOCOLS)
def test_batches_padding_and_small_chunks_change_nothing(protocol, monkeypatch):
    targets, detections = random_set(13)
    expected = score(targets, detections, protocol, classes=4)
    width = 15
    padded = {"boxes": np.zeros((25, width, 4), "float32"), "labels": np.full((25, width), -1, "int32")}
    padded["difficult"] = np.zeros((25, width), "int32")
    for row, image in enumerate(targets):
        for name in padded:
            padded[name][row, : len(image["labels"])] = image[name]
    monkeypatch.setattr(mean_average_precision, "CHUNK", 50)
    metric = MeanAveragePrecision(protocol, class_names=["a", "b", "c", "d"])
    for start in range(0, 25, 10):
        some = slice(start, start + 10)
        metric.update_state({name: values[some] for name, values in padded.items()}, detections[some])
    found = metric.result()
    np.testing.assert_array_equal(found.per_threshold, expected.per_threshold)
    assert found.scores == expected.scores and found.images == 25 and found.class_names == ("a", "b", "c", "d")
    metric.reset_state()
    assert np.isnan(metric.result().map) and metric.result().images == 0


def test_class_only_images_and_objects_of_no_class_are_left_out():
    targets, detections = random_set(18)
    expected = score(targets[:-1], detections[:-1], classes=4)
    last = targets[-1] | {"class_only": True}
    assert len(last["labels"]) and len(detections[-1])
    found = score([*targets[:-1], last], detections, classes=4)
    np.testing.assert_array_equal(found.per_class, expected.per_class)
    one = {"boxes": [[0, 0, 4, 4], [9, 9, 12, 12]], "labels": [0, -2]}
    assert score([one], [Detections([[0, 0, 4, 4]], [0.5])]).map == 1
    no_classes = score([{"boxes": [[0, 0, 4, 4]], "labels": [0]}], [Detections([[0, 0, 4, 4]], [0.5])], classes=0)
    assert no_classes.map == 1


def test_nothing_found_and_nothing_there():
    there = [{"boxes": [[0, 0, 4, 4]], "labels": [1]}]
    for protocol in mean_average_precision.PROTOCOLS:
        nothing_found = score(there, [Detections.empty()], protocol)
        assert nothing_found.map == 0 and np.isnan(nothing_found.per_class[0])
        empty = [{"boxes": np.zeros((0, 4)), "labels": np.zeros(0)}]
        nothing_there = score(empty, [Detections([[0, 0, 4, 4]], [0.5], [2])], protocol)
        assert np.isnan(nothing_there.map) and nothing_there.detections.tolist() == [0, 0, 1]
        assert np.isnan(score(empty, [Detections.empty()], protocol).map)


def test_a_wide_field_of_small_sources():
    """One image, one class, 20 000 objects: only neighbours are compared."""
    rng = np.random.default_rng(0)
    corner = np.stack(np.meshgrid(np.arange(200), np.arange(100)), -1).reshape(-1, 2) * 20.0
    truth = np.concatenate([corner, corner + 8], axis=1)
    missed, moved = rng.random(len(truth)) < 0.25, rng.random(len(truth)) < 0.1
    found = truth + np.where(moved, 10.0, rng.uniform(-1, 1, len(truth)))[:, None]
    result = score(
        [{"boxes": truth, "labels": np.zeros(len(truth))}], [Detections(found[~missed], rng.random((~missed).sum()))]
    )
    assert result.curves[0]["recall"][-1] == (~missed & ~moved).mean()
    assert result.curves[0]["precision"][-1] == (~missed & ~moved).sum() / (~missed).sum()


REFUSED = [
    ({"protocol": "pascal"}, "Expected protocol to be one of voc, voc07, coco, cianna; received 'pascal'"),
    ({"iou_kind": "ciou"}, "Expected iou_kind to be one of iou, giou"),
    ({"iou_thresholds": [0.5, 0]}, r"Expected iou_thresholds above 0 and at most 1; received \[0.5, 0.0\]"),
    ({"iou_thresholds": []}, "Expected iou_thresholds"),
]


@pytest.mark.parametrize(("arguments", "sentence"), REFUSED)
def test_refused_arguments(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        MeanAveragePrecision(**arguments)


def test_refused_data():
    good = {"boxes": [[0, 0, 4, 4]], "labels": [0]}
    metric = MeanAveragePrecision(classes=2)
    with pytest.raises(ValueError, match="one Detections per image; received 2 images and 1 Detections"):
        metric.update_state([good, good], [Detections.empty()])
    metric.update_state([good], [Detections.empty()])
    bad = {"boxes": [[0, 0, 4, 4], [0, 0, np.nan, 4]], "labels": [0, 0]}
    with pytest.raises(ValueError, match=r"finite boxes; object 1 of image 2 has \[0.0, 0.0, nan, 4.0\]"):
        metric.update_state([good, bad], [Detections.empty()] * 2)
    with pytest.raises(ValueError, match="labels of the classes; object 0 of image 1 has 2"):
        metric.update_state([{"boxes": [[0, 0, 4, 4]], "labels": [2]}], [Detections.empty()])
    with pytest.raises(ValueError, match="labels of the classes; detection 0 of image 1 has -1"):
        metric.update_state([good], [Detections([[0, 0, 4, 4]], [0.5], [-1])])
    with pytest.raises(ValueError, match=r"boxes \(n, 4\) of every detection; received 6 columns"):
        metric.update_state([good], [Detections([[0, 0, 0, 4, 4, 4]], [0.5])])
    with pytest.raises(ValueError, match="as many boxes as labels; image 0"):
        metric.update_state([{"boxes": [[0, 0, 4, 4]], "labels": [0, 1]}], [Detections.empty()])
    with pytest.raises(ValueError, match=r"boxes of one number of dimensions; received boxes of \[2, 4\] columns"):
        MeanAveragePrecision().update_state([good, {"boxes": [[0, 4]], "labels": [0]}], [Detections.empty()] * 2)


def test_describe():
    assert score(TARGETS, FOUND).describe() == "voc mAP@50 0.5667 (1 class, 4 objects in 2 images, 5 detections)"
    assert score(TARGETS, FOUND, "coco").describe().startswith("coco mAP 0.4023, mAP@50 0.5710, mAP@75 0.")
    assert isinstance(score(TARGETS, FOUND), metrics.AveragePrecision)


# --- figure ------------------------------------------------------------------------------------------------------


def test_figure_of_few_classes():
    targets, detections = random_set(1)
    result = score(targets, detections, class_names=["cat", "dog", "cow", "none"])
    figure = plots.precision_recall(result, "animals")
    assert isinstance(figure, Figure) and len(figure.axes) == 1
    entries = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    order = np.argsort(-result.per_class[:3])
    assert entries == [f"{['cat', 'dog', 'cow'][i]}  {result.per_class[i]:.3f}" for i in order]
    assert figure.get_suptitle() == f"animals: voc mAP@50 {result.map:.4f}"
    for line in figure.axes[0].lines:  # the area under the drawn line is the average precision
        label = int(line.get_label().removeprefix("_"))
        assert np.trapezoid(line.get_ydata(), line.get_xdata()) == pytest.approx(result.per_class[label])


def test_figure_of_many_classes():
    targets, detections = random_set(2, images=200, classes=22)
    figure = plots.precision_recall(score(targets, detections))
    left, right = figure.axes
    assert len(left.lines) == 21 and len(right.patches) == 21 and len(left.get_legend().get_texts()) == 8
    targets, detections = random_set(3, images=100, classes=61)
    _, first, second = plots.precision_recall(score(targets, detections)).axes
    values = np.concatenate([[bar.get_width() for bar in axes.patches] for axes in (first, second)])
    assert len(first.patches) == len(second.patches) == 30 and (np.diff(values) <= 0).all()
    nothing = [{"boxes": np.zeros((0, 4)), "labels": np.zeros(0)}]
    with pytest.raises(ValueError, match="Expected a result with objects"):
        plots.precision_recall(score(nothing, [Detections.empty()]))


# --- callback ----------------------------------------------------------------------------------------------------


class Detector(keras.Sequential):
    """Finds the first object only from its third call on."""

    def __init__(self):
        super().__init__([keras.Input((2,)), keras.layers.Dense(1)])
        self.compile("sgd", "mse")
        self.calls = []

    def detect(self, images, **settings):
        self.calls.append(settings)
        left = 0 if len(self.calls) >= 3 else 50
        return [Detections([[left, 0, left + 10, 8]], [0.9])] * len(images)


def run(score, epochs, *others):
    model = Detector()
    history = model.fit(np.zeros((4, 2)), np.zeros((4, 1)), epochs=epochs, callbacks=[score, *others], verbose=0)
    return model, history.history


def test_callback_logs_and_prints(capsys):
    watcher = callbacks.DetectionScore(np.zeros((1, 2)), [{"boxes": [A, B], "labels": [0, 0]}], every=2, batch_size=4)
    model, history = run(watcher, 5)
    np.testing.assert_allclose(history["val_map"], [-np.inf, 0, -np.inf, 0, 0.5])
    assert model.calls == [{"score_threshold": 0.01, "batch_size": 4}] * 3
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1] == "epoch 5: voc mAP@50 0.5000 (1 class, 2 objects in 1 image, 1 detection)"
    assert sum(line.startswith("epoch") for line in printed) == 3 and watcher.result.map == 0.5


def test_callback_steers_model_checkpoint(tmp_path, capsys):
    padded = {"boxes": np.array([[A, B, A]], "float32"), "labels": np.array([[0, 0, -1]])}
    settings = {"protocol": "coco", "verbose": False, "nms_threshold": 0.3, "score_threshold": 0.1}
    watcher = callbacks.DetectionScore(np.zeros((1, 2)), padded, **settings)
    path = tmp_path / "best_{epoch}.weights.h5"
    best = {"monitor": "val_map", "mode": "max", "save_best_only": True, "save_weights_only": True}
    model, history = run(watcher, 4, keras.callbacks.ModelCheckpoint(path, **best))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["best_1.weights.h5", "best_3.weights.h5"]
    assert history["val_map50"] == pytest.approx([0, 0, 51 / 101, 51 / 101]) and history["val_map75"][3] > 0.5
    assert history["val_map"][3] == pytest.approx(51 / 101 * 7 / 10)  # IoU 0.8: 7 of the 10 thresholds
    assert model.calls[0] == {"score_threshold": 0.1, "batch_size": 16, "nms_threshold": 0.3}
    run(watcher, 1)  # serves a second training
    assert capsys.readouterr().out == ""


def test_callback_refusals():
    with pytest.raises(ValueError, match="Expected every >= 1"):
        callbacks.DetectionScore([], [], every=0)
    with pytest.raises(ValueError, match="Expected protocol"):
        callbacks.DetectionScore([], [], protocol="pascal")
    plain = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    plain.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"a model with detect\(images\), such as .*; received Sequential"):
        plain.fit(np.zeros((4, 2)), np.zeros((4, 1)), callbacks=[callbacks.DetectionScore([], [])], verbose=0)
