"""Each layer against a plain NumPy reading of its formula."""

import contextlib
import itertools

import keras
import numpy as np
import pytest

import astrokeras
from astrokeras import backend, layers
from astrokeras.layers import convolution


def array(tensor):
    return keras.ops.convert_to_numpy(tensor)


def test_relu_leaky_follows_its_three_pieces(rng):
    x = np.concatenate([rng.normal(0, 10, 50), [0.0, 800.0, 800.5, 5000.0, -5000.0]]).astype("float32")
    expected = np.where(x <= 0, 0.05 * x, np.where(x <= 800, x, 800 + 0.05 * (x - 800)))
    np.testing.assert_allclose(array(layers.relu_leaky(x)), expected, rtol=1e-6)
    exact = (x > 0) & (x <= 800)
    assert (array(layers.relu_leaky(x))[exact] == x[exact]).all()
    layer = layers.SaturatedLeakyReLU(leak=0.2, saturation=3)
    expected = np.where(x <= 0, 0.2 * x, np.where(x <= 3, x, 3 + 0.2 * (x - 3)))
    np.testing.assert_allclose(array(layer(x)), expected, rtol=1e-5)


def test_relu_leaky_has_the_slopes_of_cianna():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False), layers.SaturatedLeakyReLU()])
    for x, slope in ((-3.0, 0.05), (3.0, 1.0), (900.0, 0.05)):
        model.layers[0].set_weights([np.ones((1, 1))])
        model.compile(keras.optimizers.SGD(1.0), loss=lambda y_true, y_pred: y_pred)
        model.train_on_batch(np.array([[x]]), np.array([[0.0]]))  # weight <- 1 - d output / d weight = 1 - slope * x
        assert model.layers[0].get_weights()[0][0, 0] == pytest.approx(1 - slope * x, rel=1e-5)


@pytest.mark.parametrize("largest", [700.0, 900.0])
@pytest.mark.parametrize("compiled", [False, True])
def test_relu_leaky_is_the_same_with_and_without_its_branch(largest, compiled, rng):
    x = np.append(rng.normal(0, 200, 300).clip(-650, 650), largest).astype("float32")
    found = []
    for context in (contextlib.nullcontext, backend.for_other_runtimes):
        with context():
            slopes = backend.gradient(lambda x: keras.ops.sum(layers.relu_leaky(x)), x, compiled=compiled)
            found.append((array(layers.relu_leaky(x)), array(slopes)))
    (values, slopes), (plain_values, plain_slopes) = found
    np.testing.assert_array_equal(values, plain_values)
    np.testing.assert_allclose(slopes, plain_slopes, rtol=1e-6)  # 0.05 and 1 - 0.95 in float32
    assert slopes[-1] == pytest.approx(1.0 if largest <= 800 else 0.05)


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="a branch saves time in TensorFlow only")
def test_relu_leaky_computes_its_saturation_only_where_one_is(monkeypatch):
    import tensorflow as tf

    assert backend.runs_step_by_step() is not backend.has_gpu()
    with backend.for_other_runtimes():
        assert not backend.runs_step_by_step()
    assert array(backend.saturated_leaky_relu(np.float32([-4, 2, 10]), 0.5, 6.0)).tolist() == [-2, 2, 8]
    seen, relu = [], tf.nn.relu
    monkeypatch.setattr(tf.nn, "relu", lambda x: seen.append(len(x)) or relu(x))
    assert array(layers.relu_leaky(np.array([1.0, -2.0]))).tolist() == pytest.approx([1.0, -0.1])
    assert not seen
    assert array(layers.relu_leaky(np.array([1.0, 900.0, 3.0]))).tolist() == pytest.approx([1.0, 805.0, 3.0])
    assert np.isnan(array(layers.relu_leaky(np.array([np.nan, 1.0, 2.0, 3.0]))))[0]
    assert seen == [3, 4]


