"""YoloDetector: training, chance, files, detections."""

import importlib.util
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

import astrokeras
from astrokeras import Network, Parameter, boxes, datasets
from astrokeras.losses import YoloLoss, pack_targets
from astrokeras.models import YoloDetector

PRIORS = [[8, 8], [16, 12]]
FLUX = Parameter("flux", "Jy", scale="log", range=(1, 100))
ANGLE = Parameter("pa", angle=180)


def detector(parameters=(), classes=2, **options):
    net = Network((32, 32, 1), name="tiny").conv(8, 3, strides=2).conv(8, 4, strides=4, padding="valid")
    return net.yolo(PRIORS, classes, parameters, **options).build()


def scenes(count=10, params=0, seed=0):
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 20, (count, 3, 2))
    targets = {
        "boxes": np.concatenate([low, low + rng.uniform(4, 11, (count, 3, 2))], -1).astype("float32"),
        "labels": rng.integers(-1, 2, (count, 3)).astype("int32"),
    }
    if params:
        targets["params"] = rng.uniform(1, 90, (count, 3, params)).astype("float32")
    return rng.random((count, 32, 32, 1), "float32"), targets


def one_source(model, x=13.0, y=21.0, score=3.0, box=1, columns=()):
    """Replace the network's answer by one certain box of one cell, by the bias and weights of its last convolution."""
    head = model.get_layer("yolo")
    logits = np.full((1, *model.output_shape[1:3], head.boxes, head.columns), -9.0, "float32")
    logits[..., :6] = 0
    cell = logits[0, int(y // 8), int(x // 8), box]
    cell[0], cell[1] = (-np.log(1 / (v / 8 % 1) - 1) for v in (x, y))
    cell[6:8] = score
    cell[8 : 8 + len(columns)] = columns
    grid = keras.ops.convert_to_numpy(head(logits.reshape(1, *model.output_shape[1:])))
    model.predict = lambda images, **_: np.repeat(grid, len(images), axis=0)
    return model


def test_fit_takes_arrays_datasets_and_weights():
    x, y = scenes()
    histories = []
    sources = [
        lambda: {"x": x, "y": y, "batch_size": 4, "shuffle": False},
        lambda: {"x": datasets.DetectionDataset(x, y, batch_size=4, shuffle=False, classes=2), "shuffle": False},
        lambda: {"x": x, "y": {"boxes": y["boxes"], "classes": y["labels"]}, "batch_size": 4, "shuffle": False},
        lambda: {"x": x, "y": y, "batch_size": 4, "shuffle": False, "sample_weight": np.ones(10)},
    ]
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        sources.append(lambda: {"x": tf.data.Dataset.from_tensor_slices((x, y)).batch(4), "shuffle": False})
    for source in sources:
        keras.utils.set_random_seed(0)
        model = detector(loss={"random_startup": 0})
        model.compile(keras.optimizers.SGD(1e-3))
        histories.append(model.fit(**source(), epochs=2, verbose=0).history)
    for history in histories[1:]:
        for name, values in histories[0].items():
            np.testing.assert_allclose(history[name], values, rtol=1e-4, err_msg=name)
    assert set(histories[0]) == {
        *("loss", "position", "size", "probability", "objectness", "classes"),
        *("mean_iou", "mean_objectness", "good", "without_box"),
    }


def test_logged_numbers_are_right_on_partial_batches():
    x, y = scenes()
    model = detector(loss={"iou": "diou", "random_startup": 0})
    model.compile("sgd")
    logged = model.evaluate(x, y, batch_size=4, verbose=0, return_dict=True)
    loss = YoloLoss(PRIORS, (8, 8), 2, iou="diou")
    each = keras.ops.convert_to_numpy(loss.call(pack_targets(y), model.predict(x, verbose=0)))
    assert logged["loss"] == pytest.approx(each.mean(), rel=1e-4)
    parts = [logged[part] for part in ("position", "size", "probability", "objectness", "classes")]
    assert sum(parts) == pytest.approx(each.mean(), rel=1e-4)
    weights = np.arange(10.0)
    weighted = model.evaluate(x, y, batch_size=5, verbose=0, return_dict=True, sample_weight=weights)
    assert weighted["loss"] == pytest.approx((each * weights).mean(), rel=1e-4)


def test_more_objects_than_boxes_in_a_cell_are_counted():
    x, _ = scenes(2)
    y = {"boxes": np.array([[[8, 8, 15, 15]] * 5] * 2, "float32"), "labels": np.zeros((2, 5), "int32")}
    model = detector(loss={"random_startup": 0})
    model.compile("sgd")
    assert model.evaluate(x, y, verbose=0, return_dict=True)["without_box"] == 2 * 3


def test_chance_repeats_with_the_seed_and_goes_on_from_a_file(tmp_path):
    x, y = scenes()
    loss = {"random_rate": 0.3, "best_prior_rate": 0.5, "random_startup": 15}

    def trained(seed, epochs=3):
        keras.utils.set_random_seed(1)
        model = detector(loss=loss, seed=seed)
        model.compile("adam")
        model.fit(x, y, epochs=epochs, batch_size=5, verbose=0)
        return model

    first, again, other = trained(0), trained(0), trained(1)
    same = [np.array_equal(a, b) for a, b in zip(first.get_weights(), again.get_weights(), strict=True)]
    assert all(same)
    assert not np.array_equal(first.get_weights()[0], other.get_weights()[0])
    part = trained(0, epochs=1)
    part.save(tmp_path / "part.keras")
    rest = keras.models.load_model(tmp_path / "part.keras")
    assert (rest.images_seen, first.images_seen) == (10, 30)
    assert int(rest.optimizer.iterations) == 2
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(rest._draws.state), keras.ops.convert_to_numpy(part._draws.state)
    )


def test_a_saved_detector_is_the_same_one(tmp_path):
    model = detector(
        [FLUX, ANGLE],
        loss={"iou": "diou2", "param_scales": [2, 0.5], "limits": {"good": 0.3}},
        class_names=("a", "b"),
        score_threshold=[0.1, 0.2],
        nms_threshold=(0.4, 0.9),
        seed=3,
    )
    assert model.settings.param_scales == [2, 0.5, 0.5]
    path = tmp_path / "model.keras"
    astrokeras.save_model(model, path)
    loaded = astrokeras.load_model(path)
    assert isinstance(loaded, YoloDetector)
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in model.layers]
    ours, theirs = (one.get_config() for one in (model, loaded))
    for config in (ours, theirs):
        config.pop("network")
    assert json.loads(json.dumps(ours)) == json.loads(json.dumps(theirs))
    x, _ = scenes()
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))


