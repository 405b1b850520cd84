import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from astrokeras import augmentation
from astrokeras.parameters import Parameter

STILL = {"flips": (), "turns": False}
SEEDS = range(40)
SHAPES = {1: (60, 2), 2: (40, 40, 2), 3: (14, 30, 30, 2)}


def drawn(dims, dtype="float32", seed=0):
    """Two bright boxes on a dark field, each in its own channel, and their targets."""
    rng = np.random.default_rng(seed)
    image = np.zeros(SHAPES[dims], dtype)
    size = np.array(image.shape[-2::-1])
    low = rng.integers(0, size // 2, (2, dims))
    high = low + rng.integers(3, size // 2, (2, dims))
    for channel in range(2):
        where = tuple(slice(a, b) for a, b in zip(low[channel][::-1], high[channel][::-1], strict=True))
        image[(*where, channel)] = 100
    boxes = np.concatenate([low, high], axis=1).astype("float32")
    return image, {"boxes": boxes, "labels": np.array([4, 7]), "difficult": np.array([0, 2])}


def bright(image, channel, level=50.0):
    """Return the bounding box of the bright pixels of one channel, x first."""
    where = np.argwhere(image[..., channel] > level)[:, ::-1]
    return np.concatenate([where.min(axis=0), where.max(axis=0) + 1])


def same(first, second):
    np.testing.assert_array_equal(first[0], second[0])
    assert first[1].keys() == second[1].keys()
    for key in first[1]:
        np.testing.assert_array_equal(first[1][key], second[1][key])


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "uint16"])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_flips_turns_and_crops_are_exact(dims, dtype):
    image, objects = drawn(dims, dtype)
    crop = np.array(image.shape[-2::-1]) - [6, 6, 3][:dims]
    augment = augmentation.fields(flips="xyz"[:dims], turns=dims > 1, crop=crop, visible=0.0)
    before, copies = image.copy(), {key: value.copy() for key, value in objects.items()}
    seen = set()
    for seed in SEEDS:
        changed, targets = augment(image, objects, seed)
        assert changed.dtype == image.dtype and changed.shape[:-1] == tuple(crop[::-1])
        for box, label, difficult in zip(*(targets[key] for key in ("boxes", "labels", "difficult")), strict=True):
            channel = [4, 7].index(label)
            assert difficult == [0, 2][channel]
            np.testing.assert_array_equal(bright(changed, channel), box)
        seen.add(targets["boxes"].tobytes())
    assert len(seen) > (9 if dims == 1 else 20)  # of 14 in 1-D
    same((image, objects), (before, copies))


def test_all_eight_orientations_of_a_square_occur_equally():
    image, objects = drawn(2)
    found = [augmentation.fields()(image, objects, seed)[0].tobytes() for seed in range(400)]
    expected = {np.rot90(x, k).tobytes() for x in (image, image[:, ::-1]) for k in range(4)}
    assert set(found) == expected and len(expected) == 8
    assert min(found.count(one) for one in expected) > 25
    turned = {augmentation.fields(flips=())(image, objects, seed)[0].tobytes() for seed in SEEDS}
    assert turned == {np.rot90(image, k).tobytes() for k in range(4)}


def test_z_of_a_cube_flips_but_does_not_turn():
    image, objects = drawn(3)
    augment = augmentation.fields(flips=("z",), turns=False)
    found = {augment(image, objects, seed)[0].tobytes() for seed in SEEDS}
    assert found == {image.tobytes(), image[::-1].tobytes()}


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("crop", [None, 12])
def test_zoomed_boxes_stay_on_their_pixels(dims, crop):
    image, objects = drawn(dims)
    augment = augmentation.fields(**STILL, crop=crop, zoom=(0.7, 1.6), visible=0.3)
    sizes = []
    for seed in SEEDS:
        changed, targets = augment(image, objects, seed)
        assert changed.shape[:-1] == ((crop,) * dims if crop else image.shape[:-1])
        for box, label in zip(targets["boxes"], targets["labels"], strict=True):
            if (box[dims:] - box[:dims]).min() > 1.5:
                np.testing.assert_allclose(bright(changed, [4, 7].index(label)), box, atol=1.01)
            sizes.append((box[dims:] - box[:dims])[0])
    assert len(np.unique(sizes)) > 10