def test_relu_leaky_has_second_slopes_and_takes_symbolic_tensors():
    def slope(x):
        return backend.gradient(lambda x: keras.ops.sum(layers.relu_leaky(x) ** 3), x)

    second = backend.gradient(lambda x: keras.ops.sum(slope(x)), np.array([-3.0, 2.0, 900.0], "float32"))
    assert array(second).tolist() == pytest.approx([6 * -0.15 * 0.05**2, 12.0, 6 * 805 * 0.05**2], rel=1e-5)
    inputs = keras.Input((3,))
    model = keras.Model(inputs, layers.relu_leaky(inputs))
    assert model.predict(np.array([[-1.0, 1.0, 820.0]]), verbose=0)[0].tolist() == pytest.approx([-0.05, 1.0, 801.0])


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("kernel", [(3, 3), (2, 3), (1, 1)])
def test_a_wide_convolution_is_a_matrix_product_of_the_same_result(kernel, padding, rng, monkeypatch):
    monkeypatch.setattr(convolution, "MANY_WEIGHTS", 5)
    x = rng.normal(size=(2, 3, 4, 5)).astype("float32")
    plain = keras.layers.Conv2D(6, kernel, padding=padding, activation="relu", bias_initializer="normal")
    wide = layers.Conv2D.from_config(plain.get_config())
    plain.build(x.shape), wide.build(x.shape)
    wide.set_weights(plain.get_weights())
    np.testing.assert_allclose(array(wide(x)), array(plain(x)), atol=1e-5)
    slopes = [backend.gradient(lambda x, layer=layer: keras.ops.sum(layer(x) ** 2), x) for layer in (plain, wide)]
    np.testing.assert_allclose(array(slopes[1]), array(slopes[0]), atol=1e-4)
    model = keras.Sequential([keras.Input(x.shape[1:]), wide])
    np.testing.assert_allclose(model.predict(x, verbose=0), array(plain(x)), atol=1e-5)


def test_a_wide_convolution_takes_the_product_only_where_it_is_faster(rng, monkeypatch):
    seen, product = [], keras.ops.matmul
    monkeypatch.setattr(keras.ops, "matmul", lambda a, b: seen.append(a.shape) or product(a, b))
    many = {"filters": 4, "kernel_size": 3, "padding": "same"}
    x = rng.normal(size=(2, 4, 4, 3)).astype("float32")
    layers.Conv2D(**many)(x)
    assert not seen  # few weights
    monkeypatch.setattr(convolution, "MANY_WEIGHTS", 100)
    layers.Conv2D(**many)(x)
    assert seen == ([(32, 27)] if keras.config.backend() == "tensorflow" and not backend.has_gpu() else [])
    seen.clear()
    with backend.for_other_runtimes():
        layers.Conv2D(**many)(x)
    layers.Conv2D(**many)(np.repeat(x, 2, axis=1))  # 32 positions
    layers.Conv2D(**many | {"strides": 2})(x)
    layers.Conv2D(**many, dilation_rate=2)(x)
    assert not seen
    net = astrokeras.Network((8, 8, 3)).conv(4, 3).pool(2).conv(12, 3)
    kinds = [type(layer) for layer in net.build().layers if "conv" in layer.name]
    assert kinds == [keras.layers.Conv2D, layers.Conv2D]


@pytest.mark.parametrize("bad", [{"leak": -0.1}, {"leak": 2}, {"saturation": 0}])
def test_relu_leaky_refuses(bad):
    with pytest.raises(ValueError, match=f"Expected {next(iter(bad))}"):
        layers.SaturatedLeakyReLU(**bad)


@pytest.mark.parametrize("shape", [(5,), (7, 5), (6, 4, 5), (2, 3, 4, 5)])
@pytest.mark.parametrize("settings", [{}, {"momentum": 0.5, "epsilon": 1e-5}, {"scale": False}])
def test_batch_normalization_trains_as_keras_does(shape, settings, rng):
    found = []
    x, y = rng.normal(3, 5, (2, 12, *shape)).astype("float32"), rng.normal(size=(2, 12, *shape)).astype("float32")
    for kind in (keras.layers.BatchNormalization, layers.BatchNormalization):
        inputs = keras.Input(shape)
        model = keras.Model(inputs, kind(**settings)(keras.layers.Dense(shape[-1])(inputs)))
        model.set_weights([np.random.default_rng(1).uniform(0.5, 1, w.shape) for w in model.get_weights()])
        model.compile(keras.optimizers.SGD(0.1), loss="mse")
        losses = [model.train_on_batch(*batch) for batch in zip(x, y, strict=True)]
        found.append([np.array(losses), model.predict(x[0], verbose=0), *model.get_weights()])
    for ours, theirs in zip(found[1], found[0], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="the kernel is TensorFlow's")
