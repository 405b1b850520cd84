import dataclasses
import inspect
from pathlib import Path

import keras
import numpy as np
import pytest

import astrokeras
from astrokeras import applications, judging, saving, training


def small_set(path, rng, **changes):
    """Two classes that brightness tells apart."""
    y = rng.integers(0, 2, 80)
    x = (rng.integers(0, 60, (80, 12, 12, 1)) + 180 * y[:, None, None, None]).astype("uint8")
    arrays = {"x_train": x[:64], "y_train": y[:64], "x_test": x[64:], "y_test": y[64:]}
    np.savez(path, **(arrays | changes))
    return path


def test_each_classifier_and_regressor_has_a_recipe():
    builders = {name: value for name, value in vars(applications).items() if inspect.isfunction(value)}
    trained = {name for name, value in builders.items() if value.__annotations__["return"] is keras.Model}
    assert set(training.RECIPES) == trained - {"unet"}  # it turns images into images
    assert all(isinstance(recipe, training.Recipe) for recipe in training.RECIPES.values())


def test_train_learns_saves_and_judges_on_the_test_images(tmp_path, rng):
    data = small_set(tmp_path / "two.npz", rng)
    out = tmp_path / "m.keras"
    arguments = {"classes": 2}
    result = training.train(
        "lenet5", data, epochs=12, batch_size=8, out=out, arguments=arguments, command="astrokeras train", verbose=0
    )
    assert isinstance(result, training.Result)
    assert result.judgement.score == 1.0 and result.judgement.matrix.sum() == 16
    card = astrokeras.read_card(out)
    assert {key: card["metrics"][key] for key in ("test_accuracy", "epochs", "seed")} == {
        "test_accuracy": 1.0,
        "epochs": 12.0,
        "seed": 0.0,
    }
    assert card["metrics"]["train_seconds"] > 0
    assert card["command"] == "astrokeras train" and card["data"] == str(data)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.keras", "two.npz"]
    x = np.load(data)["x_test"] / 255
    loaded = astrokeras.load_model(out)
    np.testing.assert_allclose(loaded.predict(x, verbose=0), result.model.predict(x, verbose=0), atol=1e-6)


def test_one_seed_one_result(tmp_path, rng):
    data = small_set(tmp_path / "two.npz", rng)
    runs = [
        training.train("lenet5", data, epochs=2, seed=seed, augment=True, arguments={"classes": 2}, verbose=0)
        for seed in (3, 3, 4)
    ]
    weights = [np.concatenate([w.ravel() for w in run.model.get_weights()]) for run in runs]
    np.testing.assert_allclose(weights[0], weights[1], atol=1e-6)
    assert np.abs(weights[0] - weights[2]).max() > 1e-3


def test_a_stopped_training_goes_on(tmp_path, rng, monkeypatch):
    data = small_set(tmp_path / "two.npz", rng)
    settings = dict(epochs=4, batch_size=16, out=tmp_path / "m.keras", arguments={"classes": 2}, verbose=0)

    class Stop(keras.callbacks.TerminateOnNaN):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    monkeypatch.setattr(keras.callbacks, "TerminateOnNaN", Stop)
    with pytest.raises(KeyboardInterrupt):
        training.train("lenet5", data, **settings)
    monkeypatch.undo()
    assert not (tmp_path / "m.keras").exists()
    assert len(list(tmp_path.glob(".m-*.backup"))) == 1
    result = training.train("lenet5", data, **settings)
    assert len(result.history["loss"]) == 2, "two epochs were done before the stop"
    assert int(result.model.optimizer.iterations) == 4 * 4, "the rate goes on where it was"
    assert not list(tmp_path.glob(".m-*.backup"))
    assert len(training.train("lenet5", data, **settings).history["loss"]) == 4, "a finished training starts anew"


