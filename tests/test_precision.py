"""Every application trains in every precision, and its loss scaling survives a file."""

import keras
import numpy as np
import pytest

import astrokeras
from astrokeras import applications
from tests.contracts import random_batch
from tests.test_contracts import APPLICATIONS

CASES = {name: case[0] for name, case in APPLICATIONS.items()}
# On maps of 2 x 2 x 2 the bfloat16 gradient of a 3-D kernel is sometimes not finite in TensorFlow on CPUs.
CASES["yolo_sdc2"] = {"input_shape": (64, 16, 16, 1)}
CASES |= {"gan": {"input_shape": (16, 16, 1)}, "ddpm": {"input_shape": (8, 8, 1), "steps": 20, "filters": (8, 16)}}
HEAVY = ("darknet19", "yolo")  # seconds each; tests/contracts.py takes one step of each in two precisions


def losses_of(model, steps=3):
    """Train on one batch, step after step."""
    eager = keras.config.backend() != "jax"  # where it is slower
    optimizer = keras.optimizers.SGD(1e-3)
    if model.name in ("gan", "ddpm", "variational_autoencoder", "autoencoder"):
        x = y = np.random.default_rng(0).random((2, *model.input_shape[1:]), "float32")
        model.compile(optimizer, run_eagerly=eager)
        return model.fit(x, y if "auto" in model.name else None, epochs=steps, verbose=0).history["loss"]
    x, y = random_batch(model, count=2)
    settings = {} if isinstance(y, dict) else {"loss": "mse"}
    if settings and model.layers[-1].get_config().get("activation") == "softmax":
        settings["loss"] = "sparse_categorical_crossentropy"
    elif settings and y.ndim == 1:
        y = np.eye(model.output_shape[-1], dtype="float32")[y]
    model.compile(optimizer, run_eagerly=eager, **settings)
    return model.fit(x, y, batch_size=len(x), epochs=steps, verbose=0).history["loss"]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in HEAVY else name for name in CASES]
)
@pytest.mark.parametrize("precision", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_application_trains(name, precision):
    astrokeras.configure(precision, seed=0)
    model = getattr(applications, name)(**CASES[name])
    before = model.get_weights()
    assert np.isfinite(losses_of(model)).all()
    assert all(np.isfinite(weights).all() for weights in model.get_weights())
    scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (precision == "mixed_float16")
    changed = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
    skipped = scaled and float(model.optimizer.dynamic_scale) == 2.0**12  # halved each time: gradients were too large
    assert any(changed) or skipped


def half_model(**settings):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, **settings), keras.layers.Dense(2, **settings)])
    model(np.zeros((1, 4)))
    return model


def batch():
    rng = np.random.default_rng(0)
    return rng.random((8, 4), "float32"), rng.random((8, 2), "float32")


def reopened(model, path):
    """Save, and load in a session of float32."""
    astrokeras.save_model(model, path)
    astrokeras.configure("float32")
    return astrokeras.load_model(path)


def test_dynamic_loss_scaling_is_kept(tmp_path):
    astrokeras.configure("mixed_float16", seed=0)
    model, (x, y) = half_model(), batch()
    model.compile(keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.01), dynamic_growth_steps=3), "mse")
    model.fit(x, y, epochs=4, verbose=0)
    scale, steps = float(model.optimizer.dynamic_scale), int(model.optimizer.step_counter)
    assert scale == 2**16 and steps == 1, "doubled after three steps"
    again = reopened(model, tmp_path / "half.keras")
    assert isinstance(again.optimizer, keras.optimizers.LossScaleOptimizer)
    assert not isinstance(again.optimizer.inner_optimizer, keras.optimizers.LossScaleOptimizer)
    assert (float(again.optimizer.dynamic_scale), int(again.optimizer.step_counter)) == (scale, steps)
    assert again.optimizer.dynamic_growth_steps == 3
    for one in (model, again):
        one.fit(x, y, epochs=3, verbose=0)
    assert float(again.optimizer.dynamic_scale) == 2**17
    for old, new in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_loss_scaling_of_layers_with_their_own_precision_is_kept(tmp_path):
    model, (x, y) = half_model(dtype="mixed_float16"), batch()  # in a session of float32
    model.compile(keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.01), initial_scale=256.0), "mse")
    model.fit(x, y, verbose=0)
    again = reopened(model, tmp_path / "own.keras")
    assert float(again.optimizer.dynamic_scale) == 256 and again.optimizer.initial_scale == 256
    assert [layer.compute_dtype for layer in again.layers] == ["float16", "float16"]
    assert np.isfinite(again.fit(x, y, verbose=0).history["loss"][0])


@pytest.mark.parametrize("kind", ["functional", "detector", "own precision"])
def test_optimizers_without_dynamic_scaling_are_kept(kind, tmp_path):
    if kind != "own precision":
        astrokeras.configure("mixed_float16", seed=0)
    if kind == "detector":
        model = applications.yolo_lines((32, 1))
        x, y = random_batch(model, count=2)
    else:
        model, (x, y) = half_model(**({"dtype": "mixed_float16"} if kind == "own precision" else {})), batch()
    settings = {} if kind == "detector" else {"loss": "mse"}
    optimizer = keras.optimizers.Adam(0.01, loss_scale_factor=128.0)
    model.compile(optimizer, auto_scale_loss=False, run_eagerly=True, **settings)
    model.fit(x, y, verbose=0)
    again = reopened(model, tmp_path / "fixed.keras")
    assert type(again.optimizer).__name__ == "Adam" and again.optimizer.loss_scale_factor == 128
    assert int(again.optimizer.iterations) == 1