def test_precision_is_kept(tmp_path):
    policy = "mixed_bfloat16"
    keras.config.set_dtype_policy(policy)
    model = detector(loss={"random_startup": 0})
    model.compile("sgd")
    x, y = scenes()
    assert np.isfinite(model.fit(x, y, verbose=0).history["loss"][0])
    model.save(tmp_path / "model.keras")
    keras.config.set_dtype_policy("float32")
    loaded = astrokeras.load_model(tmp_path / "model.keras")
    assert loaded.dtype_policy.name == policy
    assert loaded.get_layer("conv1").dtype_policy.name == policy
    assert loaded.get_layer("yolo").dtype_policy.name == "float32"


def test_detect_gives_the_box_in_pixels_and_physical_values():
    model = one_source(detector([FLUX, ANGLE], classes=2, class_names=("a", "b")), columns=(-9, 9, 0.5, 1.0, 0.5))
    found = model.detect(np.zeros((2, 32, 32, 1)))
    assert len(found) == 2 and len(found[1]) == 1
    one = found[1]
    np.testing.assert_allclose(one.boxes, [[5, 15, 21, 27]], atol=1e-4)  # centre 13, 21, prior 16 x 12
    assert one.labels.tolist() == [1] and one.priors.tolist() == [1]
    probability = 1 / (1 + np.exp(-3))
    np.testing.assert_allclose(one.scores, probability / (1 + np.exp(-6)), rtol=1e-5)
    np.testing.assert_allclose(one.probability, probability, rtol=1e-5)
    np.testing.assert_allclose(one.params, [[10, 0]], atol=1e-3)  # the middle of 1..100 on a log scale, cos = 1
    assert one.to_table()["flux"].unit == "Jy"
    assert not len(model.detect(np.zeros((1, 32, 32, 1)), score_threshold=[0.1, 0.99])[0])
    assert len(model.detect(np.zeros((1, 32, 32, 1)), score_threshold=[0.99, 0.1])[0])


