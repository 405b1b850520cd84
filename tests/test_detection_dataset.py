"""Batches for detectors, the simulated scenes, and cutouts for the classifier of the sliding window."""

import keras
import numpy as np
import pytest

from astrokeras import augmentation, datasets
from astrokeras.datasets.cutouts import _empty_window


@pytest.fixture(scope="module")
def scenes():
    return datasets.simulated_scenes(train=40, test=10, size=64, objects=(1, 5), seed=3)


def one_box(box, label=0, **more):
    return {"boxes": np.array([box], "float32"), "labels": np.array([label]), **more}


# ---- DetectionDataset


def test_batches_pad_to_one_size(scenes):
    train, _ = scenes
    batches = datasets.DetectionDataset(train, batch_size=16, shuffle=False)
    most = max(len(one["labels"]) for one in train.objects)
    assert len(batches) == 3 and batches.max_objects == most and batches.classes == 6
    for index, rows in enumerate((slice(0, 16), slice(16, 32), slice(32, 40))):
        images, targets = batches[index]
        np.testing.assert_array_equal(images, train.images[rows])
        assert images.dtype == np.float32
        for key, expected in train.targets().items():
            np.testing.assert_array_equal(targets[key], expected[rows])
    plain = datasets.DetectionDataset(train.images, train.objects, max_objects=9, shuffle=False)
    padded = datasets.DetectionDataset(train.images, train.targets(9), shuffle=False)
    np.testing.assert_array_equal(plain[1][1]["boxes"], padded[1][1]["boxes"])
    assert plain[0][1]["labels"].shape == (16, 9)


def test_what_comes_out_depends_on_seed_epoch_and_image_only(scenes):
    def note(image, objects, seed):
        return np.full((4, 4, 1), seed % 1000, "float32"), {k: v[:0] for k, v in objects.items()}

    def seeds(batch_size, epochs=1, seed=0, shuffle=False):
        batches = datasets.DetectionDataset(
            scenes[0], batch_size=batch_size, augmentation=note, seed=seed, shuffle=shuffle
        )
        for _ in range(epochs - 1):
            batches.on_epoch_begin()
        return np.concatenate([batches[i][0][:, 0, 0, 0] for i in range(len(batches))])

    first = seeds(16)
    assert len(set(first)) > 30
    np.testing.assert_array_equal(first, seeds(7))
    np.testing.assert_array_equal(np.sort(first), np.sort(seeds(16, shuffle=True)))
    assert (first != seeds(16, shuffle=True)).any()
    assert (first != seeds(16, epochs=2)).any() and (first != seeds(16, seed=1)).any()


def test_the_real_augmentations_fit(scenes):
    train, _ = scenes
    photographs = augmentation.photographs(48)
    batches = datasets.DetectionDataset(train, batch_size=8, size=64, augmentation=photographs, max_objects=6)
    images, targets = batches[0]
    assert images.shape == (8, 48, 48, 3) and targets["boxes"].shape == (8, 6, 4) and targets["boxes"].max() <= 48
    again = datasets.DetectionDataset(train, batch_size=8, size=64, augmentation=photographs, max_objects=6)[0]
    np.testing.assert_array_equal(images, again[0])
    np.testing.assert_array_equal(targets["boxes"], again[1]["boxes"])


