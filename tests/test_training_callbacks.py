"""The callbacks that draw, steer the learning rate or measure the time."""

import csv
import gc
import io
import math
import re
import sys
import types

import keras
import numpy as np
import pytest
from PIL import Image

from astrokeras import applications, callbacks, cianna, plots
from astrokeras.callbacks.watcher import as_png
from astrokeras.detections import Detections
from astrokeras.plots.blank import blank_figure

BOXES = np.array([[1, 1, 5, 6], [8, 3, 14, 12]], "float32")


class Detector(keras.Sequential):
    """Finds one box, the better the more epochs it has seen; counts its calls."""

    def __init__(self):
        super().__init__([keras.Input((16, 20, 3)), keras.layers.Flatten(), keras.layers.Dense(1)])
        self.compile("sgd", "mse")
        self.calls = []
        self.class_names = ("star", "galaxy")

    def detect(self, images, **settings):
        self.calls.append(settings)
        return [Detections([[1, 1, 5, 6]], [0.9], [1])] * len(images)


@pytest.fixture
def images(rng):
    return rng.integers(0, 255, (5, 16, 20, 3)).astype("uint8")


def train(model, *watchers, epochs=1, x=None, **settings):
    x = np.zeros((4, *model.input_shape[1:])) if x is None else x
    return model.fit(x, np.zeros((len(x), 1)), epochs=epochs, callbacks=list(watchers), verbose=0, **settings).history


def files_of(folder):
    return sorted(path.name for path in folder.iterdir())


def picture(path):
    return np.asarray(Image.open(io.BytesIO(path.read_bytes())).convert("L"))


@pytest.fixture
def notebook(monkeypatch):
    """A notebook that remembers what it shows: a list of places, each a list of PNG files."""
    places = []

    class Place(list):
        def update(self, picture):
            self.append(picture)

    def show(picture, display_id):
        assert display_id is True
        places.append(Place([picture]))
        return places[-1]

    display = types.ModuleType("IPython.display")
    display.display, display.Image = show, lambda data, format: data
    ipython = types.ModuleType("IPython")
    ipython.display, ipython.get_ipython = display, lambda: types.SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    return places


# DetectionPreview


@pytest.mark.parametrize("padded", [False, True])
def test_preview_draws_the_same_images_every_second_epoch_and_at_the_end(images, tmp_path, padded, monkeypatch):
    targets = [{"boxes": BOXES, "labels": np.array([0, 1])}] * 2
    if padded:
        targets = {"boxes": np.stack([BOXES] * 2), "labels": np.array([[0, 1]] * 2)}
    drawn = []

    def draw(*arguments, title, origin):
        drawn.append((*arguments, title, origin))
        return blank_figure(1, 1)

    monkeypatch.setattr(plots, "detections", draw)
    preview = callbacks.DetectionPreview(images[:2], targets, every=2, folder=tmp_path / "seen", score_threshold=0.3)
    model = Detector()
    train(model, preview, epochs=5)
    assert files_of(tmp_path / "seen") == [f"detections_epoch_000{epoch}.png" for epoch in (2, 4, 5)]
    assert model.calls == [{"score_threshold": 0.3}] * 3 and len(preview.detections) == 2
    assert [title for *_, title, _ in drawn] == [f"epoch {epoch}" for epoch in (2, 2, 4, 4, 5, 5)]
    for image, found, true, names, _, origin in drawn:
        np.testing.assert_array_equal(true["boxes"], BOXES)
        assert names == ("star", "galaxy") and found.scores.tolist() == pytest.approx([0.9]) and origin == "upper"
    np.testing.assert_array_equal([drawn[-2][0], drawn[-1][0]], images[:2])
    assert picture(tmp_path / "seen" / "detections_epoch_0005.png").shape == (100, 200)  # side by side
    train(Detector(), preview)  # serves a second training


def test_four_figures_stand_in_a_row():
    figures = [blank_figure(1, 1) for _ in range(5)]
    figures[4].set_facecolor("red")
    sheet = np.asarray(Image.open(io.BytesIO(as_png(figures, 10))))
    assert sheet.shape == (20, 40, 3)
    red = (sheet == (255, 0, 0)).all(axis=-1)
    assert red[10:, :10].all() and red.sum() == 100