def test_a_finished_training_is_not_lost_when_judging_fails(tmp_path, rng, monkeypatch):
    data = small_set(tmp_path / "two.npz", rng)
    settings = dict(epochs=2, batch_size=16, out=tmp_path / "m.keras", arguments={"classes": 2}, verbose=0)

    def fail(*args, **kwargs):
        raise MemoryError

    monkeypatch.setattr(judging, "judge", fail)
    with pytest.raises(MemoryError):
        training.train("lenet5", data, **settings)
    monkeypatch.undo()
    assert training.train("lenet5", data, **settings).history.get("loss", []) == [], "no epoch is done twice"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.keras", "two.npz"]


def test_a_diverged_training_says_so_and_leaves_nothing(tmp_path, rng, monkeypatch):
    data = small_set(tmp_path / "two.npz", rng)
    recipe = dataclasses.replace(training.RECIPES["lenet5"], optimizer=lambda steps: keras.optimizers.SGD(1e30))
    monkeypatch.setitem(training.RECIPES, "lenet5", recipe)
    with pytest.raises(ValueError, match="it became NaN or infinite"):
        training.train("lenet5", data, epochs=3, out=tmp_path / "m.keras", arguments={"classes": 2}, verbose=0)
    assert [path.name for path in tmp_path.iterdir()] == ["two.npz"]


def test_optimizers_end_at_rate_zero():
    for make in (training.adam, training.sgd):
        optimizer = make(100)
        rates = [float(optimizer._learning_rate(step)) for step in range(101)]
        assert rates[-1] == pytest.approx(0, abs=1e-8) and max(rates) <= 0.10001


def test_the_network_takes_its_outputs_from_the_data(rng):
    x = rng.random((24, 16, 16, 3)).astype("float32")
    photographs = ((x, np.arange(24) % 4), (x[:8], np.arange(8) % 4))
    result = training.train("cifar10_cnn", photographs, epochs=1, arguments={"filters": (8, 8)}, verbose=0)
    assert result.model.output_shape == (None, 4) and result.judgement.kind == "classes"
    column = ((x, np.arange(24)[:, None] % 4), (x[:8], np.arange(8)[:, None] % 4))  # as keras.datasets has them
    result = training.train("cifar10_cnn", column, epochs=1, arguments={"filters": (8, 8)}, verbose=0)
    assert result.judgement.matrix.sum(axis=1).tolist() == [2, 2, 2, 2]
    one_hot = ((x, np.eye(4)[np.arange(24) % 4]), (x[:8], np.eye(4)[np.arange(8) % 4]))
    assert training.train("galaxy_zoo2", one_hot, epochs=1, verbose=0).judgement.matrix.sum() == 8

    spectra = rng.random((8, 1024, 3)).astype("float16")
    labels = rng.integers(0, 2, (8, 5))
    result = training.train("molecular_spectra_cnn", ((spectra, labels), (spectra, labels)), epochs=1, verbose=0)
    assert result.judgement.kind == "labels" and "macro F1" in result.judgement.scores

    values = rng.random((24, 7)).astype("float32")
    small = x[..., :1]
    result = training.train("extinction_cnn", ((small, values), (small, values)), epochs=1, verbose=0)
    assert result.model.output_shape == (None, 7) and "rmse" in result.judgement.scores

    votes = rng.integers(0, 9, (24, 5)).astype("float32")
    arguments = {"questions": (3, 2)}
    result = training.train("galaxy_zoo2", ((x, votes), (x, votes)), epochs=1, arguments=arguments, verbose=0)
    assert result.judgement.kind == "votes" and np.isfinite(result.history["loss"][0])


def test_cutouts_with_background(rng):
    x = rng.integers(0, 256, (12, 32, 32, 3)).astype("uint8")
    data = ((x, np.arange(12) % 3), (x, np.arange(12) % 3))
    result = training.train("voc_cutout_classifier", data, epochs=1, arguments={"background": True}, verbose=0)
    assert result.model.output_shape == (None, 3), "the last class of the data is the background"


