"""The diffusion model: its noise, its samplers against float64, its files, and that it learns."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

import astrokeras
from astrokeras import applications, layers, models, runtime, schedules

SMALL = {"steps": 20, "filters": (8, 16)}


def stripes(count, rng):
    """Images of horizontal (class 0) or vertical (class 1) stripes."""
    labels = rng.integers(0, 2, count)
    wave = (np.arange(8) // 2 % 2).astype("float32")
    both = np.stack([np.broadcast_to(wave[:, None], (8, 8)), np.broadcast_to(wave, (8, 8))])
    return both[labels][..., None].astype("float32"), labels.astype("int32")


class Constant(keras.layers.Layer):
    """A guess that does not depend on the image."""

    def call(self, inputs):
        return 0 * inputs + 0.25


def guesser(layer, shape=(4, 4, 1)):
    image = keras.Input(shape)
    return keras.Model(image, layer(image))


def test_noise_is_the_closed_form():
    alpha_bar = schedules.noise_schedule("cosine", 10).alpha_bar
    x = np.random.default_rng(0).random((4000, 3, 3, 1)).astype("float32")
    for target in ("noise", "velocity", "image"):
        out = layers.AddNoise(alpha_bar, target)(x)
        out = {name: keras.ops.convert_to_numpy(value).astype("float64") for name, value in out.items()}
        steps, scaled = out["time"].astype(int), 2.0 * x - 1
        signal, rate = (np.sqrt(part[steps])[:, None, None, None] for part in (alpha_bar, 1 - alpha_bar))
        noise = (out["noised"] - signal * scaled) / rate
        assert np.bincount(steps, minlength=10) == pytest.approx(400, abs=80)
        assert noise.mean() == pytest.approx(0, abs=0.02) and noise.std() == pytest.approx(1, abs=0.02)
        expected = {"noise": noise, "velocity": signal * noise - rate * scaled, "image": scaled}[target]
        np.testing.assert_allclose(out["target"], expected, atol=2e-5)
        np.testing.assert_allclose(out["noise_rate"], rate.ravel(), atol=1e-6)
    with pytest.raises(ValueError, match="target of noise, velocity, image"):
        layers.AddNoise(alpha_bar, "score")


@pytest.mark.parametrize("target", ["noise", "velocity", "image"])
@pytest.mark.parametrize("steps, eta", [(12, 0.0), (5, 0.0), (12, 1.0)])
def test_sampling_equals_float64(target, steps, eta):
    """A network that always guesses 0.25 makes the loop a chain that NumPy follows, its noise included."""
    schedule = schedules.noise_schedule("cosine", 12)
    model = models.DiffusionModel(guesser(Constant()), schedule.alpha_bar, target=target)
    found = model.generate(3, seed=5, steps=steps, eta=eta, clip=False)
    x = np.random.default_rng(5).standard_normal((3, 4, 4, 1), dtype="float32").astype("float64")
    rows = schedule.updates(steps, eta)
    for index, step in enumerate(rows["time"]):
        now, before = rows["alpha_bar"][index], rows["before"][index]
        image = {
            "noise": (x - np.sqrt(1 - now) * 0.25) / np.sqrt(now),
            "velocity": np.sqrt(now) * x - np.sqrt(1 - now) * 0.25,
            "image": np.full_like(x, 0.25),
        }[target]
        noise = (x - np.sqrt(now) * image) / np.sqrt(1 - now)
        spread = eta * np.sqrt((1 - before) / (1 - now) * (1 - now / before))
        drawn = keras.random.normal(x.shape, seed=runtime.StepSeed(5, int(step)))
        x = np.sqrt(before) * image + np.sqrt(1 - before - spread**2) * noise
        x = x + spread * keras.ops.convert_to_numpy(drawn)
    np.testing.assert_allclose(found, np.clip((x + 1) / 2, 0, 1), atol=1e-5)


@pytest.mark.parametrize("eta", [0.0, 1.0])
@pytest.mark.parametrize("target", ["noise", "velocity", "image"])
def test_a_temperature_divides_the_guessed_noise_and_multiplies_the_drawn(target, eta):
    schedule = schedules.noise_schedule("cosine", 12)
    model = models.DiffusionModel(guesser(Constant()), schedule.alpha_bar, target=target)
    x = 0.8 * np.random.default_rng(5).standard_normal((3, 4, 4, 1), dtype="float32").astype("float64")
    rows = schedule.updates(12, eta)
    for index, step in enumerate(rows["time"]):
        now, before, spread = (rows[name][index] for name in ("alpha_bar", "before", "spread"))
        signal, rate = np.sqrt(now), np.sqrt(1 - now)
        noise = {"noise": 0.25, "velocity": rate * x + signal * 0.25, "image": (x - signal * 0.25) / rate}[target]
        image = np.clip((x - rate * noise / 0.8) / signal, -1, 1)
        kept = np.sqrt(1 - before - spread**2) * (x - signal * image) / rate
        drawn = keras.ops.convert_to_numpy(keras.random.normal(x.shape, seed=runtime.StepSeed(5, int(step))))
        x = np.sqrt(before) * image + kept + 0.8 * spread * drawn
    options = {"sampler": "ddim", "steps": 12, "eta": eta}
    found = model.generate(3, seed=5, temperature=0.8, **options)
    np.testing.assert_allclose(found, np.clip((x + 1) / 2, 0, 1), atol=1e-5)
    assert np.abs(found - model.generate(3, seed=5, **options)).max() > 0.01
    frames = model.chain(3, seed=5, frames=2, temperature=0.8, **options)
    np.testing.assert_allclose(frames[:, -1].clip(0, 1), found, atol=1e-5)


def test_temperatures_out_of_range_are_refused():
    model = applications.ddpm((8, 8, 1), **SMALL)
    for bad in ({"temperature": 0.0}, {"temperature": 0.9, "clip": False}):
        with pytest.raises(ValueError, match="temperature > 0, and clip=True"):
            model.generate(3, **bad)


def test_step_seeds_differ():
    drawn = [
        keras.ops.convert_to_numpy(keras.random.normal((4,), seed=runtime.StepSeed(*pair))).tolist()
        for pair in ((0, 0), (0, 1), (1, 0), (1, 1))
    ]
    assert len({tuple(row) for row in drawn}) == 4


@pytest.fixture(scope="module")
def trained():
    x, y = stripes(256, np.random.default_rng(0))
    keras.utils.set_random_seed(1)
    model = applications.ddpm((8, 8, 1), 2, steps=50, filters=(16, 32), ema=0.99)
    model.compile(keras.optimizers.Adam(3e-3))
    log = model.fit({"image": x, "class": y}, epochs=40, batch_size=32, verbose=0).history["loss"]
    return model, x, y, log


def test_it_learns_and_heeds_the_class(trained):
    model, x, y, log = trained
    assert log[-1] < 0.35 * log[0]
    assert any(
        np.abs(a - b).max() > 0 for a, b in zip(model.averaged.get_weights(), model.network.get_weights(), strict=True)
    )
    wanted = np.arange(20) % 2
    made = model.generate(classes=wanted, seed=3, guidance=2.0)
    sample = np.stack([x[y == label][0] for label in (0, 1)])
    distance = np.abs(made[:, None] - sample[None]).mean(axis=(2, 3, 4))
    assert (distance.argmin(axis=1) == wanted).mean() >= 0.9 and distance.min(axis=1).mean() < 0.15
    assert made.min() >= 0 and made.max() <= 1
    few = model.generate(classes=wanted, seed=3, guidance=2.0, sampler="ddim", steps=10)
    distance = np.abs(few[:, None] - sample[None]).mean(axis=(2, 3, 4))
    assert (distance.argmin(axis=1) == wanted).mean() >= 0.9


def test_inpainting_keeps_what_is_known_and_suits_it(trained):
    model, x, y, _ = trained
    mask = np.zeros((1, 8, 8, 1), bool)
    mask[:, :, 4:] = True
    filled = model.inpaint(x[:16], mask, seed=2)
    np.testing.assert_array_equal(filled[:, :, :4], x[:16, :, :4])
    assert np.abs(filled - x[:16])[:, :, 4:].mean() < 0.25  # 0.5 by chance
    with pytest.raises(ValueError, match="mask that suits"):
        model.inpaint(x[:2], np.zeros((3, 8, 8, 1), bool))
    with pytest.raises(ValueError, match="images of shape"):
        model.inpaint(np.zeros((2, 4, 4, 1)), mask)


def test_chain_ends_in_the_image(trained):
    model = trained[0]
    frames = model.chain(2, seed=4, frames=6, sampler="ddim", steps=10)
    assert frames.shape == (2, 6, 8, 8, 1)
    np.testing.assert_allclose(frames[:, -1].clip(0, 1), model.generate(2, seed=4, sampler="ddim", steps=10), atol=1e-5)
    with pytest.raises(ValueError, match="2 to 11 frames"):
        model.chain(2, frames=12, sampler="ddim", steps=10)


def test_same_seed_same_images_whatever_the_batch(trained):
    model = trained[0]
    one = model.generate(7, seed=9, sampler="ddim", steps=5)  # clipping makes rounding grow
    np.testing.assert_allclose(model.generate(7, seed=9, sampler="ddim", steps=5, batch_size=3), one, atol=1e-3)
    np.testing.assert_array_equal(model.generate(4, seed=9), model.generate(4, seed=9))
    assert np.abs(model.generate(4, seed=8) - model.generate(4, seed=9)).max() > 0.01


REOPEN = """
import sys, numpy as np, astrokeras
model = astrokeras.load_model(sys.argv[1])
ddim = model.generate(3, seed=1, sampler="ddim", steps=5)
ancestral = model.generate(3, seed=1, steps=10)
model.fit({"image": np.zeros((4, 8, 8, 1), "float32"), "class": np.zeros(4, "int32")}, verbose=0)
np.savez(sys.argv[2], ddim=ddim, ancestral=ancestral)
"""


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_a_fresh_process_makes_the_same_images(trained, tmp_path, backend):
    pytest.importorskip(backend)
    model = trained[0]
    astrokeras.save_model(model, tmp_path / "ddpm.keras")
    subprocess.run(
        [sys.executable, "-c", REOPEN, tmp_path / "ddpm.keras", tmp_path / "made.npz"],
        env=os.environ | {"KERAS_BACKEND": backend},
        check=True,
        capture_output=True,
    )
    made = np.load(tmp_path / "made.npz")
    np.testing.assert_allclose(made["ddim"], model.generate(3, seed=1, sampler="ddim", steps=5), atol=1e-4)
    if backend == keras.config.backend():  # each backend draws its own noise on the way
        np.testing.assert_allclose(made["ancestral"], model.generate(3, seed=1, steps=10), atol=1e-4)


@pytest.mark.parametrize("time", ["embedding", "channel", "blind"])
def test_ways_to_tell_the_time(time, rng):
    x, _ = stripes(16, rng)
    model = applications.ddpm((8, 8, 1), time=time, target="velocity", **SMALL)
    model.compile("adam")
    model.fit(x, verbose=0)
    assert model.generate(2, sampler="ddim", steps=3).shape == (2, 8, 8, 1)
    assert len(model.network.inputs) == (2 if time == "embedding" else 1)
    config = models.DiffusionModel.from_config(model.get_config())
    assert config.count_params() == model.count_params()


def test_classes_are_dropped_at_their_rate():
    layer = layers.DropClass(5, rate=0.25, seed=1)
    out = keras.ops.convert_to_numpy(layer(np.arange(20_000) % 5, training=True))
    assert (out == 5).mean() == pytest.approx(0.25, abs=0.02)
    assert (out[out < 5] == (np.arange(20_000) % 5)[out < 5]).all()
    with pytest.raises(ValueError, match="rate in 0..1"):
        layers.DropClass(5, rate=2)


def test_appended_channel():
    out = layers.AppendChannel()(np.ones((2, 3, 3, 1), "float32"), np.array([0.2, 0.7], "float32"))
    assert keras.ops.convert_to_numpy(out)[..., 1].mean(axis=(1, 2)) == pytest.approx([0.2, 0.7])


def test_presets():
    cats = applications.ddpm_cats()
    assert cats.input_shape == (None, 64, 64, 3) and cats.schedule.steps == 200
    galaxies = applications.ddpm_galaxy_zoo2(classes=3)
    assert galaxies.classes == 3 and galaxies.schedule.steps == 200
    assert cats.network.input_shape == (None, 64, 64, 4) and cats.noising.value_range == (-1.0, 1.0)


def test_refusals(trained):
    conditional, x, y, _ = trained
    model = applications.ddpm((8, 8, 1), **SMALL)
    with pytest.raises(ValueError, match="not conditional"):
        model.generate(2, guidance=3.0)
    with pytest.raises(ValueError, match="not conditional"):
        model.generate(2, classes=1)
    with pytest.raises(ValueError, match="classes where there is guidance"):
        conditional.generate(2, guidance=3.0)
    with pytest.raises(ValueError, match="classes from 0 to 1"):
        conditional.generate(2, classes=5)
    with pytest.raises(ValueError, match="count >= 1"):
        model.generate(0)
    with pytest.raises(ValueError, match="count >= 1 and as many classes"):
        conditional.generate(3, classes=[0, 1])
    with pytest.raises(ValueError, match="sampler of ancestral, ddim"):
        model.generate(2, sampler="euler")
    with pytest.raises(ValueError, match="1 to 20 steps"):
        model.generate(2, steps=21)
    with pytest.raises(ValueError, match="batch_size >= 1"):
        model.generate(2, batch_size=0)
    with pytest.raises(ValueError, match="at least 2 steps"):
        applications.ddpm((8, 8, 1), steps=1, filters=(8, 16))
    with pytest.raises(ValueError, match="time to be one of"):
        applications.ddpm((8, 8, 1), time="text", **SMALL)
    with pytest.raises(ValueError, match="multiples of 2"):
        applications.ddpm((7, 7, 1), **SMALL)
    with pytest.raises(ValueError, match="without a loss"):
        model.compile("adam", "mse")
    model.compile("adam")
    with pytest.raises(ValueError, match=r"expected images in 0\.\.1; received 255.* divide uint8 images by 255"):
        model.fit(x * 255)
    broken = x.copy()
    broken[3, 2, 2] = np.nan
    with pytest.raises(ValueError, match="received nan in image 3"):
        model.fit(broken)
    with pytest.raises(ValueError, match='dict of "image" and "class"'):
        conditional.fit(x)
    with pytest.raises(ValueError, match="classes from 0 to 1; received [23] for image 0"):
        conditional.fit({"image": x, "class": y + 2})
    with pytest.raises(ValueError, match="ema from 0 to less than 1"):
        models.DiffusionModel(guesser(Constant()), [0.9, 0.5], ema=1.0)
    with pytest.raises(ValueError, match="input named class"):
        models.DiffusionModel(guesser(Constant()), [0.9, 0.5], classes=3)
    with pytest.raises(ValueError, match="network from noised images"):
        models.DiffusionModel(guesser(keras.layers.Conv2D(4, 1)), [0.9, 0.5])
