import json
import re
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest

import astrokeras
from astrokeras.whole_file import replacing


@pytest.fixture
def model():
    return astrokeras.applications.lenet5((8, 8, 1), classes=2)


def test_the_card_tells_where_a_model_comes_from(model, tmp_path):
    path = astrokeras.save_model(model, tmp_path / "m.keras", command="train it", data="mnist", metrics={"acc": 0.5})
    card = astrokeras.read_card(path)
    assert card["command"] == "train it" and card["data"] == "mnist" and card["metrics"] == {"acc": 0.5}
    assert card["versions"]["astrokeras"] == astrokeras.__version__
    assert card["versions"]["keras"] == keras.__version__
    assert keras.models.load_model(path).name == "lenet5"
    assert [file.name for file in tmp_path.iterdir()] == ["m.keras"]


def test_a_failed_save_leaves_the_old_file_alone(model, tmp_path, monkeypatch):
    path = astrokeras.save_model(model, tmp_path / "m.keras", data="first")

    def fail(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", fail)
    with pytest.raises(OSError, match="disk full"):
        astrokeras.save_model(model, path, data="second")
    monkeypatch.undo()
    assert astrokeras.read_card(path)["data"] == "first"
    assert [file.name for file in tmp_path.iterdir()] == ["m.keras"]


def test_save_refuses(model, tmp_path):
    with pytest.raises(ValueError, match=r"ends in \.keras"):
        astrokeras.save_model(model, tmp_path / "m.h5")
    with pytest.raises(FileNotFoundError, match="create it first"):
        astrokeras.save_model(model, tmp_path / "no" / "m.keras")


def test_load_names_what_is_wrong(model, tmp_path):
    path = tmp_path / "m.keras"
    with pytest.raises(FileNotFoundError, match="there is none at"):
        astrokeras.load_model(path)
    path.write_bytes(b"not a zip file")
    with pytest.raises(ValueError, match="damaged or of another kind"):
        astrokeras.load_model(path)
    astrokeras.save_model(model, path)
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:3000] + bytes(200) + whole[3200:]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="is damaged or of another kind") as caught:
            astrokeras.load_model(path)
        assert "\n" not in str(caught.value)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "another kind")
    with pytest.raises(ValueError, match="damaged or of another kind"):
        astrokeras.load_model(path)


def test_load_names_the_recorded_versions_when_a_class_is_missing(model, tmp_path):
    path = astrokeras.save_model(model, tmp_path / "m.keras")
    foreign = tmp_path / "foreign.keras"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(foreign, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            if name == "config.json":
                data = data.replace(b"MaxPooling2D", b"FancyPooling")
            if name == "astrokeras.json":
                data = json.dumps(json.loads(data) | {"versions": {"keras": "3.99", "fancy": "1.2"}}).encode()
            target.writestr(name, data)
    with pytest.raises(ValueError, match=r"written with keras 3\.99, fancy 1\.2 \(here: .*FancyPooling") as caught:
        astrokeras.load_model(foreign)
    assert "\n" not in str(caught.value)


def test_safe_mode_is_on(tmp_path):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Lambda(lambda x: x)])
    model.save(tmp_path / "m.keras")
    with pytest.raises(ValueError, match="Could not rebuild"):
        astrokeras.load_model(tmp_path / "m.keras")


@pytest.fixture
def trained_float16(tmp_path):
    astrokeras.configure("mixed_float16")
    head = keras.layers.Activation("softmax", dtype="float32")
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2), head])
    model.compile("adam", loss="sparse_categorical_crossentropy")
    x, y = np.random.default_rng(0).random((8, 4)).astype("float32"), np.arange(8) % 2
    model.fit(x, y, epochs=2, verbose=0)
    model.save(tmp_path / "m.keras")
    keras.config.set_dtype_policy("float32")
    return model, tmp_path / "m.keras", x, y