def test_fused_batch_norm_gives_mean_and_biased_variance(rng):
    x = rng.normal(2, 3, (4, 3, 5, 6)).astype("float32")
    gamma, beta = rng.uniform(0.5, 2, (2, 6)).astype("float32")
    y, mean, variance = map(array, backend.fused_batch_norm(x, gamma, beta, 1e-3))
    np.testing.assert_allclose(mean, x.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(variance, x.var((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(y, gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta, rtol=1e-4, atol=1e-5)


def test_batch_normalization_frozen_keeps_its_averages(rng):
    layer = layers.BatchNormalization(trainable=False)
    x = rng.normal(3, 5, (4, 2, 2, 3)).astype("float32")
    np.testing.assert_allclose(array(layer(x, training=True)), x / np.sqrt(1.001), rtol=1e-5)
    assert (array(layer.moving_mean) == 0).all()


def group_norm(x, size, gamma, beta, per, set_off, epsilon):
    y = x.astype("float64").copy()
    groups = x.shape[-1] // size
    for image, group in itertools.product(range(len(x)), range(groups - set_off)):
        part = slice(group * size, (group + 1) * size)
        values = y[image, ..., part]
        scale = gamma[group] if per == "group" else gamma[part]
        offset = beta[group] if per == "group" else beta[part]
        y[image, ..., part] = scale * (values - values.mean()) / np.sqrt(values.var() + epsilon) + offset
    return y


@pytest.mark.parametrize("per", ["group", "channel"])
@pytest.mark.parametrize("set_off", [0, 1, 3])
@pytest.mark.parametrize("shape", [(7, 6), (4, 5, 6), (2, 3, 4, 6)])
def test_group_normalization(per, set_off, shape, rng):
    x = rng.normal(3, 5, (2, *shape)).astype("float32")
    layer = layers.GroupNormalization(2, per=per, set_off=set_off)
    layer.build(x.shape)
    count = 3 if per == "group" else 6
    gamma, beta = rng.normal(1, 0.3, count).astype("float32"), rng.normal(0, 0.3, count).astype("float32")
    layer.set_weights([gamma, beta])
    np.testing.assert_allclose(array(layer(x)), group_norm(x, 2, gamma, beta, per, set_off, 1e-3), atol=2e-5)


def test_group_normalization_per_channel_equals_keras(rng):
    x = rng.normal(3, 5, (2, 5, 5, 6)).astype("float32")
    ours, theirs = layers.GroupNormalization(3, per="channel"), keras.layers.GroupNormalization(2, epsilon=1e-3)
    np.testing.assert_allclose(array(ours(x)), array(theirs(x)), atol=1e-5)


def test_group_normalization_keeps_float32_statistics_under_float16():
    x = np.full((1, 8, 8, 4), 200.0, "float32") + np.arange(4, dtype="float32")
    layer = layers.GroupNormalization(4, dtype="mixed_float16")
    expected = group_norm(x, 4, np.ones(1), np.zeros(1), "group", 0, 1e-3)
    np.testing.assert_allclose(array(layer(x)).astype("float32"), expected, atol=2e-3)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"group_size": 0}, "Expected group_size >= 1"),
        ({"group_size": 2, "per": "image"}, 'Expected per to be "group" or "channel"'),
        ({"group_size": 2, "set_off": -1}, "Expected set_off >= 0"),
        ({"group_size": 4}, "divides the 6 channels"),
        ({"group_size": 2, "set_off": 4}, "expected set_off <= 3 groups"),
    ],
)
def test_group_normalization_refuses(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        layers.GroupNormalization(**arguments)(np.zeros((1, 4, 4, 6), "float32"))


@pytest.mark.parametrize("depth", [1, 2, 3, 5, 8])
def test_local_response_normalization(depth, rng):
    x = rng.normal(0, 2, (2, 3, 4, 6)).astype("float32")
    k, alpha, beta = 1.5, 0.7, 0.6
    expected = np.zeros_like(x)
    for c in range(6):
        near = x[..., max(0, c - depth // 2) : c + depth // 2 + 1]
        expected[..., c] = x[..., c] / (k + alpha / depth * (near**2).sum(-1)) ** beta
    layer = layers.LocalResponseNormalization(depth, k=k, alpha=alpha, beta=beta)
    np.testing.assert_allclose(array(layer(x)), expected, rtol=1e-5)


def test_local_response_normalization_refuses():
    with pytest.raises(ValueError, match="Expected depth >= 1"):
        layers.LocalResponseNormalization(0)


def pool(x, size, strides, padding, kind):
    """Window by window, with what lies outside the image left out."""
    spatial = x.shape[1:-1]
    out = [(n + 2 * p - w) // s + 1 for n, w, s, p in zip(spatial, size, strides, padding, strict=True)]
    y = np.zeros((x.shape[0], *out, x.shape[-1]), "float32")
    for place in np.ndindex(*out):
        window = [
            slice(max(0, o * s - p), min(n, o * s - p + w))
            for o, n, w, s, p in zip(place, spatial, size, strides, padding, strict=True)
        ]
        part = x[(slice(None), *window)].reshape(len(x), -1, x.shape[-1])
        y[(slice(None), *place)] = part.max(1) if kind == "max" else part.mean(1)
    return y


@pytest.mark.parametrize("kind", ["max", "average"])
@pytest.mark.parametrize(
    ("shape", "size", "strides", "padding"),
    [
        ((9,), (3,), (2,), (1,)),
        ((7, 6), (3, 2), (2, 2), (1, 0)),
        ((6, 7), (4, 3), (1, 2), (3, 2)),
        ((4, 5, 6), (2, 3, 2), (1, 2, 2), (1, 1, 0)),
    ],
)
def test_padded_pooling(kind, shape, size, strides, padding, rng):
    x = rng.normal(-4, 2, (2, *shape, 3)).astype("float32")  # negative: a padding zero would win a maximum
    layer = layers.PaddedPooling(size, kind, strides=strides, padding=padding)
    np.testing.assert_allclose(array(layer(x)), pool(x, size, strides, padding, kind), rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"pool_size": 0}, "Expected pool_size to be an integer >= 1"),
        ({"pool_size": (2, 2, 2)}, "2 of them, one per axis"),
        ({"pool_size": 2, "padding": 2}, "expected padding < pool_size"),
        ({"pool_size": 9}, "expected images of at least 9 pixels"),
        ({"pool_size": 2, "kind": "sum"}, 'Expected kind to be "max" or "average"'),
    ],
)
def test_padded_pooling_refuses(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        layers.PaddedPooling(**arguments)(np.zeros((1, 4, 4, 1), "float32"))


@pytest.mark.parametrize(
    ("shape", "amount"), [((5,), (2,)), ((3, 4), (1, 1)), ((3, 4), (0, 2)), ((2, 3, 2), (1, 0, 2))]
)
def test_internal_padding(shape, amount, rng):
    x = rng.normal(size=(2, *shape, 3)).astype("float32")
    expected = np.zeros((2, *[n + (n - 1) * a for n, a in zip(shape, amount, strict=True)], 3), "float32")
    expected[(slice(None), *[slice(None, None, a + 1) for a in amount])] = x
    np.testing.assert_array_equal(array(layers.InternalPadding(amount)(x)), expected)


def test_internal_padding_then_convolution_is_a_transposed_convolution(rng):
    x = rng.normal(size=(1, 4, 4, 2)).astype("float32")
    kernel = rng.normal(size=(3, 3, 2, 5)).astype("float32")
    widened = array(layers.InternalPadding(1)(x))
    ours = array(keras.ops.conv(np.pad(widened, ((0, 0), (2, 2), (2, 2), (0, 0))), kernel, padding="valid"))
    flipped = kernel[::-1, ::-1].transpose(0, 1, 3, 2).copy()
    theirs = array(keras.ops.conv_transpose(x, flipped, strides=2, padding="valid"))
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_internal_padding_refuses():
    with pytest.raises(ValueError, match="Expected amount to be an integer >= 0"):
        layers.InternalPadding(-1)(np.zeros((1, 4, 1), "float32"))