def test_detect_suppresses_and_warns_of_a_limit():
    model = detector(classes=0, loss={"iou": "iou"})
    x, _ = scenes(3)
    everything = model.detect(x, score_threshold=0, nms_threshold=1)
    assert [len(one) for one in everything] == [32] * 3  # 4 x 4 cells, 2 boxes
    for one in model.detect(x, score_threshold=0, nms_threshold=0.2):
        pairs = boxes.iou(one.boxes[:, None], one.boxes[None])
        assert (pairs[~np.eye(len(pairs), dtype=bool)] <= 0.2).all()
        assert (np.diff(one.scores) <= 0).all()
    with pytest.warns(UserWarning, match="drop"):
        assert len(model.detect(x[:1], score_threshold=0, nms_threshold=1, max_detections=5)[0]) == 5


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"boxes": [[[5, 5, 5, 9]]]}, "min < max; image 0, object 0"),
        ({"boxes": [[[50, 5, 59, 9]]]}, "image 0, object 0"),
        ({"boxes": [[[5, np.nan, 9, 9]]]}, "finite numbers; image 0, object 0"),
        ({"labels": [[2]]}, "labels in 0..1.*image 0, object 0 has 2"),
        ({"params": np.zeros((1, 1, 2))}, "params"),
        ({"params": [[[-1.0]]]}, "image 0, object 0"),
    ],
)
def test_bad_targets_are_refused(change, sentence):
    model = detector([FLUX], loss={"random_startup": 0})
    model.compile("sgd")
    y = {"boxes": [[[5, 5, 9, 9]]], "labels": [[0]], "params": [[[2.0]]]} | change
    y = {name: np.array(values) for name, values in y.items()}
    with pytest.raises(ValueError, match=sentence):
        model.fit(np.zeros((1, 32, 32, 1)), y, verbose=0)
    with pytest.raises(ValueError, match=sentence):
        model.fit(np.zeros((1, 32, 32, 1)), y, validation_data=(np.zeros((1, 32, 32, 1)), y), verbose=0)


def test_bad_arguments_are_refused():
    x = keras.Input((32, 32, 1))
    with pytest.raises(ValueError, match="last layer to be a YoloHead; received Conv2D"):
        YoloDetector(x, keras.layers.Conv2D(8, 1)(x))
    with pytest.raises(ValueError, match="the grid divides"):
        Network((36, 32, 1)).conv(8, 8, strides=8).yolo(PRIORS).build()
    with pytest.raises(ValueError, match="2 class names; received 1"):
        detector(class_names=("a",))
    with pytest.raises(ValueError, match="settings of YoloLoss"):
        detector(loss={"iou_type": "diou"})
    head = astrokeras.layers.YoloHead(PRIORS, params=2)
    y = head(keras.layers.Conv2D(20, 8, strides=8)(x))
    with pytest.raises(ValueError, match=r"parameters of 2 columns.*received 1"):
        YoloDetector(x, y, parameters=[FLUX])
    model = detector()
    with pytest.raises(ValueError, match=r"expected images \(n, 32, 32, 1\); received shape \(1, 16, 16, 1\)"):
        model.detect(np.zeros((1, 16, 16, 1)))
    with pytest.raises(ValueError, match="one number or one per prior"):
        model.detect(np.zeros((1, 32, 32, 1)), score_threshold=[0.1] * 3)
    with pytest.raises(ValueError, match=r"compile\(optimizer\) without a loss.*received loss='mse'"):
        model.compile("sgd", loss="mse")
    model.compile("sgd")
    with pytest.raises(ValueError, match="targets of 2 images; received boxes of 1"):
        model.fit(np.zeros((2, 32, 32, 1)), {"boxes": np.zeros((1, 1, 4)), "labels": np.zeros((1, 1))})