def test_preview_without_folder_only_detects(images, monkeypatch, capsys):
    monkeypatch.setattr(plots, "detections", None)
    preview = callbacks.DetectionPreview(images[:2])
    train(Detector(), preview, epochs=2)
    assert len(preview.detections) == 2 and capsys.readouterr() == ("", "")


def test_preview_refusals(images):
    with pytest.raises(ValueError, match="one image or more.*received 0 images and no targets"):
        callbacks.DetectionPreview([])
    with pytest.raises(ValueError, match="received 5 images and 1 targets"):
        callbacks.DetectionPreview(images, [{"boxes": BOXES, "labels": [0, 1]}])
    with pytest.raises(ValueError, match="Expected every >= 1"):
        callbacks.DetectionPreview(images, every=0)
    model = applications.lenet5((12, 12, 1), 3)
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"a model with detect\(images\)"):
        model.fit(np.zeros((2, 12, 12, 1)), np.zeros((2, 3)), callbacks=[callbacks.DetectionPreview(images)], verbose=0)


def test_figures_appear_in_one_place_of_a_notebook(images, notebook, tmp_path):
    preview = callbacks.DetectionPreview(images[:1], folder=tmp_path)
    for _ in range(2):
        train(Detector(), preview, epochs=2)
    assert [len(place) for place in notebook] == [2, 2]  # a place for each training, in which the figure changes
    assert notebook[1][1] == (tmp_path / "detections_epoch_0002.png").read_bytes()
    train(Detector(), callbacks.DetectionPreview(images[:1], show=False))
    assert len(notebook) == 2


def test_no_figure_stays_in_memory(images, tmp_path):
    from matplotlib import pyplot
    from matplotlib.figure import Figure

    def alive():
        gc.collect()
        return sum(isinstance(thing, Figure) for thing in gc.get_objects())

    before = alive()
    train(Detector(), callbacks.DetectionPreview(images[:2], folder=tmp_path))
    assert alive() == before and not pyplot.get_fignums()


# LatentSpace


def autoencoder(variational=False):
    build = applications.variational_autoencoder if variational else applications.autoencoder
    model = build((8, 8, 1), filters=(4, 8), units=(8,), latent=3)
    model.compile("adam")
    return model


@pytest.mark.parametrize("variational", [False, True])
def test_latent_space(rng, tmp_path, variational):
    x, labels = rng.random((9, 8, 8, 1)).astype("float32"), np.arange(9) % 3
    model = autoencoder(variational)
    watcher = callbacks.LatentSpace(x, labels, every=2, folder=tmp_path, names=["a", "b", "c"])
    model.fit(x, epochs=3, callbacks=[watcher], verbose=0)
    assert files_of(tmp_path) == ["latent_epoch_0002.png", "latent_epoch_0003.png"]
    np.testing.assert_allclose(watcher.latent, model.encoder.predict(x, verbose=0)[:, :3], atol=1e-6)
    assert picture(tmp_path / "latent_epoch_0003.png").std() > 5
    model.fit(x, callbacks=[watcher], verbose=0)


def test_latent_space_of_another_encoder(rng):
    x = rng.random((6, 4)).astype("float32")
    encoder = keras.Sequential([keras.Input((4,)), keras.layers.Reshape((2, 2))])
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    watcher = callbacks.LatentSpace(x, encoder=encoder)
    train(model, watcher)
    np.testing.assert_allclose(watcher.latent, x)
    with pytest.raises(ValueError, match="a model with an encoder.*or encoder=; received Sequential"):
        train(model, callbacks.LatentSpace(x))


# LearningRate


