"""Models in other runtimes answer as Keras does; nothing half-written takes the place of a file."""

import sys

import keras
import numpy as np
import pytest

import astrokeras
from astrokeras import Network, boxes
from astrokeras.export import Exported, float32_clone, plain_model
from astrokeras.export.writing import checked_path, needed, write
from tests.spots import spot_detector, spots

on_tensorflow = pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="exports from TensorFlow")
FILES = {"onnx": "m.onnx", "litert": "m.tflite", "saved_model": "m", "openvino": "m.xml"}


def network(rank=2, channels=2):
    net = Network((12,) * rank + (channels,), activation="relu_leaky", name="small").rescale(100, 155)
    net.conv(4, 3).pool(2).batch_norm().conv(3, 3).dense(5, activation="softmax")
    model = net.build()
    rng = np.random.default_rng(1)
    model.set_weights([weight + 0.1 * rng.random(weight.shape) for weight in model.get_weights()])
    return model


@on_tensorflow
@pytest.mark.parametrize("format", FILES)
def test_each_format_answers_as_keras(format, tmp_path, rng, capsys):
    if format == "openvino":
        pytest.importorskip("openvino")
    model = network()
    exported = astrokeras.export(model, tmp_path / FILES[format], format)
    assert exported.difference < 1e-4
    assert f"{exported.size:,} bytes; largest difference from Keras" in capsys.readouterr().out
    x = (rng.random((5, 12, 12, 2)) * 255).astype("float32")
    again = Exported(tmp_path / FILES[format])
    found = again.predict(x, batch_size=2)  # 2, 2 and 1
    assert again.format == format and found.shape == (5, 5)
    np.testing.assert_allclose(found, model.predict(x, verbose=0), atol=1e-5)
    assert {path.name for path in tmp_path.iterdir()} <= {FILES[format], "m.bin"}, "no scratch file is left"
    if format == "saved_model":  # a folder: a second export takes its place
        assert astrokeras.export(model, tmp_path / FILES[format], format, verbose=False).difference < 1e-4
        assert {path.name for path in tmp_path.iterdir()} <= {FILES[format], "m.bin"}


@on_tensorflow
def test_one_and_three_dimensions(tmp_path):
    for rank, format in ((1, "onnx"), (1, "litert"), (3, "onnx")):
        assert astrokeras.export(network(rank), tmp_path / FILES[format], format, verbose=False).difference < 1e-4
    with pytest.raises(ValueError, match="Expected no 3-D pooling, which LiteRT lacks; received 'pool1': use ONNX"):
        astrokeras.export(network(3), tmp_path / "m.tflite", "litert")


@on_tensorflow
def test_mixed_precision_is_exported_in_float32(tmp_path, rng):
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = network()
    assert model.get_layer("conv1").compute_dtype == "bfloat16"
    x = (rng.random((4, 12, 12, 2)) * 255).astype("float32")
    exported = astrokeras.export(model, tmp_path / "m.onnx", inputs=x, verbose=False)
    keras.config.set_dtype_policy("float32")
    whole = network()
    whole.set_weights(model.get_weights())
    np.testing.assert_allclose(exported.predict(x), whole.predict(x, verbose=0), atol=1e-5)
    assert exported.difference < 1e-5
    assert model.get_layer("conv1").compute_dtype == "bfloat16", "the model is as it was"