def test_a_folder_of_images_in_the_size_of_the_network(tmp_path):
    from tests.test_loaders import save_image

    for i in range(40):
        for name, value in (("dark", 20), ("light", 220)):
            save_image(tmp_path / name / f"{i}.png", (value, value, value), (20, 24))
    arguments = {"input_shape": (32, 32, 3)}
    out = tmp_path / "m.keras"
    result = training.train("voc_cutout_classifier", tmp_path, epochs=1, arguments=arguments, out=out, verbose=0)
    assert result.judgement.names == ("dark", "light") == tuple(astrokeras.read_card(out)["names"])
    assert astrokeras.read_card(out)["kind"] == "classes" and result.model.input_shape == (None, 32, 32, 3)
    with pytest.raises(ValueError, match="has no set of its own"):
        training.train("darknet19")
    for name in ("lenet5", "resnet", "cifar10_cnn", "asirra_cnn", "galaxy_zoo2"):
        (x, y), _ = training.load_data(training.RECIPES[name], tmp_path, 16)
        assert x.names == ("dark", "light") and x.shape[1:] == (16, 16, 3) and set(y) == {0, 1}, name


@pytest.mark.parametrize(
    ("folders", "reader"),
    [
        (["Cat", "Dog"], "asirra"),
        (["PetImages/Cat", "PetImages/Dog"], "asirra"),
        (["train/cats", "train/dogs", "validation/cats", "validation/dogs"], "asirra"),
        (["train", "test1"], "asirra"),  # cat.0.jpg, ...
        (["cat", "dog", "horse"], "image_folder"),
        (["train/a", "train/b", "val/a", "val/b"], "image_folder"),
        (["only"], "asirra"),
    ],
)
def test_asirra_keeps_the_forms_of_its_folder(tmp_path, folders, reader):
    from tests.test_loaders import save_image

    for folder in folders:
        save_image(tmp_path / folder / "cat.0.jpg", (0, 0, 0))
    (tmp_path / "empty").mkdir()
    assert training._reader(training.RECIPES["asirra_cnn"], tmp_path) == reader
    assert training._reader(training.RECIPES["stellar_spectra_cnn"], tmp_path) == "stellar_spectra"