def test_loss_scaling_comes_back_in_a_float32_session(trained_float16):
    model, path, x, y = trained_float16
    loaded = astrokeras.load_model(path)
    assert keras.config.dtype_policy().name == "float32", "the session's own policy is left alone"
    assert isinstance(loaded.optimizer, keras.optimizers.LossScaleOptimizer)
    assert loaded.dtype_policy.name == "mixed_float16"
    kept = {variable.path: np.array(variable) for variable in model.optimizer.variables}
    restored = {variable.path: np.array(variable) for variable in loaded.optimizer.variables}
    assert len(kept) == len(restored) > 5
    for ours, theirs in zip(kept.values(), restored.values(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert np.isfinite(loaded.fit(x, y, verbose=0).history["loss"][0])


def test_a_file_opens_in_a_process_that_knows_only_keras_and_us(model, tmp_path):
    path = astrokeras.save_model(model, tmp_path / "m.keras")
    code = f"import astrokeras, keras; print(keras.models.load_model({str(path)!r}).name)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "lenet5"


def test_weights_by_name_and_by_file(model, tmp_path):
    x = np.random.default_rng(0).random((2, 8, 8, 1))
    expected = model.predict(x, verbose=0)
    astrokeras.save_model(model, tmp_path / "m.keras")
    model.save_weights(tmp_path / "m.weights.h5")
    for file in ("m.keras", "m.weights.h5"):
        again = astrokeras.applications.lenet5((8, 8, 1), classes=2, weights=tmp_path / file)
        np.testing.assert_array_equal(again.predict(x, verbose=0), expected)
    for file in ("m.keras", "m.weights.h5"):
        with pytest.raises(ValueError, match="it does not fit") as caught:
            astrokeras.applications.lenet5((8, 8, 1), classes=3, weights=tmp_path / file)
        assert "\n" not in str(caught.value)
    with pytest.raises(FileNotFoundError, match="there is none at"):
        astrokeras.applications.lenet5(weights=tmp_path / "no.keras")
    with pytest.raises(ValueError, match=re.escape("are for input_shape=(28, 28, 1) and 238570 parameters, ")):
        astrokeras.applications.lenet5(classes=3, weights="mnist")
    assert astrokeras.weights.names("resnet") == []
    assert astrokeras.weights.load(model, None) is model
    shipped = astrokeras.weights.SHIPPED[("lenet5", "mnist")]
    assert isinstance(shipped, astrokeras.weights.Shipped) and shipped.parameters == 238_570


# ---- transfer


def test_transfer_by_name_and_shape():
    old = astrokeras.applications.asirra_cnn((32, 32, 3), classes=4)
    new = astrokeras.applications.asirra_cnn((64, 64, 3), classes=7)
    head = new.get_layer("classes").get_weights()[0].copy()
    copied = astrokeras.weights.transfer(new, old, freeze=True)
    assert copied == [layer.name for layer in old.layers if layer.weights and layer.name != "classes"]
    for name in copied:
        assert not new.get_layer(name).trainable
        for ours, theirs in zip(new.get_layer(name).get_weights(), old.get_layer(name).get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(new.get_layer("classes").get_weights()[0], head)
    assert new.get_layer("classes").trainable


def test_transfer_of_the_first_layers_from_a_file(tmp_path):
    old = astrokeras.applications.lenet5((8, 8, 1), classes=3)
    old.save(tmp_path / "old.keras")
    new = astrokeras.applications.lenet5((8, 8, 1), classes=3)
    assert astrokeras.weights.transfer(new, tmp_path / "old.keras", layers=2) == ["conv1", "conv2"]
    assert (new.get_layer("dense1").get_weights()[0] != old.get_layer("dense1").get_weights()[0]).any()


@pytest.mark.parametrize(("channels", "count"), [("mean", 5), ("repeat", 6), ("zero", 5), ("mean", 1), ("zero", 2)])
def test_transfer_to_other_input_channels(channels, count, rng):
    old = astrokeras.Network((8, 8, 3), name="old").conv(4, 3).build()
    new = astrokeras.Network((8, 8, count), name="new").conv(4, 3).build()
    astrokeras.weights.transfer(new, old, channels=channels)
    grey = rng.random((2, 8, 8, 1)).astype("float32")
    three = np.repeat(grey, 3, axis=-1)
    if channels == "zero":
        x = np.concatenate([three, rng.random((2, 8, 8, 9)).astype("float32")], axis=-1)[..., :count]
        three[..., count:] = 0
    else:
        x = np.repeat(grey, count, axis=-1)
    np.testing.assert_allclose(new.predict(x, verbose=0), old.predict(three, verbose=0), atol=1e-5)


def test_transfer_refuses():
    old = astrokeras.Network((8, 8, 3), name="old").conv(4, 3).build()
    for arguments, sentence in (
        ({}, 'channels="mean", "repeat" or "zero" to bring weights for 3 input channels into \'new\' with 5'),
        ({"channels": "first"}, "channels to be None"),
        ({"layers": 0}, "Expected layers >= 1"),
    ):
        with pytest.raises(ValueError, match=sentence):
            astrokeras.weights.transfer(astrokeras.Network((8, 8, 5), name="new").conv(4, 3).build(), old, **arguments)
    with pytest.raises(ValueError, match="'old' to have layers with the names and shapes of 'other'; none fits"):
        astrokeras.weights.transfer(astrokeras.Network((8, 8, 3), name="other").conv(7, 5).build(), old)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "note.txt"
    with replacing(path) as temporary:
        temporary.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as temporary:
        temporary.write_text("ne")
        raise KeyboardInterrupt
    assert path.read_text() == "old" and [one.name for one in tmp_path.iterdir()] == ["note.txt"]
