"""The U-Net: shapes, what its options add, and what its shortcuts are for."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from astrokeras import layers
from astrokeras.applications import unet


@pytest.mark.parametrize("shape", [(32, 2), (16, 24, 1), (8, 8, 16, 1)])
def test_one_code_serves_all_dimensions(shape, rng):
    model = unet(shape, 3, filters=(4, 8), residual=True, attention=True, output_activation="softmax")
    found = model.predict(rng.normal(size=(2, *shape)), verbose=0)
    assert found.shape == (2, *shape[:-1], 3)
    np.testing.assert_allclose(found.sum(axis=-1), 1, rtol=1e-5)


def test_options_add_their_layers():
    names = {layer.name for layer in unet((16, 16, 1), filters=(4, 8, 16)).layers}
    assert {"conv_in", "down2", "down3_block1_conv2", "up1", "up2_concat", "conv_out"} <= names
    assert not any("add" in name or "attention" in name for name in names)
    assert not any("concat" in layer.name for layer in unet((16, 16, 1), filters=(4, 8), shortcuts=False).layers)
    assert not any("norm" in layer.name for layer in unet((16, 16, 1), filters=(4, 8), normalization=False).layers)
    rates = [layer.rate for layer in unet((16, 16, 1), filters=(4, 8), dropout=0.3).layers if "dropout" in layer.name]
    assert rates == [0.3] * 3
    deeper = unet((16, 16, 1), filters=(4, 8), blocks=2)
    assert sum("conv2" in layer.name for layer in deeper.layers) == 6


def test_shortcuts_carry_the_details(rng):
    """Points that the small map cannot hold come through beside it, and only there."""
    x = (rng.random((32, 16, 16, 1)) < 0.1).astype("float32")
    errors = {}
    for shortcuts in (True, False):
        keras.utils.set_random_seed(1)
        model = unet((16, 16, 1), filters=(8, 8, 8), shortcuts=shortcuts)
        model.compile(keras.optimizers.Adam(0.01), "mse")
        errors[shortcuts] = model.fit(x, x, batch_size=16, epochs=25, verbose=0).history["loss"][-1]
    assert errors[True] < 0.03 and errors[False] > 2 * errors[True]


def test_time_and_class_change_the_answer(rng):
    model = unet((8, 8, 1), filters=(4, 8), time=True, classes=3)
    out = model.get_layer("conv_out")
    out.set_weights([rng.normal(size=weights.shape) for weights in out.get_weights()])
    image = rng.normal(size=(1, 8, 8, 1)).astype("float32")

    def answer(time, label):
        return model.predict({"image": image, "time": np.array([time]), "class": np.array([label])}, verbose=0)

    first = answer(5.0, 1)
    assert np.abs(first - answer(6.0, 1)).max() > 1e-4
    assert np.abs(first - answer(5.0, 3)).max() > 1e-4  # 3: no class
    np.testing.assert_array_equal(first, answer(5.0, 1))
    assert model.output_shape == (None, 8, 8, 1)
    assert set(unet((8, 8, 1), filters=(4, 8), time=True).input) == {"image", "time"}


def test_waves_are_those_of_the_paper():
    found = keras.ops.convert_to_numpy(layers.SinusoidalEmbedding(6, longest=100.0)(np.array([[0.0], [3.0]])))
    rates = np.array([1, 0.1, 0.01])
    expected = [np.concatenate([np.sin(t * rates), np.cos(t * rates)]) for t in (0.0, 3.0)]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    with pytest.raises(ValueError, match="even and at least 4; received 5"):
        layers.SinusoidalEmbedding(5)


REOPEN = """
import sys, numpy as np, keras, astrokeras
data = dict(np.load(sys.argv[2]))
inputs = {name: data[name] for name in ("image", "time", "class")}
print(np.abs(keras.models.load_model(sys.argv[1]).predict(inputs, verbose=0) - data["found"]).max())
"""


def test_the_file_opens_in_a_fresh_process(tmp_path, rng):
    model = unet((8, 8, 1), filters=(4, 8), time=True, classes=3, residual=True, attention=True)
    data = {"image": rng.normal(size=(4, 8, 8, 1)).astype("float32"), "time": np.arange(4.0), "class": np.arange(4)}
    model.compile("adam", "mse")
    model.fit(data, data["image"], verbose=0)
    model.save(tmp_path / "unet.keras")
    np.savez(tmp_path / "data.npz", **data, found=model.predict(data, verbose=0))
    command = [sys.executable, "-c", REOPEN, tmp_path / "unet.keras", tmp_path / "data.npz"]
    assert float(subprocess.run(command, check=True, capture_output=True, text=True).stdout) < 1e-5


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="multiples of 8, to be halved 3 times"):
        unet((20, 16, 1), filters=(4, 4, 4, 4))
    with pytest.raises(ValueError, match="filters, outputs and blocks >= 1"):
        unet((16, 16, 1), blocks=0)
    with pytest.raises(ValueError, match="input_shape of 1 to 3 sides"):
        unet((16,))