def test_training_starts_from_a_file(tmp_path, rng):
    data = small_set(tmp_path / "two.npz", rng)
    settings = dict(arguments={"classes": 2}, verbose=0, batch_size=8)
    training.train("lenet5", data, epochs=12, out=tmp_path / "first.keras", **settings)
    again = training.train("lenet5", data, epochs=1, start=tmp_path / "first.keras", **settings)
    anew = training.train("lenet5", data, epochs=1, **settings)
    assert again.history["loss"][0] < anew.history["loss"][0] / 2
    kept = training.train(
        "lenet5", data, epochs=1, start=tmp_path / "first.keras", transfer={"layers": 4, "freeze": True}, **settings
    )
    first = astrokeras.load_model(tmp_path / "first.keras")
    for ours, theirs in zip(kept.model.get_weights()[:8], first.get_weights()[:8], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert (kept.model.get_weights()[8] != first.get_weights()[8]).any()


def test_compare(tmp_path, rng):
    data = small_set(tmp_path / "two.npz", rng)
    cases = {"lenet5": ("lenet5", {}), "deep": ("resnet", {"depth": 20})}
    rows = training.compare(cases, data, epochs=2, batch_size=8)
    assert [row.label for row in rows] == ["lenet5", "deep"] and isinstance(rows[0], training.Compared)
    assert rows[1].multiply_adds > rows[0].multiply_adds > 0 and rows[0].parameters != rows[1].parameters
    assert all(row.train_seconds > 0 and row.predict_seconds > 0 and 0 <= row.scores["accuracy"] <= 1 for row in rows)
    for cases, sentence in (
        ({}, "at least one network"),
        ({"a": ("lenet5", {}), "b": ("extinction_cnn", {})}, "one kind of output; received classes, values"),
        ({"a": ("lenet5", {"depth": 3})}, "received depth"),
    ):
        with pytest.raises(ValueError, match=sentence):
            training.compare(cases, data, epochs=1)


BAD = [
    (dict(x_train=np.full((64, 12, 12, 1), np.nan)), r"training set: Expected finite inputs; x\[0\] holds NaN"),
    (dict(y_train=np.full(64, 7)), r"training set: Expected labels in 0\.\.1; y\[0\] is 7"),
    (dict(y_test=np.full(16, -1)), r"test set: Expected labels in 0\.\.1; y\[0\] is -1"),
]


@pytest.mark.parametrize(("changes", "sentence"), BAD)
def test_bad_data_stops_before_anything_is_written(changes, sentence, tmp_path, rng):
    data = small_set(tmp_path / "two.npz", rng, **changes)
    with pytest.raises(ValueError, match=sentence):
        training.train("lenet5", data, out=tmp_path / "m.keras", arguments={"classes": 2})
    assert [path.name for path in tmp_path.iterdir()] == ["two.npz"]


def test_refusals(tmp_path):
    for name, arguments, sentence in (
        ("lenet", {}, "one of lenet5, resnet, .*; received 'lenet'"),
        ("lenet5", {"epochs": 0}, "Expected epochs >= 1"),
        ("lenet5", {"out": tmp_path / "m.h5"}, r"ends in \.keras"),
        ("lenet5", {"arguments": {"depth": 3}}, "received depth"),
        ("stellar_spectra_cnn", {"augment": True}, "leave out --augment"),
    ):
        with pytest.raises(ValueError, match=sentence):
            training.train(name, "simulated_digits", **arguments)
    with pytest.raises(FileNotFoundError, match="Expected data to be one of mnist, cifar10"):
        training.load_data(training.RECIPES["lenet5"], "mnisd")
    with pytest.raises(FileNotFoundError, match="create it first"):
        saving.check_path(Path("no/such/folder/m.keras"))
    with pytest.raises(ValueError, match="received dept"):
        training.check_arguments("resnet", {"dept": 20})


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        (np.arange(64) % 2 * 2, "examples of each of 3 classes; there are none of class 1"),
        (np.zeros(64, int), "none of class 1"),
        (np.arange(64) % 2 - 1, "Expected class numbers 0, 1, 2, .* from -1 to 0"),
        (np.arange(64) % 2 / 2, "as integers; received float64"),
    ],
)
def test_labels_that_are_no_class_numbers(labels, sentence, rng):
    x = rng.integers(0, 256, (64, 32, 32, 3)).astype("uint8")
    with pytest.raises(ValueError, match=sentence):
        training.train("asirra_cnn", ((x, labels), (x, labels)), verbose=0)


@pytest.mark.data
def test_mnist_is_learned(real_data):
    result = training.train("lenet5", Path(real_data) / "mnist.npz", epochs=1, verbose=0)
    assert result.judgement.score > 0.97


@pytest.mark.data
def test_shipped_lenet5_on_mnist(real_data):
    _, (x, y) = astrokeras.datasets.mnist(Path(real_data) / "mnist.npz")
    assert judging.judge(applications.lenet5(weights="mnist"), x / 255.0, y).score >= 0.993


def test_shipped_lenet5_on_the_digits_of_scikit_learn():
    """A set that it has never seen: 1797 digits of 8x8 pixels, upscaled to the size of MNIST's."""
    from skimage.transform import resize
    from sklearn.datasets import load_digits

    digits = load_digits()
    x = np.zeros((1797, 28, 28, 1), "float32")
    x[:, 4:24, 4:24, 0] = np.moveaxis(resize(np.moveaxis(digits.images / 16, 0, -1), (20, 20), order=1), -1, 0)
    assert (
        judging.judge(applications.lenet5(weights="mnist"), x, digits.target).score >= 0.94
    )  # 95.05 % when the weights were made