def test_zoom_by_hand():
    row = np.array([0.0, 10, 20, 30])[:, None]
    objects = {"boxes": np.array([[1.0, 3.0]]), "labels": np.array([0])}
    twice, targets = augmentation.fields(**STILL, zoom=(2, 2))(row, objects, 0)
    np.testing.assert_allclose(twice[:, 0], [7.5, 12.5, 17.5, 22.5])  # the middle two pixels, centres 1.5 and 2.5
    assert targets["boxes"].tolist() == [[0, 4]]
    half, targets = augmentation.fields(**STILL, zoom=(0.5, 0.5), fill=-9)(row, objects, 0)
    assert half[:, 0].tolist() == [-9, 5, 25, -9] and targets["boxes"].tolist() == [[1.5, 2.5]]
    integers, _ = augmentation.fields(**STILL, zoom=(0.5, 0.5), fill=300)(row.astype("uint8"), objects, 0)
    assert integers[:, 0].tolist() == [255, 5, 25, 255]


def test_a_zoomed_plane_stays_a_plane():
    y, x = np.mgrid[:32, :32] + 0.5
    plane = np.stack([x, y], axis=-1) * 1e6
    objects = {"boxes": np.zeros((0, 4)), "labels": np.zeros(0, int)}
    changed, _ = augmentation.fields(**STILL, crop=(20, 10), zoom=(1.5, 1.5))(plane, objects, 3)
    np.testing.assert_allclose(np.diff(changed[..., 0], axis=1)[:, 1:-1], 1e6 / 1.5)
    np.testing.assert_allclose(np.diff(changed[..., 1], axis=0)[1:-1], 1e6 / 1.5)
    assert changed.shape == (10, 20, 2)


def source(angle, head):
    """An elongated source 40 degrees wide, optionally with a bright head at +angle from x towards y."""
    y, x = np.mgrid[:65, :65] - 32.0
    t = np.deg2rad(angle)
    along, across = x * np.cos(t) + y * np.sin(t), y * np.cos(t) - x * np.sin(t)
    image = np.exp(-((along / 10) ** 2 + (across / 4) ** 2) / 2)
    return (image * (1 + head * np.tanh(along / 5)))[..., None]


def measured(image, head):
    y, x = np.mgrid[:65, :65] - 32.0
    flux = image[..., 0]
    if head:  # the first moments point to the head
        return np.rad2deg(np.arctan2((flux * y).sum(), (flux * x).sum()))
    return np.rad2deg(np.arctan2(2 * (flux * x * y).sum(), (flux * (x * x - y * y)).sum()) / 2)


@pytest.mark.parametrize("zero", ["x", "y"])
@pytest.mark.parametrize("period", [180, 360])
def test_angles_turn_with_the_image(period, zero):
    parameters = (Parameter("flux", "Jy"), Parameter("angle", angle=period, zero=zero))
    augment = augmentation.fields(noise=1e-5, parameters=parameters)
    for angle in (-75, -20, 10, 35, 60, 110, 200, 300):
        direction = angle + 90 * (zero == "y")  # north (+y) through east (-x): counter-clockwise from +y
        image = source(direction, head=period == 360)
        objects = {"boxes": np.array([[0, 0, 65, 65]]), "labels": np.array([0]), "params": np.array([[0.3, angle]])}
        for seed in range(16):
            changed, targets = augment(image, objects, seed)
            assert targets["params"].dtype == np.float32 and targets["params"][0, 0] == np.float32(0.3)
            found = measured(changed, head=period == 360) - 90 * (zero == "y")
            difference = (targets["params"][0, 1] - found + period / 2) % period - period / 2
            assert abs(difference) < 0.3