def slope_of_one(optimizer=None, **settings):
    """A model of one weight whose gradient is 1: the weight falls by the learning rate, step by step."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")])
    model.compile(optimizer or keras.optimizers.SGD(5.0), loss=lambda y, predicted: predicted, **settings)
    return model


def weight(model):
    return float(model.get_weights()[0][0, 0])


ONES = np.ones((8, 1), "float32")


def law(i):
    return 0.01 + (0.3 - 0.01) * math.exp(-0.4 * i)


def test_learning_rate_of_each_epoch():
    model = slope_of_one()
    rates = callbacks.LearningRate(0.3, 0.01, 0.4)
    history = train(model, rates, x=ONES, batch_size=4, epochs=5)
    np.testing.assert_allclose(history["learning_rate"], [law(i) for i in range(5)], rtol=1e-6)
    assert weight(model) == pytest.approx(-2 * sum(law(i) for i in range(5)), rel=1e-5)  # two steps an epoch
    again = slope_of_one()
    history = train(again, rates, x=ONES, epochs=6, initial_epoch=4)
    assert weight(again) == pytest.approx(-law(4) - law(5), rel=1e-5) and len(history["learning_rate"]) == 2


def test_learning_rate_is_that_of_cianna(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # CIANNA's calls note their losses in a file
    cianna.init([4], 1, 3, network=7, no_logo=1)
    cianna.dense(3, activation="SMAX", network=7)
    for name in ("TRAIN", "VALID"):
        cianna.create_dataset(name, 16, np.ones((16, 4)), np.eye(3)[[1] * 16], silent=1, network=7)
    cianna.train(5, 0.3, end_learning_rate=0.01, lr_decay=0.4, network=7)
    printed = [float(rate) for rate in re.findall(r"Learning rate: (\S+)", capsys.readouterr().out)]
    ours = callbacks.LearningRate(0.3, 0.01, 0.4)
    assert len(printed) == 5 and printed == pytest.approx([ours.rate(i) for i in range(5)], rel=1e-4)


@pytest.mark.parametrize(("warmup", "length"), [(1.5, 6), (0.5, 2), (2, 8)])
def test_warmup_rises_step_by_step(warmup, length):
    expected = [law(step // 4) * min(1, (step + 1) / length) for step in range(12)]  # four steps an epoch
    rates = callbacks.LearningRate(0.3, 0.01, 0.4, warmup=warmup)
    model = slope_of_one()
    history = train(model, rates, x=ONES, batch_size=2, epochs=3)
    assert weight(model) == pytest.approx(-sum(expected), rel=1e-5)
    np.testing.assert_allclose(history["learning_rate"], expected[3::4], rtol=1e-6)
    late = slope_of_one()
    train(late, rates, x=ONES, batch_size=2, epochs=3, initial_epoch=1)
    assert weight(late) == pytest.approx(-sum(expected[4:]), rel=1e-5)


def test_warmup_of_steps_that_run_together():
    model = slope_of_one(steps_per_execution=2)
    train(model, callbacks.LearningRate(0.3, 0.01, 0.4, warmup=0.75), x=ONES, batch_size=2)
    assert weight(model) == pytest.approx(-0.3 * (1 / 3 + 1 / 3 + 1 + 1), rel=1e-5)


def test_learning_rate_of_a_restored_training(tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    def watchers():
        rates = callbacks.LearningRate(0.3, 0.01, 0.4, warmup=2.5)
        return rates, keras.callbacks.BackupAndRestore(tmp_path / "backup")

    with pytest.raises(KeyboardInterrupt):
        train(slope_of_one(), *watchers(), Stop(), x=ONES, batch_size=2, epochs=4)
    model = slope_of_one()
    history = train(model, *watchers(), x=ONES, batch_size=2, epochs=4)
    expected = [law(step // 4) * min(1, (step + 1) / 10) for step in range(16)]
    assert weight(model) == pytest.approx(-sum(expected), rel=1e-5)
    np.testing.assert_allclose(history["learning_rate"], [expected[11], expected[15]], rtol=1e-6)


def test_learning_rate_below_a_loss_scale():
    model = slope_of_one(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(5.0)), auto_scale_loss=True)
    history = train(model, callbacks.LearningRate(0.3, decay=0.4, warmup=1), x=ONES, batch_size=4, epochs=2)
    np.testing.assert_allclose(history["learning_rate"], [0.3, 0.3 * math.exp(-0.4)], rtol=1e-6)
    assert weight(model) == pytest.approx(-0.15 - 0.3 - 2 * 0.3 * math.exp(-0.4), rel=1e-5)


def test_learning_rate_refusals():
    for arguments in ((0.0,), (0.1, -1.0), (0.1, 0.0, -0.5), (math.nan,)):
        with pytest.raises(ValueError, match="Expected start > 0, end >= 0, decay >= 0 and warmup >= 0"):
            callbacks.LearningRate(*arguments)
    with pytest.raises(ValueError, match="warmup >= 0 epochs; received 0.1, 0.0, 0.0 and -1"):
        callbacks.LearningRate(0.1, warmup=-1)
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 10)
    with pytest.raises(ValueError, match="a number as learning rate.*received one with a schedule"):
        train(slope_of_one(keras.optimizers.SGD(schedule)), callbacks.LearningRate(0.1), x=ONES)

    def batches():
        while True:
            yield ONES, ONES

    with pytest.raises(ValueError, match="data of known length for a warm-up.*steps_per_epoch"):
        slope_of_one().fit(batches(), shuffle=False, callbacks=[callbacks.LearningRate(0.1, warmup=1)], verbose=0)
    model = slope_of_one()
    watchers = [callbacks.LearningRate(0.1, warmup=1)]
    model.fit(batches(), steps_per_epoch=2, shuffle=False, callbacks=watchers, verbose=0)
    assert weight(model) == pytest.approx(-0.05 - 0.1)


# Timing


def test_timing_by_a_clock_in_hand(monkeypatch):
    readings = iter([])
    monkeypatch.setattr(callbacks.timing, "time", types.SimpleNamespace(perf_counter=lambda: next(readings)))
    timing = callbacks.Timing(100)
    timing.set_model(slope_of_one())
    timing.set_params({"epochs": 4})
    for _ in range(2):  # two trainings
        # train begin; epoch begin, training done (validation), end; then epochs without validation
        readings = iter([0.0, 1.0, 11.0, 16.0, 16.5, 18.5, 18.6, 18.6, 22.6, 22.6])
        timing.on_train_begin()
        logs = [{}, {}, {}]
        timing.on_epoch_begin(0)
        timing.on_test_begin()
        timing.on_epoch_end(0, logs[0])
        for epoch in (1, 2):
            timing.on_epoch_begin(epoch)
            timing.on_epoch_end(epoch, logs[epoch])
        assert logs[0] == pytest.approx({"images_per_second": 10.0, "time_left": 3 * 16.0})
        assert logs[1] == pytest.approx({"images_per_second": 50.0, "time_left": 2 * 2.6})  # without the first epoch
        assert logs[2] == pytest.approx({"images_per_second": 25.0, "time_left": 1 * 3.3})
        assert next(readings, None) is None


def test_timing_and_rate_go_to_history_csv_and_the_line_of_fit(tmp_path, capsys):
    watchers = [callbacks.Timing(8), callbacks.LearningRate(0.3, 0.01, 0.4)]
    watchers.append(keras.callbacks.CSVLogger(tmp_path / "history.csv"))
    history = (
        slope_of_one().fit(ONES, ONES, epochs=3, validation_data=(ONES, ONES), callbacks=watchers, verbose=2).history
    )
    with open(tmp_path / "history.csv") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["epoch", "images_per_second", "learning_rate", "loss", "time_left", "val_loss"]
    for name in ("images_per_second", "learning_rate", "time_left"):
        assert [float(row[name]) for row in rows] == pytest.approx(history[name])
    assert history["time_left"][2] == 0 and min(history["images_per_second"]) > 0
    assert "images_per_second: " in capsys.readouterr().out
    with pytest.raises(ValueError, match="Expected images >= 1"):
        callbacks.Timing(0)


# LiveLoss


def test_live_loss_draws_in_a_notebook_only(notebook, monkeypatch, capsys):
    live = callbacks.LiveLoss(every=2)
    for _ in range(2):
        history = train(slope_of_one(), callbacks.LearningRate(0.3, 0.01, 0.4), live, x=ONES, epochs=5)
        assert live.history == history and set(history) == {"loss", "learning_rate"}
    assert [len(place) for place in notebook] == [3, 3] and notebook[0][0] != notebook[0][2]
    monkeypatch.delitem(sys.modules, "IPython")
    monkeypatch.setattr(plots, "training_curves", None)
    train(slope_of_one(), live, x=ONES)
    assert len(notebook) == 2 and capsys.readouterr() == ("", "")


def test_live_loss_in_a_folder(tmp_path, monkeypatch):
    drawn = []
    real = plots.training_curves
    monkeypatch.setattr(plots, "training_curves", lambda history, names: drawn.append(history) or real(history, names))
    live = callbacks.LiveLoss(["loss"], every=3, folder=tmp_path)
    history = slope_of_one().fit(
        ONES,
        ONES,
        initial_epoch=2,
        epochs=6,
        validation_data=(ONES, ONES),
        validation_freq=2,
        callbacks=[live],
        verbose=0,
    )
    last = drawn[-1]
    assert last["epoch"] == [2, 3, 4, 5] and last["loss"] == history.history["loss"] and len(drawn) == 2
    np.testing.assert_array_equal(np.isnan(last["val_loss"]), [True, False, True, False])  # every second epoch
    assert files_of(tmp_path) == ["training_curves.png"]
    assert picture(tmp_path / "training_curves.png").std() > 5


# best weights by a detection score


class Improving(Detector):
    """Finds the true box in the third and fourth scoring, a poorer one before, none after."""

    def detect(self, images, **settings):
        self.calls.append(settings)
        left = {1: 2, 2: 0, 3: 0}.get(len(self.calls) - 1, 40)
        return [Detections([[1 + left, 1, 5 + left, 6]], [0.9], [0])] * len(images)


@pytest.mark.parametrize("every", [1, 2])
def test_best_weights_by_a_detection_score(images, tmp_path, every):
    targets = [{"boxes": BOXES[:1], "labels": [0]}]
    score = callbacks.DetectionScore(images[:1], targets, every=every, verbose=False)
    kept = []
    keep = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: kept.append(model.get_weights()))
    for name in ("first", "second"):  # two trainings with one DetectionScore
        model = Improving()
        kept.clear()
        best = keras.callbacks.ModelCheckpoint(
            tmp_path / f"{name}.weights.h5", monitor="val_map", mode="max", save_best_only=True, save_weights_only=True
        )
        x = np.random.default_rng(1).random((4, 16, 20, 3))
        model.fit(x, np.arange(4.0)[:, None], epochs=6 * every, callbacks=[keep, score, best], verbose=0)
        history = model.history.history["val_map"]
        assert history[every - 1 :: every] == [0, 0, 1, 1, 0, 0] and int(np.argmax(history)) == 3 * every - 1
        loaded = Improving()
        loaded.load_weights(tmp_path / f"{name}.weights.h5")
        for found, wanted, other in zip(loaded.get_weights(), kept[3 * every - 1], kept[-1], strict=True):
            np.testing.assert_array_equal(found, wanted)
            assert not np.array_equal(found, other)


def test_early_stopping_by_a_detection_score(images):
    score = callbacks.DetectionScore(images[:1], [{"boxes": BOXES[:1], "labels": [0]}], every=2, verbose=False)
    stop = keras.callbacks.EarlyStopping(monitor="val_map", mode="max", patience=4)
    assert len(train(Improving(), score, stop, epochs=20)["val_map"]) == 10  # best in epoch 6, and 4 without a better


def test_keras_tells_when_the_score_comes_too_late(images, tmp_path):
    score = callbacks.DetectionScore(images[:1], [{"boxes": BOXES[:1], "labels": [0]}], verbose=False)
    settings = {"monitor": "val_map", "mode": "max", "save_best_only": True, "save_weights_only": True}
    best = keras.callbacks.ModelCheckpoint(tmp_path / "best.weights.h5", **settings)
    with pytest.warns(UserWarning, match="only with val_map available"):
        train(Detector(), best, score)