class Detector(keras.Sequential):
    """As little as takes a dict of targets."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return keras.ops.mean(y_pred) + keras.ops.mean(y["boxes"]) * 0


def test_workers_feed_fit_and_name_the_image(scenes):
    train, _ = scenes
    model = Detector([keras.Input((32, 32, 3)), keras.layers.Conv2D(2, 3)])
    model.compile("sgd")
    model.fit(datasets.DetectionDataset(train, size=32, workers=2, max_queue_size=2), epochs=2, verbose=0)

    def fails(image, objects, seed):
        if (image == train.images[17]).all():
            raise KeyError("lost")
        return image, objects

    broken = datasets.DetectionDataset(train, augmentation=fails, workers=2, shuffle=False)
    with pytest.raises(ValueError, match=r"Could not prepare image 17 \(scene_000017\.png\): KeyError: 'lost'"):
        broken[1]
    model = Detector([keras.Input((64, 64, 3)), keras.layers.Conv2D(2, 3)])
    model.compile("sgd")
    with pytest.raises(ValueError, match=r"Could not prepare image 17 \(scene_000017\.png\)"):
        model.fit(broken, verbose=0)


def test_wrong_sets_are_refused_at_once(scenes):
    images = np.zeros((2, 8, 8, 3), "uint8")
    good = one_box([0, 0, 4, 4])
    with pytest.raises(ValueError, match=r"min < max; image 1 \(000001\), object 0"):
        datasets.DetectionDataset(images, [good, one_box([4, 0, 4, 4])])
    with pytest.raises(ValueError, match=r"centres inside .*; image 1 \(000001\), object 0"):
        datasets.DetectionDataset(images, [good, one_box([7, 0, 11, 4])])
    with pytest.raises(ValueError, match=r"labels in 0\.\.1"):
        datasets.DetectionDataset(images, [good, one_box([0, 0, 4, 4], 2)], classes=2)
    with pytest.raises(ValueError, match=r"max_objects=1 objects in an image; image 0 \(scene"):
        datasets.DetectionDataset(scenes[0][[1]] + scenes[0], max_objects=1)
    with pytest.raises(ValueError, match="Expected a DetectionSet alone"):
        datasets.DetectionDataset(images)
    with pytest.raises(ValueError, match="Expected batch_size >= 1"):
        datasets.DetectionDataset(images, [good, good], 0)
    unequal = [np.zeros((8, 8, 3), "uint8"), np.zeros((8, 6, 3), "uint8")]
    with pytest.raises(ValueError, match=r"image 1 \(000001\) \[6, 8\]: pass size="):
        datasets.DetectionDataset(unequal, [good, good])
    assert datasets.DetectionDataset(unequal, [good, good], size=8)[0][0].shape == (2, 8, 8, 3)


def test_wrong_results_of_an_augmentation_are_refused():
    images, objects = np.zeros((3, 8, 8, 1), "float32"), [one_box([0, 0, 4, 4])] * 3

    def batch(change):
        return datasets.DetectionDataset(images, objects, augmentation=change, shuffle=False)[0]

    calls = []

    def grows(image, objects, seed):
        calls.append(seed)
        return np.zeros((8, 7 + len(calls), 1)), objects

    with pytest.raises(ValueError, match=r"one shape in a batch; image 0 .* \(8, 8, 1\), image 1 .* \(8, 9, 1\)"):
        batch(grows)
    with pytest.raises(ValueError, match=r"finite pixels; image 0 \(000000\) has 64 others after augmentation"):
        batch(lambda image, objects, seed: (image * np.nan, objects))
    with pytest.raises(ValueError, match=r"min < max; image 0 \(number 0 of the set, 000000\), object 0"):
        batch(lambda image, objects, seed: (image, objects | {"boxes": objects["boxes"] * 0}))
    with pytest.raises(ValueError, match="at most max_objects=1 objects"):
        double = {key: np.repeat(value, 2, axis=0) for key, value in objects[0].items()}
        batch(lambda image, objects, seed: (image, double))


@pytest.mark.parametrize("dims", [1, 3])
def test_spectra_and_cubes(dims, rng):
    images = rng.random((5, *[8] * dims, 2))
    objects = [one_box([1] * dims + [5] * dims, params=np.array([[2.5]]))] * 5
    x, y = datasets.DetectionDataset(images, objects, 4)[1]
    assert x.shape == (1, *[8] * dims, 2) and y["boxes"].shape == (1, 1, 2 * dims) and y["params"].item() == 2.5


# ---- simulated scenes


def test_scenes_are_what_they_say():
    train, test = datasets.simulated_scenes(train=60, test=5, size=64, classes=["disc", "star"], noise=0, seed=5)
    again, _ = datasets.simulated_scenes(train=60, test=5, size=64, classes=["disc", "star"], noise=0, seed=5)
    np.testing.assert_array_equal(train.images, again.images)
    assert train.images.shape == (60, 64, 64, 3) and train.images.dtype == np.uint8 and len(test) == 5
    assert train.class_names == ("disc", "star") and set(train.names).isdisjoint(test.names)
    targets = train.checked()
    counts = (targets["labels"] >= 0).sum(axis=1)
    assert counts.max() <= 6 and counts.min() >= 1 and {0, 1} <= set(targets["difficult"].ravel())
    numbers = train.statistics()
    assert (numbers.per_class > 40).all() and numbers.sizes.max() <= np.ceil(0.4 * 64) + 1
    assert datasets.simulated_scenes(3, 1, size=32, classes=2)[0].class_names == datasets.SCENE_CLASSES[:2]


def test_boxes_are_tight():
    """One shape a scene, no noise: beside the box the picture is the smooth background, and at its edges it is not."""
    alone, _ = datasets.simulated_scenes(30, 1, size=96, objects=(1, 1), shape_size=(0.3, 0.5), noise=0, seed=1)
    for (x0, y0, x1, y1), image in zip(alone.targets()["boxes"][:, 0].astype(int), alone.images, strict=True):
        steps = np.abs(np.diff(image.astype(int), axis=1)).max(axis=2)  # between columns
        inside = steps[y0:y1, max(x0 - 2, 0) : x1 + 1].max()
        steps[max(y0 - 1, 0) : y1 + 1, max(x0 - 2, 0) : x1 + 1] = 0
        assert inside > 2 * steps.max()
    assert (alone.targets()["difficult"] == 0).all()


def test_hidden_shapes_are_difficult_or_gone():
    crowded, _ = datasets.simulated_scenes(60, 1, size=48, objects=(6, 6), shape_size=(0.4, 0.9), seed=2)
    strict, _ = datasets.simulated_scenes(60, 1, size=48, objects=(6, 6), shape_size=(0.4, 0.9), difficult=0.1, seed=2)
    kept, marked = (np.concatenate([one[key] for one in crowded.objects]) for key in ("labels", "difficult"))
    assert len(kept) < 6 * 60 and 0.1 < marked.mean() < 0.9  # some are wholly hidden
    more = np.concatenate([one["difficult"] for one in strict.objects])
    assert (more >= marked).all() and more.sum() > marked.sum()


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"classes": 7}, r"Expected classes 1\.\.6"),
        ({"classes": ["cube"]}, "names among cross, disc"),
        ({"objects": (3, 2)}, "received objects=\\(3, 2\\)"),
        ({"shape_size": (0.1, 2)}, "received .* shape_size"),
        ({"difficult": 0}, "difficult in 0..1"),
        ({"size": 8}, "size >= 16"),
    ],
)
def test_scenes_refuse(settings, message):
    with pytest.raises(ValueError, match=message):
        datasets.simulated_scenes(2, 1, **settings)


# ---- cutouts


def marked_set(count=6):
    """Grey images with one object each: a block of its own brightness, 100 + 20 * label."""
    images = np.full((count, 60, 80, 3), 50, "uint8")
    objects = []
    for i in range(count):
        x, y, label = 10 + 5 * i, 20, i % 2
        images[i, y : y + 12, x : x + 16] = 100 + 20 * label
        objects.append(one_box([x, y, x + 16, y + 12], label, difficult=[0]))
    return datasets.DetectionSet(images, objects, ["dim", "bright"])


def test_validation_has_each_object_once_and_true_background():
    images, labels = datasets.cutouts(marked_set(), 16, validation=True, background=0.4)
    assert np.bincount(labels).tolist() == [3, 3, 4] and labels.dtype == np.int64
    for label in (0, 1):
        for image in images[labels == label]:  # a square of 16 around a box of 16 x 12
            assert (image[2:14] == 100 + 20 * label).all() and (image[[0, 1, 14, 15]] == 50).all()
    assert (images[labels == 2] == 50).all()
    again = datasets.cutouts(marked_set(), 16, validation=True, background=0.4)
    np.testing.assert_array_equal(images, again[0])


def test_training_cutouts_show_their_object_and_a_fifth_is_background():
    images, labels = datasets.cutouts(marked_set(), 32, count=200, seed=1)
    assert images.shape == (200, 32, 32, 3) and np.bincount(labels)[2] == 40 and (np.diff(labels) != 0).any()
    centre = images[:, 14:18, 14:18, 0].mean(axis=(1, 2))
    assert ((images[labels == 2] == 50).all(axis=(1, 2, 3))).all()
    for label in (0, 1):
        shown = (np.abs(images[labels == label, :, :, 0].astype(int) - 100 - 20 * label) <= 2).mean(axis=(1, 2))
        assert 0.15 < shown.min() and shown.max() - shown.min() > 0.2  # moved and scaled
        assert (np.abs(centre[labels == label] - 100 - 20 * label) < 2).mean() > 0.8
    plain, _ = datasets.cutouts(marked_set(), 32, count=200, augment=False, background=0)
    assert len(np.unique(plain.reshape(200, -1), axis=0)) == 2  # centred, nothing moved
    seeds = []

    def darker(images, seed):
        seeds.append(seed)
        return images // 2

    changed, labels = datasets.cutouts(marked_set(), 32, count=50, augment=darker, seed=9)
    assert seeds == [9] and (changed[labels == 2] == 25).all()
    default, _ = datasets.cutouts(marked_set(8), 8)
    assert len(default) == 10  # 8 objects and 2 of background


def test_background_shrinks_and_is_black_as_a_last_resort(rng):
    size = np.array([100, 100])
    taken = np.array([[0, 0, 70, 60], [0, 50, 70, 100]], "float32")  # a strip of 30 x 100 is left
    for _ in range(20):
        x0, y0, x1, y1 = _empty_window(rng, taken, size, tries=50)
        assert x0 >= 70 and y0 >= 0 and x1 <= 100 and y1 <= 100 and 8 <= x1 - x0 == y1 - y0 <= 30
    full = datasets.DetectionSet(np.full((2, 40, 40, 3), 9, "uint8"), [one_box([0, 0, 40, 40])] * 2, ["all"])
    images, labels = datasets.cutouts(full, 16, count=10)
    assert (labels == 1).sum() == 2 and (images[labels == 1] == 0).all()
    images, labels = datasets.cutouts(full, 16, validation=True)
    assert labels.tolist() == [0, 0]  # nothing empty to be found


def test_difficult_and_nameless_objects():
    images = np.zeros((2, 40, 40, 3), "uint8")
    objects = [one_box([0, 0, 9, 9], 0, difficult=[1]), one_box([5, 5, 20, 20], 1, difficult=[0])]
    found = datasets.DetectionSet(images, objects, ["a", "b"])
    assert set(datasets.cutouts(found, 8, count=20, background=0)[1]) == {1}
    assert datasets.cutouts(found, 8, background=0, validation=True)[1].tolist() == [0, 1]
    with pytest.raises(ValueError, match="objects with a class to cut out"):
        datasets.cutouts(datasets.DetectionSet(images[:1], [one_box([0, 0, 9, 9], -2)], ["a"]))
    for settings in ({"background": 1}, {"size": 0}, {"tries": 0}, {"count": -1}):
        with pytest.raises(ValueError, match="Expected 2-D images, size >= 1, background"):
            datasets.cutouts(found, **settings)
