"""Training on several devices ends with the weights of training on one."""

import os
import subprocess
import sys

import keras
import pytest

from astrokeras import backend

SCRIPT = """
import contextlib, keras, numpy as np
if keras.config.backend() == "tensorflow":
    import tensorflow as tf
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from astrokeras import backend
from tests.spots import spot_detector, spots

rng = np.random.default_rng(0)
skies, places = zip(*(spots((64, 64), 6, seed=i) for i in range(16)))
objects = {"boxes": np.stack([np.hstack([at - 2.5, at + 3.5]) for at in places]).astype("float32")}
objects["labels"] = np.zeros((16, 6), "int32")
images = np.stack(skies)[..., None]
pictures, classes = rng.normal(size=(32, 28, 28, 1)).astype("float32"), rng.integers(10, size=32)


def train(context):
    keras.utils.set_random_seed(0)
    with context as used:
        assert used is None or used == ["cpu:0", "cpu:1"], used
        layers = keras.Input((28, 28, 1)), keras.layers.Conv2D(4, 5), keras.layers.Flatten()
        classifier = keras.Sequential([*layers, keras.layers.Dense(10, "softmax")])
        classifier.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
        first = classifier.fit(pictures, classes, batch_size=16, epochs=2, verbose=0, shuffle=False).history["loss"]
        detector = spot_detector(loss={"random_startup": 0, "best_prior_rate": 0, "random_rate": 0})
        detector.compile(keras.optimizers.SGD(1e-3))
        second = detector.fit(images, objects, batch_size=8, epochs=2, verbose=0, shuffle=False).history["loss"]
        return classifier.get_weights(), first, detector.get_weights(), second, detector.images_seen


alone, together = train(contextlib.nullcontext()), train(backend.distribute())
for one, other in zip(keras.tree.flatten(alone), keras.tree.flatten(together)):
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
assert together[-1] == 32
assert backend.replicas() == 1
try:
    with backend.distribute(["gpu:7"]):
        pass
except ValueError as error:
    print(error)
"""


@pytest.mark.parametrize("name", ["tensorflow", "jax"])
def test_two_devices_learn_what_one_learns(name):
    pytest.importorskip(name)
    several = {"KERAS_BACKEND": name, "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=os.environ | several, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Expected devices among cpu:0, cpu:1; received gpu:7." in done.stdout


def test_one_device_is_given():
    if keras.config.backend() == "torch":
        with pytest.raises(ValueError, match="the Keras backend is torch"), backend.distribute():
            pass
        return
    with backend.distribute() as used:
        assert used
    with pytest.raises(ValueError, match="received none"), backend.distribute([]):
        pass
