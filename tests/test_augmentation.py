import importlib.metadata
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from astrokeras import augmentation

ALL = {
    "flip": "both",
    "crop": 3,
    "cutout": 4,
    "rotation": 15,
    "scale": 0.2,
    "translation": 0.1,
    "contrast": 0.2,
    "gamma": 0.3,
    "blur": 3,
    "hue": 10,
    "saturation": 20,
    "value": 20,
}


@pytest.fixture
def photos(rng):
    return rng.integers(0, 256, (6, 24, 20, 3)).astype("uint8")


def test_everything_together_keeps_shape_and_type(photos):
    augment = augmentation.images(**ALL)
    changed = augment(photos, seed=1)
    assert changed.shape == photos.shape and changed.dtype == np.uint8
    np.testing.assert_array_equal(augment(photos, seed=1), changed)
    assert not np.array_equal(augment(photos, seed=2), changed)


@pytest.mark.parametrize("name", ALL)
def test_each_argument_changes_something_by_itself(name, photos):
    augment = augmentation.images(**{name: ALL[name]}, probability=1)
    assert any(not np.array_equal(augment(photos, seed), photos) for seed in range(3))


def test_nothing_switched_on_changes_nothing(photos):
    np.testing.assert_array_equal(augmentation.images()(photos, 1), photos)


def test_images_of_a_batch_are_changed_each_in_its_own_way(photos):
    same = np.repeat(photos[:1], 8, axis=0)
    assert len(np.unique(augmentation.images(crop=4)(same, 0).reshape(8, -1), axis=0)) > 3


def test_flip_is_exact(photos):
    augment = augmentation.images(flip="horizontal")
    found = {
        "same" if np.array_equal(a, b) else "flipped" if np.array_equal(a[:, ::-1], b) else "other"
        for seed in range(5)
        for a, b in zip(photos, augment(photos, seed), strict=True)
    }
    assert found == {"same", "flipped"}


def test_cutout_blanks_one_square():
    image = np.full((40, 12, 12, 1), 200, "uint8")
    cut = augmentation.images(cutout=5)(image, 0)[..., 0]
    assert ((cut == 0).sum(axis=(1, 2)) == 25).all() and ((cut == 0) | (cut == 200)).all()
    assert ((cut == 0).any(axis=1).sum(axis=1) == 5).all() and len(np.unique(cut.reshape(40, -1), axis=0)) > 10
    with pytest.raises(ValueError, match="Expected cutout <= 12, the size of the images; received 13"):
        augmentation.images(cutout=13)(image, 0)


def test_crop_moves_and_pads_with_zeros():
    image = np.full((1, 8, 8, 1), 255, "uint8")
    corners = [augmentation.images(crop=2)(image, seed)[0, ..., 0] for seed in range(20)]
    assert {0, 255} == set(np.unique(corners))
    assert min(int((corner == 255).sum()) for corner in corners) >= 36


def test_floats_in_unit_range_and_big_endian(rng):
    x = rng.random((3, 16, 16, 1))
    augment = augmentation.images(rotation=20, probability=1)
    native = augment(x.astype("float32"), 3)
    np.testing.assert_array_equal(augment(x.astype(">f4"), 3), native)
    assert native.dtype == np.float32 and 0.1 < native.mean() < 0.9


def test_threads_and_processes_get_the_same(photos):
    augment = augmentation.images(**ALL)
    expected = [augment(photos, seed) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda seed: augment(photos, seed), range(8)))
    np.testing.assert_array_equal(found, expected)
    copied = pickle.loads(pickle.dumps(augment))
    assert isinstance(copied, augmentation.ImageAugmentation)
    np.testing.assert_array_equal(copied(photos, 3), expected[3])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"flip": "diagonal"}, "Expected flip"),
        ({"crop": -1}, "Expected crop >= 0"),
        ({"scale": 1.5}, "Expected scale in 0..1"),
        ({"blur": 4}, "odd number >= 3"),
    ],
)
def test_refusals(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        augmentation.images(**arguments)


def test_images_of_another_kind_are_refused(photos):
    with pytest.raises(ValueError, match="with 3 channels"):
        augmentation.images(hue=5)(photos[..., :1])
    with pytest.raises(ValueError, match="received values from 0 to 255"):
        augmentation.images(flip="both")(np.array([0.0, 255.0]).reshape(1, 1, 2, 1))
    with pytest.raises(ValueError, match=r"Expected images \(batch, y, x, channels\); received shape \(24, 20, 3\)"):
        augmentation.images(flip="both")(photos[0])


def test_the_agpl_successor_is_refused(monkeypatch):
    versions = {"albumentationsx": "2.5.1"}
    original = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: versions.get(name) or original(name))
    with pytest.raises(ImportError, match="AGPL"):
        augmentation.check_version()
    versions.clear()
    versions["albumentations"] = "1.4.0"
    monkeypatch.setattr(
        importlib.metadata,
        "version",
        lambda name: versions[name] if name in versions else original("no such package"),
    )
    with pytest.raises(ImportError, match=r"Expected albumentations 2\.0\.8; found 1\.4\.0"):
        augmentation.check_version()
