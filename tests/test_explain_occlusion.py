import itertools

import keras
import numpy as np
import pytest

from astrokeras import applications, explain
from astrokeras.layers import YoloHead
from astrokeras.models import YoloDetector


def corner_net(side=12, classes=2):
    """Class 1 is the mean of the upper right corner of 4 x 4 pixels; nothing else counts."""
    kernel = np.zeros((side, side, classes), "float32")
    kernel[:4, side - 4 :, 1] = 1 / 16
    inputs = keras.Input((side, side, 1))
    dense = keras.layers.Dense(classes)
    model = keras.Model(inputs, dense(keras.layers.Flatten()(inputs)), name="corner")
    dense.set_weights([kernel.reshape(-1, classes), np.zeros(classes, "float32")])
    return model


def conv_net(shape, classes=3):
    conv = {2: keras.layers.Conv1D, 3: keras.layers.Conv2D, 4: keras.layers.Conv3D}[len(shape)]
    inputs = keras.Input(shape)
    x = conv(4, 3, strides=2, activation="tanh")(inputs)
    return keras.Model(inputs, keras.layers.Dense(classes, activation="softmax")(keras.layers.Flatten()(x)))


def brute_force(answer, image, window, stride, fills):
    """The definition, window by window and pixel by pixel."""
    sides = image.shape[:-1]
    along = []
    for n, size, step in zip(sides, window, stride, strict=True):
        starts = [start for start in range(0, n, step) if start + size <= n]
        along.append(starts + ([n - size] if starts[-1] + size < n else []))
    total, count = np.zeros(sides), np.zeros(sides)
    for corner in itertools.product(*along):
        place = tuple(slice(start, start + size) for start, size in zip(corner, window, strict=True))
        for fill in fills:
            hidden = image.copy()
            hidden[place] = fill[place]
            total[place] += (answer(image) - answer(hidden)) / len(fills)
        count[place] += 1
    return total / count


def answer_of(model, target):
    return lambda image: float(model.predict_on_batch(image[None].astype("float32"))[0][target])


def test_network_that_looks_at_one_corner():
    model, image = corner_net(), np.ones((12, 12, 1))
    expected = np.zeros((12, 12))
    expected[:4, 8:] = 1
    found = explain.occlusion_map(model, image, 1, window=4, stride=4, fill="zero")
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found.dtype == np.float32
    np.testing.assert_allclose(explain.occlusion_map(model, image, 0, window=4, stride=4, fill="zero"), 0, atol=1e-6)
    found = explain.occlusion_map(model, image, 1, window=4, stride=4, fill=3.0)  # hiding raises the answer by 2
    np.testing.assert_allclose(found, -2 * expected, atol=1e-6)
    noisy = explain.occlusion_map(model, image, 1, window=4, stride=1, repeats=3)
    assert noisy[:4, 8:].min() > 10 * np.abs(noisy[5:, :7]).max()


@pytest.mark.parametrize(
    ("shape", "window", "stride"),
    [((23, 2), 6, 4), ((13, 10, 3), (5, 3), (3, 2)), ((5, 7, 6, 1), (2, 4, 3), (2, 3, 3))],
    ids=["spectrum", "image", "cube"],
)
def test_equals_brute_force(rng, shape, window, stride):
    model, image = conv_net(shape), rng.random(shape).astype("float32")
    sides = [int(side) for side in np.broadcast_to(window, len(shape) - 1)]
    steps = [int(step) for step in np.broadcast_to(stride, len(shape) - 1)]
    draws = np.random.default_rng(5).normal(127.5 / 255, 40 / 255, (2, *shape)).astype("float32")
    mean = np.broadcast_to(image.mean(axis=tuple(range(len(shape) - 1))), shape)
    for fill, repeats, fills in (("noise", 2, draws), ("mean", 1, mean[None]), (0.3, 1, np.full((1, *shape), 0.3))):
        settings = {"window": window, "stride": stride, "fill": fill, "repeats": repeats, "seed": 5}
        found = explain.occlusion_map(model, image, 2, batch_size=7, **settings)
        expected = brute_force(answer_of(model, 2), image, sides, steps, fills)
        np.testing.assert_allclose(found, expected, atol=1e-5)
        assert np.abs(expected).max() > 1e-3, "the test sees something"
    whole = explain.occlusion_map(model, image, 2, **settings)
    np.testing.assert_allclose(whole, found, atol=1e-6)  # the batches do not matter


