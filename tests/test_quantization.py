"""Rounding against NumPy, training through it, and networks of 8-bit integers that answer as before."""

import keras
import numpy as np
import pytest

import astrokeras
from astrokeras import Network, backend, plots, quantization
from astrokeras.quantization import (
    FakeQuantized,
    accuracy_by_bits,
    fake_quantize,
    quantize,
    round_to_bits,
    without_fakes,
)
from tests.spots import spot_detector, spots

on_tensorflow = pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="exports from TensorFlow")


def array(x):
    return keras.ops.convert_to_numpy(x)


@pytest.fixture(scope="module")
def digits():
    (train, _), (x, y) = astrokeras.datasets.simulated_digits(train=100, test=400)
    return (train / 255).astype("float32"), (x / 255).astype("float32"), y


@pytest.fixture(scope="module")
def lenet5():
    return astrokeras.applications.lenet5(weights="mnist")


# ---- rounding


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("low, high", [(0.0, 3.0), (-1.3, 2.9), (-0.7, 0.0)])
def test_rounding_agrees_with_numpy(bits, low, high, rng):
    x = rng.normal(0, 2, 500).astype("float32")
    found = array(round_to_bits(x, bits, low, high))
    step = (high - low) / (2**bits - 1)
    zero = np.round(-low / step)  # the integer that stands for 0
    integers = np.clip(np.round(x.astype("float64") / step) + zero, 0, 2**bits - 1)
    near = np.abs(x / step - np.floor(x / step) - 0.5) < 1e-3  # ties may go either way in float32
    np.testing.assert_allclose(found[~near], ((integers - zero) * step)[~near], atol=1e-5)
    assert len(np.unique(found)) <= 2**bits and (found == 0).any()


def test_an_unknown_range_rounds_nothing(rng):
    x = rng.normal(size=20).astype("float32")
    np.testing.assert_array_equal(array(round_to_bits(x, 2, 0.0, 0.0)), x)
    for wrong in (1, 17, 2.5, True):
        with pytest.raises(ValueError, match=r"Expected bits as an integer in 2\.\.16"):
            round_to_bits(x, wrong, 0.0, 1.0)


def test_the_gradient_goes_straight_through():
    x = np.array([-0.6, 0.2, 0.6, 2.6, 9.0], "float32")
    weights = np.array([1.0, 2.0, 3.0, 4.0, 5.0], "float32")
    slope = backend.gradient(lambda x: keras.ops.sum(weights * round_to_bits(x, 2, 0.0, 3.0)), x)
    np.testing.assert_array_equal(array(slope), [0, 2, 3, 4, 0])  # 1 inside of 0..3, 0 outside, times the weight


# ---- layers


def test_a_dense_layer_by_hand():
    layer = FakeQuantized(keras.layers.Dense(2, use_bias=False), bits=3)
    layer.build((None, 2))
    layer.layer.set_weights([np.array([[0.3, -6.0], [-0.22, 2.4]])])
    layer.low.assign(0.0)
    layer.high.assign(7.0)  # a step of 1
    # kernels to 3 steps of the largest of their column: 0.1 and 2: (0.3, -0.2) and (-6, 2); inputs to (1, 3)
    found = array(layer(np.array([[1.4, 2.6]], "float32")))
    np.testing.assert_allclose(found, [[0.3 - 0.6, -6 + 6]], atol=1e-6)


def test_gradients_reach_kernel_and_input_as_without_rounding(rng):
    layer = FakeQuantized(keras.layers.Dense(1, use_bias=False), bits=8)
    layer.build((None, 3))
    kernel = np.array([[0.5], [1.0], [-0.25]], "float32")
    layer.layer.set_weights([kernel])
    layer.low.assign(-10.0)
    layer.high.assign(10.0)
    slope = array(backend.gradient(lambda x: keras.ops.sum(layer(x)), np.ones((2, 3), "float32")))
    rounded = np.round(kernel * 127) / 127
    np.testing.assert_allclose(slope, np.repeat(rounded.T, 2, axis=0), atol=1e-6)