def test_period_180_needs_no_zero_and_no_sense(rng):
    angles = rng.uniform(-90, 90, 50)
    changes = [(t, x, y) for t in (0, 1) for x in (0, 1) for y in (0, 1)]
    for transpose, flip_x, flip_y in changes:
        how = {"transpose": bool(transpose), "flip_x": bool(flip_x), "flip_y": bool(flip_y)}
        from_x = Parameter("pa", angle=180).oriented(angles, **how)
        np.testing.assert_allclose(Parameter("pa", angle=180, zero="y").oriented(angles, **how), from_x, atol=1e-5)
        np.testing.assert_allclose(-Parameter("pa", angle=180).oriented(-angles, **how), from_x, atol=1e-5)


def test_params_need_their_parameters():
    image, objects = drawn(2)
    objects["params"] = np.array([[1.0, 30], [2.0, 60]])
    with pytest.raises(
        ValueError, match="Expected parameters= to tell which of the 2 params are angles; received none"
    ):
        augmentation.fields()(image, objects, 0)
    with pytest.raises(ValueError, match="which of the 2 params are angles; received 1"):
        augmentation.fields(parameters=[Parameter("flux")])(image, objects, 0)
    _, targets = augmentation.fields(**STILL, crop=39)(image, objects, 0)
    assert targets["params"].tolist() == objects["params"].tolist()


def test_floats_are_not_clipped_and_noise_is_in_units_of_the_data(rng):
    image = rng.normal(-3e4, 1e4, (64, 64, 3)).astype("float32")
    objects = {"boxes": np.zeros((0, 4)), "labels": np.zeros(0, int)}
    changed, _ = augmentation.fields(noise=500)(image, objects, 5)
    exact, _ = augmentation.fields()(image, objects, 5)
    assert np.std(changed - exact) == pytest.approx(500, rel=0.03) and np.mean(changed - exact) == pytest.approx(
        0, abs=20
    )
    zoomed, _ = augmentation.fields(**STILL, zoom=(1.3, 1.3))(image, objects, 5)
    assert zoomed.min() < -4e4 and zoomed.max() > -1e4
    counts, _ = augmentation.fields(noise=30)(np.full((32, 32, 1), 250, "uint8"), objects, 1)
    assert counts.dtype == np.uint8 and counts.max() == 255 and counts.min() > 100  # no wrap-around


def test_nan_pixels_stay_where_they_are():
    image, objects = drawn(2)
    image[3, 3] = np.nan
    assert np.isnan(augmentation.fields()(image, objects, 0)[0]).sum() == 2
    assert 2 <= np.isnan(augmentation.fields(zoom=(1.1, 1.1))(image, objects, 0)[0]).sum() <= 18


def test_big_endian_and_read_only_input(rng):
    image = rng.normal(0, 1e-5, (24, 24, 1)).astype("float32")
    objects = {"boxes": np.array([[2.0, 3, 9, 8]]), "labels": np.array([0])}
    augment = augmentation.fields(crop=16, zoom=(0.9, 1.1), noise=1e-6)
    swapped, frozen = image.astype(">f4"), {key: value.copy() for key, value in objects.items()}
    for array in (swapped, *frozen.values()):
        array.flags.writeable = False
    changed = augment(swapped, frozen, 4)
    same(changed, augment(image, objects, 4))
    assert changed[0].dtype.isnative and changed[0].dtype == np.float32
    changed = augmentation.fields(**STILL)(swapped, frozen, 4)
    np.testing.assert_array_equal(changed[0], image)
    assert changed[0].flags.writeable and changed[0].flags.c_contiguous


