import warnings

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astrokeras import boxes as bx

KINDS = bx.IOU_KINDS


# The reference of the overlaps: boxes are counted out, pixel by pixel.


def filled(box, span=12):
    dims = len(box) // 2
    grid = np.zeros((span,) * dims, bool)
    grid[tuple(slice(int(low), int(high)) for low, high in zip(box[:dims], box[dims:], strict=True))] = True
    return grid


def counted(box1, box2, kind):
    mask1, mask2 = filled(box1), filled(box2)
    both, either = (mask1 & mask2).sum(), (mask1 | mask2).sum()
    corners = np.argwhere(mask1 | mask2)
    sides = corners.max(axis=0) - corners.min(axis=0) + 1
    ratio = both / either
    apart = np.linalg.norm(np.argwhere(mask1).mean(axis=0) - np.argwhere(mask2).mean(axis=0)) / np.linalg.norm(sides)
    return {
        "iou": ratio,
        "giou": ratio - 1 + either / sides.prod(),
        "diou": ratio - apart,
        "diou2": ratio - apart**2,
    }[kind]


def pixel_boxes(rng, n, dims, span=12):
    low = rng.integers(0, span - 1, (n, dims))
    return np.concatenate([low, rng.integers(low + 1, span + 1)], axis=1).astype("float32")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_iou_equals_counted_pixels_and_the_ops_equal_numpy(rng, dims, kind):
    first, second = pixel_boxes(rng, 60, dims), pixel_boxes(rng, 60, dims)
    found = bx.iou(first, second, kind)
    expected = [counted(one, other, kind) for one, other in zip(first, second, strict=True)]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    tensor = bx.iou(keras.ops.convert_to_tensor(first), keras.ops.convert_to_tensor(second), kind)
    assert keras.ops.is_tensor(tensor)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(tensor), found, atol=1e-6)
    assert bx.iou(first[:, None], second[None], kind).shape == (60, 60)


@pytest.mark.parametrize(
    ("one", "other", "expected"),  # in the order of KINDS
    [
        # 2 of 6; E = 6, all of it covered; centres 2 apart, E 6 long
        ([0, 4], [2, 6], (2 / 6, 2 / 6, 2 / 6 - 2 / 6, 2 / 6 - 4 / 36)),
        # 1 of 7; E = 9, 2 of it empty; sqrt(2) / sqrt(18)
        ([0, 0, 2, 2], [1, 1, 3, 3], (1 / 7, 1 / 7 - 2 / 9, 1 / 7 - 1 / 3, 1 / 7 - 1 / 9)),
        # apart: 3 x 1, 1 of it empty; 2 / sqrt(10)
        ([0, 0, 1, 1], [2, 0, 3, 1], (0, -1 / 3, -2 / 10**0.5, -4 / 10)),
        # 1 of 15; E = 27, 12 of it empty; sqrt(3) / sqrt(27)
        ([0, 0, 0, 2, 2, 2], [1, 1, 1, 3, 3, 3], (1 / 15, 1 / 15 - 12 / 27, 1 / 15 - 1 / 3, 1 / 15 - 1 / 9)),
        # no volume, no overlap
        ([1, 1, 1, 3], [0, 0, 2, 4], (0, 0 - 0, 0, 0)),
    ],
)
def test_iou_by_hand(one, other, expected):
    found = [bx.iou(np.array(one, float), np.array(other, float), kind) for kind in KINDS]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_unit_axes_lengthen_the_diagonal():
    first, second = [(0.0, 1.0), (0.0, 1.0)], [(2.0, 3.0), (0.0, 1.0)]
    assert bx.interval_iou(first, second, "diou2", unit_axes=1) == pytest.approx(-4 / 11)
    assert bx.interval_iou(first, second, "giou", unit_axes=1) == pytest.approx(-1 / 3)