@pytest.mark.parametrize(
    "layer, axes",
    [
        (keras.layers.Conv1D(3, 3), (0, 1)),
        (keras.layers.Conv2D(3, 3), (0, 1, 2)),
        (keras.layers.Conv3D(3, 2), (0, 1, 2, 3)),
        (keras.layers.Conv2DTranspose(3, 3), (0, 1, 3)),
        (keras.layers.DepthwiseConv2D(3, depth_multiplier=2), (0, 1)),
        (astrokeras.layers.PivotDense(3), (0,)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, keras.layers.Layer) else "",
)
def test_kernels_have_a_range_per_output_channel(layer, axes, rng):
    rank = {"Conv1D": 1, "Conv3D": 3, "PivotDense": 0}.get(type(layer).__name__, 2)
    fake = FakeQuantized(layer, bits=3)
    x = rng.normal(size=(2, *(5,) * rank, 4)).astype("float32")
    fake(x)
    (kernel,) = (
        one
        for one in layer.weights
        if one.name.endswith("kernel")
        and len(one.shape) == len(axes) + 1
        or (type(layer).__name__ == "DepthwiseConv2D" and one.name.endswith("kernel"))
    )
    values = array(kernel.value)
    step = np.abs(values).max(axis=axes, keepdims=True) / 3
    np.testing.assert_allclose(array(fake._rounded(kernel)), np.round(values / step) * step, atol=1e-6)
    plain = array(layer(x))  # the range of the inputs is unknown: only the kernel is rounded
    kernel.assign(np.round(values / step) * step)
    assert not np.allclose(plain, array(layer(x))), "rounding to 3 bits shows"
    np.testing.assert_allclose(array(fake(x)), array(layer(x)), atol=1e-5)


def test_the_range_follows_the_batches():
    layer = FakeQuantized(keras.layers.Dense(1), momentum=0.75)
    layer(np.array([[2.0, 6.0]], "float32"), training=True)
    assert (float(layer.low.value), float(layer.high.value)) == (0.0, 6.0)
    layer(np.array([[-4.0, 10.0]], "float32"), training=True)
    assert (float(layer.low.value), float(layer.high.value)) == (-1.0, 7.0)
    layer(np.array([[-100.0, 100.0]], "float32"), training=False)
    assert (float(layer.low.value), float(layer.high.value)) == (-1.0, 7.0)
    with pytest.raises(ValueError, match="Expected a convolution or a dense layer to quantize; received Flatten"):
        FakeQuantized(keras.layers.Flatten())


# ---- models


def test_sixteen_bits_are_as_good_as_floats(lenet5, digits):
    _, x, _ = digits
    fake = fake_quantize(lenet5, 16, calibration=x, keep=["dense3"])
    assert [layer.name for layer in fake.layers] == [layer.name for layer in lenet5.layers]
    assert type(fake.get_layer("dense3")) is keras.layers.Dense
    np.testing.assert_allclose(fake.predict(x, verbose=0), lenet5.predict(x, verbose=0), atol=2e-3)
    inner = without_fakes(fake)
    assert type(inner.get_layer("conv1")) is keras.layers.Conv2D
    for ours, theirs in zip(inner.get_weights(), lenet5.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert without_fakes(lenet5) is lenet5
    assert fake_quantize(fake, 4).get_layer("conv1").bits == 4
    with pytest.raises(ValueError, match="Expected layers to keep that are in the model; received conv9"):
        fake_quantize(lenet5, keep=["conv9"])


def test_training_makes_two_bits_usable(lenet5, digits, tmp_path):
    _, x, y = digits
    fake = fake_quantize(lenet5, 2, calibration=x[:200], momentum=0.9)
    fake.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    before = fake.evaluate(x[200:], y[200:], verbose=0)[1]
    fake.fit(x[:200], y[:200], batch_size=20, epochs=4, verbose=0)
    after = fake.evaluate(x[200:], y[200:], verbose=0)[1]
    assert before < 0.6 and after > before + 0.2
    fake.save(tmp_path / "fake.keras")
    again = keras.saving.load_model(tmp_path / "fake.keras")
    np.testing.assert_allclose(again.predict(x[:9], verbose=0), fake.predict(x[:9], verbose=0), atol=1e-6)
    assert again.get_layer("conv1").bits == 2


def test_a_detector_stays_one(tmp_path):
    model = spot_detector(loss={"random_startup": 0})
    sky, _ = spots((64, 64), 6)
    fake = fake_quantize(model, 8, calibration=sky[None, ..., None])
    assert isinstance(fake, astrokeras.models.YoloDetector)
    expected, found = model.detect(sky[None, ..., None])[0], fake.detect(sky[None, ..., None])[0]
    assert len(found) == len(expected) == 6
    np.testing.assert_allclose(np.sort(found.boxes, axis=0), np.sort(expected.boxes, axis=0), atol=0.2)
    fake.compile("adam")
    targets = {"boxes": np.array([[[4.0, 4, 10, 10]]]), "labels": np.array([[0]])}
    assert np.isfinite(fake.fit(sky[None, ..., None], targets, verbose=0).history["loss"]).all()
    fake.save(tmp_path / "fake.keras")
    assert keras.saving.load_model(tmp_path / "fake.keras").score_threshold == 0.4


def test_accuracy_falls_with_the_bits(lenet5, digits):
    _, x, y = digits
    lenet5.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    found = accuracy_by_bits(lenet5, x, y, bits=(8, 2))
    assert list(found) == [32, 8, 2]
    assert found[32] == pytest.approx(lenet5.evaluate(x, y, verbose=0)[1], abs=1e-6)
    assert abs(found[8] - found[32]) < 0.02 and found[2] < found[32] - 0.2
    assert accuracy_by_bits(lenet5, x[:50], np.eye(10)[y[:50]], bits=())[32] == np.mean(
        lenet5.predict(x[:50], verbose=0).argmax(axis=1) == y[:50]
    )
    with pytest.raises(ValueError, match="received 3 labels for 400 inputs"):
        accuracy_by_bits(lenet5, x, y[:3])


def test_figure_of_the_bits():
    figure = plots.accuracy_by_bits({"a": {32: 0.9, 8: 0.8, 2: 0.1}, "b": {8: 0.7, 4: 0.6}}, "two")
    (axes,) = figure.axes
    curves = [line for line in axes.lines if line.get_marker() != "None"]
    assert [list(line.get_xdata()) for line in curves] == [[2, 8], [4, 8]]
    assert [list(line.get_ydata()) for line in curves] == [[0.1, 0.8], [0.6, 0.7]]
    assert axes.get_title() == "two" and axes.xaxis_inverted()
    with pytest.raises(ValueError, match="at least one number of bits below 32"):
        plots.accuracy_by_bits({32: 0.9})


# ---- integers


@on_tensorflow
@pytest.mark.parametrize("runtime, suffix", [("onnx", ".onnx"), ("litert", ".tflite")])
def test_lenet5_of_integers_agrees(runtime, suffix, lenet5, digits, tmp_path, capsys):
    train, x, _ = digits
    whole = astrokeras.export(lenet5, tmp_path / f"whole{suffix}", runtime, verbose=False)
    small = quantize(fake_quantize(lenet5, 8), train, tmp_path / f"small{suffix}", runtime)
    assert "largest difference from float32" in capsys.readouterr().out
    assert small.size < 0.35 * whole.size
    found, expected = small.predict(x, batch_size=64), lenet5.predict(x, verbose=0)
    assert found.shape == expected.shape and found.dtype == np.float32
    assert np.mean(found.argmax(axis=1) == expected.argmax(axis=1)) > 0.97
    assert 1e-6 < np.abs(found - expected).mean() < 0.01, "rounded, but little"


@on_tensorflow
@pytest.mark.parametrize("runtime, suffix", [("onnx", ".onnx"), ("litert", ".tflite")])
def test_layers_that_are_kept_stay_floats(runtime, suffix, rng, tmp_path):
    net = Network((8, 8, 1), activation="relu_leaky").conv(4, 3, activation=None).batch_norm(activation="relu_leaky")
    model = net.conv(4, 3).global_pool().dense(3).build()
    x = rng.normal(size=(16, 8, 8, 1)).astype("float32")
    every = [layer.name for layer in model.layers]
    options = {"runtime": runtime, "verbose": False}
    kept = quantize(model, x, tmp_path / f"kept{suffix}", keep=[one for one in every if one != "dense1"], **options)
    rounded = quantize(model, x, tmp_path / f"rounded{suffix}", keep=(), **options)
    assert 1e-6 < kept.difference < rounded.difference
    with pytest.raises(ValueError, match="that is not kept in float32; received none: export it"):
        quantize(model, x, tmp_path / f"none{suffix}", keep=every, **options)
    assert rounded.difference < 0.05 * np.abs(model.predict(x, verbose=0)).max() + 0.02


@on_tensorflow
@pytest.mark.parametrize(
    "rank, runtime, name", [(1, "onnx", "m.onnx"), (1, "litert", "m.tflite"), (3, "onnx", "m.onnx")]
)
def test_one_and_three_dimensions(rank, runtime, name, rng, tmp_path):
    net = Network((8,) * rank + (1,), activation="relu_leaky").conv(4, 3).pool(2).conv(4, 3).dense(3)
    model = net.build()
    x = rng.normal(size=(16, *(8,) * rank, 1)).astype("float32")
    small = quantize(model, x, tmp_path / name, runtime, verbose=False)
    assert small.difference < 0.05 * np.abs(model.predict(x, verbose=0)).max() + 0.02


@on_tensorflow
def test_a_saturation_that_shows_is_kept(tmp_path):
    inputs = keras.Input((4,))
    y = keras.layers.Dense(4, activation=astrokeras.layers.relu_leaky, use_bias=False)(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1, use_bias=False)(y))
    model.set_weights([np.eye(4), np.ones((4, 1))])
    x = np.linspace(0, 1600, 64, dtype="float32").reshape(16, 4)
    exported = quantize(model, x, tmp_path / "m.onnx", verbose=False)
    assert exported.predict(x).max() < 3400  # 4 * 840 with the saturation, 4 * 1600 without it
    assert exported.difference < 60


@on_tensorflow
def test_refusals(lenet5, digits, tmp_path):
    train, _, _ = digits
    with pytest.raises(ValueError, match="Expected runtime to be 'onnx' or 'litert'; received 'openvino'"):
        quantize(lenet5, train, tmp_path / "m.xml", "openvino")
    with pytest.raises(ValueError, match=r"Expected a calibration \(n, 28, 28, 1\)"):
        quantize(lenet5, train[..., 0], tmp_path / "m.onnx")
    with pytest.raises(ValueError, match="Expected layers to keep that are in the model; received conv9"):
        quantize(lenet5, train, tmp_path / "m.onnx", keep=["conv9"])
    pool = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.MaxPooling2D(2)], name="pools")
    with pytest.raises(ValueError, match="'pools' has none"):
        quantize(pool, np.zeros((1, 4, 4, 1)), tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir()) and quantization.quantize is quantize


def test_a_conversion_to_integers_needs_tensorflow(monkeypatch):
    monkeypatch.setattr("keras.config.backend", lambda: "jax")
    with pytest.raises(ValueError, match="Expected TensorFlow as the Keras backend; it is jax"):
        backend.litert_int8("folder", None, lambda name: False)
