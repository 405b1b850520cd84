"""Auto-encoders: shapes, losses worked by hand, files, and what they learn."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from astrokeras import applications, layers, models

SMALL = {"filters": (4, 8), "units": (16,)}


def blobs(count, rng):
    """Images of one Gaussian blob each, left or right: two classes, two numbers that matter."""
    y, x = np.mgrid[:8, :8]
    places = rng.uniform(1, 6, (count, 2))
    places[:, 0] = np.where(places[:, 0] < 3.5, places[:, 0] - 0.5, places[:, 0] + 0.5)
    images = np.exp(-((x - places[:, :1, None]) ** 2 + (y - places[:, 1:, None]) ** 2) / 3)
    return images[..., None].astype("float32"), (places[:, 0] > 3.5).astype(int)


def test_the_course_network():
    model = applications.autoencoder()
    assert model.encoder.output_shape == (None, 2) and model.decoder.output_shape == (None, 28, 28, 1)
    weights = {layer.name: tuple(layer.kernel.shape) for layer in model.decoder.layers if hasattr(layer, "kernel")}
    assert weights["dense3"] == (512, 7 * 7 * 64)
    assert weights["conv2"] == (4, 4, 64, 64) and weights["conv6"] == (1, 1, 16, 1)
    assert applications.autoencoder((64, 1), **SMALL).output_shape == (None, 64, 1)
    assert applications.autoencoder((8, 8, 16, 2), latent=5, **SMALL).output_shape == (None, 8, 8, 16, 2)


def test_fit_rebuilds_the_input_or_another_target(rng):
    x, _ = blobs(64, rng)
    model = applications.autoencoder((8, 8, 1), **SMALL)
    model.compile(keras.optimizers.Adam(0.01))
    before = float(np.mean((model.predict(x, verbose=0) - x) ** 2))
    assert model.evaluate(x, verbose=0) == pytest.approx(before, rel=1e-5)
    assert model.evaluate(x, 0 * x, verbose=0) == pytest.approx(np.mean(model.predict(x, verbose=0) ** 2), rel=1e-5)
    model.fit(x, epochs=30, verbose=0)
    assert model.evaluate(x, verbose=0) < before / 3


def test_a_class_term_keeps_classes_apart(rng):
    x, y = blobs(128, rng)
    model = applications.autoencoder((8, 8, 1), classes=2, **SMALL)
    model.compile(keras.optimizers.Adam(0.01), metrics={"class": "accuracy"})
    log = model.fit(x, y, epochs=20, verbose=0).history
    found = model.predict(x, verbose=0)
    assert found["image"].shape == x.shape and found["class"].shape == (128, 2)
    assert log["class_accuracy"][-1] > 0.95 and log["image_loss"][-1] < log["image_loss"][0]
    assert log["loss"][0] == pytest.approx(log["image_loss"][0] + 0.01 * log["class_loss"][0], rel=1e-3)


def test_an_encoder_learns_classes_first(rng):
    x, y = blobs(128, rng)
    model = applications.autoencoder((8, 8, 1), classes=2, **SMALL)
    decoder = model.decoder.get_weights()
    log = model.pretrain(x, y, keras.optimizers.Adam(0.01), epochs=15, verbose=0).history
    assert log["accuracy"][-1] > 0.95
    assert all(np.array_equal(a, b) for a, b in zip(decoder, model.decoder.get_weights(), strict=True))
    assert np.mean(model.predict(x, verbose=0)["class"].argmax(axis=1) == y) > 0.95
    model.compile(keras.optimizers.Adam(0.01))
    assert np.isfinite(model.fit(x, y, epochs=1, verbose=0).history["loss"]).all()
    with pytest.raises(ValueError, match="no classifier to train: build it with classes"):
        applications.autoencoder((8, 8, 1), **SMALL).pretrain(x, y)


@pytest.mark.parametrize("name", ["autoencoder", "variational_autoencoder"])
def test_images_out_of_range_are_refused(name, rng):
    x, _ = blobs(8, rng)
    model = getattr(applications, name)((8, 8, 1), **SMALL)
    model.compile("adam")
    with pytest.raises(ValueError, match="images in 0..1; received 255.0 in image 0: divide uint8 images by 255"):
        model.fit(255 * np.ones_like(x), verbose=0)
    holed = x.copy()
    holed[3, 2, 2] = np.nan
    with pytest.raises(ValueError, match="expected finite images; received nan in image 3"):
        model.fit(holed, x, verbose=0)
    with pytest.raises(ValueError, match="images in 0..1; received nan in image 3"):
        model.fit(x, holed, verbose=0)
    assert np.isfinite(model.fit(x + rng.normal(size=x.shape), x, verbose=0).history["loss"]).all()  # noisy, clean


def test_sampling_is_the_reparameterisation():
    layer = layers.GaussianSampling(seed=1)
    mean, log_variance = np.array([[1.0, -2.0]]), np.log([[4.0, 0.25]])
    stats = np.repeat(np.hstack([mean, log_variance]), 20_000, axis=0).astype("float32")
    drawn = keras.ops.convert_to_numpy(layer(stats, training=True))
    np.testing.assert_allclose(drawn.mean(axis=0), mean[0], atol=0.05)
    np.testing.assert_allclose(drawn.std(axis=0), [2, 0.5], rtol=0.03)
    by_hand = 0.5 * (4 + 1 - 1 - np.log(4)) + 0.5 * (0.25 + 4 - 1 - np.log(0.25))
    assert float(layer.losses[0]) == pytest.approx(by_hand, rel=1e-5)
    with pytest.raises(ValueError, match=r"expected \(batch, 2 \* latent\)"):
        layers.GaussianSampling()(np.zeros((2, 3)))


@pytest.mark.parametrize("reconstruction", ["binary_crossentropy", "mse"])
def test_the_loss_is_the_one_of_the_paper(rng, reconstruction):
    x, _ = blobs(16, rng)
    model = applications.variational_autoencoder((8, 8, 1), latent=3, beta=0.5, reconstruction=reconstruction, **SMALL)
    model.compile()
    stats, output = model.encoder.predict(x, verbose=0), model.predict(x, verbose=0).astype("float64")
    mean, log_variance = stats[:, :3].astype("float64"), stats[:, 3:].astype("float64")
    kl = np.mean(0.5 * np.sum(np.exp(log_variance) + mean**2 - 1 - log_variance, axis=1))
    if reconstruction == "mse":
        error = np.sum((x - output) ** 2, axis=(1, 2, 3)) / 2
    else:
        error = -np.sum(x * np.log(output) + (1 - x) * np.log(1 - output), axis=(1, 2, 3))
    log = model.evaluate(x, verbose=0, return_dict=True)
    assert log["kl"] == pytest.approx(kl, rel=1e-4, abs=1e-6)
    assert log["reconstruction"] == pytest.approx(error.mean(), rel=1e-5)
    assert log["loss"] == pytest.approx(error.mean() + 0.5 * kl, rel=1e-5)
    np.testing.assert_allclose(model.encode(x), mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        model.predict(x, verbose=0), model.decoder.predict(model.encode(x), verbose=0), atol=1e-5
    )


def test_a_variational_one_learns_and_generates(rng):
    x, _ = blobs(256, rng)
    model = applications.variational_autoencoder((8, 8, 1), **SMALL)
    model.compile(keras.optimizers.Adam(0.01))
    log = model.fit(x, epochs=30, verbose=0).history
    assert log["reconstruction"][-1] < log["reconstruction"][0] - 5 and log["kl"][-1] > 0.5
    images = model.generate(50, seed=3)
    assert images.shape == (50, 8, 8, 1) and 0 <= images.min() and images.max() <= 1
    np.testing.assert_array_equal(images, model.generate(50, seed=3))
    assert np.abs(images - model.generate(50, seed=4)).max() > 0.1


REOPEN = """
import sys, numpy as np, keras, astrokeras
model = keras.models.load_model(sys.argv[1])
x = np.load(sys.argv[2])
np.save(sys.argv[3], model.generate(4, seed=7) if hasattr(model, "generate") else model.predict(x, verbose=0))
model.fit(x, verbose=0)
"""


@pytest.mark.parametrize("name", ["autoencoder", "variational_autoencoder"])
def test_files_open_in_a_fresh_process(name, rng, tmp_path):
    x, _ = blobs(16, rng)
    model = getattr(applications, name)((8, 8, 1), **SMALL)
    model.compile()
    model.fit(x, verbose=0)
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "x.npy", x)
    paths = [tmp_path / file for file in ("model.keras", "x.npy", "found.npy")]
    subprocess.run([sys.executable, "-c", REOPEN, *paths], check=True, capture_output=True)
    here = model.generate(4, seed=7) if hasattr(model, "generate") else model.predict(x, verbose=0)
    np.testing.assert_allclose(np.load(paths[2]), here, atol=1e-6)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="multiples of 4, to be halved 2 times"):
        applications.autoencoder((30, 28, 1))
    with pytest.raises(ValueError, match="expected latent >= 1"):
        applications.autoencoder(latent=0)
    with pytest.raises(ValueError, match="expected latent >= 1"):
        applications.variational_autoencoder(latent=0)
    good = applications.autoencoder((8, 8, 1), **SMALL)
    other = applications.autoencoder((8, 8, 1), latent=3, **SMALL)
    with pytest.raises(
        ValueError, match=r"expected a decoder of \(2,\), which the encoder gives; received one of \(3,\)"
    ):
        models.Autoencoder(good.encoder, other.decoder)
    with pytest.raises(ValueError, match="expected an encoder with 6 outputs"):
        models.VariationalAutoencoder(good.encoder, other.decoder)
    with pytest.raises(ValueError, match="beta >= 0"):
        applications.variational_autoencoder((8, 8, 1), beta=-1, **SMALL)
    model = applications.variational_autoencoder((8, 8, 1), **SMALL)
    with pytest.raises(ValueError, match="without a loss"):
        model.compile("adam", "mse")
    with pytest.raises(ValueError, match="count >= 1"):
        model.generate(0)
