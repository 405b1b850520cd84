"""The GAN: each loss reaches its own network alone, by hand; files; that it learns."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

import astrokeras
from astrokeras import applications, models
from astrokeras.models.gan import LOSSES

SMALL = {"filters": (4, 8), "latent": 6}


def dots(count, rng):
    """Images of one bright pixel block in one of four places: four classes."""
    labels = rng.integers(0, 4, count)
    images = np.zeros((count, 8, 8, 1), "float32")
    for label in range(4):
        low = (labels == label).nonzero()[0]
        row, column = divmod(label, 2)
        images[low, 1 + 4 * row : 3 + 4 * row, 1 + 4 * column : 3 + 4 * column] = 1
    return images, labels.astype("int32")


def linear_pair(slope=2.0, bias=0.5):
    """A generator `a z` and a discriminator `slope x + bias` of one pixel."""
    z = keras.Input((1,), name="latent")
    a = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones", name="a")
    generator = keras.Model(z, keras.layers.Reshape((1, 1), name="image")(a(z)), name="generator")
    x = keras.Input((1, 1), name="image")
    dense = keras.layers.Dense(
        1,
        kernel_initializer=keras.initializers.Constant(slope),
        bias_initializer=keras.initializers.Constant(bias),
        name="dense",
    )
    discriminator = keras.Model(x, dense(keras.layers.Flatten(name="flatten")(x)), name="discriminator")
    return generator, discriminator


def softplus(x):
    return np.log1p(np.exp(x))


@pytest.mark.parametrize("loss", LOSSES)
def test_one_step_by_hand(loss):
    """One step of gradient descent moves slope, bias and generator as the derivatives by hand say."""
    model = models.GAN(*linear_pair(), loss=loss, seed=3)
    rate, x = 0.01, np.array([0.2, 0.9, 0.4, 0.7], "float32").reshape(4, 1, 1)
    # Eagerly: the slope of a linear network needs no forward pass, and TensorFlow's graph may move `a` too early.
    model.compile(keras.optimizers.SGD(rate), run_eagerly=keras.backend.backend() == "tensorflow")
    drawn = keras.random.normal((4, 1), dtype="float32", seed=keras.random.SeedGenerator(3))
    z = keras.ops.convert_to_numpy(drawn).astype("float64")[:, 0]
    log = model.fit(x, batch_size=4, shuffle=False, verbose=0).history
    slope, bias, a, real = 2.0, 0.5, 1.0, x.ravel().astype("float64")
    said, caught = slope * real + bias, slope * a * z + bias

    def sigmoid(t):
        return 1 / (1 + np.exp(-t))

    if loss == "hinge":
        by_real, by_caught, by_made = -1.0 * (said < 1), 1.0 * (caught > -1), -np.ones(4)
        expected = np.maximum(1 - said, 0).mean() + np.maximum(1 + caught, 0).mean(), -caught.mean()
    elif loss == "wasserstein":
        by_real, by_caught, by_made = -np.ones(4), np.ones(4), -np.ones(4)
        penalty = 10 * (abs(slope) - 1) ** 2  # the slope is the same everywhere
        expected = caught.mean() - said.mean() + penalty, -caught.mean()
    else:
        by_real, by_caught = -sigmoid(-said), sigmoid(caught)
        by_made = -sigmoid(-caught) if loss == "non_saturating" else -sigmoid(caught)
        generator = softplus(-caught).mean() if loss == "non_saturating" else -softplus(caught).mean()
        expected = softplus(-said).mean() + softplus(caught).mean(), generator
    assert log["discriminator_loss"][0] == pytest.approx(expected[0], abs=1e-5)
    assert log["generator_loss"][0] == pytest.approx(expected[1], abs=1e-5)
    by_slope = (by_real * real).mean() + (by_caught * a * z).mean()
    by_slope += 20 * (abs(slope) - 1) if loss == "wasserstein" else 0
    new_a = model.generator.get_weights()[0].item()
    new_slope, new_bias = (weights.item() for weights in model.discriminator.get_weights())
    assert new_slope == pytest.approx(slope - rate * by_slope, abs=1e-5)
    assert new_bias == pytest.approx(bias - rate * (by_real.mean() + by_caught.mean()), abs=1e-5)
    assert new_a == pytest.approx(a - rate * (by_made * slope * z).mean(), abs=1e-5)


def test_it_learns_its_classes():
    x, y = dots(512, np.random.default_rng(0))
    keras.utils.set_random_seed(2)
    model = applications.gan((8, 8, 1), 4, filters=(16, 32), latent=8)
    model.compile(keras.optimizers.Adam(1e-3, beta_1=0.5))
    model.fit({"image": x, "class": y}, epochs=40, batch_size=64, verbose=0)
    wanted = np.arange(40) % 4
    made = model.generate(classes=wanted, seed=1)
    sample = np.stack([x[y == label][0] for label in range(4)])
    distance = np.abs(made[:, None] - sample[None]).mean(axis=(2, 3, 4))
    assert (distance.argmin(axis=1) == wanted).mean() >= 0.9
    assert model.generate(5).shape == (5, 8, 8, 1)


@pytest.mark.parametrize("shape, filters", [((28, 28, 1), (4, 8)), ((32, 32, 3), (4, 8, 8)), ((64, 64, 3), (4,) * 4)])
def test_sizes(shape, filters):
    model = applications.gan(shape, filters=filters, latent=5)
    assert model.latent == 5 and model.generate(2, seed=1).shape == (2, *shape)
    made = model.generate(3, seed=1)
    np.testing.assert_allclose(made[:2], model.generate(2, seed=1), atol=1e-6)
    assert made.min() >= 0 and made.max() <= 1


REOPEN = """
import sys, numpy as np, astrokeras
model = astrokeras.load_model(sys.argv[1])
made = model.generate(3, seed=1)
model.fit(np.zeros((4, 8, 8, 1), "float32"), verbose=0)
np.save(sys.argv[2], made)
"""


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_a_fresh_process_makes_the_same_images(tmp_path, backend):
    pytest.importorskip(backend)
    model = applications.gan((8, 8, 1), **SMALL)
    model.compile("adam")
    model.fit(dots(32, np.random.default_rng(1))[0], verbose=0)
    astrokeras.save_model(model, tmp_path / "gan.keras")
    subprocess.run(
        [sys.executable, "-c", REOPEN, tmp_path / "gan.keras", tmp_path / "made.npy"],
        env=os.environ | {"KERAS_BACKEND": backend},
        check=True,
        capture_output=True,
    )
    np.testing.assert_allclose(np.load(tmp_path / "made.npy"), model.generate(3, seed=1), atol=1e-5)


def test_refusals(rng):
    x, y = dots(8, rng)
    model, conditional = applications.gan((8, 8, 1), **SMALL), applications.gan((8, 8, 1), 4, **SMALL)
    with pytest.raises(ValueError, match="multiples of 4"):
        applications.gan((30, 30, 1), **SMALL)
    with pytest.raises(ValueError, match="latent >= 1"):
        applications.gan((8, 8, 1), latent=0)
    with pytest.raises(ValueError, match="a loss of non_saturating"):
        applications.gan((8, 8, 1), loss="mse", **SMALL)
    with pytest.raises(ValueError, match="discriminator of the generator's images"):
        models.GAN(model.generator, conditional.discriminator)
    with pytest.raises(ValueError, match="not conditional"):
        model.generate(2, classes=1)
    with pytest.raises(ValueError, match="count >= 1"):
        model.generate(0)
    with pytest.raises(ValueError, match="as many classes"):
        conditional.generate(3, classes=[1, 2])
    with pytest.raises(ValueError, match="classes from 0 to 3"):
        conditional.generate(classes=[1, 9])
    with pytest.raises(ValueError, match="without a loss"):
        model.compile("adam", loss="mse")
    model.compile("adam")
    with pytest.raises(ValueError, match="divide uint8 images by 255"):
        model.fit(x * 255)
    with pytest.raises(ValueError, match='dict of "image" and "class"'):
        conditional.fit(x, y)