def test_border_cuts_boxes_and_drops_what_is_hardly_seen():
    image = np.zeros((10, 10, 1), "float32")
    boxes = np.array([[4.0, 4, 6, 6], [0, 0, 10, 10], [0, 4, 3, 6]])  # seen by 1, 1 / 4 and 1 / 6
    objects = {"boxes": boxes, "labels": np.arange(3), "class_only": np.array(False)}
    _, targets = augmentation.fields(**STILL, zoom=(2, 2))(image, objects, 0)
    assert targets["boxes"].tolist() == [[3, 3, 7, 7], [0, 0, 10, 10]] and targets["labels"].tolist() == [0, 1]
    assert targets["class_only"].ndim == 0
    _, targets = augmentation.fields(**STILL, zoom=(2, 2), visible=0.1)(image, objects, 0)
    assert targets["labels"].tolist() == [0, 1, 2] and targets["boxes"][2].tolist() == [0, 3, 1, 7]
    _, targets = augmentation.fields(**STILL, zoom=(2, 2), visible=0.26)(image, objects, 0)
    assert targets["labels"].tolist() == [0]


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_no_objects(dims):
    image, objects = drawn(dims)
    none = {key: value[:0] for key, value in objects.items()} | {"params": np.zeros((0, 1))}
    parameters = (Parameter("pa", angle=180),)
    augment = augmentation.fields(flips="x", turns=dims > 1, crop=9, zoom=(0.8, 1.2), parameters=parameters)
    changed, targets = augment(image, none, 0)
    assert targets["boxes"].shape == (0, 2 * dims) and targets["boxes"].dtype == np.float32
    assert targets["params"].shape == (0, 1) and targets["labels"].shape == (0,)
    assert changed.shape == (9,) * dims + (2,)


def test_many_boxes_on_a_large_map_move_at_once(rng):
    low = rng.uniform(0, 900, (20000, 2))
    objects = {"boxes": np.concatenate([low, low + rng.uniform(3, 60, (20000, 2))], axis=1), "labels": np.zeros(20000)}
    _, targets = augmentation.fields(crop=256)(np.zeros((1000, 1000, 1), "float32"), objects, 0)
    sides = targets["boxes"][:, 2:] - targets["boxes"][:, :2]
    assert 800 < len(sides) < 3000 and sides.min() > 0 and targets["boxes"].min() >= 0 and targets["boxes"].max() <= 256


PHOTO = np.random.default_rng(3).integers(0, 256, (90, 120, 3)).astype("uint8")
CARS = {"boxes": np.array([[10.0, 20, 60, 70], [50, 5, 110, 80]]), "labels": np.array([1, 0])}
CALLS = {
    "fields": (augmentation.fields(crop=50, zoom=(0.8, 1.2), noise=3), PHOTO, CARS),
    "photographs": (augmentation.photographs(64, noise=1, flip="both"), PHOTO, CARS),
}


@pytest.mark.parametrize("name", CALLS)
def test_one_seed_one_result_in_threads_and_copies(name):
    augment, image, objects = CALLS[name]
    expected = [augment(image, objects, seed) for seed in range(12)]
    with ThreadPoolExecutor(4) as pool:
        for found, known in zip(pool.map(lambda seed: augment(image, objects, seed), range(12)), expected, strict=True):
            same(found, known)
    copied = pickle.loads(pickle.dumps(augment))
    same(copied(image, objects, 7), expected[7])
    same(copied(image, objects, np.random.default_rng(7)), expected[7])
    assert not np.array_equal(expected[0][0], expected[1][0])


PLAIN = {"colour": 0.0, "hue": 0.0, "border": 0.0, "smallest_side": 0.0, "smallest_area": 0.0}


def test_boxes_of_photographs_stay_on_their_pixels():
    image = np.zeros((300, 400, 3), "uint8")
    boxes = np.array([[40, 60, 120, 150], [200, 30, 360, 110], [180, 160, 260, 280]], "float32")
    for channel, (x_min, y_min, x_max, y_max) in enumerate(boxes.astype(int)):
        image[y_min:y_max, x_min:x_max, channel] = 200
    augment = augmentation.photographs(208, **PLAIN, flip="both")
    objects = {"boxes": boxes, "labels": np.arange(3), "params": np.array([[5.0], [6], [7]])}
    inside, seen = 0, 0
    for seed in range(60):
        changed, targets = augment(image, objects, seed)
        assert changed.shape == (208, 208, 3) and changed.dtype == np.uint8
        assert targets["boxes"].dtype == np.float32 and targets.keys() == objects.keys()
        np.testing.assert_array_equal(targets["params"][:, 0], targets["labels"] + 5)
        for box, label in zip(targets["boxes"], targets["labels"], strict=True):
            if np.ptp(changed, axis=-1).max() == 0:
                continue  # without colours
            found, seen = bright(changed, label, 100), seen + 1
            assert (found[:2] >= box[:2] - 1.5).all() and (found[2:] <= box[2:] + 1.5).all()
            if box.min() > 8 and box.max() < 200:  # nothing of it was cut off
                np.testing.assert_allclose(found, box, atol=2.5)
                inside += 1
    assert inside > 60 and seen > 120