def test_overlap_refuses():
    with pytest.raises(ValueError, match="Expected kind to be one of iou, giou"):
        bx.iou(np.zeros(4), np.zeros(4), "ciou")
    with pytest.raises(ValueError, match=r"same 1, 2 or 3 dimensions; received shapes \(4,\) and \(6,\)"):
        bx.iou(np.zeros(4), np.zeros(6))
    with pytest.raises(ValueError, match="1, 2 or 3 dimensions"):
        bx.iou(np.zeros(5), np.zeros(5))


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_centers_and_sizes_and_back(rng, dims):
    boxes = pixel_boxes(rng, 20, dims)
    centers, sizes = bx.centers_and_sizes(boxes)
    for axis, (low, high) in enumerate(bx.intervals(boxes)):
        np.testing.assert_array_equal(centers[:, axis], (low + high) / 2)
        np.testing.assert_array_equal(sizes[:, axis], high - low)
    np.testing.assert_array_equal(bx.from_centers_and_sizes(centers, sizes), boxes)
    tensors = bx.centers_and_sizes(keras.ops.convert_to_tensor(boxes))
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(bx.from_centers_and_sizes(*tensors)), boxes)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_grid_equals_a_plain_loop(rng, dims):
    grid, cell = (2, 3, 4)[-dims:], (8, 4, 2)[:dims]  # z, y, x and x, y, z
    priors = rng.uniform(2, 9, (2, dims))
    outputs = rng.random((2, *grid, 2, 8)).astype("float32")
    expected = np.zeros((2, *grid, 2, 2 * dims))
    for place in np.ndindex(2, *grid, 2):
        for axis in range(dims):
            index = place[dims - axis]  # x is the last of the grid axes
            center = (index + outputs[(*place, axis)]) * cell[axis]
            half = priors[place[-1], axis] * np.exp(outputs[(*place, 3 + axis)]) / 2
            expected[(*place, axis)], expected[(*place, dims + axis)] = center - half, center + half
    np.testing.assert_allclose(bx.decode_grid(outputs, priors, cell), expected, rtol=1e-5, atol=1e-5)
    tensor = bx.decode_grid(keras.ops.convert_to_tensor(outputs), priors, cell)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(tensor), expected, rtol=1e-5, atol=1e-5)
    for axis, pair in enumerate(bx.grid_intervals(outputs, priors, cell)):
        np.testing.assert_allclose(np.stack(pair, -1), expected[..., axis::dims], rtol=1e-5, atol=1e-5)


# Suppression: the reference is the definition, box by box.


def plainly_suppressed(boxes, scores, labels, threshold, other, kind):
    kept = []
    for index in sorted(range(len(boxes)), key=lambda index: (-scores[index], index)):
        overlap = bx.iou(boxes[kept].astype("float64"), boxes[index].astype("float64"), kind)
        limit = np.where(labels[kept] == labels[index], threshold, 2 if other is None else other)
        if not (overlap > limit).any():
            kept.append(index)
    return kept


def scene(rng, n, dims, style, span):
    """Boxes of many kinds, with equal scores among them, and three classes."""
    low = rng.random((n, dims)) * span
    if style == "similar":
        size = rng.uniform(1, 5, (n, dims))
    elif style == "all sizes":
        size = np.exp(rng.normal(0, 2, (n, dims)))
    elif style == "few huge":
        size = np.where(rng.random((n, 1)) < 0.05, 200, 1) * rng.random((n, dims))
    else:  # whole pixels: equal boxes, boxes that touch, boxes without volume
        low, size = np.floor(low), rng.integers(0, 4, (n, dims))
    boxes = np.concatenate([low, low + size], axis=1).astype("float32")
    return boxes, np.round(rng.random(n), 2), rng.integers(-1, 2, n)


STYLES = ("similar", "all sizes", "few huge", "whole pixels")


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(0, 120),
    dims=st.sampled_from([1, 2, 3]),
    style=st.sampled_from(STYLES),
    span=st.sampled_from([1.0, 10.0, 50.0, 1000.0]),
    kind=st.sampled_from(KINDS),
    threshold=st.sampled_from([-1.0, -0.9, -0.5, -0.3, -0.1, 0.0, 0.05, 0.3, 0.5, 0.9, 1.0]),
    other=st.sampled_from([None, -0.3, 0.0, 0.4, 0.8]),
)
def test_suppress_equals_the_definition(seed, n, dims, style, span, kind, threshold, other):
    boxes, scores, labels = scene(np.random.default_rng(seed), n, dims, style, span)
    found = bx.suppress(boxes, scores, labels, threshold=threshold, other_threshold=other, kind=kind)
    assert found.tolist() == plainly_suppressed(boxes, scores, labels, threshold, other, kind)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize(("kind", "threshold"), [("iou", 0.3), ("giou", -0.2), ("diou", -0.1), ("diou2", 0.0)])