def test_noise_has_the_range_of_the_image(rng):
    inputs = keras.Input((40, 40, 1))
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(inputs))
    ranges = {(0, 255): (127.5, 40), (0, 1): (0.5, 40 / 255), (-2, 4): (1, 6 * 40 / 255)}
    for (low, high), (mean, scatter) in ranges.items():
        image = rng.uniform(low, high, (40, 40, 1))
        image[0, :2, 0] = low, high
        fill = explain.occlusion(model, image, 0, window=20, stride=20).fill
        assert abs(fill.mean() - mean) < 0.15 * scatter and abs(fill.std() / scatter - 1) < 0.1
    black = explain.occlusion(model, np.zeros((40, 40, 1), "uint8"), 0, window=20, stride=20)
    assert black.fill.std() > 0


def test_lenet_looks_at_the_stroke():
    model = applications.lenet5(weights="mnist")
    seven = np.zeros((28, 28, 1), "float32")
    seven[5:8, 6:21] = 1
    for row in range(8, 24):
        right = 20 - (row - 8) // 2
        seven[row, right - 3 : right] = 1
    assert model.predict(seven[None], verbose=0)[0, 7] > 0.9
    found = explain.occlusion_map(model, seven, 7, window=7, stride=2, fill="zero")
    stroke = seven[..., 0] > 0
    assert found[stroke].mean() > 3 * found[~stroke].mean()
    windows = explain.occlusion(model, seven, 7, window=7, stride=2, fill="zero")
    ink = np.array([stroke[y : y + 7, x : x + 7].sum() for x, y, _, _ in windows.boxes])
    assert np.abs(windows.differences[ink == 0]).max() < 1e-6, "where there is no ink, hiding changes nothing"
    assert ink[windows.differences.argmax()] >= 6 and windows.differences.max() > 0.1


def test_regression_outputs():
    inputs = keras.Input((6, 2))
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling1D()(inputs))
    image = np.arange(12.0).reshape(6, 2)
    found = explain.occlusion_map(model, image, 1, window=2, stride=2, fill=1)
    np.testing.assert_allclose(found, np.repeat([(1 + 3 - 2) / 6, (5 + 7 - 2) / 6, (9 + 11 - 2) / 6], 2), rtol=1e-5)


def test_image_outputs_take_one_index_per_axis(rng):
    inputs = keras.Input((8, 8, 1))
    model = keras.Model(inputs, keras.layers.UpSampling2D(2)(inputs))
    image = rng.random((8, 8, 1))
    found = explain.occlusion_map(model, image, (6, 10, 0), window=1, stride=1, fill="zero")  # shows pixel (3, 5)
    expected = np.zeros((8, 8))
    expected[3, 5] = image[3, 5, 0]
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(("shape", "at", "cell"), [((32, 48, 1), (37.5, 9), (1, 4)), ((64, 1), 20, (2,))])
def test_yolo_objectness(rng, shape, at, cell):
    inputs = keras.Input(shape)
    conv = keras.layers.Conv1D if len(shape) == 2 else keras.layers.Conv2D
    x = conv(20, 8, strides=8, kernel_initializer=keras.initializers.RandomNormal(stddev=0.3))(inputs)
    dims = len(shape) - 1
    model = YoloDetector(inputs, YoloHead([[8] * dims, [16] * dims], classes=2)(x))
    image = rng.random(shape).astype("float32")

    def answer(image):
        boxes = model.predict_on_batch(image[None])[0][cell].reshape(2, -1)
        return float(boxes[:, 7].max())

    found = explain.occlusion(model, image, at, window=8, stride=8, fill="zero")
    expected = brute_force(answer, image, [8] * dims, [8] * dims, [np.zeros(shape)])
    np.testing.assert_allclose(found.map(), expected, atol=1e-5)
    assert found.answer == pytest.approx(answer(image), abs=1e-6)
    inside = tuple(slice(8 * index, 8 * index + 8) for index in cell)
    assert np.abs(found.map()[inside]).min() > 1e-3, "a cell of this net sees its own pixels"
    rest = found.map().copy()
    rest[inside] = 0
    assert not np.abs(rest).max() > 1e-6, "and no others"