def test_photographs_zoom_and_move_as_published():
    image = np.zeros((480, 480, 3), "uint8")
    objects = {"boxes": np.array([[230.0, 230, 250, 250]]), "labels": np.array([0])}
    augment = augmentation.photographs(416, **PLAIN, visible=0)
    sides, moved = [], []
    for seed in range(300):
        _, targets = augment(image, objects, seed)
        for box in targets["boxes"]:
            sides.append(np.sqrt(np.prod(box[2:] - box[:2])) / 20)
            moved.append(np.abs((box[2:] + box[:2]) / 2 - 208).max())
    # scale 0.4..1 on 416 / 480, or a crop of 224..448 blown up to 416; times 0.85..1.15, and up to 1.12 by rotation
    assert 0.29 < min(sides) < 0.4 and 1.7 < max(sides) < 416 / 224 * 1.15 * 1.13
    assert 0.3 < np.mean(np.array(sides) > 1) < 0.6  # half of them are crops
    assert 100 < max(moved) < 208


def test_small_and_hardly_seen_boxes_of_photographs():
    image = np.zeros((104, 104, 3), "uint8")
    tiny = {"boxes": np.array([[50.0, 50, 53, 53], [20, 20, 80, 80]]), "labels": np.array([0, 1])}
    _, targets = augmentation.photographs(104)(image, tiny, 0)
    assert 0 not in targets["labels"]  # less than 144 square pixels
    for seed in range(10):
        _, targets = augmentation.photographs(104, smallest_area=0, visible=0.4)(image, tiny, seed)
        sides = targets["boxes"][:, 2:] - targets["boxes"][:, :2]
        cut = (targets["boxes"] <= 0).any(axis=1) | (targets["boxes"] >= 104).any(axis=1)
        assert sides.max() <= 104 and (sides[~cut] >= 15.99).all()
        assert targets["difficult"].dtype == np.int32
        assert (targets["difficult"][targets["labels"] == 0] == 1).all()  # before it grew, it was less than 8 x 8
    _, targets = augmentation.photographs(104)(image, {"boxes": np.zeros((0, 4)), "labels": np.zeros(0, int)}, 0)
    assert targets["boxes"].shape == (0, 4) and targets["labels"].shape == (0,) and targets["difficult"].shape == (0,)


def test_visible_share_of_photographs():
    image = np.zeros((200, 200, 3), "uint8")
    objects = {"boxes": np.array([[50.0, 50, 150, 150]]), "labels": np.zeros(1, int)}
    shares = {0.0: [], 0.5: [], 0.999: []}
    for seed in range(60):
        _, whole = augmentation.photographs(104, **PLAIN, visible=0.0)(image, objects, seed)
        for visible, kept in shares.items():
            _, targets = augmentation.photographs(104, **PLAIN, visible=visible)(image, objects, seed)
            kept.append(len(targets["boxes"]))
        untouched = len(whole["boxes"]) == 1 and 0 < whole["boxes"].min() and whole["boxes"].max() < 104
        assert kept[-1] == untouched
    assert sum(shares[0.999]) < sum(shares[0.5]) < sum(shares[0.0])


def test_noise_of_photographs_has_the_meant_amounts():
    from astrokeras.augmentation.photographs import _compose

    *_, noise = _compose(416, None, 0.15, 0.5, 0.15, 1.0, 0.4, 144)
    camera, _, added, lost, jpeg, blur = noise
    np.testing.assert_allclose(np.square(np.array(added.std_range) * 255), [0, 0.03 * 255])  # a variance in CIANNA
    assert jpeg.quality_range == (20, 40) and lost.dropout_prob == 0.03 and blur.blur_limit == (3, 7)
    np.testing.assert_allclose(noise.transforms_ps, np.array([0.1, 2, 0.5, 2, 1, 1]) / 6.6)
    assert camera.p == 0.05