def test_suppress_equals_the_definition_on_large_sets(rng, dims, style, kind, threshold):
    boxes, scores, labels = scene(rng, 800, dims, style, 800 ** (1 / dims) * 3)
    found = bx.suppress(boxes, scores, labels, threshold=threshold, other_threshold=0.7, kind=kind)
    assert found.tolist() == plainly_suppressed(boxes, scores, labels, threshold, 0.7, kind)


def test_suppress_takes_piles_in_blocks(rng):
    center = rng.normal(0, 3, (3000, 2)) + rng.integers(0, 3, (3000, 1)) * 40
    boxes, scores = bx.from_centers_and_sizes(center, rng.uniform(5, 9, (3000, 2))), rng.random(3000)
    found = bx.suppress(boxes, scores, threshold=0.4)
    assert found.tolist() == plainly_suppressed(boxes, scores, np.zeros(3000), 0.4, None, "iou")


def test_suppress_by_hand():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 10], [0, 2, 10, 12], [0, 4, 10, 14], [12, 0, 22, 10]])
    scores = np.array([0.5, 0.5, 0.4, 0.3, -np.inf])
    assert bx.suppress(boxes, scores).tolist() == [0, 3, 4]  # 3 overlaps 2 by 8 of 12, but 2 is gone
    assert bx.suppress(boxes, scores, threshold=0.4).tolist() == [0, 4]  # 3 overlaps 0 by 6 of 14
    assert bx.suppress(boxes, scores, ["a", "b", "b", "b", "b"]).tolist() == [0, 1, 3, 4]
    assert bx.suppress(boxes, scores, [0, 1, 1, 1, 1], other_threshold=0.9).tolist() == [0, 2, 4]
    assert bx.suppress(boxes, scores, kind="diou", threshold=-0.6).tolist() == [0]  # the last: -12 / 24.2
    assert bx.suppress(boxes[:1], scores[:1]).tolist() == [0]
    assert bx.suppress(np.zeros((0, 4)), np.zeros(0)).tolist() == []
    with pytest.warns(UserWarning, match="max_detections=2 drops 1 of 3 boxes"):
        assert bx.suppress(boxes, scores, max_detections=2).tolist() == [0, 3]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(bx.suppress(boxes, scores, max_detections=3)) == 3


def test_suppress_100_000_boxes(rng):
    n, start = 100_000, np.arange(100_000.0)
    chain = np.stack([start, start + 3], axis=1)  # each overlaps the next by 2 of 4 and the one after by 1 of 5
    np.testing.assert_array_equal(bx.suppress(chain, -start, threshold=0.4), np.arange(0, n, 2))
    assert bx.suppress(np.tile([[3.0, 4.0, 8.0, 9.0]], (n, 1)), np.zeros(n)).tolist() == [0]
    corner = np.stack(np.divmod(np.arange(n), 400), axis=1) * 10.0
    apart = np.concatenate([corner, corner + 9], axis=1)
    twice, scores = np.concatenate([apart, apart + 1]), rng.permutation(2 * n)
    kept = bx.suppress(twice, scores)  # of each pair the better one
    expected = np.where(scores[:n] > scores[n:], np.arange(n), np.arange(n) + n)
    np.testing.assert_array_equal(kept, expected[np.argsort(-scores[expected])])