@pytest.mark.slow
def test_training_compiles_with_xla():
    x, y = scenes()
    losses = []
    for compiled in (False, True):
        keras.utils.set_random_seed(0)
        model = detector([FLUX, ANGLE], loss={"random_startup": 0, "difficult": True})
        model.compile("sgd", jit_compile=compiled)
        params = {"params": np.full((10, 3, 2), 5.0, "float32"), "difficult": np.ones((10, 3), "int32")}
        losses.append(model.fit(x, y | params, epochs=2, batch_size=5, verbose=0).history["loss"])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)


def test_one_and_three_dimensions_train():
    for shape, priors in (((64, 2), [[8], [16]]), ((16, 16, 16, 1), [[4, 4, 8]])):
        dims = len(shape) - 1
        model = (
            Network(shape).conv(4, 4, strides=4, padding="valid").yolo(priors, 1, loss={"random_startup": 0}).build()
        )
        y = {"boxes": np.array([[[2] * dims + [9] * dims]] * 3, "float32"), "labels": np.zeros((3, 1), "int32")}
        model.compile("adam")
        history = model.fit(np.ones((3, *shape)), y, epochs=20, verbose=0).history["loss"]
        assert history[-1] < history[0]
        assert model.detect(np.ones((1, *shape)), score_threshold=0)[0].boxes.shape[1] == 2 * dims


@pytest.fixture(scope="module")
def squares():
    """A detector that has learned bright squares on noise, one or two in an image; other images, their objects."""
    rng = np.random.default_rng(0)
    count = 80
    centers, halves = rng.uniform(6, 26, (count, 2, 2)), rng.uniform(3, 6, (count, 2, 1))
    targets = {"boxes": np.concatenate([centers - halves, centers + halves], -1).round().astype("float32")}
    targets["labels"] = np.where(rng.random((count, 2)) < [1, 0.5], 0, -1).astype("int32")
    x = rng.normal(0, 0.1, (count, 32, 32, 1)).astype("float32")
    for image, boxes_here, labels in zip(x, targets["boxes"].astype(int), targets["labels"], strict=True):
        for x_min, y_min, x_max, y_max in boxes_here[labels == 0]:
            image[y_min:y_max, x_min:x_max] += 1
    keras.utils.set_random_seed(0)
    net = Network((32, 32, 1)).conv(16, 5, strides=2).conv(32, 3, strides=2).conv(48, 3, strides=2)
    model = (
        net.conv(48, 3).yolo([[10, 10]], loss={"iou": "diou", "random_startup": 0, "scales": {"objectness": 6}}).build()
    )
    model.compile(keras.optimizers.Adam(4e-3))
    model.fit(x[:64], {name: values[:64] for name, values in targets.items()}, epochs=60, batch_size=16, verbose=0)
    return model, x[64:], {name: values[64:] for name, values in targets.items()}


def test_a_detector_learns(squares):
    model, x, targets = squares
    metric = astrokeras.metrics.MeanAveragePrecision("voc")
    metric.update_state(targets, model.detect(x, score_threshold=0.01))
    assert metric.result().map > 0.4  # 0.64 measured; a detector that has learned nothing has 0


def test_a_fresh_process_on_the_other_backend_detects_the_same(squares, tmp_path):
    model, x, _ = squares
    astrokeras.save_model(model, tmp_path / "model.keras")
    found = model.detect(x, score_threshold=0.3)
    assert sum(len(one) for one in found) >= len(x)
    np.save(tmp_path / "x.npy", x)
    code = """
import json, sys, numpy, astrokeras
model = astrokeras.load_model(sys.argv[1])
found = model.detect(numpy.load(sys.argv[2]), score_threshold=0.3)
print(json.dumps([one.boxes.tolist() for one in found]))
"""
    arguments = [sys.executable, "-c", code, str(tmp_path / "model.keras"), str(tmp_path / "x.npy")]
    other = {"tensorflow": "jax", "jax": "tensorflow"}.get(keras.config.backend())
    for backend in (keras.config.backend(), other):
        if backend is None or importlib.util.find_spec(backend) is None:
            continue
        environment = os.environ | {"KERAS_BACKEND": backend}
        run = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=True)
        for one, theirs in zip(found, json.loads(run.stdout.splitlines()[-1]), strict=True):
            np.testing.assert_allclose(one.boxes, np.reshape(theirs, one.boxes.shape), atol=1e-3)