def test_difficult_is_raised_near_the_border_and_never_lowered():
    image = np.zeros((130, 130, 3), "uint8")
    boxes = np.array([[0.0, 60, 14, 74], [40, 40, 90, 90], [116, 60, 130, 74]])
    objects = {"boxes": boxes, "labels": np.arange(3), "difficult": np.array([0, 3, 0])}
    marks = {0: set(), 1: set(), 2: set()}
    for seed in range(80):
        _, targets = augmentation.photographs(130, smallest_area=0)(image, objects, seed)
        for box, label, mark in zip(targets["boxes"], targets["labels"], targets["difficult"], strict=True):
            middle = (box[:2] + box[2:]) / 2
            marks[int(label)].add(int(mark))
            if label != 1 and min(*middle, *(130 - middle)) < 9:
                assert mark == 1
    assert marks == {0: {0, 1}, 1: {3}, 2: {0, 1}}


def test_photographs_leave_their_input_alone():
    image = PHOTO[::-1].copy()
    image.flags.writeable = False
    before = {key: value.copy() for key, value in CARS.items()}
    first = augmentation.photographs(64)(image, CARS, 1)
    same(first, augmentation.photographs(64)(np.ascontiguousarray(image[:, ::-1])[:, ::-1], CARS, 1))
    same((image, CARS), (PHOTO[::-1], before))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"flips": ("x", "w")}, "Expected flips among"),
        ({"crop": 0}, "Expected crop to be whole numbers"),
        ({"crop": 2.5}, "Expected crop to be whole numbers"),
        ({"zoom": (0, 2)}, r"Expected zoom \(low, high\)"),
        ({"zoom": (2, 1)}, r"Expected zoom \(low, high\)"),
        ({"noise": -1}, "Expected noise >= 0"),
        ({"visible": 1.5}, "visible in 0..1"),
    ],
)
def test_fields_refuse(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        augmentation.fields(**arguments)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"size": 8}, "whole number of pixels >= 16; received 8"),
        ({"size": 64.0}, "whole number of pixels >= 16"),
        ({"flip": "both ways"}, "Expected flip"),
        ({"hue": 0.7}, "Expected hue in 0..0.5; received hue=0.7"),
        ({"visible": 2}, "Expected visible in 0..1"),
        ({"colour": -1}, "Expected colour >= 0"),
    ],
)
def test_photographs_refuse(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        augmentation.photographs(**({"size": 64} | arguments))


def test_images_and_objects_that_do_not_suit_are_refused():
    line, objects = drawn(1)
    with pytest.raises(ValueError, match=r'image of 1 dimensions.*give flips=\("x",\) or none'):
        augmentation.fields()(line, objects)
    image, objects = drawn(2)
    with pytest.raises(ValueError, match="received 40 x 39: give a square crop or turns=False"):
        augmentation.fields()(image[:39], objects)
    with pytest.raises(ValueError, match=r"within the image; received \[50\] for an image of \[40, 40\]"):
        augmentation.fields(crop=50)(image, objects)
    with pytest.raises(ValueError, match="or one per axis"):
        augmentation.fields(crop=(5, 5, 5))(image, objects)
    with pytest.raises(ValueError, match=r"received shapes \(40, 40, 2\) and \(2, 2\)"):
        augmentation.fields()(image, objects | {"boxes": np.zeros((2, 2))})
    with pytest.raises(ValueError, match=r"Expected labels of each of the 2 boxes; received shape \(1,\)"):
        augmentation.fields()(image, objects | {"labels": np.zeros(1)})
    with pytest.raises(ValueError, match=r"Expected a uint8 image \(y, x, 3\); received float32 \(40, 40, 2\)"):
        augmentation.photographs(64)(image, objects)
