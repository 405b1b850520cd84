"""The builder: shapes in 1-D to 3-D, branches, names, and every refusal."""

import re

import keras
import numpy as np
import pytest

import astrokeras
from astrokeras import Network
from astrokeras.layers import SaturatedLeakyReLU


def predict(model, x):
    return np.array(model.predict(x, verbose=0))


@pytest.mark.parametrize("shape", [(32, 2), (32, 24, 2), (16, 32, 24, 2)])
def test_one_code_serves_all_dimensions(shape, rng):
    rank = len(shape) - 1
    net = Network(shape).conv(4, 3).pool(2).norm(2).conv(6, 3, 2, padding=1, dropout=0.1).lrn(3).batch_norm()
    assert net.output_shape == (*[n // 4 for n in shape[:-1]], 6)
    net.upsample(2).conv(4, 3, internal_padding=1, padding=1).pool(3, "average", strides=2, padding=1)
    net.global_pool("max").dense(5).dense(2, activation="softmax")
    model = net.build()
    assert len(model.input_shape) == rank + 2
    scores = predict(model, rng.random((2, *shape)))
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize(
    ("kernel", "strides", "padding", "internal"), [(3, 1, 1, 0), (3, 2, 1, 0), (4, 2, 2, 1), (3, 1, 0, 2), (2, 2, 1, 0)]
)
def test_conv_has_the_size_that_cianna_gives(rank, kernel, strides, padding, internal):
    net = Network((7,) * rank + (1,)).conv(1, kernel, strides, padding, internal_padding=internal)
    size = (7 + 6 * internal + 2 * padding - kernel) // strides + 1
    assert net.output_shape == (size,) * rank + (1,)


def test_convolution_equals_a_numpy_one(rng):
    net = Network((5, 6, 2)).conv(3, 3, 2, padding=2, internal_padding=1, activation="linear", use_bias=False)
    model = net.build()
    x, kernel = rng.normal(size=(1, 5, 6, 2)).astype("float32"), model.get_weights()[0]
    padded = np.zeros((9 + 4, 11 + 4, 2))
    padded[2:-2:2, 2:-2:2] = x[0]
    expected = np.zeros((6, 7, 3))
    for row, column in np.ndindex(6, 7):
        window = padded[2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
        expected[row, column] = np.einsum("yxc,yxcf->f", window, kernel)
    np.testing.assert_allclose(predict(model, x)[0], expected, atol=1e-5)


def test_centred_padding_is_the_same_as_same(rng):
    keras.utils.set_random_seed(1)
    explicit = Network((8, 8, 1)).conv(2, 3, padding=1).build()
    assert [layer.name for layer in explicit.layers] == ["input", "conv1"]
    same = Network((8, 8, 1)).conv(2, 3).build()
    same.set_weights(explicit.get_weights())
    x = rng.random((1, 8, 8, 1))
    np.testing.assert_array_equal(predict(same, x), predict(explicit, x))


def test_projection_shortcut_add_and_concat(rng):
    net = Network((8, 8, 3), activation="linear")
    net.mark("start").conv(4, 3, use_bias=False).mark("end")
    net.at("start").conv(4, 1, use_bias=False).add("end", activation="relu").concat("start")
    model = net.build()
    assert model.output_shape == (None, 8, 8, 7)
    x = rng.normal(size=(1, 8, 8, 3)).astype("float32")
    branch = keras.Model(model.input, model.get_layer("conv1").output)
    shortcut = np.einsum("byxc,cf->byxf", x, model.get_layer("conv2").get_weights()[0][0, 0])
    expected = np.concatenate([np.maximum(predict(branch, x) + shortcut, 0), x], axis=-1)
    np.testing.assert_allclose(predict(model, x), expected, atol=1e-5)


def test_dense_to_map_through_reshape():
    net = Network((4, 1)).dense(7 * 7 * 2).reshape((7, 7, 2)).conv(1, 3, internal_padding=1, padding="valid")
    assert net.output_shape == (11, 11, 1)


def test_layers_are_named_by_kind_and_order():
    net = Network((16, 16, 1)).conv(2, 3, dropout=0.1).pool(2, activation="relu").conv(2, 3, name="last")
    net.dense(3, activation="softmax").dropout(0.2).activation("linear")
    assert [layer.name for layer in net.build().layers] == [
        "input",
        "conv1",
        "conv1_dropout",
        "pool1",
        "pool1_activation",
        "last",
        "flatten1",
        "dense1",
        "dense1_activation",
        "dropout1",
        "activation1",
    ]


def test_activations_by_name_function_and_layer(rng):
    x = rng.normal(0, 5, (1, 6, 1)).astype("float32")
    for activation in ("relu", keras.activations.relu, keras.layers.ReLU()):
        model = Network((6, 1), activation=activation).conv(2, 1).build()
        assert predict(model, x).min() == 0
    net = Network((6, 1), activation=SaturatedLeakyReLU(leak=0.5, saturation=1)).conv(2, 1).conv(2, 1)
    made = [layer for layer in net.build().layers if isinstance(layer, SaturatedLeakyReLU)]
    assert [(layer.name, layer.leak) for layer in made] == [("conv1_activation", 0.5), ("conv2_activation", 0.5)]


def test_softmax_stays_float32_under_mixed_precision():
    astrokeras.configure("mixed_bfloat16")
    model = Network((8, 1)).dense(4).dense(2, activation="softmax").build()
    assert model.get_layer("dense1").compute_dtype == "bfloat16"
    assert model.output.dtype == "float32"


def test_rescale_is_the_normalization_layer():
    model = Network((4, 1)).rescale(100, 50).build()
    assert model.layers[1].name == "normalization"
    assert predict(model, np.full((1, 4, 1), 200.0)).max() == pytest.approx(2)


def test_the_table_lists_each_layer(capsys):
    net = Network((28, 28, 1), name="small", verbose=True).conv(8, 5).pool(2)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split()[:2] == ["conv1", "Conv2D"] and printed[1].split()[0] == "pool1"
    net.summary()
    shown = capsys.readouterr().out
    for word in ("conv1", "relu_leaky", "5x5", "(28, 28, 8)", "208", "pool1", "(14, 14, 8)", "total"):
        assert word in shown
        assert word in repr(net)


REFUSED = [
    (lambda: Network(()), "expected input_shape to be"),
    (lambda: Network((28,)).conv(3, 3), "expected a map in front of it"),
    (lambda: Network((28, 28, 0)), "each at least 1"),
    (lambda: Network((28, None, 1)), "received (28, None, 1)"),
    (lambda: Network((2, 2, 2, 2, 2)), "expected input_shape to be"),
    (lambda: Network((8, 8, 1)).conv(0, 3), "conv1: expected filters to be an integer >= 1; received 0"),
    (lambda: Network((8, 8, 1)).conv(4, "3"), "kernel_size to be an integer"),
    (lambda: Network((8, 8, 1)).conv(4, (3, 3, 3)), "2 of them, one per axis"),
    (lambda: Network((8, 8, 1)).conv(4, 3, 0), "Expected strides to be an integer >= 1"),
    (lambda: Network((8, 8, 1)).conv(4, 9, padding="valid"), "at least 9x9 pixels; received 8x8"),
    (lambda: Network((8, 8, 1)).conv(4, 3, padding="full"), 'expected padding to be "same", "valid" or integers'),
    (lambda: Network((8, 8, 1)).conv(4, 3, padding=-1), "Expected padding to be an integer >= 0"),
    (lambda: Network((8, 8, 1)).conv(4, 3, activation="rely"), "received 'rely'"),
    (lambda: Network((8, 8, 1)).conv(4, 3, dropout=1.5), "expected a rate in 0..1"),
    (lambda: Network((8, 8, 1)).pool(16), "is too small for the layers in front of it"),
    (lambda: Network((8, 8, 1)).pool(2, "sum"), 'expected kind to be "max" or "average"'),
    (lambda: Network((8, 8, 1)).pool(2, padding=2), "expected padding < pool_size"),
    (lambda: Network((8, 8, 1)).dense(3).conv(4, 3), "expected a map in front of it"),
    (lambda: Network((8, 8, 1)).dense(3).global_pool(), "expected a map in front of it"),
    (lambda: Network((8, 8, 1)).dense(0), "expected units to be an integer >= 1"),
    (lambda: Network((8, 8, 3)).norm(2), "divides the 3 channels"),
    (lambda: Network((8, 8, 1)).reshape((5, 5)), "expected a shape of 64 values"),
    (lambda: Network((8, 8, 1)).rescale(0, 0), "expected scale > 0"),
    (lambda: Network((8, 8, 1)).at("here"), "expected a mark that was set with mark() (none); received 'here'"),
    (lambda: Network((8, 8, 1)).mark("a").mark("a"), "the mark 'a' is set already"),
    (lambda: Network((8, 8, 1)).mark("a").conv(4, 3).add("a"), "expected two maps of one shape"),
    (lambda: Network((8, 8, 1)).mark("a").pool(2).concat("a"), "expected two maps of one size"),
    (lambda: Network((8, 8, 1)).conv(4, 3, name="a").conv(4, 3, name="a"), "a layer is named 'a' already"),
]


@pytest.mark.parametrize(("build", "sentence"), REFUSED)
def test_bad_input_gets_one_sentence(build, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)) as caught:
        build()
    assert "\n" not in str(caught.value)


def test_channels_first_is_refused():
    keras.config.set_image_data_format("channels_first")
    try:
        with pytest.raises(ValueError, match="astrokeras knows one order"):
            Network((8, 8, 1))
    finally:
        keras.config.set_image_data_format("channels_last")