def test_occlusion_tells_each_window():
    found = explain.occlusion(corner_net(), np.ones((12, 12, 1)), 1, window=(4, 6), stride=(4, 5), fill="zero")
    assert isinstance(found, explain.Occlusion)
    np.testing.assert_array_equal(found.boxes[:3], [[0, 0, 6, 4], [5, 0, 11, 4], [6, 0, 12, 4]])
    np.testing.assert_allclose(found.differences[:3], [0, 0.75, 1], atol=1e-6)
    assert found.answer == pytest.approx(1) and len(found.boxes) == 9
    hidden = np.ones((12, 12, 1))
    hidden[:4, 6:] = 0
    np.testing.assert_array_equal(found.occluded(), hidden)
    np.testing.assert_array_equal(found.occluded(2), hidden)
    assert found.occluded(0)[0, 0] == 0 and (found.image == 1).all()


def test_sees_new_weights():
    model, image = corner_net(), np.ones((12, 12, 1))
    before = explain.occlusion_map(model, image, 1, window=4, stride=4, fill="zero")
    model.set_weights([2 * weight for weight in model.get_weights()])
    after = explain.occlusion_map(model, image, 1, window=4, stride=4, fill="zero")
    np.testing.assert_allclose(after, 2 * before, atol=1e-6)


def test_refusals():
    model, image = corner_net(), np.ones((12, 12, 1))
    wrong = {
        r"Expected window from 1 to the image of 12 x 12 pixels; received 96": {},
        r"Expected window from 1 to the image of 12 x 12 pixels; received \(4, 13\)": {"window": (4, 13)},
        "Expected stride from 1 to the window of 4 x 4 pixels; received 0": {"window": 4, "stride": 0},
        "Expected stride from 1 to the window of 4 x 4 pixels; received 5": {"window": 4, "stride": 5},
        "Expected window to be a whole number of pixels, or 2 of them": {"window": (4, 4, 4)},
        "Expected stride to be a whole number": {"window": 4, "stride": 1.5},
        'Expected fill to be "noise", "mean", "zero" or a number; received \'grey\'': {"window": 4, "fill": "grey"},
        "Expected repeats >= 1; received 0": {"window": 4, "repeats": 0},
        "Expected batch_size >= 1; received 0": {"window": 4, "batch_size": 0},
    }
    for message, settings in wrong.items():
        with pytest.raises(ValueError, match=message):
            explain.occlusion_map(model, image, 1, **{"stride": 4} | settings)
    for target in (2, -1, 1.5, (0, 1), True, "cat"):
        with pytest.raises(ValueError, match="corner: expected a target from 0 to 1, an output of the model"):
            explain.occlusion_map(model, image, target, window=4, stride=4)
    with pytest.raises(
        ValueError, match=r"expected one image \(12, 12, 1\), without a batch axis; received shape \(1,"
    ):
        explain.occlusion_map(model, image[None], 1)
    image[3, 3] = np.nan
    with pytest.raises(ValueError, match="expected an image of finite values; received 1 that are NaN or infinite"):
        explain.occlusion_map(model, image, 1)
    detector, field = applications.yolo_sdc1((32, 64, 1)), np.zeros((32, 64, 1))
    for target in (3, (64, 3), (3, 32), (-1, 3), (1, 2, 3)):
        with pytest.raises(ValueError, match=r"a position \(x, y\) in pixels, x first, inside the image of 64 x 32"):
            explain.occlusion_map(detector, field, target, window=8, stride=8)
    two = keras.Model(model.inputs[0], [model.outputs[0], model.outputs[0]], name="two")
    with pytest.raises(ValueError, match="two: expected a model with one output; received one with 2"):
        explain.occlusion_map(two, np.ones((12, 12, 1)), 0, window=4, stride=4)
    a, b = keras.Input((4, 1)), keras.Input((4, 1))
    with pytest.raises(ValueError, match="expected a model with one input; received one with 2"):
        explain.occlusion_map(keras.Model([a, b], keras.layers.Add()([a, b])), np.ones((4, 1)), 0)