def test_suppress_refuses():
    boxes, scores = np.array([[0.0, 0, 1, 1], [2, 2, 3, 3]]), np.array([0.5, 0.4])
    with pytest.raises(ValueError, match="box 1 has the score NaN"):
        bx.suppress(boxes, [0.5, np.nan])
    with pytest.raises(ValueError, match=r"received \[nan, 2.0, 3.0, 3.0\] as box 1"):
        bx.suppress([boxes[0], [np.nan, 2, 3, 3]], scores)
    with pytest.raises(ValueError, match="min <= max, .* as box 0"):
        bx.suppress(boxes[:, [2, 1, 0, 3]], scores)
    for arguments in [(boxes, scores[:1]), (boxes, scores, [1]), (boxes[:, :3], scores), (boxes[0], scores)]:
        with pytest.raises(ValueError, match="one score and one label for each; received shapes"):
            bx.suppress(*arguments)
    with pytest.raises(ValueError, match="Expected other_threshold from -1 to 1; received 1.5"):
        bx.suppress(boxes, scores, other_threshold=1.5)
    with pytest.raises(ValueError, match="Expected threshold from -1 to 1; received nan"):
        bx.suppress(boxes, scores, threshold=float("nan"))
    with pytest.raises(ValueError, match="Expected kind to be one of"):
        bx.suppress(boxes, scores, kind="ciou")
    with pytest.raises(ValueError, match="max_detections of at least 1; received 0"):
        bx.suppress(boxes, scores, max_detections=0)


class Suppress(keras.Model):
    """Runs `suppress_padded` in the compiled graph of the backend."""

    def __init__(self, **settings):
        super().__init__()
        self.settings = settings

    def call(self, inputs):
        boxes, scores, labels = inputs
        return bx.suppress_padded(boxes, scores, labels, **self.settings)


@pytest.mark.parametrize("how", ["eager", "graph", "XLA"])
@pytest.mark.parametrize(
    ("dims", "kind", "threshold", "other"),
    [(1, "iou", 0.3, None), (2, "iou", 0.4, 0.8), (2, "giou", -0.3, None), (3, "diou", -0.1, 0.2), (3, "diou2", 0, 0)],
)
def test_suppress_padded_equals_suppress(rng, how, dims, kind, threshold, other):
    batch, n, most = 4, 50, 30
    scenes = [scene(rng, n, dims, style, 15.0) for style in STYLES]
    boxes, scores, labels = (np.stack(parts) for parts in zip(*scenes, strict=True))
    scores = (scores + 0.01).astype("float32")
    scores[0] = 0  # nothing in this image
    scores[1, 20:30], scores[2, ::5], scores[3, 7:] = np.nan, -1, -np.inf  # three ways to pad
    settings = {"threshold": threshold, "other_threshold": other, "kind": kind}
    if how == "eager":
        found = bx.suppress_padded(boxes, scores, labels, max_detections=most, **settings)
    else:
        model = Suppress(max_detections=most, **settings)
        model.compile(jit_compile=how == "XLA" and keras.config.backend() != "torch")
        found = model.predict_on_batch((boxes, scores, labels))
    indices, valid = (keras.ops.convert_to_numpy(part) for part in found)
    assert indices.dtype == "int32" and valid.dtype == bool and indices.shape == valid.shape == (batch, most)
    assert not valid[0].any() and not indices[~valid].any()
    for image in range(batch):
        real = np.flatnonzero(scores[image] > 0)
        expected = real[bx.suppress(boxes[image][real], scores[image][real], labels[image][real], **settings)]
        assert indices[image][valid[image]].tolist() == expected[:most].tolist()


def test_suppress_padded_at_the_edges(rng):
    boxes = pixel_boxes(rng, 5, 2)[None]
    indices, valid = bx.suppress_padded(boxes, np.full((1, 5), 0.5), threshold=1.0, max_detections=7)
    assert keras.ops.convert_to_numpy(indices).tolist() == [[0, 1, 2, 3, 4, 0, 0]]  # equal scores: in order
    assert keras.ops.convert_to_numpy(valid).sum() == 5
    indices, valid = bx.suppress_padded(boxes[:, :0], np.zeros((1, 0)), max_detections=3)
    assert tuple(indices.shape) == (1, 3) and not keras.ops.convert_to_numpy(valid).any()
    inputs = keras.Input((5, 4)), keras.Input((5,)), keras.Input((5,), dtype="int32")
    assert [out.shape for out in Suppress(max_detections=7)(inputs)] == [(None, 7), (None, 7)]
    with pytest.raises(ValueError, match=r"received shapes \(5, 4\), \(1, 5\)"):
        bx.suppress_padded(boxes[0], np.zeros((1, 5)), max_detections=3)
    with pytest.raises(ValueError, match="max_detections of at least 1"):
        bx.suppress_padded(boxes, np.zeros((1, 5)), max_detections=0)


# Priors.