def test_float32_clone_has_its_own_weights():
    keras.config.set_dtype_policy("mixed_float16")
    inner = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)], name="inner")
    inputs = keras.Input((3,))
    model = keras.Model(inputs, inner(keras.layers.Activation("relu")(inputs)))
    copy = float32_clone(model)
    assert {layer.compute_dtype for layer in (*copy.layers[1:], *copy.layers[-1].layers)} == {"float32"}
    for ours, theirs in zip(copy.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    copy.set_weights([weight + 1 for weight in copy.get_weights()])
    assert not np.array_equal(copy.get_weights()[0], model.get_weights()[0])
    with pytest.raises(ValueError, match="has no inputs: give it an Input"):
        plain_model(keras.Sequential([keras.layers.Dense(2)], name="open"))


def test_without_the_saturation():
    inputs = keras.Input((1,))
    y = keras.layers.Dense(1, activation=astrokeras.layers.relu_leaky, use_bias=False)(inputs)
    model = keras.Model(inputs, astrokeras.layers.SaturatedLeakyReLU(leak=0.5, saturation=6)(y))
    model.set_weights([np.ones((1, 1))])
    x = np.array([[-2.0], [4.0], [10.0], [900.0]])
    # -2 -> -0.1 -> -0.05; 4; 10 -> 6 + 0.5 * 4; 900 -> 805 -> 6 + 0.5 * 799
    expected = [-0.05, 4, 8, 405.5]
    np.testing.assert_allclose(float32_clone(model).predict(x, verbose=0)[:, 0], expected, rtol=1e-6)
    plain = float32_clone(model, saturation=False).predict(x, verbose=0)[:, 0]
    np.testing.assert_allclose(plain, [-0.05, 4, 10, 900], rtol=1e-6)


@on_tensorflow
def test_a_detector_with_and_without_decoding(tmp_path):
    model = spot_detector(score_threshold=0.4)
    sky, _ = spots((64, 64), 6)
    images = np.stack([sky, sky[::-1]])[..., None]
    expected = model.detect(images)
    grid = astrokeras.export(model, tmp_path / "grid.onnx", inputs=images, verbose=False).predict(images)
    for ours, theirs in zip(model.decode(grid), expected, strict=True):
        assert len(theirs) == 6
        np.testing.assert_allclose(ours.boxes, theirs.boxes, atol=1e-4)
    for format in ("onnx", "litert"):
        exported = astrokeras.export(model, tmp_path / FILES[format], format, decode=True, verbose=False)
        assert exported.difference < 1e-4
        found, scores, labels = exported.predict(images)
        assert found.shape == (2, 64, 4) and scores.shape == labels.shape == (2, 64) and labels.dtype.kind == "i"
        for image in range(2):
            kept = scores[image] >= 0.4
            best = boxes.suppress(found[image][kept], scores[image][kept], labels[image][kept], threshold=0.5)
            np.testing.assert_allclose(found[image][kept][best], expected[image].boxes, atol=1e-4)


@on_tensorflow
def test_decoded_classes_and_parameters(tmp_path):
    inputs = keras.Input((16, 16, 1))
    head = astrokeras.layers.YoloHead([[8, 8], [4, 6]], classes=3, params=1)
    parameter = astrokeras.Parameter("flux", "Jy", range=(0.0, 10.0))
    model = astrokeras.models.YoloDetector(
        inputs, head(keras.layers.Conv2D(24, 8, strides=8)(inputs)), parameters=[parameter], score_threshold=0
    )
    images = np.random.default_rng(0).random((3, 16, 16, 1)).astype("float32")
    exported = astrokeras.export(model, tmp_path / "m.onnx", decode=True, verbose=False)
    found, scores, labels, columns = exported.predict(images)
    assert found.shape == (3, 8, 4) and columns.shape == (3, 8, 1)
    for image, theirs in enumerate(model.detect(images, nms_threshold=1.0)):
        order = np.argsort(-scores[image], kind="stable")
        np.testing.assert_allclose(scores[image][order], theirs.scores, atol=1e-5)
        np.testing.assert_array_equal(labels[image][order], theirs.labels)
        np.testing.assert_allclose(found[image][order], theirs.boxes, atol=1e-4)
        flux = astrokeras.parameters.decode([parameter], columns[image][order])
        np.testing.assert_allclose(flux, theirs.params, atol=1e-4)


@on_tensorflow
def test_several_inputs(tmp_path, rng):
    first, second = keras.Input((4,), name="b"), keras.Input((2,), name="a")
    y = keras.layers.Concatenate()([keras.layers.Dense(3)(first), second])
    model = keras.Model([first, second], [y, keras.layers.Dense(1)(y)])
    x = [rng.random((3, 4)).astype("float32"), rng.random((3, 2)).astype("float32")]
    expected = model.predict(x, verbose=0)
    for format in ("onnx", "litert", "saved_model"):
        found = astrokeras.export(model, tmp_path / FILES[format], format, verbose=False).predict(x)
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-5)


@on_tensorflow
def test_a_failed_export_leaves_what_was_there(tmp_path, monkeypatch):
    (tmp_path / "m.onnx").write_text("old")

    def fails(model, path, format):
        path.write_text("half") if format == "onnx" else path.mkdir()
        raise RuntimeError("no space left")

    monkeypatch.setattr(sys.modules["astrokeras.export.writing"], "write", fails)
    for format in ("onnx", "saved_model"):
        with pytest.raises(RuntimeError, match="no space left"):
            astrokeras.export(network(), tmp_path / FILES[format], format)
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]
    assert (tmp_path / "m.onnx").read_text() == "old"


@on_tensorflow
def test_refusals(tmp_path, monkeypatch):
    model = network()
    with pytest.raises(ValueError, match="Expected format among onnx, litert, saved_model, openvino; received 'keras'"):
        astrokeras.export(model, tmp_path / "m.keras", "keras")
    with pytest.raises(ValueError, match=r"Expected a path that ends in \.tflite for the format 'litert'"):
        astrokeras.export(model, tmp_path / "m.onnx", "litert")
    with pytest.raises(ValueError, match="Expected a folder for the format 'saved_model'"):
        checked_path(tmp_path / "m.onnx", "saved_model")
    with pytest.raises(ValueError, match="Expected a YoloDetector to decode; received Functional"):
        astrokeras.export(model, tmp_path / "m.onnx", decode=True)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("precious")
    with pytest.raises(ValueError, match="Expected a new folder or an older SavedModel"):
        astrokeras.export(model, tmp_path / "full", "saved_model")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ModuleNotFoundError, match=r"'onnx' needs the package onnxruntime.*'astrokeras\[export\]'"):
        needed("onnx")
    with pytest.raises(ModuleNotFoundError, match="onnxruntime"):
        Exported(tmp_path / "m.onnx")
    assert needed("saved_model") == {}


def test_another_backend_is_told(tmp_path, monkeypatch):
    model = network()
    monkeypatch.setattr("keras.config.backend", lambda: "jax")
    with pytest.raises(ValueError, match="Expected TensorFlow as the Keras backend to export; it is jax"):
        astrokeras.export(model, tmp_path / "m.onnx")
    assert callable(write) and not list(tmp_path.iterdir())