def around(rng, sizes, spread, each):
    sizes = np.repeat(np.array(sizes, float), each, axis=0)
    sizes = sizes * rng.uniform(1 - spread, 1 + spread, sizes.shape)
    low = rng.random(sizes.shape) * 100
    return np.concatenate([low, low + sizes], axis=1)


@pytest.mark.parametrize("metric", ["iou", "euclidean"])
@pytest.mark.parametrize(
    "sizes", [[[5], [20], [90]], [[5, 9], [30, 10], [60, 80]], [[4, 4, 9], [20, 20, 5], [8, 8, 90]]]
)
def test_priors_find_the_groups(rng, sizes, metric):
    boxes = around(rng, sizes, 0.05, 200)
    means = (boxes[:, len(sizes[0]) :] - boxes[:, : len(sizes[0])]).reshape(3, 200, -1).mean(axis=1)
    expected = means[np.argsort(means.prod(axis=1))]
    found = bx.kmeans_priors(boxes[rng.permutation(600)], 3, metric)
    assert all(type(side) is float for prior in found for side in prior)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("metric", ["iou", "euclidean"])
def test_priors_are_the_means_of_their_boxes(rng, metric):
    sizes = np.exp(rng.normal(3, 0.6, (700, 2)))
    found = np.array(bx.kmeans_priors(np.concatenate([0 * sizes, sizes], axis=1), 5, metric, seed=3))
    both = np.minimum(sizes[:, None], found).prod(axis=-1)
    distance = {
        "iou": 1 - both / (sizes.prod(axis=1)[:, None] + found.prod(axis=1) - both),
        "euclidean": np.linalg.norm(sizes[:, None] - found, axis=-1),
    }[metric]
    owner = distance.argmin(axis=1)
    np.testing.assert_allclose(found, [sizes[owner == index].mean(axis=0) for index in range(5)], rtol=1e-3)
    if metric == "iou":  # better than priors of any five of the boxes
        chance = [bx.iou(*np.broadcast_arrays(*with_zeros(sizes, sizes[rng.choice(700, 5)]))).max(1) for _ in range(20)]
        assert 1 - distance.min(axis=1).mean() > max(map(np.mean, chance))


def with_zeros(sizes, priors):
    sizes, priors = sizes[:, None], priors[None]
    return np.concatenate([0 * sizes, sizes], axis=-1), np.concatenate([0 * priors, priors], axis=-1)


def test_priors_of_many_boxes_and_seeds(rng):
    boxes = around(rng, [[8, 8], [40, 20]], 0.1, 30_000)  # more than the sample of the restarts
    np.testing.assert_allclose(bx.kmeans_priors(boxes, 2), [[8, 8], [40, 20]], rtol=2e-3)
    some = boxes[::50].astype("float32")
    assert bx.kmeans_priors(some, 6, seed=1) == bx.kmeans_priors(some, 6, seed=1)
    assert bx.kmeans_priors(some, 6, seed=1) != bx.kmeans_priors(some, 6, seed=2)
    assert bx.kmeans_priors(np.array([[0, 0, 3, 4], [1, 1, 4, 5], [0, 0, 1, 2]]), 2) == [[1.0, 2.0], [3.0, 4.0]]


def test_priors_refuse():
    boxes = np.array([[0.0, 0, 3, 4], [1, 1, 4, 5], [0, 0, 1, 2]])
    with pytest.raises(ValueError, match="number of distinct sizes, 2; received 3"):
        bx.kmeans_priors(boxes, 3)
    with pytest.raises(ValueError, match="received 0"):
        bx.kmeans_priors(boxes, 0)
    with pytest.raises(ValueError, match="min < max, .* as box 1"):
        bx.kmeans_priors(np.array([[0.0, 0, 3, 4], [1, 1, 1, 5]]), 1)
    with pytest.raises(ValueError, match="as box 2"):
        bx.kmeans_priors(np.concatenate([boxes[:2], [[0, 0, np.nan, 2]]]), 1)
    with pytest.raises(ValueError, match="metric 'iou' or 'euclidean'; received 'giou'"):
        bx.kmeans_priors(boxes, 1, "giou")
    with pytest.raises(ValueError, match=r"received shape \(3, 3\)"):
        bx.kmeans_priors(boxes[:, :3], 1)
